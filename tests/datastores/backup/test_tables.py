"""A store into a backup and out again, over both databases, with everything that a row can hold."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from datastores.backup.errors import BackupDamaged
from datastores.backup.repository import Repository
from datastores.backup.tables import difference, keep_store, restore_store
from datastores.blobs.files import FileBlobs
from datastores.errors import SchemaBehind, SchemaTooNew, StoreError
from datastores.events import outbox
from datastores.events.outbox import RelationalOutbox, new_event
from datastores.relational.columns import UtcDateTime
from datastores.relational.copying import TargetNotEmpty
from datastores.relational.opening import open_relational
from datastores.relational.port import Relational
from datastores.relational.rows import packed, unpacked
from datastores.relational.schemas import Schema, upgrade
from datastores.vault.keys import FileKeyProvider

MADE = """
from alembic import op
import sqlalchemy as sa
from datastores.relational.columns import UtcDateTime
revision, down_revision = "0001", None
def upgrade():
    op.create_table("people", sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("at", UtcDateTime()), sa.Column("born", sa.Date), sa.Column("height", sa.Float),
        sa.Column("yes", sa.Boolean), sa.Column("body", sa.LargeBinary),
        sa.Column("more", sa.JSON), sa.Column("count", sa.BigInteger))
    op.create_table("laps", sa.Column("person", sa.String(36), sa.ForeignKey("people.id"), primary_key=True),
        sa.Column("index", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
def downgrade():
    op.drop_table("laps")
    op.drop_table("people")
"""
NEXT = """
from alembic import op
import sqlalchemy as sa
revision, down_revision = "0002", "0001"
def upgrade():
    op.add_column("laps", sa.Column("note", sa.String(20)))
def downgrade():
    pass
"""
metadata = sa.MetaData()
people = sa.Table(
    "people",
    metadata,
    sa.Column("id", sa.String),
    sa.Column("at", UtcDateTime()),
    sa.Column("born", sa.Date),
    sa.Column("height", sa.Float),
    sa.Column("yes", sa.Boolean),
    sa.Column("body", sa.LargeBinary),
    sa.Column("more", sa.JSON),
    sa.Column("count", sa.BigInteger),
)
laps = sa.Table("laps", metadata, sa.Column("person"), sa.Column("index"), sa.Column("name"))
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
PEOPLE = [
    ("mira", NOON, date(1996, 2, 29), 1.7, True, b"\x00\xff", {"b": [1, 2.5, None], "a": "ü"}, 2**60),
    ("tomas", None, None, None, False, b"", [], -1),
    ("a😀b", NOON, None, 1e-300, None, None, {"t": "2026"}, 0),
]


@pytest.fixture
def schemas(tmp_path: Path) -> list[Schema]:
    versions = tmp_path / "people" / "versions"
    versions.mkdir(parents=True)
    (versions / "0001_people.py").write_text(MADE)
    return [Schema("people", tmp_path / "people", "people_version", (people, laps)), outbox.SCHEMA]


@pytest.fixture
async def repository(tmp_path: Path) -> AsyncIterator[Repository]:
    place = FileBlobs(tmp_path / "backups")
    repository = Repository(place, FileKeyProvider(tmp_path / "safe" / "backup.json"))
    await repository.open(create=True)
    yield repository
    await repository.close()


@pytest.fixture
async def filled(store: Relational, schemas: list[Schema]) -> Relational:
    """Three people, 1,203 laps, and an outbox whose newest events are gone."""
    for schema in schemas:
        await upgrade(store, schema)
    rows = [dict(zip((c.name for c in people.columns), row, strict=True)) for row in PEOPLE]
    many = [{"person": "mira", "index": at, "name": f"lap {at}\nwith a line end"} for at in range(1200)]
    some = [{"person": "a😀b", "index": at, "name": None} for at in range(3)]

    def fill(connection: sa.Connection) -> None:
        connection.execute(sa.insert(people), rows)
        connection.execute(sa.insert(laps), many + some)
        RelationalOutbox().append(connection, [new_event("t", key="k", payload={"n": n}) for n in range(5)])
        connection.execute(sa.delete(outbox.outbox).where(outbox.outbox.c.position > 2))

    await store.write(fill)
    return store


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[Relational]:
    """An empty SQLite, whatever the source is: a backup is bound to no database."""
    target = open_relational(f"sqlite:///{tmp_path}/target.db")
    await target.open()
    yield target
    await target.close()


async def test_every_kind_of_value_comes_back_equal_from_either_database(
    filled: Relational, target: Relational, schemas: list[Schema], repository: Repository
) -> None:
    kept = await keep_store(filled, schemas, repository)
    assert {table.name: table.rows for table in kept.tables} == {
        "people": 3,
        "laps": 1203,
        "outbox": 2,
        "outbox_consumers": 0,
        "outbox_dead_letters": 0,
    }
    await restore_store(target, schemas, kept, repository)
    found = await target.read(lambda c: [tuple(row) for row in c.execute(sa.select(people))])
    assert sorted(found) == sorted(PEOPLE)
    assert await difference(target, schemas, kept) == ""
    again = await keep_store(target, schemas, repository)
    assert {t.name: t.digest for t in again.tables} == {t.name: t.digest for t in kept.tables}


async def test_numbers_are_not_given_twice_after_a_restore(
    filled: Relational, target: Relational, schemas: list[Schema], repository: Repository
) -> None:
    await restore_store(target, schemas, await keep_store(filled, schemas, repository), repository)

    def append(connection: sa.Connection) -> int:
        RelationalOutbox().append(connection, [new_event("t", key="k", payload={})])
        return outbox.newest_position(connection)

    assert await target.write(append) == 6  # five were given, three of them are gone


async def test_an_older_backup_is_restored_at_its_revision_and_then_migrated(
    filled: Relational, target: Relational, schemas: list[Schema], repository: Repository
) -> None:
    kept = await keep_store(filled, schemas, repository)
    (schemas[0].scripts / "versions" / "0002_note.py").write_text(NEXT)
    await restore_store(target, schemas, kept, repository)
    columns = await target.read(lambda c: {each["name"] for each in sa.inspect(c).get_columns("laps")})
    assert "note" in columns
    with pytest.raises(SchemaBehind, match="waits for 1 revisions of people"):
        await keep_store(filled, schemas, repository)


async def test_a_backup_of_a_newer_program_is_refused(
    filled: Relational, target: Relational, schemas: list[Schema], repository: Repository
) -> None:
    kept = await keep_store(filled, schemas, repository)
    kept.revisions["people"] = "0009"
    with pytest.raises(SchemaTooNew):
        await restore_store(target, schemas, kept, repository)


async def test_rows_are_not_mixed_with_what_is_there(
    filled: Relational, schemas: list[Schema], repository: Repository
) -> None:
    kept = await keep_store(filled, schemas, repository)
    with pytest.raises(TargetNotEmpty, match="restore into an empty one"):
        await restore_store(filled, schemas, kept, repository)


async def test_a_table_that_is_not_as_counted_is_refused(
    filled: Relational, target: Relational, schemas: list[Schema], repository: Repository
) -> None:
    kept = await keep_store(filled, schemas, repository)
    wrong = next(t for t in kept.tables if t.name == "laps")
    changed = type(wrong)(wrong.name, wrong.columns, wrong.rows, "0" * 64, 0, None, wrong.chunks)
    damaged = type(kept)(kept.revisions, tuple(changed if t is wrong else t for t in kept.tables))
    with pytest.raises(BackupDamaged, match="`laps` are not those that the backup counted"):
        await restore_store(target, schemas, damaged, repository)


async def test_only_changed_rows_cost_room(
    filled: Relational, schemas: list[Schema], repository: Repository
) -> None:
    some = random.Random(7)
    noise = [{"person": "tomas", "index": n, "name": some.randbytes(300).hex()} for n in range(3000)]
    await filled.write(lambda c: c.execute(sa.insert(laps), noise))
    await keep_store(filled, schemas, repository)
    first, repository.bytes_added = repository.bytes_added, 0
    one = sa.update(laps).where(laps.c.person == "tomas", laps.c.index == 1500).values(name="changed")
    await filled.write(lambda c: c.execute(one))
    await keep_store(filled, schemas, repository)
    assert 0 < repository.bytes_added < first / 4


async def test_a_backup_sees_one_moment_while_others_write(
    filled: Relational, schemas: list[Schema], repository: Repository
) -> None:
    """A lap is always written together with its person: no backup has one without the other."""

    def pair(number: int) -> object:
        def work(connection: sa.Connection) -> None:
            connection.execute(sa.insert(people).values(id=f"p{number}"))
            connection.execute(sa.insert(laps).values(person=f"p{number}", index=0, name="x"))

        return work

    async def write_some() -> None:
        for number in range(30):
            await filled.write(pair(number))  # type: ignore[arg-type]

    writing = asyncio.create_task(write_some())
    while not writing.done():
        kept = await keep_store(filled, schemas, repository)
        rows = {table.name: table.rows for table in kept.tables}
        assert rows["people"] - 3 == rows["laps"] - 1203
    await writing


def test_equal_rows_are_packed_equally_and_what_cannot_be_told_exactly_is_refused() -> None:
    assert packed([{"b": 1, "a": 2}]) == packed([{"a": 2, "b": 1}])
    row = (NOON, date(2026, 1, 1), b"\x00", {"t": "x"}, [1], float("inf"), True, None, 2**53, "ü")
    assert unpacked(packed(row)) == row
    for value in (object(), 2**70, {1: 2}):
        with pytest.raises(StoreError, match="cannot tell exactly"):
            packed([value])
    with pytest.raises(StoreError, match="damaged"):
        unpacked(b'[{"x": 1}]')
