"""`stadion migrate`: where every store's schema is, up to this version, down again, and the rule checked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.router_command import fail

if TYPE_CHECKING:
    from datastores.relational.port import Relational
    from datastores.relational.schemas import Schema, SchemaStatus
    from datastores.vault.port import Vault
    from deploy.settings import Settings

Folder = Annotated[Path | None, typer.Option("--data", help="folder of the embedded stores [.stadion]")]


def register(app: typer.Typer) -> None:
    """Add the command group to `app`."""
    group = typer.Typer(no_args_is_help=True, help="Bring the stores' schemas up and down.")
    group.command(name="status")(status_command)
    group.command(name="up")(up_command)
    group.command(name="down")(down_command)
    group.command(name="check")(check_command)
    group.callback()(lambda: None)
    app.add_typer(group, name="migrate")


def status_command(data: Folder = None) -> None:
    """Tell where each schema is; also beside a running platform. Exit code 1 where one is not current."""
    from datastores.errors import StoreError
    from datastores.relational.schemas import SchemaState
    from deploy.settings import settings_with

    settings = settings_with(data_folder=data)
    if settings.relational_url is None and not settings.data_folder.is_dir():
        fail(f"there is no data folder `{settings.data_folder}`: `stadion up` makes it")
    try:
        found = asyncio.run(_statuses(settings))
    except StoreError as error:
        fail(str(error))
    for store, each in found.items():
        for status in each:
            typer.echo(_line(store, status))
    if any(status.state is not SchemaState.CURRENT for each in found.values() for status in each):
        raise typer.Exit(1)


def up_command(data: Folder = None) -> None:
    """Run what is pending in every store, one transaction a schema. Who comes second waits for the first.

    Needs the embedded data folder for itself; servers may be in use.
    """
    from datastores.errors import StoreError
    from deploy.settings import settings_with

    try:
        count = asyncio.run(_up(settings_with(data_folder=data)))
    except StoreError as error:
        fail(str(error))
    typer.echo(f"applied {count} revisions" if count else "nothing to do: every schema is current")


def down_command(
    store: Annotated[str, typer.Argument(help="accounts, profiles, training, audit, facts or medical")],
    schema: Annotated[str, typer.Argument(help="one of the store's schemas, as `status` lists them")],
    revision: Annotated[str, typer.Option("--to", help="the revision to stay; `base` undoes all")],
    data: Folder = None,
    *,
    sure: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Undo the revisions of one schema after `--to`. What is in the tables and columns they made is lost."""
    from datastores.errors import StoreError
    from deploy.settings import settings_with

    if not sure:
        typer.confirm(
            f"Undo `{schema}` of `{store}` down to `{revision}`, and lose what it keeps?", abort=True
        )
    try:
        asyncio.run(_down(settings_with(data_folder=data), store, schema, revision))
    except StoreError as error:
        fail(str(error))
    typer.echo(f"{schema} of {store} is at {revision}")


def check_command() -> None:
    """Check the expand/contract rule on every migration of this version. Touches no store."""
    from datastores.relational.expand_contract import broken_rules
    from deploy.schemas import every_schema

    schemas = every_schema()
    broken = [sentence for schema in schemas for sentence in broken_rules(schema)]
    for sentence in broken:
        typer.echo(sentence, err=True)
    if broken:
        raise typer.Exit(1)
    typer.echo(f"{len(schemas)} schemas: every revision leaves the version before it running")


def _line(store: str, status: SchemaStatus) -> str:
    told = status.state.value
    if status.pending:
        told += f", {len(status.pending)} to run"
    if status.why:
        told += f": {status.why}"
    return f"{store:<9} {status.schema.name:<9} {status.revision or '-':>5} of {status.newest}  {told}"


@asynccontextmanager
async def _rows(settings: Settings, *, claimed: bool) -> AsyncIterator[dict[str, Relational]]:
    """The relational stores, open; nobody else has the data folder meanwhile, where `claimed`."""
    from datastores.folder import DataFolder
    from datastores.lifecycle import opened
    from deploy.stores import stores_of

    folder = DataFolder(settings.data_folder)
    if claimed:
        folder.claim()
    try:
        stores = stores_of(settings)
        async with opened(stores.rows_in_order()):
            yield stores.rows()
    finally:
        folder.release()


async def _statuses(settings: Settings) -> dict[str, list[SchemaStatus]]:
    from deploy.schemas import statuses_of

    async with _rows(settings, claimed=False) as rows:
        return await statuses_of(rows)


async def _up(settings: Settings) -> int:
    from deploy.schemas import migrate_all, statuses_of
    from subgraphs.medical.resource_ids import has_clear_ids, seal_all

    async with _rows(settings, claimed=True) as rows:
        pending = [status.pending for each in (await statuses_of(rows)).values() for status in each]
        await migrate_all(rows, may_migrate=True)
        in_clear = await rows["medical"].read(has_clear_ids)
    if in_clear:
        async with _vault(settings) as vault:
            await seal_all(vault)
    return sum(len(each) for each in pending)


@asynccontextmanager
async def _vault(settings: Settings) -> AsyncIterator[Vault]:
    """Medical's store with its keys, which no revision has; nobody else has the data folder meanwhile."""
    from datastores.folder import DataFolder
    from datastores.lifecycle import opened
    from deploy.stores import stores_of

    folder = DataFolder(settings.data_folder)
    folder.claim()
    try:
        vault = stores_of(settings).vault
        async with opened({"the medical vault": vault}):
            yield vault
    finally:
        folder.release()


async def _open_ids(settings: Settings, schema: Schema, revision: str) -> None:
    """Put ids back in clear where going down to `revision` leads to a version that knows no others."""
    from datastores.relational.migrate import current_revision, script_directory
    from subgraphs.medical.resource_ids import SEALED_SINCE, open_all

    known = script_directory(schema.scripts).walk_revisions()
    order = ["base", *[each.revision for each in known][::-1]]
    sealed_since = order.index(SEALED_SINCE)
    async with _rows(settings, claimed=True) as rows:
        now = await current_revision(rows["medical"], schema.version_table)
    if order.index(revision) < sealed_since <= order.index(now or "base"):
        async with _vault(settings) as vault:
            await open_all(vault)


async def _down(settings: Settings, store: str, name: str, revision: str) -> None:
    from datastores.relational.schemas import step_down

    schema = _named(store, name, revision)
    if name == "medical":
        await _open_ids(settings, schema, revision)
    async with _rows(settings, claimed=True) as rows:
        await step_down(rows[store], schema, revision=revision)


def _named(store: str, name: str, revision: str) -> Schema:
    from datastores.relational.migrate import script_directory
    from deploy.schemas import SCHEMAS

    if store not in SCHEMAS:
        fail(f"there is no store `{store}`: use one of {', '.join(SCHEMAS)}")
    schemas = {schema.name: schema for schema in SCHEMAS[store]}
    if name not in schemas:
        fail(f"`{store}` has no schema `{name}`: use one of {', '.join(schemas)}")
    known = {each.revision for each in script_directory(schemas[name].scripts).walk_revisions()} | {"base"}
    if revision not in known:
        fail(f"`{name}` has no revision `{revision}`: use one of {', '.join(sorted(known))}")
    return schemas[name]
