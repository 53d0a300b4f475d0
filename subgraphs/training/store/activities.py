"""Activities written and read: each with all that belongs to it, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from authz.classes import Visibility
from datastores.errors import Conflict
from datastores.relational.columns import insert
from datastores.relational.prepared import PreparedRead, listed
from subgraphs.training.metrics.compute import Measurement
from subgraphs.training.model import (
    Activity,
    Algorithm,
    BestEffort,
    EffortKind,
    Interval,
    IntervalKind,
    Lap,
    Metric,
    Sport,
    Streams,
    StreamType,
)
from subgraphs.training.store.columnar import BREAKS_KIND, HISTOGRAM_KIND, EncodedColumn, streams_of
from subgraphs.training.store.tables import (
    PARTS,
    activities,
    efforts,
    files,
    intervals,
    laps,
    metrics,
    streams,
)

IDS_PER_QUERY_MAX = 500
_BY_ID = PreparedRead(sa.select(activities).where(activities.c.id.in_(listed("ids"))))


@dataclass(frozen=True, slots=True)
class NewActivity:
    """An activity with everything that is written beside it."""

    activity: Activity
    measured: Measurement
    derived: tuple[Metric, ...]
    columns: tuple[EncodedColumn, ...] = ()
    laps: tuple[Lap, ...] = ()
    intervals: tuple[Interval, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that an athlete imported. `warnings` are what was not read of it, as (code, message, at)."""

    athlete_id: str
    sha256: str
    size_bytes: int
    format: str
    name: str | None
    warnings: tuple[tuple[str, str, str | None], ...]
    imported_at_utc: datetime


def local_day(activity: Activity) -> date:
    """The day on the athlete's wall clock at the start."""
    return (activity.started_at_utc + timedelta(seconds=activity.utc_offset_s or 0)).astimezone(UTC).date()


def keep_file(connection: Connection, file: KeptFile) -> None:
    """Note the file; the same bytes of the same athlete are noted once."""
    values = {**asdict(file), "warnings": [list(warning) for warning in file.warnings]}
    connection.execute(insert(connection, files).values(values).on_conflict_do_nothing())


def read_files(connection: Connection, athlete_id: str, *, sha256: str | None = None) -> list[KeptFile]:
    """All files of an athlete, oldest first; with `sha256`, that one."""
    query = sa.select(files).where(files.c.athlete_id == athlete_id)
    if sha256 is not None:
        query = query.where(files.c.sha256 == sha256)
    found = connection.execute(query.order_by(files.c.imported_at_utc, files.c.sha256))
    return [
        KeptFile(**{**row._mapping, "warnings": tuple((code, text, at) for code, text, at in row.warnings)})
        for row in found
    ]


def kept_file(connection: Connection, athlete_id: str, sha256: str) -> KeptFile | None:
    """One file of an athlete."""
    return next(iter(read_files(connection, athlete_id, sha256=sha256)), None)


def add(connection: Connection, new: NewActivity, *, now: datetime) -> bool:
    """Write an activity; False where this part of this file is there already."""
    activity = new.activity
    values = {**asdict(activity), "local_day": local_day(activity), "created_at_utc": now}
    statement = insert(connection, activities).values(values).on_conflict_do_nothing()
    if not connection.execute(statement).rowcount:
        return False
    _insert(connection, laps, (_of(activity.id, lap) for lap in new.laps))
    _insert(connection, intervals, (_of(activity.id, each) for each in new.intervals))
    _insert(connection, streams, (_of(activity.id, column) for column in new.columns))
    _insert(connection, efforts, (_of(activity.id, effort) for effort in new.measured.efforts))
    _insert(connection, metrics, metric_rows(activity.id, new.measured.metrics, derived=False))
    _insert(connection, metrics, metric_rows(activity.id, new.derived, derived=True))
    return True


