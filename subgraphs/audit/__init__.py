"""Audit: who touched whose protected fields, when, why and by which rule; kept so that no change goes unseen.

Owns AuditRecord (key `id`) and the checkpoints of its chain; extends `User` (key `id`, owned by accounts)
with `accessLog`. Consumes `access.recorded` of every domain. Rows are appended and never changed; people are
in them by keyed pseudonyms, and what a pseudonym stands for is kept beside the chain, where it can be erased.
"""
