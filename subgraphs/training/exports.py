"""Everything of an athlete out again: activities as JSON lines, files as they came."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import numpy as np
import orjson
from sqlalchemy import Connection

from authz.classes import Visibility
from subgraphs.training.imports import blob_key
from subgraphs.training.model import VisibleRows
from subgraphs.training.ports import TrainingPorts
from subgraphs.training.store import activities as rows
from subgraphs.training.store.lists import ActivityFilter, Place, page
from subgraphs.training.store.thresholds import history

ACTIVITIES_PER_READ = 20


async def export_activities(ports: TrainingPorts, athlete_id: str) -> AsyncIterator[bytes]:
    """One line of JSON an activity, newest first, with laps, intervals, metrics, efforts and streams.

    A missing sample is null. Keys are our own field names, units last.
    """
    everything = VisibleRows(athlete_id, frozenset(Visibility))
    after: Place | None = None
    while True:

        def read(connection: Connection, after: Place | None = after) -> tuple[list[bytes], Place | None]:
            found = page(connection, everything, ActivityFilter(), limit=ACTIVITIES_PER_READ, after=after)
            ids = [activity.id for activity in found]
            last = Place(found[-1].started_at_utc, found[-1].id) if found else None
            return _lines(connection, ids), last

        lines, after = await ports.relational.read(read)
        for line in lines:
            yield line
        if after is None:
            return


def _lines(connection: Connection, ids: list[str]) -> list[bytes]:
    found = rows.by_ids(connection, ids)
    laps, intervals = rows.laps_by_ids(connection, ids), rows.intervals_by_ids(connection, ids)
    metrics, efforts = rows.metrics_by_ids(connection, ids), rows.efforts_by_ids(connection, ids)
    streams = rows.streams_by_ids(connection, ids)
    lines = []
    for activity_id in ids:
        document: dict[str, Any] = {
            **asdict(found[activity_id]),
            "laps": [asdict(lap) for lap in laps.get(activity_id, [])],
            "intervals": [asdict(each) for each in intervals.get(activity_id, [])],
            "metrics": [asdict(each) for each in metrics.get(activity_id, [])],
            "efforts": [asdict(each) for each in efforts.get(activity_id, [])],
            "streams": {},
        }
        if activity_id in streams:
            for kind, column in streams[activity_id].columns.items():
                document["streams"][kind.value] = [
                    value if np.isfinite(value) else None for value in column.tolist()
                ]
        lines.append(orjson.dumps(document) + b"\n")
    return lines


async def export_thresholds(ports: TrainingPorts, athlete_id: str) -> AsyncIterator[bytes]:
    """One line of JSON a threshold, oldest first."""
    for threshold in await ports.relational.read(lambda connection: history(connection, athlete_id)):
        yield orjson.dumps(asdict(threshold)) + b"\n"


async def export_files(
    ports: TrainingPorts, athlete_id: str
) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
    """(file name, bytes as they came) of every imported file, oldest first. Names are unique and safe."""
    for file in await ports.relational.read(lambda connection: rows.read_files(connection, athlete_id)):
        yield f"{file.sha256}.{file.format.lower()}", ports.blobs.get(blob_key(athlete_id, file.sha256))
