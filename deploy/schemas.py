"""Which lines of migrations each store has, and all of them seen or moved at once."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import MetaData

from authz.facts import relational as facts
from authz.facts import tables as facts_tables
from datastores.errors import StoreError
from datastores.events import outbox
from datastores.relational.port import Relational
from datastores.relational.schemas import (
    Schema,
    SchemaStatus,
    refuse_foreign,
    refuse_pending,
    statuses,
    upgrade_several,
)
from datastores.vault import key_rows
from subgraphs.accounts import subgraph as accounts
from subgraphs.accounts import tables as accounts_tables
from subgraphs.audit import subgraph as audit
from subgraphs.audit import tables as audit_tables
from subgraphs.medical import subgraph as medical
from subgraphs.medical import tables as medical_tables
from subgraphs.profiles import subgraph as profiles
from subgraphs.profiles import tables as profiles_tables
from subgraphs.training.store import tables as training_tables


def _schema(module: object, metadata: MetaData) -> Schema:
    """The line of migrations that `module` names, by the constants that each domain has."""
    version_table: str = module.VERSION_TABLE  # type: ignore[attr-defined]
    name = "authz" if module is facts else version_table.removesuffix("_version")
    return Schema(name, module.MIGRATIONS, version_table, tuple(metadata.sorted_tables))  # type: ignore[attr-defined]


SCHEMAS: Mapping[str, tuple[Schema, ...]] = {
    "accounts": (_schema(accounts, accounts_tables.metadata), outbox.SCHEMA),
    "profiles": (_schema(profiles, profiles_tables.metadata), outbox.SCHEMA),
    "training": (outbox.SCHEMA, _schema(training_tables, training_tables.activities.metadata)),
    "audit": (_schema(audit, audit_tables.metadata), outbox.SCHEMA),
    "facts": (_schema(facts, facts_tables.metadata), outbox.SCHEMA),
    "medical": (key_rows.SCHEMA, _schema(medical, medical_tables.metadata), outbox.SCHEMA),
}
"""By the name of the store, in the order in which they are made."""


async def migrate_all(rows: Mapping[str, Relational], *, may_migrate: bool) -> None:
    """Bring the open stores `rows` (some or all of `SCHEMAS`) to what this program knows.

    Every store is looked at before the first is changed.
    Errors: SchemaTooNew for one that is newer or half applied; SchemaBehind where `may_migrate` is not and
    something is pending. Each names its store.
    """
    found = await statuses_of(rows)
    for name, each in found.items():
        try:
            refuse_foreign(each)
            if not may_migrate:
                refuse_pending(each)
        except StoreError as error:
            raise type(error)(f"the store of {name}: {error}") from None
    for name, each in found.items():
        if pending := [status.schema for status in each if status.pending]:
            await upgrade_several(rows[name], pending)


async def statuses_of(rows: Mapping[str, Relational]) -> dict[str, list[SchemaStatus]]:
    """Where each open store is, with each of its schemas. Changes nothing."""
    return {name: await statuses(store, SCHEMAS[name]) for name, store in rows.items()}


def every_schema() -> tuple[Schema, ...]:
    """Each line of migrations once, those of the other ports too."""
    from datastores.documents import sqlite as documents
    from datastores.graph import relational as graph
    from datastores.regions import directory as regions
    from datastores.series import tables as series

    found = [schema for each in SCHEMAS.values() for schema in each]
    others = [port.SCHEMA for port in (graph, documents, series, regions)]
    return tuple({each.name: each for each in [*found, *others]}.values())
