"""A relational store into chunks, from one snapshot, and out of them into any other; counted and hashed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from sqlalchemy import Connection, Table

from datastores.backup.errors import BackupDamaged
from datastores.backup.lines import Advance, KeptStore, KeptTable, kept_pages, told_difference
from datastores.backup.repository import Repository
from datastores.relational.copying import Prepare, TargetNotEmpty, nothing_to_prepare
from datastores.relational.one_moment import waiting
from datastores.relational.port import Relational
from datastores.relational.rows import (
    Row,
    RowsSum,
    is_empty,
    packed,
    read_pages,
    sequence_of,
    set_sequence,
    sum_of,
    tables_of,
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
    wait = waiting(store)

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
    prepare: Prepare = nothing_to_prepare,
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
        pages = _prepared(prepare, part, kept_pages(repository, part))
        await _restore_table(store, tables[part.name], part, pages, advance)
    for part in kept.tables:
        if part.sequence:
            await store.write(lambda c, part=part: set_sequence(c, tables[part.name], part.sequence))  # type: ignore[misc]
    if any(status.pending for status in await statuses(store, schemas)):
        await upgrade_several(store, schemas)


async def difference(
    store: Relational,
    schemas: Sequence[Schema],
    kept: KeptStore,
    *,
    but: AbstractSet[str] = frozenset(),
) -> str:
    """The first table, none of `but`, that does not hold what was kept; empty where all do, and where the
    store has moved on to another revision, whose tables cannot be compared."""

    def work(connection: Connection) -> str:
        tables = {table.name: table for table in tables_of(connection, schemas)}
        if any((status_of(connection, each).revision != kept.revisions[each.name]) for each in schemas):
            return ""
        for part in kept.tables:
            if part.name in but:
                continue
            found = sum_of(connection, tables[part.name], part.columns)
            if told := told_difference(part.name, found, part.rows, part.digest):
                return told
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


async def _prepared(
    prepare: Prepare, kept: KeptTable, pages: AsyncIterator[list[Row]]
) -> AsyncIterator[list[Row]]:
    async for rows in pages:
        await prepare(kept.name, kept.columns, rows)
        yield rows


async def _restore_table(
    store: Relational, table: Table, kept: KeptTable, pages: AsyncIterator[list[Row]], advance: Advance
) -> None:
    async for rows in pages:
        await store.write(lambda c, rows=rows: write_rows(c, table, kept.columns, rows))  # type: ignore[misc]
        advance(kept.name, len(rows))
    written = await store.read(lambda c: sum_of(c, table, kept.columns))
    if (written.rows, written.digest) != (kept.rows, kept.digest):
        raise BackupDamaged(f"`{kept.name}` does not hold what the backup has: the store changed it")
