"""Every migration of this version: up and down on SQLite and PostgreSQL, and never ahead of the program."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer
from typer.testing import CliRunner

from datastores.errors import SchemaBehind, SchemaTooNew
from datastores.events.outbox import RelationalOutbox
from datastores.lifecycle import opened
from datastores.relational.expand_contract import broken_rules
from datastores.relational.migrate import script_directory
from datastores.relational.port import Relational
from datastores.relational.schemas import Schema, SchemaState, statuses, step_down, upgrade
from deploy import migrate_command
from deploy.assemble import open_stores
from deploy.schemas import SCHEMAS, every_schema
from deploy.settings import Settings
from deploy.stores import stores_of
from subgraphs.medical.importing import DocumentImporter
from tests.kit_subgraphs.stores import open_postgresql, open_sqlite

EVERY = every_schema()
run = CliRunner()
app = typer.Typer()
migrate_command.register(app)


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Relational]:
    if request.param == "sqlite":
        async with open_sqlite(tmp_path, "store") as store:
            yield store
    else:
        async with open_postgresql(request.getfixturevalue("postgresql_url")) as store:
            yield store


def names(connection: sa.Connection) -> list[str]:
    """The tables but those of Alembic."""
    return [name for name in sa.inspect(connection).get_table_names() if not name.endswith("_version")]


def shape(connection: sa.Connection) -> dict[str, object]:
    """Tables with their columns and indexes, and functions, as the database tells them."""
    inspector = sa.inspect(connection)
    found: dict[str, object] = {
        table: (
            sorted(
                (each["name"], str(each["type"]), each["nullable"]) for each in inspector.get_columns(table)
            ),
            sorted(str(each["name"]) for each in inspector.get_indexes(table)),
        )
        for table in names(connection)
    }
    if connection.dialect.name == "postgresql":
        functions = "SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
        found["functions"] = sorted(connection.execute(sa.text(functions)).scalars())
    return found


@pytest.mark.parametrize("schema", EVERY, ids=lambda schema: schema.name)
async def test_each_revision_goes_up_down_and_up_again_to_what_the_program_uses(
    store: Relational, schema: Schema
) -> None:
    revisions = [each.revision for each in script_directory(schema.scripts).walk_revisions()][::-1]
    shapes = [await store.read(shape)]
    for revision in revisions:
        await upgrade(store, schema, revision=revision)
        shapes.append(await store.read(shape))
    for number in reversed(range(len(revisions))):
        await step_down(store, schema, revision=revisions[number - 1] if number else "base")
        assert await store.read(shape) == shapes[number]
    await upgrade(store, schema)
    assert await store.read(shape) == shapes[-1]
    made = await store.read(lambda c: {name: sa.inspect(c).get_columns(name) for name in names(c)})
    assert {name: {column["name"] for column in columns} for name, columns in made.items()} == {
        table.name: {column.name for column in table.columns} for table in schema.tables
    }


@pytest.mark.parametrize("schema", EVERY, ids=lambda schema: schema.name)
def test_no_revision_breaks_the_version_before_it(schema: Schema) -> None:
    assert broken_rules(schema) == []


def test_every_folder_of_migrations_belongs_to_a_schema() -> None:
    root = Path(__file__).parents[2]
    folders = {
        path.parent
        for package in ("subgraphs", "authz", "datastores", "deploy")
        for path in (root / package).rglob("migrations/versions")
        if any(path.glob("*.py"))
    }
    assert {schema.scripts for schema in EVERY} == folders


async def test_a_start_looks_at_every_store_before_it_changes_the_first(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path / "data")
    stores = stores_of(settings)
    async with opened(stores.rows_in_order()):
        await upgrade(stores.vault_rows, SCHEMAS["medical"][0])
        await stores.vault_rows.write(
            lambda c: c.execute(sa.text("UPDATE vault_version SET version_num = 'x'"))
        )
    with pytest.raises(SchemaTooNew, match=r"the store of medical: .*newer version"):
        async with open_stores(settings, stores_of(settings)):
            pass
    async with opened(stores.rows_in_order()):
        [first] = await statuses(stores.relational["accounts"], SCHEMAS["accounts"][:1])
        assert first.state is SchemaState.EMPTY


async def test_a_start_that_may_not_migrate_waits_for_the_command(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path / "data", migrate_at_start=False)
    with pytest.raises(SchemaBehind, match=r"the store of accounts: .*run `stadion migrate up` first"):
        async with open_stores(settings, stores_of(settings)):
            pass
    async with opened(stores_of(settings).rows_in_order()):
        pass


def test_the_command_tells_moves_up_and_moves_down(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    assert run.invoke(app, ["migrate", "status", "--data", data]).exit_code == 1  # no such folder
    up = run.invoke(app, ["migrate", "up", "--data", data])
    assert up.exit_code == 0, up.output
    assert re.fullmatch(r"applied \d+ revisions\n", up.stdout)
    assert run.invoke(app, ["migrate", "up", "--data", data]).stdout.startswith("nothing to do")
    told = run.invoke(app, ["migrate", "status", "--data", data])
    assert told.exit_code == 0
    assert told.stdout.count("current") == sum(map(len, SCHEMAS.values()))

    down = run.invoke(app, ["migrate", "down", "facts", "authz", "--to", "0001", "--yes", "--data", data])
    assert down.stdout == "authz of facts is at 0001\n"
    told = run.invoke(app, ["migrate", "status", "--data", data])
    assert told.exit_code == 1
    assert re.search(r"^facts +authz +0001 of 0\d{3}  behind, \d to run$", told.stdout, re.MULTILINE)
    up = run.invoke(app, ["migrate", "up", "--data", data])
    assert re.fullmatch(r"applied \d revisions\n", up.stdout)


def test_ids_in_the_vault_go_down_in_clear_and_up_sealed(tmp_path: Path) -> None:
    """No revision has the keys; the command does."""
    data, own = str(tmp_path / "data"), Settings(data_folder=tmp_path / "data")

    async def found(*, seal: bool) -> list[tuple[str, object]]:
        vault = stores_of(own).vault
        async with opened({"vault": vault}):
            if seal:
                importer = DocumentImporter(vault, RelationalOutbox())
                resource = {"resourceType": "Condition", "id": "canary-9"}
                content = json.dumps({**resource, "subject": {"reference": "Patient/p"}}).encode()
                now = datetime(2026, 11, 1, tzinfo=UTC)
                await importer.run(content, patient_id="mira", imported_by="mira", at_utc=now)
            rows = sa.text("SELECT * FROM medical_resources")
            return await vault.read(
                lambda c: [(row.fhir_id, row._mapping.get("sealed_fhir_id")) for row in c.execute(rows)]
            )

    assert run.invoke(app, ["migrate", "up", "--data", data]).exit_code == 0
    [(index, sealed)] = asyncio.run(found(seal=True))
    assert index != "canary-9" and sealed
    for _ in range(2):  # the second time there is nothing to open
        down = run.invoke(
            app, ["migrate", "down", "medical", "medical", "--to", "0004", "--yes", "--data", data]
        )
        assert down.exit_code == 0, down.output
        assert asyncio.run(found(seal=False)) == [("canary-9", None)]
    assert run.invoke(app, ["migrate", "up", "--data", data]).exit_code == 0
    [(again, sealed)] = asyncio.run(found(seal=False))
    assert again == index and sealed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["shop", "shop", "--to", "base"], "there is no store `shop`: use one of accounts, profiles"),
        (["facts", "shop", "--to", "base"], "`facts` has no schema `shop`: use one of authz, outbox"),
        (["facts", "authz", "--to", "0009"], "`authz` has no revision `0009`: use one of 0001, 0002, 0003"),
    ],
)
def test_a_wrong_name_is_one_line(tmp_path: Path, arguments: list[str], told: str) -> None:
    outcome = run.invoke(app, ["migrate", "down", *arguments, "--yes", "--data", str(tmp_path / "data")])
    assert outcome.exit_code == 1
    assert told in outcome.stderr


def test_the_rule_can_be_checked_without_a_store() -> None:
    outcome = run.invoke(app, ["migrate", "check"])
    assert outcome.exit_code == 0
    assert "every revision leaves the version before it running" in outcome.stdout
