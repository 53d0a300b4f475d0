"""The same store functions on PostgreSQL: import, list, change, derive, delete, migrate down and up."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from authz.classes import Visibility
from datastores.blobs.files import FileBlobs
from datastores.errors import Conflict
from datastores.events.outbox import RelationalOutbox, events_after
from datastores.relational.migrate import downgrade
from datastores.relational.opening import open_relational
from subgraphs.training.edits import Change, change_activity, delete_activity, put_threshold
from subgraphs.training.imports import ImportState, import_content
from subgraphs.training.model import Sport, ThresholdKind, VisibleRows
from subgraphs.training.ports import TrainingPorts
from subgraphs.training.store import activities as rows
from subgraphs.training.store import lists, tables
from tests.kit_training.files import content, read
from tests.servers.absent import absent
from tests.servers.postgresql import NoPostgresql, running_postgresql

EVERYTHING = VisibleRows("anna", frozenset(Visibility))


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    named = os.environ.get("STADION_TEST_POSTGRESQL_URL")
    if named:
        yield named
        return
    try:
        with running_postgresql() as server:
            yield server.url
    except NoPostgresql as why:
        absent(why)


@pytest.fixture
async def ports(server_url: str, tmp_path: Path) -> AsyncIterator[TrainingPorts]:
    schema = f"t{secrets.token_hex(6)}"
    server = open_relational(server_url)
    await server.open()
    await server.write(lambda c: c.execute(text(f"CREATE SCHEMA {schema}")))
    relational = open_relational(server_url, search_path=schema)
    await relational.open()
    blobs = FileBlobs(tmp_path)
    await blobs.open()
    await tables.prepare(relational)
    yield TrainingPorts(relational=relational, blobs=blobs, outbox=RelationalOutbox())
    await relational.close()
    await server.write(lambda c: c.execute(text(f"DROP SCHEMA {schema} CASCADE")))
    await server.close()


async def test_a_life_of_activities_on_postgresql(ports):
    ride = "fit/ride-power-garmin-edge810-vector.fit"
    outcome = await import_content(ports, "anna", content(ride), file_name="ride.fit")
    again = await import_content(ports, "anna", content(ride))
    assert (outcome.state, again.state) == (ImportState.IMPORTED, ImportState.ALREADY_THERE)
    [activity] = outcome.activities
    assert again.activities == (activity,)
    stored = await ports.relational.read(lambda store: rows.streams_by_ids(store, [activity.id]))
    for kind, column in read(ride).activities[0].streams.columns.items():
        assert np.array_equal(stored[activity.id].columns[kind], column, equal_nan=True)

    await import_content(ports, "anna", content("fit/run-garmin-fenix2.fit"))
    await put_threshold(ports, "anna", ThresholdKind.FTP, 300.0, date(2013, 1, 1))
    await put_threshold(ports, "anna", ThresholdKind.FTP, 310.0, date(2013, 1, 1))
    loads = await ports.relational.read(
        lambda store: lists.loads_by_day(store, "anna", until=date(2020, 1, 1))
    )
    assert loads[date(2013, 8, 16)][0] == pytest.approx(4700 / 3600 * (301 / 310) ** 2 * 100, rel=0.01)
    assert loads[date(2015, 8, 15)] == (0.0, 1)

    page = await ports.relational.read(
        lambda store: lists.page(store, EVERYTHING, lists.ActivityFilter(), limit=1)
    )
    after = lists.Place(page[0].started_at_utc, page[0].id)
    rest = await ports.relational.read(
        lambda store: lists.page(store, EVERYTHING, lists.ActivityFilter(), limit=9, after=after)
    )
    assert ([each.sport for each in page], [each.id for each in rest]) == ([Sport.RUNNING], [activity.id])
    found = await ports.relational.read(lambda store: lists.records(store, "anna"))
    assert {each.sport for each in found} == {Sport.RUNNING, Sport.CYCLING}

    changed = await change_activity(ports, activity.id, Change(sport=Sport.RUNNING), version=1)
    with pytest.raises(Conflict):
        await change_activity(ports, activity.id, Change(name="x"), version=1)
    assert changed.load == pytest.approx(loads[date(2013, 8, 16)][0])
    assert await delete_activity(ports, activity.id)
    events = await ports.relational.read(lambda store: events_after(store, 0, limit=99))
    assert [event.topic for _, event in events] == [
        "activity.added",
        "activity.added",
        "threshold.changed",
        "threshold.changed",
        "activity.changed",
        "activity.deleted",
    ]


async def test_migrations_of_training_go_down_and_up_on_postgresql(ports):
    await downgrade(ports.relational, tables.MIGRATIONS, tables.VERSION_TABLE)
    await tables.prepare(ports.relational)
    assert await ports.relational.read(lambda s: lists.count(s, EVERYTHING, lists.ActivityFilter())) == 0
