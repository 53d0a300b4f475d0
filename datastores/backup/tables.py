"""A relational store into chunks, from one snapshot, and out of them into any other; counted and hashed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.util import await_only

from datastores.backup.errors import BackupDamaged
from datastores.backup.repository import Repository
from datastores.relational.copying import TargetNotEmpty
from datastores.relational.port import Relational
from datastores.relational.rows import (
    ROWS_PER_PAGE,
    Row,
    RowsSum,
    is_empty,
    packed,
    read_pages,
    sequence_of,
    set_sequence,
    sum_of,
    tables_of,
    unpacked,
    write_rows,
)
from datastores.relational.schemas import (
    Schema,
    refuse_foreign,
    refuse_pending,
    status_of,
    statuses,
    upgrade_several,
)

T = TypeVar("T")
Advance = Callable[[str, int], None]
"""Told the name of a part, and how many rows or bytes of it are done since the last call."""


@dataclass(frozen=True, slots=True)
class KeptTable:
    """One table of a backup. `sequence` is the last number that the database gave out itself."""

    name: str
    columns: tuple[str, ...]
    rows: int
    digest: str
    size_bytes: int
    sequence: int | None
    chunks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptStore:
    """A store of a backup: the revision of each schema, and its tables, each behind those it refers to."""

    revisions: dict[str, str]
    tables: tuple[KeptTable, ...]

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(table.rows for table in self.tables)


async def keep_store(
    store: Relational,
    schemas: Sequence[Schema],
    repository: Repository,
    *,
    left_out: AbstractSet[str] = frozenset(),
    advance: Advance = lambda _name, _rows: None,
) -> KeptStore:
    """Everything in the tables of `schemas`, as one snapshot of an open, possibly busy store.

    Errors: SchemaBehind, SchemaTooNew where the store is not as this program knows it.
    """
    wait = _waiting(store)

    def work(connection: Connection) -> KeptStore:
        found = [status_of(connection, schema) for schema in schemas]
        refuse_foreign(found)
        refuse_pending(found)
        kept = [
            _keep_table(connection, table, repository, wait, advance)
            for table in tables_of(connection, schemas)
            if table.name not in left_out
        ]
        return KeptStore({each.schema.name: each.revision or "base" for each in found}, tuple(kept))

    return await store.read(work)


async def restore_store(
    store: Relational,
    schemas: Sequence[Schema],
    kept: KeptStore,
    repository: Repository,
    *,
    advance: Advance = lambda _name, _rows: None,
) -> None:
    """Fill an open, empty store with what was kept, check it, then bring it to what this program knows.

    Errors: TargetNotEmpty; BackupDamaged, after which what was written so far is to be thrown away;
    SchemaTooNew for a backup of a newer program.
    """
    await upgrade_several(store, schemas, revisions=kept.revisions)
    if not await store.read(lambda c: is_empty(c, schemas)):
        raise TargetNotEmpty("the store to restore into has rows: restore into an empty one")
    tables = await store.read(lambda c: {table.name: table for table in tables_of(c, schemas)})
    for part in kept.tables:
        await _restore_table(store, tables[part.name], part, repository, advance)
    for part in kept.tables:
        if part.sequence:
            await store.write(lambda c, part=part: set_sequence(c, tables[part.name], part.sequence))  # type: ignore[misc]
    if any(status.pending for status in await statuses(store, schemas)):
        await upgrade_several(store, schemas)


async def difference(store: Relational, schemas: Sequence[Schema], kept: KeptStore) -> str:
    """The first table that does not hold what was kept; empty where all do, and where the store has moved
    on to another revision, whose tables cannot be compared."""

    def work(connection: Connection) -> str:
        tables = {table.name: table for table in tables_of(connection, schemas)}
        if any((status_of(connection, each).revision != kept.revisions[each.name]) for each in schemas):
            return ""
        for part in kept.tables:
            found = sum_of(connection, tables[part.name], part.columns)
            if (found.rows, found.digest) != (part.rows, part.digest):
                return f"`{part.name}` has {found.rows} rows, the backup has {part.rows}, or other content"
        return ""

    return await store.read(work)


def _keep_table(
    connection: Connection,
    table: Table,
    repository: Repository,
    wait: Callable[[Coroutine[Any, Any, Any]], Any],
    advance: Advance,
) -> KeptTable:
    stream, found = repository.stream(), RowsSum()
    for page in read_pages(connection, table):
        lines = [packed(row) for row in page]
        for line in lines:
            found.add(line)
        wait(stream.feed(b"\n".join(lines) + b"\n"))
        advance(table.name, len(page))
    columns = tuple(column.name for column in table.columns)
    chunks: list[str] = wait(stream.end())
    sequence = sequence_of(connection, table)
    return KeptTable(
        table.name, columns, found.rows, found.digest, stream.bytes_whole, sequence, tuple(chunks)
    )


async def _restore_table(
    store: Relational, table: Table, kept: KeptTable, repository: Repository, advance: Advance
) -> None:
    found = RowsSum()
    async for rows in _pages(repository, kept.chunks, found):
        await store.write(lambda c, rows=rows: write_rows(c, table, kept.columns, rows))  # type: ignore[misc]
        advance(kept.name, len(rows))
    if (found.rows, found.digest) != (kept.rows, kept.digest):
        raise BackupDamaged(f"the rows of `{kept.name}` are not those that the backup counted")
    written = await store.read(lambda c: sum_of(c, table, kept.columns))
    if (written.rows, written.digest) != (kept.rows, kept.digest):
        raise BackupDamaged(f"`{kept.name}` does not hold what the backup has: the store changed it")


async def _pages(repository: Repository, chunks: Sequence[str], found: RowsSum) -> AsyncIterator[list[Row]]:
    rows: list[Row] = []
    begun = b""
    async for chunk in repository.chunks(chunks):
        *lines, begun = (begun + chunk).split(b"\n")
        for line in lines:
            found.add(line)
            rows.append(unpacked(line))
        while len(rows) >= ROWS_PER_PAGE:
            yield rows[:ROWS_PER_PAGE]
            rows = rows[ROWS_PER_PAGE:]
    if begun:
        raise BackupDamaged("a table of the backup breaks off within a row")
    if rows:
        yield rows


def _waiting(store: Relational) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """How a work, which is no coroutine, waits for one: on SQLite it runs on a thread, on PostgreSQL as a
    greenlet of the loop."""
    if store.dialect == "postgresql":
        return await_only
    loop = asyncio.get_running_loop()
    return lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
