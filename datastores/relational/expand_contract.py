"""The rule of migrations, checked on a scratch database: expand first, contract in a later revision.

While a release goes out, the program before it still runs on the new tables. So a revision may not take
away or narrow what that program uses, unless it says in `contracts` which earlier revision gave the
replacement: `contracts = {"things.name": "0002"}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection

from datastores.relational.migrate import script_directory, upgrade_to
from datastores.relational.schemas import Schema


@dataclass(frozen=True, slots=True)
class _Column:
    type: str
    nullable: bool
    has_default: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a program may use of a database: columns by `table.column`, and what must be unique."""

    tables: frozenset[str]
    columns: Mapping[str, _Column]
    unique: frozenset[tuple[str, tuple[str, ...]]]


def broken_rules(schema: Schema) -> list[str]:
    """What is wrong with the migrations of `schema`, one sentence each; empty where nothing is."""
    script = script_directory(schema.scripts)
    found: list[str] = []
    expanded: set[str] = set()
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        before = _shape(connection)
        for revision in reversed(list(script.walk_revisions())):
            upgrade_to(connection, script, schema.version_table, revision.revision)
            after = _shape(connection)
            found += _judged(schema.name, script, revision, dict(_taken(before, after)), expanded)
            if set(after.columns) - set(before.columns):
                expanded.add(revision.revision)
            before = after
    engine.dispose()
    return found


def _judged(
    name: str, script: ScriptDirectory, revision: Script, taken: Mapping[str, str], expanded: set[str]
) -> Iterator[str]:
    """Each narrowing that no earlier revision made good, and each promise that is none."""
    contracts: Mapping[str, str] = getattr(revision.module, "contracts", {})
    place = f"{name} {revision.revision}"
    for what, how in taken.items():
        if what not in contracts:
            yield (
                f"{place}: {how}: expand in an earlier revision, release it, and name that revision in"
                f" `contracts`"
            )
        elif contracts[what] not in expanded or contracts[what] == revision.revision:
            yield f"{place}: `contracts` names `{contracts[what]}` for `{what}`, which expands nothing before"
    for what in sorted(set(contracts) - set(taken)):
        yield f"{place}: `contracts` names `{what}`, which this revision does not narrow"


def _taken(before: _Shape, after: _Shape) -> Iterator[tuple[str, str]]:
    """What the program before can no longer do, by what it is about."""
    for table in sorted(before.tables - after.tables):
        yield table, f"it drops or renames the table `{table}`"
    kept = before.tables & after.tables
    for name, column in before.columns.items():
        if name.split(".")[0] not in kept:
            continue
        now = after.columns.get(name)
        if now is None:
            yield name, f"it drops or renames the column `{name}`"
        elif now.type != column.type:
            yield name, f"it changes the type of `{name}` from {column.type} to {now.type}"
        elif column.nullable and not now.nullable:
            yield name, f"it makes `{name}` required"
    for name in sorted(set(after.columns) - set(before.columns)):
        added = after.columns[name]
        if name.split(".")[0] in before.tables and not added.nullable and not added.has_default:
            yield name, f"it adds the required column `{name}` without a default"
    for table, columns in sorted(after.unique - before.unique):
        if table in before.tables:
            yield f"{table}.{'+'.join(columns)}", f"it makes `{table}` unique by {', '.join(columns)}"


def _shape(connection: Connection) -> _Shape:
    inspector = sa.inspect(connection)
    columns: dict[str, _Column] = {}
    unique: set[tuple[str, tuple[str, ...]]] = set()
    tables = [name for name in inspector.get_table_names() if not name.endswith("_version")]
    for table in tables:
        for each in inspector.get_columns(table):
            columns[f"{table}.{each['name']}"] = _column(each)
        indexes: list[Any] = [each for each in inspector.get_indexes(table) if each["unique"]]
        for rule in [*indexes, *inspector.get_unique_constraints(table)]:
            unique.add((table, tuple(sorted(str(name) for name in rule["column_names"]))))
    return _Shape(frozenset(tables), columns, frozenset(unique))


def _column(found: Any) -> _Column:
    has_default = found["default"] is not None or bool(found.get("computed"))
    return _Column(str(found["type"]), bool(found["nullable"]), has_default)
