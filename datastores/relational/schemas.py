"""The state of a store's schemas: empty, behind, current, newer or half applied; seen before a start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Table, text

from datastores.errors import SchemaBehind, SchemaTooNew
from datastores.relational.migrate import downgrade, script_directory, see_others, upgrade_to, version_context
from datastores.relational.port import Relational

_COLUMNS = {
    "sqlite": (
        "SELECT tables.name, columns.name FROM sqlite_master AS tables"
        " JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'"
    ),
    "postgresql": (
        "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relnamespace = to_regnamespace(current_schema()) AND attnum > 0 AND NOT attisdropped"
        " AND relkind IN ('r', 'p')"
    ),
}


@dataclass(frozen=True, slots=True)
class Schema:
    """One line of migrations, and the tables as its newest revision makes them."""

    name: str
    scripts: Path
    version_table: str
    tables: tuple[Table, ...]


class SchemaState(Enum):
    """What a start may do: go on (CURRENT), migrate first (EMPTY, BEHIND), or refuse."""

    EMPTY = "empty"
    BEHIND = "behind"
    CURRENT = "current"
    NEWER = "newer"
    HALF_APPLIED = "half applied"


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where a database is with one schema. `pending` are the revisions still to run, in order."""

    schema: Schema
    state: SchemaState
    revision: str | None
    newest: str
    pending: tuple[str, ...] = ()
    why: str = ""


async def statuses(relational: Relational, schemas: Sequence[Schema]) -> list[SchemaStatus]:
    """The status of each schema in one store, from one snapshot. Changes nothing."""
    return await relational.read(lambda c: [status_of(c, schema) for schema in schemas])


async def upgrade(relational: Relational, schema: Schema, *, revision: str = "head") -> None:
    """Bring one schema up to `revision`; all of it or nothing. Errors: as `upgrade_several`."""
    await upgrade_several(relational, [schema], revisions={schema.name: revision})


async def upgrade_several(
    relational: Relational, schemas: Sequence[Schema], *, revisions: Mapping[str, str] | None = None
) -> None:
    """Bring each schema of one store up to its revision, the newest by default; all of them or nothing.

    Errors: SchemaTooNew where the database is newer or half applied, also where it would be after this, and
    for a revision that this version does not know.
    """
    steps = [
        (each, script_directory(each.scripts), (revisions or {}).get(each.name, "head")) for each in schemas
    ]
    for schema, script, revision in steps:
        _check_revision(schema, script, revision)

    def work(connection: Connection) -> None:
        see_others(connection)
        for schema, script, revision in steps:
            upgrade_to(connection, script, schema.version_table, revision)
        refuse_foreign([status_of(connection, schema) for schema in schemas])

    await relational.write(work)


def _check_revision(schema: Schema, script: ScriptDirectory, revision: str) -> None:
    try:
        script.get_revision(revision)
    except CommandError:
        raise SchemaTooNew(
            f"this version of Stadion does not know revision `{revision}` of {schema.name}: take a newer one"
        ) from None


async def step_down(relational: Relational, schema: Schema, *, revision: str) -> None:
    """Undo the revisions after `revision` (`base` undoes all), with what is in the tables that they made."""
    await downgrade(relational, schema.scripts, schema.version_table, revision=revision)


def status_of(connection: Connection, schema: Schema) -> SchemaStatus:
    """Where the database is with `schema`."""
    script = script_directory(schema.scripts)
    newest = script.get_current_head() or "base"
    heads = version_context(connection, schema.version_table).get_current_heads()
    revision = heads[0] if heads else None
    if len(heads) > 1:
        why = f"`{schema.version_table}` names {len(heads)} revisions at once"
        return SchemaStatus(schema, SchemaState.HALF_APPLIED, revision, newest, why=why)
    try:
        script.get_revision(revision or "base")
    except CommandError:
        why = f"revision `{revision}` is not known to this version of Stadion"
        return SchemaStatus(schema, SchemaState.NEWER, revision, newest, why=why)
    between = script.iterate_revisions("head", revision or "base")
    pending = tuple(each.revision for each in between)[::-1]
    if why := _difference(connection, schema, begun=revision is not None, complete=not pending):
        return SchemaStatus(schema, SchemaState.HALF_APPLIED, revision, newest, pending, why)
    if revision is None:
        return SchemaStatus(schema, SchemaState.EMPTY, revision, newest, pending)
    state = SchemaState.BEHIND if pending else SchemaState.CURRENT
    return SchemaStatus(schema, state, revision, newest, pending)


def refuse_foreign(found: Sequence[SchemaStatus]) -> None:
    """Raise SchemaTooNew, one sentence, for the first that is newer or half applied."""
    for each in found:
        if each.state is SchemaState.NEWER:
            raise SchemaTooNew(
                f"the database is of a newer version of Stadion ({each.schema.name}: {each.why}): start the"
                " newer version that wrote it, or restore a backup"
            )
        if each.state is SchemaState.HALF_APPLIED:
            raise SchemaTooNew(
                f"the database is half applied ({each.schema.name}: {each.why}): restore a backup, or mend it"
                " by hand"
            )


def refuse_pending(found: Sequence[SchemaStatus]) -> None:
    """Raise SchemaBehind for the first that is not current."""
    for each in found:
        if each.pending:
            raise SchemaBehind(
                f"the database waits for {len(each.pending)} revisions of {each.schema.name}: run"
                " `stadion migrate up` first"
            )


def _difference(connection: Connection, schema: Schema, *, begun: bool, complete: bool) -> str:
    """What is there though it should not be yet, or missing though it should be there; empty where neither.

    Between the first and the newest revision nothing is said: the tables of those are not known here.
    """
    if begun and not complete:
        return ""
    there = {(table, column) for table, column in connection.execute(text(_COLUMNS[connection.dialect.name]))}
    if not begun:
        early = {table for table, _ in there} & {table.name for table in schema.tables}
        return f"the table `{min(early)}` is there without a revision" if early else ""
    wanted = {(table.name, column.name) for table in schema.tables for column in table.columns}
    missing = sorted(wanted - there)
    return f"`{missing[0][0]}.{missing[0][1]}` is missing" if missing else ""
