"""The state of a schema: told before anything is changed, and refused where a start would do damage."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from datastores.errors import SchemaBehind, SchemaTooNew
from datastores.relational.opening import open_relational
from datastores.relational.port import Relational
from datastores.relational.schemas import (
    Schema,
    SchemaState,
    refuse_foreign,
    refuse_pending,
    statuses,
    step_down,
    upgrade,
)

FIRST = """
from alembic import op
import sqlalchemy as sa
revision, down_revision = "0001", None
def upgrade():
    op.create_table("things", sa.Column("id", sa.Integer, primary_key=True))
def downgrade():
    op.drop_table("things")
"""
SECOND = """
from alembic import op
import sqlalchemy as sa
revision, down_revision = "0002", "0001"
def upgrade():
    op.add_column("things", sa.Column("name", sa.String(20)))
def downgrade():
    with op.batch_alter_table("things") as table:
        table.drop_column("name")
"""


@pytest.fixture
def schema(tmp_path: Path) -> Schema:
    """Two revisions, and the table that they make."""
    versions = tmp_path / "things" / "versions"
    versions.mkdir(parents=True)
    (versions / "0001_things.py").write_text(FIRST)
    (versions / "0002_name.py").write_text(SECOND)
    table = sa.Table("things", sa.MetaData(), sa.Column("id", sa.Integer), sa.Column("name", sa.String))
    return Schema("things", tmp_path / "things", "things_version", (table,))


async def execute(store: Relational, statement: str) -> None:
    await store.write(lambda c: c.execute(sa.text(statement)))


async def test_a_database_goes_from_empty_over_behind_to_current(store: Relational, schema: Schema) -> None:
    seen = []
    for revision in ("0001", "head"):
        seen += await statuses(store, [schema])
        await upgrade(store, schema, revision=revision)
    seen += await statuses(store, [schema])
    assert [each.state for each in seen] == [SchemaState.EMPTY, SchemaState.BEHIND, SchemaState.CURRENT]
    assert [each.pending for each in seen] == [("0001", "0002"), ("0002",), ()]
    assert {each.newest for each in seen} == {"0002"}
    await step_down(store, schema, revision="base")
    [after] = await statuses(store, [schema])
    assert after.state is SchemaState.EMPTY


async def test_what_is_pending_is_refused_where_a_start_may_not_migrate(
    store: Relational, schema: Schema
) -> None:
    await upgrade(store, schema, revision="0001")
    found = await statuses(store, [schema])
    refuse_foreign(found)
    with pytest.raises(
        SchemaBehind, match=r"waits for 1 revisions of things: run `stadion migrate up` first"
    ):
        refuse_pending(found)


async def test_a_newer_revision_is_refused(store: Relational, schema: Schema) -> None:
    await upgrade(store, schema)
    await execute(store, "UPDATE things_version SET version_num = '0007'")
    found = await statuses(store, [schema])
    assert [each.state for each in found] == [SchemaState.NEWER]
    with pytest.raises(
        SchemaTooNew, match=r"newer version of Stadion \(things: revision `0007` is not known"
    ):
        refuse_foreign(found)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DROP TABLE things", "`things.id` is missing"),
        ("ALTER TABLE things RENAME COLUMN name TO nick", "`things.name` is missing"),
        ("DROP TABLE things_version", "the table `things` is there without a revision"),
        ("INSERT INTO things_version VALUES ('0001')", "names 2 revisions at once"),
    ],
    ids=["a table is gone", "a column is gone", "the revision is gone", "two revisions"],
)
async def test_a_half_applied_schema_is_refused_with_its_place(
    store: Relational, schema: Schema, statement: str, why: str
) -> None:
    await upgrade(store, schema)
    await execute(store, statement)
    found = await statuses(store, [schema])
    assert [each.state for each in found] == [SchemaState.HALF_APPLIED]
    assert why in found[0].why
    with pytest.raises(SchemaTooNew, match="half applied"):
        refuse_foreign(found)


async def test_a_migration_over_tables_that_somebody_changed_fails_whole_and_says_so(
    store: Relational, schema: Schema
) -> None:
    await upgrade(store, schema, revision="0001")
    await execute(store, "ALTER TABLE things ADD COLUMN name VARCHAR(20)")
    with pytest.raises(SchemaTooNew, match=r"the tables of `things_version` are not as their revision left"):
        await upgrade(store, schema)
    [status] = await statuses(store, [schema])
    assert status.revision == "0001"


async def test_a_revision_that_does_not_make_what_the_program_uses_is_taken_back(
    store: Relational, schema: Schema
) -> None:
    forgetful = SECOND.replace('op.add_column("things", sa.Column("name", sa.String(20)))', "pass")
    (schema.scripts / "versions" / "0002_name.py").write_text(forgetful)
    with pytest.raises(SchemaTooNew, match=r"half applied \(things: `things.name` is missing"):
        await upgrade(store, schema)
    [status] = await statuses(store, [schema])
    assert status.state is SchemaState.EMPTY


async def test_programs_that_start_together_migrate_once(
    fresh_store: Relational, schema: Schema, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Each with connections of its own, as processes have them."""
    if fresh_store.dialect == "sqlite":
        others = [open_relational(f"sqlite:///{tmp_path}/store.db") for _ in range(4)]
    else:
        place = request.getfixturevalue("postgresql_schema")
        url = request.getfixturevalue("postgresql_url")
        others = [open_relational(url, search_path=place) for _ in range(4)]
    for each in others:
        await each.open()
    try:
        await asyncio.gather(*(upgrade(each, schema) for each in others))
        [status] = await statuses(others[0], [schema])
        assert status.state is SchemaState.CURRENT
    finally:
        for each in others:
            await each.close()