def _insert(connection: Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
    listed = list(rows)
    if listed:
        connection.execute(sa.insert(table), listed)


def _of(activity_id: str, part: Lap | Interval | BestEffort | EncodedColumn) -> dict[str, Any]:
    return {"activity_id": activity_id, **asdict(part)}


def metric_rows(activity_id: str, made: Iterable[Metric], *, derived: bool) -> list[dict[str, Any]]:
    """The rows of metrics, in their order."""
    return [
        {
            "activity_id": activity_id,
            "name": metric.name,
            "position": position,
            "derived": derived,
            "value": metric.value,
            "unit": metric.unit,
            "algorithm": metric.algorithm.id,
            "algorithm_version": metric.algorithm.version,
            "source": metric.algorithm.source,
            "inputs": dict(metric.inputs),
            "reason": metric.reason,
        }
        for position, metric in enumerate(made)
    ]


def activity_of(row: Row[Any]) -> Activity:
    """The value of a row of `activities`."""
    told = row._mapping
    values = {name: told[name] for name in Activity.__dataclass_fields__}
    values["sport"] = Sport(values["sport"])
    values["visibility"] = Visibility(values["visibility"])
    return Activity(**values)


def by_ids(connection: Connection, ids: Sequence[str]) -> dict[str, Activity]:
    """The activities that are there, by id."""
    found: dict[str, Activity] = {}
    for first in range(0, len(ids), IDS_PER_QUERY_MAX):
        some = list(ids[first : first + IDS_PER_QUERY_MAX])
        found.update((row.id, activity_of(row)) for row in _BY_ID.rows(connection, ids=some))
    return found


def of_file(connection: Connection, athlete_id: str, sha256: str) -> list[Activity]:
    """The activities that came from these bytes, in the file's order."""
    query = sa.select(activities).where(
        activities.c.athlete_id == athlete_id, activities.c.file_sha256 == sha256
    )
    return [activity_of(row) for row in connection.execute(query.order_by(activities.c.file_index))]


def file_is_kept(connection: Connection, athlete_id: str, sha256: str) -> bool:
    """Whether these bytes were imported before."""
    query = sa.select(files.c.sha256).where(files.c.athlete_id == athlete_id, files.c.sha256 == sha256)
    return connection.execute(query).first() is not None


def change(connection: Connection, before: Activity, after: Activity) -> Activity:
    """Write `after` over `before`; its version counts on.  Errors: Conflict where `before` is not current."""
    written = replace(after, version=before.version + 1)
    values = {**asdict(written), "local_day": local_day(written)}
    statement = (
        sa.update(activities)
        .where(activities.c.id == before.id, activities.c.version == before.version)
        .values(values)
    )
    if not connection.execute(statement).rowcount:
        raise Conflict("the activity was changed by somebody else: read it again")
    return written


def delete(connection: Connection, activity: Activity) -> bool:
    """Remove an activity and all that belongs to it; whether it was there.

    Its file stays known as long as another activity of it does.
    """
    for part in PARTS:
        connection.execute(sa.delete(part).where(part.c.activity_id == activity.id))
    gone = connection.execute(sa.delete(activities).where(activities.c.id == activity.id)).rowcount
    if gone and activity.file_sha256 and not of_file(connection, activity.athlete_id, activity.file_sha256):
        connection.execute(
            sa.delete(files).where(
                files.c.athlete_id == activity.athlete_id, files.c.sha256 == activity.file_sha256
            )
        )
    return bool(gone)


def laps_by_ids(connection: Connection, ids: Sequence[str]) -> dict[str, list[Lap]]:
    """Laps in order, by activity."""
    query = (
        sa.select(laps).where(laps.c.activity_id.in_(list(ids))).order_by(laps.c.activity_id, laps.c.index)
    )
    found: dict[str, list[Lap]] = {}
    for row in connection.execute(query):
        values = {name: row._mapping[name] for name in Lap.__dataclass_fields__}
        found.setdefault(row.activity_id, []).append(Lap(**values))
    return found


def intervals_by_ids(connection: Connection, ids: Sequence[str]) -> dict[str, list[Interval]]:
    """Pool lengths, then strength sets, in order, by activity."""
    query = sa.select(intervals).where(intervals.c.activity_id.in_(list(ids)))
    query = query.order_by(intervals.c.activity_id, intervals.c.kind, intervals.c.index)
    found: dict[str, list[Interval]] = {}
    for row in connection.execute(query):
        values = {name: row._mapping[name] for name in Interval.__dataclass_fields__}
        values["kind"] = IntervalKind(values["kind"])
        found.setdefault(row.activity_id, []).append(Interval(**values))
    return found


def streams_by_ids(
    connection: Connection, ids: Sequence[str], kinds: Iterable[StreamType] | None = None
) -> dict[str, Streams]:
    """Streams by activity: all, or those of `kinds` that are there."""
    query = sa.select(streams.c.activity_id, streams.c.kind, streams.c.body)
    query = query.where(streams.c.activity_id.in_(list(ids)), streams.c.kind != HISTOGRAM_KIND)
    if kinds is not None:
        query = query.where(streams.c.kind.in_([*(kind.value for kind in kinds), BREAKS_KIND]))
    rows: dict[str, list[tuple[str, bytes]]] = {}
    for row in connection.execute(query):
        rows.setdefault(row.activity_id, []).append((row.kind, row.body))
    made = {activity_id: streams_of(some) for activity_id, some in rows.items()}
    return {activity_id: each for activity_id, each in made.items() if each is not None}


def metric_of(row: Row[Any]) -> Metric:
    """The value of a row of `metrics`."""
    algorithm = Algorithm(row.algorithm, row.algorithm_version, row.source)
    return Metric(row.name, row.value, row.unit, algorithm, row.inputs, row.reason)


def metrics_by_ids(connection: Connection, ids: Sequence[str]) -> dict[str, list[Metric]]:
    """Metrics in order, by activity: what the streams say, then what thresholds make of it."""
    query = sa.select(metrics).where(metrics.c.activity_id.in_(list(ids)))
    query = query.order_by(metrics.c.activity_id, metrics.c.derived, metrics.c.position)
    found: dict[str, list[Metric]] = {}
    for row in connection.execute(query):
        found.setdefault(row.activity_id, []).append(metric_of(row))
    return found


def efforts_by_ids(connection: Connection, ids: Sequence[str]) -> dict[str, list[BestEffort]]:
    """Best efforts, shortest first, by activity."""
    query = sa.select(efforts).where(efforts.c.activity_id.in_(list(ids)))
    query = query.order_by(efforts.c.activity_id, efforts.c.kind, efforts.c.size)
    found: dict[str, list[BestEffort]] = {}
    for row in connection.execute(query):
        effort = BestEffort(EffortKind(row.kind), row.size, row.value, row.start_s)
        found.setdefault(row.activity_id, []).append(effort)
    return found
