"""Importing: once and again, good and bad files, what is kept and what is told."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from datastores.errors import NotFound, Unavailable
from datastores.events.outbox import events_after
from subgraphs.training.edits import delete_activity, sweep_files
from subgraphs.training.files.imported import FileLimits
from subgraphs.training.files.problems import FileRefused
from subgraphs.training.imports import (
    ImportState,
    blob_key,
    import_content,
    import_file,
    import_files,
    read_and_measure,
)
from subgraphs.training.model import Sport, StreamType
from subgraphs.training.store import activities as rows
from tests.kit_training.files import FOLDER, content, gpx, names, read, track
from tests.kit_training.world import NOW, World

RIDE = "fit/ride-power-wahoo-elemnt-bolt-short.fit"


async def topics(world: World) -> list[tuple[str, str]]:
    found = await world.ports.relational.read(lambda store: events_after(store, 0, limit=500))
    return [(event.topic, event.payload.get("activity_id", "")) for _, event in found]


async def kept_bytes(world: World, sha256: str, athlete: str = "anna") -> bytes:
    return b"".join([chunk async for chunk in world.ports.blobs.get(blob_key(athlete, sha256))])


async def test_a_file_becomes_an_activity_with_its_bytes_streams_and_event(world):
    outcome = await world.bring(RIDE)
    [activity] = outcome.activities
    assert outcome.state is ImportState.IMPORTED
    assert (activity.sport, activity.athlete_id) == (Sport.CYCLING, "anna")
    assert activity.distance_m == pytest.approx(963.65)
    assert await kept_bytes(world, outcome.sha256) == content(RIDE)
    assert await topics(world) == [("activity.added", activity.id)]
    stored = await world.ports.relational.read(lambda store: rows.streams_by_ids(store, [activity.id]))
    original = read(RIDE).activities[0].streams
    assert stored[activity.id].breaks == original.breaks
    for kind, column in original.columns.items():
        assert np.array_equal(stored[activity.id].columns[kind], column, equal_nan=True)


async def test_the_same_bytes_again_are_the_same_activity(world):
    first = await world.bring(RIDE)
    again = await world.bring(RIDE)
    assert again.state is ImportState.ALREADY_THERE
    assert again.activities == first.activities
    assert again.added == ()
    assert len(await topics(world)) == 1


async def test_the_same_bytes_at_the_same_time_are_one_activity(world):
    outcomes = await asyncio.gather(*(world.bring(RIDE) for _ in range(4)))
    assert sorted(outcome.state for outcome in outcomes) == ["ALREADY_THERE"] * 3 + ["IMPORTED"]
    assert len({outcome.activities[0].id for outcome in outcomes}) == 1


async def test_the_same_bytes_of_two_athletes_are_two_activities(world):
    hers, his = await world.bring(RIDE), await world.bring(RIDE, athlete="ben")
    assert hers.activities[0].id != his.activities[0].id
    await delete_activity(world.ports, his.activities[0].id)
    assert await kept_bytes(world, hers.sha256) == content(RIDE)


async def test_deleting_the_last_activity_of_a_file_deletes_its_bytes(world):
    outcome = await world.bring("fit/multisport-indoorbike-strength-garmin-fr965.fit")
    bike, strength = outcome.activities
    assert await delete_activity(world.ports, bike.id)
    assert await kept_bytes(world, outcome.sha256)
    assert await delete_activity(world.ports, strength.id)
    with pytest.raises(NotFound):
        await kept_bytes(world, outcome.sha256)
    assert not await delete_activity(world.ports, strength.id)


async def test_bytes_that_could_not_be_deleted_are_deleted_by_the_next_sweep(world, monkeypatch):
    outcome = await world.bring(RIDE)

    async def broken(key: str) -> None:
        raise Unavailable("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(world.ports.blobs, "delete", broken)
        assert await delete_activity(world.ports, outcome.activities[0].id)
        assert await sweep_files(world.ports) == 0
    assert await kept_bytes(world, outcome.sha256) == content(RIDE)
    assert await sweep_files(world.ports) == 1
    with pytest.raises(NotFound):
        await kept_bytes(world, outcome.sha256)


async def test_bytes_that_are_imported_again_are_spared_by_the_sweep(world, monkeypatch):
    outcome = await world.bring(RIDE)

    async def broken(key: str) -> None:
        raise Unavailable("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(world.ports.blobs, "delete", broken)
        await delete_activity(world.ports, outcome.activities[0].id)
    await world.bring(RIDE)
    assert await sweep_files(world.ports) == 0
    assert await kept_bytes(world, outcome.sha256) == content(RIDE)


async def test_a_deleted_activity_comes_back_when_its_file_is_imported_again(world):
    outcome = await world.bring("fit/multisport-indoorbike-strength-garmin-fr965.fit")
    await delete_activity(world.ports, outcome.activities[0].id)
    again = await world.bring("fit/multisport-indoorbike-strength-garmin-fr965.fit")
    assert again.state is ImportState.IMPORTED
    assert len(again.added) == 1
    assert [each.sport for each in again.activities] == [Sport.CYCLING, Sport.STRENGTH]


async def test_a_refused_file_leaves_nothing(world):
    outcome = await world.bring("fit/settings-garmin-edge510.fit")
    assert (outcome.state, outcome.code) == (ImportState.REFUSED, "FILE_NOT_AN_ACTIVITY")
    assert "device settings" in outcome.message
    assert await topics(world) == []
    sha256 = hashlib.sha256(content("fit/settings-garmin-edge510.fit")).hexdigest()
    with pytest.raises(NotFound):
        await kept_bytes(world, sha256)


async def test_warnings_are_kept_with_the_file(world):
    await world.bring("fit/odd-bad-file-crc.fit")
    [kept] = await world.ports.relational.read(lambda store: rows.read_files(store, "anna"))
    assert kept.name == "odd-bad-file-crc.fit"
    assert [(code, at) for code, _, at in kept.warnings] == [("CRC_MISMATCH", "byte 769")]
    assert kept.imported_at_utc == NOW


async def test_a_batch_goes_on_after_a_bad_file(world, tmp_path):
    (tmp_path / "broken.fit").write_bytes(b"nothing")
    paths = [
        tmp_path / "broken.fit",
        tmp_path / "missing.fit",
        FOLDER / RIDE,
        FOLDER / "fit" / "workout-individual-steps.fit",
        FOLDER / "tcx" / "walk.tcx.gz",
        FOLDER,
    ]
    outcomes = [outcome async for outcome in import_files(world.ports, "anna", paths)]
    assert [(each.state.value, each.code) for each in outcomes] == [
        ("REFUSED", "FILE_FORMAT_UNKNOWN"),
        ("REFUSED", "FILE_NOT_READABLE"),
        ("IMPORTED", None),
        ("REFUSED", "FILE_NOT_AN_ACTIVITY"),
        ("IMPORTED", None),
        ("REFUSED", "FILE_NOT_READABLE"),
    ]


async def test_every_real_file_is_imported_or_refused_by_kind(world):
    states = [(await world.bring(name)).state for name in names() if len(content(name)) < 400_000]
    assert states.count(ImportState.REFUSED) == 9
    assert states.count(ImportState.IMPORTED) == 29


async def test_times_in_the_future_are_not_believed(world):
    late = (NOW + timedelta(hours=25)).isoformat()
    later = (NOW + timedelta(hours=26)).isoformat()
    outcome = await import_content(world.ports, "anna", gpx(track((46.0, 14.0, late), (46.01, 14.0, later))))
    [activity] = outcome.activities
    assert (activity.started_at_utc, activity.start_known) == (NOW, False)
    assert [warning.code for warning in outcome.warnings] == ["TIMES_IMPLAUSIBLE"]


async def test_tomorrow_morning_far_east_is_not_the_future(world):
    soon = (NOW + timedelta(hours=13)).isoformat()
    outcome = await import_content(world.ports, "anna", gpx(track((46.0, 14.0, soon))))
    assert outcome.activities[0].start_known


async def test_a_file_without_times_starts_when_it_is_imported(world):
    outcome = await world.bring("gpx/odd-time-1901.gpx")
    [activity] = outcome.activities
    assert (activity.started_at_utc, activity.start_known, activity.elapsed_s) == (NOW, False, None)
    assert activity.distance_m == pytest.approx(2700.6, rel=0.002)


async def test_the_event_loop_stays_free_while_a_file_is_read(world):
    beats = 0
    done = asyncio.Event()

    async def beat() -> None:
        nonlocal beats
        while not done.is_set():
            beats += 1
            await asyncio.sleep(0)

    heart = asyncio.create_task(beat())
    await world.bring("fit/ride-power-garmin-edge530.fit")
    done.set()
    await heart
    assert beats > 20


async def test_a_file_of_this_machine_is_read_up_to_the_limit(world, tmp_path):
    large = tmp_path / "large.gpx"
    with large.open("wb") as file:
        file.truncate(world.ports.limits.file_bytes_max + 1)
    outcome = await import_file(world.ports, "anna", large)
    assert (outcome.state, outcome.code) == (ImportState.REFUSED, "FILE_TOO_LARGE")


async def test_a_heart_rate_stream_is_kept_where_it_came_from_the_strap(world):
    outcome = await world.bring("fit/swim-pool-garmin-fr735xt.fit")
    [activity] = outcome.activities
    stored = await world.ports.relational.read(lambda store: rows.streams_by_ids(store, [activity.id]))
    assert np.nanmax(stored[activity.id].columns[StreamType.HEART_RATE]) == 161
    assert len(await world.ports.relational.read(lambda store: rows.laps_by_ids(store, [activity.id]))) == 1


def test_where_a_file_is_kept_tells_nobody_whose_it_is():
    assert "anna" not in blob_key("anna@example.org/../x", "ab" * 32)
    assert Path(blob_key("a", "ab" * 32)).parts[0] == "activities"


async def test_a_name_of_a_file_is_kept_as_it_can_be_shown(world):
    body = track((46.0, 14.0, "2026-03-01T08:00:00Z")).replace(
        "<type>", "<name>Morning&#9;\u202erun \u0301e\u0301</name><type>"
    )
    outcome = await import_content(world.ports, "anna", gpx(body))
    assert outcome.activities[0].name == "Morning run \u0301\u00e9"


async def test_a_gzipped_file_comes_out_as_it_came_in(world):
    packed = (FOLDER / "tcx" / "walk.tcx.gz").read_bytes()
    outcome = await import_content(world.ports, "anna", packed, file_name="walk.tcx.gz")
    assert outcome.activities[0].distance_m == pytest.approx(3988.82)
    assert await kept_bytes(world, outcome.sha256) == packed
    [kept] = await world.ports.relational.read(lambda store: rows.read_files(store, "anna"))
    assert kept.format == "TCX.GZ"


def test_what_is_read_travels_between_processes():
    made = read_and_measure(content(RIDE), FileLimits())
    back = pickle.loads(pickle.dumps(made))
    assert back.measured == made.measured
    assert back.file.sha256 == made.file.sha256
    try:
        read_and_measure(content("fit/settings-garmin-edge510.fit"), FileLimits())
    except FileRefused as refused:
        again = pickle.loads(pickle.dumps(refused))
        assert (type(again), again.message, again.contents) == (
            type(refused),
            refused.message,
            refused.contents,
        )


class CountingThreads(ThreadPoolExecutor):
    """Threads that know how many of them worked at once."""

    def __init__(self) -> None:
        super().__init__(max_workers=8)
        self.waiting = self.most = 0

    def submit(self, work, /, *arguments, **named):
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        future = super().submit(work, *arguments, **named)
        future.add_done_callback(self._done)
        return future

    def _done(self, _) -> None:
        self.waiting -= 1


async def test_two_files_are_read_at_once_and_no_more(world):
    with CountingThreads() as threads:
        ports = replace(world.ports, workers=threads)
        await asyncio.gather(*(import_content(ports, f"anna-{each}", content(RIDE)) for each in range(6)))
        assert threads.most == 2
