"""Bytes that are to be deleted: noted with the rows' deletion, so that a crash in between forgets nothing."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.relational.columns import insert
from subgraphs.training.store.tables import doomed_files

KEYS_PER_SWEEP_MAX = 200


def doom(connection: Connection, blob_key: str) -> None:
    """Note that these bytes belong to nothing any more."""
    connection.execute(insert(connection, doomed_files).values(blob_key=blob_key).on_conflict_do_nothing())


def spare(connection: Connection, blob_keys: Sequence[str]) -> None:
    """These bytes are deleted, or belong to something again."""
    connection.execute(sa.delete(doomed_files).where(doomed_files.c.blob_key.in_(list(blob_keys))))


def doomed(connection: Connection) -> list[str]:
    """Some of the bytes that are still to be deleted."""
    query = sa.select(doomed_files.c.blob_key).order_by(doomed_files.c.blob_key).limit(KEYS_PER_SWEEP_MAX)
    return list(connection.execute(query).scalars())
