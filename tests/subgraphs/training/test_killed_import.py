"""A process killed in the middle of an import loses nothing that it acknowledged, and starts again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from datastores.events.outbox import events_after
from subgraphs.training.imports import ImportState, blob_key, import_file
from subgraphs.training.store import activities as rows
from tests.kit_training.files import FOLDER
from tests.kit_training.world import World, world_in

ROOT = Path(__file__).parents[3]
FILES = [
    FOLDER / "fit" / "ride-power-wahoo-elemnt-bolt-short.fit",
    FOLDER / "fit" / "multisport-indoorbike-strength-garmin-fr965.fit",
    FOLDER / "gpx" / "hike-long.gpx",
]


def kill_after(lines: int, folder: Path) -> list[list[str]]:
    """Start the importer, kill -9 it once it has acknowledged `lines` imports; what it acknowledged."""
    command = [sys.executable, "-m", "tests.kit_training.import_until_killed", str(folder), *map(str, FILES)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True
    ) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        # What it managed to say before the signal arrived counts as acknowledged too.
        acknowledged += [line for line in process.stdout if line.endswith("\n")]
        assert process.wait() == -signal.SIGKILL
    return [line.split() for line in acknowledged]


@pytest.mark.parametrize("lines", [1, 3, 8])
async def test_what_was_acknowledged_is_there_whole_after_kill_9(tmp_path, lines):
    acknowledged = kill_after(lines, tmp_path)
    assert len(acknowledged) >= lines
    async with world_in(tmp_path) as world:
        for athlete, sha256, *ids in acknowledged:
            await check_whole(world, athlete, sha256, ids)
        await check_no_halves(world)
        # And it goes on where it was: the same file gives the same activities, the next one new ones.
        athlete, sha256, *ids = acknowledged[0]
        again = await import_file(world.ports, athlete, FILES[0])
        assert (again.state, [each.id for each in again.activities]) == (ImportState.ALREADY_THERE, ids)
        fresh = await import_file(world.ports, "somebody", FILES[0])
        assert fresh.state is ImportState.IMPORTED


async def check_whole(world: World, athlete: str, sha256: str, ids: list[str]) -> None:
    kept = b"".join([chunk async for chunk in world.ports.blobs.get(blob_key(athlete, sha256))])
    assert kept in [file.read_bytes() for file in FILES]
    there = await world.ports.relational.read(lambda store: rows.of_file(store, athlete, sha256))
    assert [activity.id for activity in there] == ids
    streams = await world.ports.relational.read(lambda store: rows.streams_by_ids(store, ids))
    metrics = await world.ports.relational.read(lambda store: rows.metrics_by_ids(store, ids))
    assert set(streams) == set(metrics) == set(ids)


async def check_no_halves(world: World) -> None:
    """Every event has its activity, and every activity that was ever written has its event."""
    events = await world.ports.relational.read(lambda store: events_after(store, 0, limit=10_000))
    told = [event.payload["activity_id"] for _, event in events]
    there = await world.ports.relational.read(lambda store: rows.by_ids(store, told))
    assert len(told) == len(set(told)) == len(there)
