"""Automatic persisted queries: a client sends the SHA-256 of a document it has sent before.

Source: the `persistedQuery` extension, version 1, as Federation clients speak it.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from router.config import RouterConfig
from router.errors import ClientError
from router.pipeline import GraphQLRequest
from router.snapshot import Cache


class PersistedDocuments:
    """Documents by their hash; those least recently used are forgotten first."""

    def __init__(self, config: RouterConfig) -> None:
        self._on = config.persisted_queries
        self._texts: Cache[str, str] = Cache("persisted", entries_max=config.caches.persisted_documents_max)

    def resolved(self, request: GraphQLRequest) -> GraphQLRequest:
        """The request with its text. One that brings text and hash is remembered.

        Errors: PERSISTED_QUERY_NOT_FOUND (send the text once), _NOT_SUPPORTED, _HASH_MISMATCH, BAD_REQUEST.
        """
        named = request.extensions.get("persistedQuery")
        if named is None:
            return request
        if not self._on:
            raise ClientError("PersistedQueryNotSupported", code="PERSISTED_QUERY_NOT_SUPPORTED")
        sha256 = _sha256_of(named)
        if not request.text:
            text = self._texts.get(sha256)
            if text is None:
                raise ClientError("PersistedQueryNotFound", code="PERSISTED_QUERY_NOT_FOUND")
            return replace(request, text=text)
        if hashlib.sha256(request.text.encode("utf-8", "surrogatepass")).hexdigest() != sha256:
            raise ClientError(
                "the hash is not the SHA-256 of the document", code="PERSISTED_QUERY_HASH_MISMATCH"
            )
        self._texts.put(sha256, request.text)
        return request


def _sha256_of(named: object) -> str:
    found = named.get("sha256Hash") if isinstance(named, dict) and named.get("version") == 1 else None
    if not isinstance(found, str) or len(found) != 64:
        raise ClientError("`persistedQuery` needs `version: 1` and a `sha256Hash`", code="BAD_REQUEST")
    return found
