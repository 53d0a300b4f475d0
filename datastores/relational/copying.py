"""One relational store into another, SQLite to PostgreSQL or any way round: resumable, counted and hashed.

Each page of rows and the note of how far the copy is go into the target in one transaction: killed anywhere,
it goes on behind the last page that is there, and no row is written twice.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from datastores.errors import Conflict, StoreError
from datastores.relational.columns import insert
from datastores.relational.port import Relational
from datastores.relational.rows import (
    Row,
    is_empty,
    key_of,
    packed,
    read_page,
    sequence_of,
    set_sequence,
    sum_of,
    tables_of,
    unpacked,
    write_rows,
)
from datastores.relational.schemas import Schema, refuse_foreign, refuse_pending, statuses, upgrade_several

Advance = Callable[[str, int], None]
Prepare = Callable[[str, Sequence[str], Sequence[Row]], Awaitable[None]]
"""Makes ready for rows of a table, whose values come in the order of columns."""
_progress = sa.Table(
    "stadion_copy",
    sa.MetaData(),
    sa.Column("table_name", sa.String(100), primary_key=True),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("after_key", sa.Text()),
)


class TargetNotEmpty(Conflict):
    """A copy would mix with what is there already. Nothing was changed."""


async def nothing_to_prepare(_table: str, _columns: Sequence[str], _rows: Sequence[Row]) -> None:
    """Most tables are ready for rows."""


async def copy_rows(
    source: Relational,
    target: Relational,
    schemas: Sequence[Schema],
    *,
    source_id: str,
    advance: Advance = lambda _name, _rows: None,
    prepare: Prepare = nothing_to_prepare,
) -> int:
    """All rows of `schemas` from `source`, which nobody changes meanwhile, into `target`; how many there are.

    `source_id` names the source over all attempts. Both are open; the target's tables are made here.
    Errors: SchemaBehind, SchemaTooNew for the source; TargetNotEmpty where the target has rows that no
    attempt of this copy wrote; StoreError where it does not end up equal. `finish_copy` comes last.
    """
    found = await statuses(source, schemas)
    refuse_foreign(found)
    refuse_pending(found)
    await upgrade_several(target, schemas)
    await target.write(lambda c: _begin(c, schemas, source_id))
    tables = await source.read(lambda c: tables_of(c, schemas))
    for table in tables:
        await _copy_table(source, target, table, advance, prepare)
    return await verify_rows(source, target, schemas)


async def verify_rows(
    source: Relational, target: Relational, schemas: Sequence[Schema], *, but: AbstractSet[str] = frozenset()
) -> int:
    """How many rows both have, all tables `but` these compared.  Errors: StoreError where they differ."""
    tables = await source.read(lambda c: tables_of(c, schemas))
    return sum([await _check_equal(source, target, each) for each in tables if each.name not in but])


async def is_begun(target: Relational) -> bool:
    """Whether a copy into `target` was begun and not finished."""
    return await target.read(lambda c: sa.inspect(c).has_table(_progress.name))


async def finish_copy(
    target: Relational, last: Callable[[Connection], None] = lambda _connection: None
) -> None:
    """Take the notes of the copy away, and do `last` with it, in one transaction; from now on the target is
    a store like any other."""

    def work(connection: Connection) -> None:
        last(connection)
        _progress.drop(connection, checkfirst=True)

    await target.write(work)


def _begin(connection: Connection, schemas: Sequence[Schema], source_id: str) -> None:
    if not sa.inspect(connection).has_table(_progress.name):
        if not is_empty(connection, schemas):
            raise TargetNotEmpty("the target has rows already: copy into an empty one")
        _progress.create(connection)
        connection.execute(sa.insert(_progress).values(table_name="", source=source_id))
        return
    begun = connection.execute(sa.select(_progress.c.source).where(_progress.c.table_name == "")).scalar()
    if begun != source_id:
        raise TargetNotEmpty("the target has a begun copy of another source: finish that, or empty it")


async def _copy_table(
    source: Relational, target: Relational, table: Table, advance: Advance, prepare: Prepare
) -> None:
    columns = [column.name for column in table.columns]
    kept = await target.read(lambda c: _after(c, table.name))
    while True:
        page = await source.read(lambda c, kept=kept: read_page(c, table, after=kept))  # type: ignore[misc]
        if not page:
            break
        kept = key_of(table, page[-1])
        await prepare(table.name, columns, page)
        await target.write(lambda c, page=page, kept=kept: _write_page(c, table, columns, page, kept))  # type: ignore[misc]
        advance(table.name, len(page))
    last = await source.read(lambda c: sequence_of(c, table))
    if last:
        await target.write(lambda c: set_sequence(c, table, last))


def _write_page(
    connection: Connection, table: Table, columns: Sequence[str], page: Sequence[Row], after: Row
) -> None:
    write_rows(connection, table, columns, page)
    text = base64.b64encode(packed(after)).decode()
    source = sa.select(_progress.c.source).where(_progress.c.table_name == "").scalar_subquery()
    statement = insert(connection, _progress).values(table_name=table.name, source=source, after_key=text)
    again = statement.on_conflict_do_update(index_elements=["table_name"], set_={"after_key": text})
    connection.execute(again)


def _after(connection: Connection, table_name: str) -> Row | None:
    query = sa.select(_progress.c.after_key).where(_progress.c.table_name == table_name)
    text = connection.execute(query).scalar()
    return None if text is None else unpacked(base64.b64decode(text))


async def _check_equal(source: Relational, target: Relational, table: Table) -> int:
    columns = [column.name for column in table.columns]
    there = await source.read(lambda c: sum_of(c, table, columns))
    here = await target.read(lambda c: sum_of(c, table, columns))
    if there != here:
        raise StoreError(
            f"`{table.name}` has {there.rows} rows in the source and {here.rows} in the target, or other"
            " content: empty the target and begin again"
        )
    return there.rows
