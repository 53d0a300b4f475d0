"""By hand: activities, changes, deletions, thresholds and all that follows from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from authz.classes import Visibility
from datastores.errors import Conflict, NotFound
from datastores.events.outbox import events_after
from subgraphs.training.edits import (
    Change,
    Draft,
    change_activity,
    create_activity,
    delete_activity,
    put_threshold,
    refused_of,
)
from subgraphs.training.model import Activity, EffortKind, Sport, ThresholdKind, VisibleRows
from subgraphs.training.store import activities as rows
from subgraphs.training.store import lists
from subgraphs.training.store.thresholds import history
from tests.kit_training.world import NOW, World

EVERYTHING = VisibleRows("anna", frozenset(Visibility))
DRAFT = Draft(sport=Sport.RUNNING, started_at=NOW, elapsed_s=3600.0, distance_m=12_000.0, rpe=6)


async def metrics(world: World, activity: Activity) -> dict[str, float | None]:
    found = await world.ports.relational.read(lambda store: rows.metrics_by_ids(store, [activity.id]))
    return {metric.name: metric.value for metric in found[activity.id]}


async def stored(world: World, activity_id: str) -> Activity | None:
    return (await world.ports.relational.read(lambda store: rows.by_ids(store, [activity_id]))).get(
        activity_id
    )


async def test_an_activity_by_hand_is_there_with_its_event(world):
    made = await create_activity(world.ports, "anna", DRAFT)
    assert await stored(world, made.id) == made
    [(_, event)] = await world.ports.relational.read(lambda store: events_after(store, 0, limit=9))
    assert (event.topic, event.key) == ("activity.added", "anna")
    assert event.payload == {"activity_id": made.id, "athlete_id": "anna"}


@pytest.mark.parametrize(
    ("wrong", "fields"),
    [
        ({"elapsed_s": float("nan")}, ["elapsedS"]),
        ({"elapsed_s": -1.0}, ["elapsedS"]),
        ({"elapsed_s": float("inf")}, ["elapsedS"]),
        ({"moving_s": 3601.0}, ["movingS"]),
        ({"distance_m": 1e12}, ["distanceM"]),
        ({"ascent_m": -0.1}, ["ascentM"]),
        ({"rpe": 11}, ["rpe"]),
        ({"started_at": NOW + timedelta(hours=25)}, ["startedAt"]),
        ({"started_at": datetime(1, 1, 1, tzinfo=UTC)}, ["startedAt"]),
        ({"rpe": -1, "distance_m": float("nan")}, ["distanceM", "rpe"]),
        ({}, []),
    ],
)
def test_a_draft_is_refused_field_by_field(wrong, fields):
    assert [each.field for each in refused_of(replace(DRAFT, **wrong), now=NOW)] == fields


async def test_a_refused_draft_writes_nothing(world):
    assert isinstance(await create_activity(world.ports, "anna", replace(DRAFT, rpe=20)), list)
    assert (
        await world.ports.relational.read(lambda s: lists.count(s, EVERYTHING, lists.ActivityFilter())) == 0
    )


async def test_a_change_counts_the_version_and_a_stale_one_conflicts(world):
    made = await create_activity(world.ports, "anna", DRAFT)
    changed = await change_activity(world.ports, made.id, Change(name="Long run"), version=1)
    assert (changed.name, changed.version, changed.sport) == ("Long run", 2, Sport.RUNNING)
    with pytest.raises(Conflict):
        await change_activity(world.ports, made.id, Change(name="Other"), version=1)
    cleared = await change_activity(world.ports, made.id, Change(clear=frozenset({"name", "rpe"})))
    assert (cleared.name, cleared.rpe, cleared.version) == (None, None, 3)


async def test_what_is_not_there_cannot_be_changed(world):
    with pytest.raises(NotFound):
        await change_activity(world.ports, "nowhere", Change(name="x"))


async def test_another_sport_measures_the_streams_anew(world):
    outcome = await world.bring("fit/run-garmin-vivoactive-hr.fit")
    [run] = outcome.activities
    before = await metrics(world, run)
    efforts = await world.ports.relational.read(lambda store: rows.efforts_by_ids(store, [run.id]))
    assert {each.size for each in efforts[run.id]} == {400.0, 1000.0, 1609.344, 3000.0}
    ride = await change_activity(world.ports, run.id, Change(sport=Sport.CYCLING))
    assert ride.moving_s < run.moving_s  # a rider who is slower than 0.7 m/s stands
    assert (ride.distance_m, ride.ascent_m) == (run.distance_m, run.ascent_m)
    assert await world.ports.relational.read(lambda store: rows.efforts_by_ids(store, [run.id])) == {}
    after = await metrics(world, ride)
    assert after["movingTime"] == ride.moving_s
    assert {name: value for name, value in after.items() if name != "movingTime"} == {
        name: value for name, value in before.items() if name != "movingTime"
    }


async def test_an_ftp_gives_loads_to_all_rides_since_and_a_later_one_only_to_later_rides(world):
    [early] = (await world.bring("fit/ride-power-garmin-edge810-vector.fit")).activities  # 2013
    [late] = (await world.bring("fit/ride-power-zwift-virtual.fit")).activities  # 2017
    assert (early.load, late.load) == (None, None)
    await put_threshold(world.ports, "anna", ThresholdKind.FTP, 300.0, date(2010, 1, 1))
    await put_threshold(world.ports, "anna", ThresholdKind.FTP, 150.0, date(2016, 1, 1))
    early, late = await stored(world, early.id), await stored(world, late.id)
    assert early.load == pytest.approx(4700 / 3600 * (301 / 300) ** 2 * 100, rel=0.01)
    assert (await metrics(world, late))["intensityFactor"] == pytest.approx(131.3 / 150, rel=0.01)
    assert late.load == pytest.approx((await metrics(world, late))["tss"])
    known = await world.ports.relational.read(lambda store: history(store, "anna"))
    assert [each.value for each in known] == [300.0, 150.0]


async def test_a_threshold_of_the_same_day_is_replaced(world):
    first = await put_threshold(world.ports, "anna", ThresholdKind.FTP, 250.0, date(2026, 1, 1))
    second = await put_threshold(world.ports, "anna", ThresholdKind.FTP, 260.0, date(2026, 1, 1))
    assert second.id == first.id
    known = await world.ports.relational.read(lambda store: history(store, "anna"))
    assert [each.value for each in known] == [260.0]


async def test_a_load_by_heart_rate_needs_three_thresholds_and_no_stream(world):
    [run] = (await world.bring("fit/run-garmin-fenix2.fit")).activities
    for kind, value in ((ThresholdKind.REST_HR, 50.0), (ThresholdKind.MAX_HR, 190.0)):
        await put_threshold(world.ports, "anna", kind, value, date(2000, 1, 1))
    assert (await stored(world, run.id)).load is None
    await put_threshold(world.ports, "anna", ThresholdKind.LTHR, 170.0, date(2000, 1, 1))
    found = await metrics(world, run)
    # 47 minutes at a mean of 154 bpm: below threshold, so under 78.7 (47.2 min at LTHR).
    assert 45.0 < found["hrTss"] < 78.7
    assert (await stored(world, run.id)).load == found["hrTss"]


@pytest.mark.parametrize(
    ("kind", "value", "day", "field"),
    [
        (ThresholdKind.FTP, 5.0, date(2026, 1, 1), "value"),
        (ThresholdKind.FTP, float("nan"), date(2026, 1, 1), "value"),
        (ThresholdKind.MAX_HR, 300.0, date(2026, 1, 1), "value"),
        (ThresholdKind.FTP, 250.0, date(2026, 4, 1), "validFrom"),
        (ThresholdKind.FTP, 250.0, date(1, 1, 1), "validFrom"),
    ],
)
async def test_a_threshold_that_cannot_be_is_refused(world, kind, value, day, field):
    [refused] = await put_threshold(world.ports, "anna", kind, value, day)
    assert refused.field == field


async def test_a_record_goes_to_the_next_best_when_its_holder_is_deleted(world):
    [strong] = (await world.bring("fit/ride-power-garmin-edge810-vector.fit")).activities
    [weak] = (await world.bring("fit/ride-power-indoor-garmin-fr965.fit")).activities

    async def holder() -> str:
        found = await world.ports.relational.read(lambda store: lists.records(store, "anna"))
        keys = {(each.effort.kind, each.effort.size): each for each in found if each.sport is Sport.CYCLING}
        return keys[EffortKind.POWER, 1200.0].activity_id

    assert await holder() == strong.id
    await delete_activity(world.ports, strong.id)
    assert await holder() == weak.id


async def test_least_time_is_the_record_of_a_distance(world):
    await world.bring("fit/run-garmin-vivoactive-hr.fit")
    await world.bring("fit/run-garmin-fenix2.fit")
    found = await world.ports.relational.read(lambda store: lists.records(store, "anna", [Sport.RUNNING]))
    kilometre = next(each for each in found if each.effort.size == 1000.0)
    efforts = await world.ports.relational.read(
        lambda store: rows.efforts_by_ids(
            store, [row.id for row in lists.page(store, EVERYTHING, lists.ActivityFilter(), limit=9)]
        )
    )
    assert kilometre.effort.value == min(
        each.value for some in efforts.values() for each in some if each.size == 1000.0
    )


async def test_nothing_of_a_deleted_activity_is_left(world):
    [ride] = (await world.bring("fit/ride-power-wahoo-elemnt-bolt-short.fit")).activities
    await delete_activity(world.ports, ride.id)
    for read in (
        rows.by_ids,
        rows.laps_by_ids,
        rows.intervals_by_ids,
        rows.streams_by_ids,
        rows.metrics_by_ids,
        rows.efforts_by_ids,
    ):
        assert await world.ports.relational.read(lambda store, read=read: read(store, [ride.id])) == {}
    assert await world.ports.relational.read(lambda store: rows.read_files(store, "anna")) == []
