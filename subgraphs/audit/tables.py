"""Audit's tables, as `store.py` queries them; the migrations make them, and forbid changes to the chain."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

records = sa.Table(
    "audit_records",
    metadata,
    sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(36), nullable=False),
    sa.Column("event_id", sa.String(36), nullable=False),
    sa.Column("entry", sa.Integer(), nullable=False),
    sa.Column("at", sa.String(27), nullable=False),
    sa.Column("subgraph", sa.String(40), nullable=False),
    sa.Column("actor", sa.String(32)),
    sa.Column("on_behalf_of", sa.String(32)),
    sa.Column("client", sa.String(200)),
    sa.Column("session", sa.String(32)),
    sa.Column("purpose", sa.String(10)),
    sa.Column("action", sa.String(40), nullable=False),
    sa.Column("target", sa.String(32)),
    sa.Column("data_class", sa.String(30)),
    sa.Column("fields", sa.Text(), nullable=False),
    sa.Column("decision", sa.String(10), nullable=False),
    sa.Column("rule", sa.String(200), nullable=False),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("trace_id", sa.String(32), nullable=False),
    sa.Column("prev_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
checkpoints = sa.Table(
    "audit_checkpoints",
    metadata,
    sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("at", sa.String(27), nullable=False),
    sa.Column("signature", sa.String(128), nullable=False),
)
# One row: the signed word about the last record, so that a cut-off tail shows.
head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("chain", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("number", NUMBER, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("at", sa.String(27), nullable=False),
    sa.Column("signature", sa.String(128), nullable=False),
)
# Beside the chain: deleting a row erases a person, and changes no hash.
subjects = sa.Table(
    "audit_subjects",
    metadata,
    sa.Column("pseudonym", sa.String(32), primary_key=True),
    sa.Column("user_id", sa.String(200), nullable=False),
)
# Who was erased, by pseudonym alone: events about them may still be on their way.
erased = sa.Table("audit_erased", metadata, sa.Column("pseudonym", sa.String(32), primary_key=True))
