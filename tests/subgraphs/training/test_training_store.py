"""Columns, pages, exports and migrations of the training store."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from authz.classes import Visibility
from datastores.relational.migrate import downgrade
from datastores.relational.sqlite import SqliteRelational
from subgraphs.training.edits import Draft, create_activity
from subgraphs.training.exports import export_activities, export_files, export_thresholds
from subgraphs.training.model import Sport, Streams, StreamType, ThresholdKind, VisibleRows
from subgraphs.training.store import lists, tables
from subgraphs.training.store.columnar import decode, encode, encoded, histogram_of, streams_of
from tests.kit_training.files import content
from tests.kit_training.world import NOW, World

EVERYTHING = VisibleRows("anna", frozenset(Visibility))


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=300))
def test_a_column_comes_back_bit_by_bit(values):
    column = np.array(values, dtype=np.float64)
    assert decode(encode(column)).tobytes() == column.tobytes()


def test_a_day_s_ride_is_stored_in_few_bytes():
    seconds = np.arange(36_000, dtype=np.float64)
    assert len(encode(seconds)) < 20_000


def test_a_stored_stream_that_is_a_bomb_is_refused():
    import zlib

    with pytest.raises(ValueError, match="longer"):
        decode(zlib.compress(b"\x00" * 9_000_000))


def test_streams_and_histogram_come_back_from_their_columns():
    made = Streams({StreamType.TIME: np.array([0.0, 1.0]), StreamType.POWER: np.array([1.5, np.nan])}, (1,))
    kept = encoded(made, {120: 30, 121: 40})
    back = streams_of([(column.kind, column.body) for column in kept])
    assert back.breaks == (1,)
    assert back.columns[StreamType.POWER].tobytes() == made.columns[StreamType.POWER].tobytes()
    assert histogram_of(next(each.body for each in kept if each.kind == "RATE_SECONDS")) == {120: 30, 121: 40}


async def seven_days(world: World) -> list[str]:
    """Seven activities, one a day, ids oldest first; kilometres 1 to 7; two of them for friends."""
    ids = []
    for day in range(7):
        draft = Draft(
            sport=Sport.RUNNING if day % 2 else Sport.CYCLING,
            started_at=NOW - timedelta(days=6 - day),
            elapsed_s=600.0,
            distance_m=1000.0 * (day + 1),
            visibility=Visibility.FRIENDS if day in (2, 5) else Visibility.PRIVATE,
        )
        ids.append((await create_activity(world.ports, "anna", draft)).id)
    return ids


async def page(world: World, visible: VisibleRows = EVERYTHING, chosen=None, **how) -> list[str]:
    found = await world.ports.relational.read(
        lambda store: lists.page(store, visible, chosen or lists.ActivityFilter(), **how)
    )
    return [activity.id for activity in found]


async def test_pages_forward_and_backward_meet(world):
    ids = (await seven_days(world))[::-1]
    by_id = await world.ports.relational.read(
        lambda store: {
            row.id: lists.Place(row.started_at_utc, row.id)
            for row in lists.page(store, EVERYTHING, lists.ActivityFilter(), limit=100)
        }
    )
    assert await page(world, limit=3) == ids[:3]
    assert await page(world, limit=3, after=by_id[ids[2]]) == ids[3:6]
    assert await page(world, limit=3, after=by_id[ids[5]]) == ids[6:]
    assert await page(world, limit=3, backward=True) == ids[4:]
    assert await page(world, limit=3, before=by_id[ids[4]], backward=True) == ids[1:4]
    assert await page(world, limit=9, after=by_id[ids[1]], before=by_id[ids[5]]) == ids[2:5]


async def test_activities_of_one_instant_have_a_fixed_order(world):
    draft = Draft(sport=Sport.RUNNING, started_at=NOW, elapsed_s=60.0)
    made = {(await create_activity(world.ports, "anna", draft)).id for _ in range(5)}
    whole = await page(world, limit=9)
    assert whole == sorted(made, reverse=True)
    for number in range(4):
        after = lists.Place(NOW, whole[number])
        assert await page(world, limit=1, after=after) == [whole[number + 1]]


async def test_filters_bound_and_include(world):
    ids = await seven_days(world)
    day = NOW.date() - timedelta(days=3)
    for chosen, expected in (
        (lists.ActivityFilter(sports=(Sport.RUNNING,)), [ids[5], ids[3], ids[1]]),
        (lists.ActivityFilter(since=day, until=day), [ids[3]]),
        (lists.ActivityFilter(distance_m_min=2000.0, distance_m_max=3000.0), [ids[2], ids[1]]),
        (lists.ActivityFilter(sports=(Sport.SWIMMING,)), []),
    ):
        assert await page(world, chosen=chosen, limit=9) == expected
        count = await world.ports.relational.read(
            lambda store, chosen=chosen: lists.count(store, EVERYTHING, chosen)
        )
        assert count == len(expected)


async def test_only_visible_rows_are_listed_and_counted(world):
    ids = await seven_days(world)
    friends = VisibleRows("anna", frozenset({Visibility.FRIENDS, Visibility.EVERYONE}))
    nothing = VisibleRows("anna", frozenset())
    assert await page(world, friends, limit=9) == [ids[5], ids[2]]
    assert await page(world, nothing, limit=9) == []
    counts = await world.ports.relational.read(
        lambda store: [lists.count(store, each, lists.ActivityFilter()) for each in (friends, nothing)]
    )
    assert counts == [2, 0]


async def test_the_day_is_that_of_the_wall_clock(world):
    import datetime as dt

    east = dt.timezone(dt.timedelta(hours=13))
    draft = Draft(
        sport=Sport.RUNNING, started_at=dt.datetime(2026, 3, 15, 0, 30, tzinfo=east), elapsed_s=60.0
    )
    await create_activity(world.ports, "anna", draft)
    loads = await world.ports.relational.read(
        lambda store: lists.loads_by_day(store, "anna", until=date(2026, 12, 31))
    )
    assert loads == {date(2026, 3, 15): (0.0, 1)}


async def test_everything_comes_out_again(world):
    from subgraphs.training.edits import put_threshold

    outcome = await world.bring("fit/strength-garmin-fr965.fit")
    await world.bring("fit/run-garmin-fenix5-short.fit")
    await seven_days(world)
    await put_threshold(world.ports, "anna", ThresholdKind.FTP, 250.0, date(2026, 1, 1))
    lines = [json.loads(line) async for line in export_activities(world.ports, "anna")]
    assert len(lines) == 9
    strength = next(line for line in lines if line["id"] == outcome.activities[0].id)
    assert sum(each["active"] for each in strength["intervals"]) == 38
    assert len(strength["streams"]["HEART_RATE"]) == 1322
    files = {
        name: b"".join([chunk async for chunk in body])
        async for name, body in export_files(world.ports, "anna")
    }
    assert files[f"{outcome.sha256}.fit"] == content("fit/strength-garmin-fr965.fit")
    assert len(files) == 2
    assert len([line async for line in export_thresholds(world.ports, "anna")]) == 1
    assert [line async for line in export_activities(world.ports, "ben")] == []


async def test_more_than_one_read_of_activities_are_exported_once_each(world):
    for _ in range(3):
        await seven_days(world)
    ids = [json.loads(line)["id"] async for line in export_activities(world.ports, "anna")]
    assert len(ids) == len(set(ids)) == 21


async def test_migrations_go_up_down_and_up_and_make_the_tables_that_the_code_names(tmp_path):
    relational = SqliteRelational(tmp_path / "t.sqlite")
    await relational.open()
    try:
        await tables.prepare(relational)
        await downgrade(relational, tables.MIGRATIONS, tables.VERSION_TABLE)
        assert await relational.read(
            lambda c: [n for n in sa.inspect(c).get_table_names() if "training_" in n]
        ) in (
            [],
            [tables.VERSION_TABLE],
        )
        await tables.prepare(relational)
        for table in (*tables.PARTS, tables.activities, tables.files, tables.thresholds, tables.doomed_files):
            made = await relational.read(
                lambda c, name=table.name: {column["name"] for column in sa.inspect(c).get_columns(name)}
            )
            assert made == {column.name for column in table.columns}
    finally:
        await relational.close()
