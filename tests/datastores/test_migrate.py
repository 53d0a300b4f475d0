"""Migrations: up to what the program knows, all or nothing, never over a newer schema."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from datastores.errors import SchemaTooNew
from datastores.relational.migrate import current_revision, downgrade, migrate
from datastores.relational.port import Relational

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
BROKEN = """
from alembic import op
revision, down_revision = "0003", "0002"
def upgrade():
    op.execute("CREATE TABLE half (id INTEGER)")
    raise RuntimeError("power gone")
"""


def columns(store: Relational) -> object:
    return store.read(lambda c: {col["name"] for col in sa.inspect(c).get_columns("things")})


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "scripts with 100% space"
    (folder / "versions").mkdir(parents=True)
    (folder / "versions" / "0001_things.py").write_text(FIRST)
    return folder


async def test_it_goes_up_step_by_step_and_down_again(store: Relational, scripts: Path) -> None:
    await migrate(store, scripts, "things_version")
    await migrate(store, scripts, "things_version")
    assert await current_revision(store, "things_version") == "0001"
    (scripts / "versions" / "0002_name.py").write_text(SECOND)
    await migrate(store, scripts, "things_version")
    assert await columns(store) == {"id", "name"}
    await downgrade(store, scripts, "things_version", revision="0001")
    assert await columns(store) == {"id"}
    await downgrade(store, scripts, "things_version")
    assert await current_revision(store, "things_version") is None
    assert not await store.read(lambda c: sa.inspect(c).has_table("things"))


async def test_a_schema_of_a_newer_program_is_refused_in_one_sentence(
    store: Relational, scripts: Path
) -> None:
    newer = scripts / "versions" / "0002_name.py"
    newer.write_text(SECOND)
    await migrate(store, scripts, "things_version")
    newer.unlink()
    with pytest.raises(SchemaTooNew, match=r"revision `0002` of `things_version`.*start the newer version"):
        await migrate(store, scripts, "things_version")
    assert await columns(store) == {"id", "name"}


async def test_a_migration_that_fails_leaves_everything_as_it_was(store: Relational, scripts: Path) -> None:
    await migrate(store, scripts, "things_version")
    (scripts / "versions" / "0002_name.py").write_text(SECOND)
    (scripts / "versions" / "0003_broken.py").write_text(BROKEN)
    with pytest.raises(RuntimeError, match="power gone"):
        await migrate(store, scripts, "things_version")
    assert await current_revision(store, "things_version") == "0001"
    assert await columns(store) == {"id"}
    assert not await store.read(lambda c: sa.inspect(c).has_table("half"))


async def test_several_domains_share_a_database_with_a_version_table_each(
    store: Relational, scripts: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    (other / "versions").mkdir(parents=True)
    (other / "versions" / "0001_others.py").write_text(FIRST.replace("things", "others"))
    await migrate(store, scripts, "things_version")
    await migrate(store, other, "others_version")
    await downgrade(store, other, "others_version")
    assert await current_revision(store, "things_version") == "0001"


async def test_two_that_start_together_migrate_once(store: Relational, scripts: Path) -> None:
    await asyncio.gather(*(migrate(store, scripts, "things_version") for _ in range(4)))
    assert await current_revision(store, "things_version") == "0001"


async def test_a_folder_without_versions_is_a_mistake_of_the_program(
    store: Relational, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="no migrations"):
        await migrate(store, tmp_path, "version")
