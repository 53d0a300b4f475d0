"""Activities and thresholds by hand: create, change, delete; each with its event in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from authz.classes import Visibility
from datastores.errors import NotFound, StoreError
from subgraphs.training.events import (
    ACTIVITY_ADDED,
    ACTIVITY_CHANGED,
    ACTIVITY_DELETED,
    activity_event,
    threshold_event,
)
from subgraphs.training.imports import FUTURE_MAX, blob_key
from subgraphs.training.metrics.algorithms import ASCENT_DEVICE, DISTANCE_DEVICE, TIMER_TIME
from subgraphs.training.metrics.compute import Measurement, derive, measure
from subgraphs.training.metrics.motion import GPS_DEAD_BAND_M
from subgraphs.training.model import (
    THRESHOLD_RANGES,
    Activity,
    DeviceTotals,
    Metric,
    Sport,
    Streams,
    Threshold,
    ThresholdKind,
    thresholds_on,
)
from subgraphs.training.ports import TrainingPorts
from subgraphs.training.store import activities as rows
from subgraphs.training.store import remeasure
from subgraphs.training.store.doomed import doom, doomed, spare
from subgraphs.training.store.thresholds import history, rederive, set_threshold

log = logging.getLogger("stadion.training")

ELAPSED_S_MAX = 14 * 86_400.0
DISTANCE_M_MAX = 5_000_000.0
CLIMB_M_MAX = 100_000.0
EARLIEST = date(1900, 1, 1)


@dataclass(frozen=True, slots=True)
class ValueRefused:
    """A value that was given by hand and is not taken. `field` is a path in the input."""

    field: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Draft:
    """An activity as a person enters it."""

    sport: Sport
    started_at: datetime
    elapsed_s: float
    moving_s: float | None = None
    distance_m: float | None = None
    ascent_m: float | None = None
    name: str | None = None
    rpe: int | None = None
    visibility: Visibility = Visibility.PRIVATE


@dataclass(frozen=True, slots=True)
class Change:
    """What to change. None leaves a value; `name` and `rpe` are cleared by `clear`."""

    sport: Sport | None = None
    name: str | None = None
    rpe: int | None = None
    visibility: Visibility | None = None
    clear: frozenset[str] = frozenset()


def refused_of(draft: Draft, *, now: datetime) -> list[ValueRefused]:
    """Everything that is wrong with a draft; empty where it can be created."""
    refused: list[ValueRefused] = []
    if draft.started_at > now + FUTURE_MAX:
        refused.append(ValueRefused("startedAt", "IN_FUTURE", "the start is more than 24 hours from now"))
    elif draft.started_at.date() < EARLIEST:
        refused.append(ValueRefused("startedAt", "OUT_OF_RANGE", f"the start is before {EARLIEST}"))
    ranges: Mapping[str, tuple[float | None, float]] = {
        "elapsedS": (draft.elapsed_s, ELAPSED_S_MAX),
        "movingS": (draft.moving_s, draft.elapsed_s),
        "distanceM": (draft.distance_m, DISTANCE_M_MAX),
        "ascentM": (draft.ascent_m, CLIMB_M_MAX),
    }
    for name, (value, most) in ranges.items():
        # Written so that NaN, which is in no range, is refused.
        if value is not None and not 0.0 <= value <= most:
            refused.append(ValueRefused(name, "OUT_OF_RANGE", f"`{name}` is from 0 to {most:g}"))
    refused += _rpe_refused(draft.rpe)
    return refused


def _rpe_refused(rpe: int | None) -> list[ValueRefused]:
    if rpe is None or 0 <= rpe <= 10:
        return []
    return [ValueRefused("rpe", "OUT_OF_RANGE", "`rpe` is from 0 to 10")]


async def create_activity(
    ports: TrainingPorts, athlete_id: str, draft: Draft
) -> Activity | list[ValueRefused]:
    """Write an activity without a file, or say what is wrong with it."""
    now = ports.clock()
    refused = refused_of(draft, now=now)
    if refused:
        return refused
    offset = draft.started_at.utcoffset() or timedelta()
    activity = Activity(
        id=ports.new_id(),
        athlete_id=athlete_id,
        sport=draft.sport,
        started_at_utc=draft.started_at,
        utc_offset_s=int(offset.total_seconds()),
        name=draft.name,
        rpe=draft.rpe,
        visibility=draft.visibility,
        elapsed_s=draft.elapsed_s,
        moving_s=draft.moving_s,
        distance_m=draft.distance_m,
        ascent_m=draft.ascent_m,
    )

    def write(connection: Connection) -> Activity:
        known = thresholds_on(history(connection, athlete_id), rows.local_day(activity))
        measured = Measurement()
        rows.add(connection, rows.NewActivity(activity, measured, derive(measured, known)), now=now)
        _tell(ports, connection, ACTIVITY_ADDED, activity, now)
        return rows.by_ids(connection, [activity.id])[activity.id]

    return await ports.relational.write(write)


async def change_activity(
    ports: TrainingPorts, activity_id: str, change: Change, *, version: int | None = None
) -> Activity | list[ValueRefused]:
    """Change an activity; another sport measures its streams anew.

    Errors: NotFound; Conflict where `version` is given and not current.
    """
    refused = _rpe_refused(change.rpe)
    if refused:
        return refused
    current = await ports.relational.read(lambda connection: _read_for_change(connection, activity_id))
    before = current.activity if version is None else replace(current.activity, version=version)
    after = _changed(before, change)
    measured: Measurement | None = None
    if after.sport is not before.sport and current.streams is not None:
        measured = await ports.off_the_loop(_measure_anew, current, after.sport)
        after = replace(after, moving_s=measured.moving_s)
    now = ports.clock()

    def write(connection: Connection) -> Activity:
        written = rows.change(connection, before, after)
        if measured is not None:
            remeasure.replace_measurement(connection, written, measured)
            day = rows.local_day(written)
            rederive(connection, written.athlete_id, since=day, until=day)
        _tell(ports, connection, ACTIVITY_CHANGED, written, now)
        return rows.by_ids(connection, [activity_id])[activity_id]

    return await ports.relational.write(write)


@dataclass(frozen=True, slots=True)
class _Current:
    """An activity as it stands, with what measuring it anew needs."""

    activity: Activity
    streams: Streams | None
    metrics: tuple[Metric, ...]

    def told(self, name: str) -> float | None:
        """A total that the device itself told, not one that was computed."""
        algorithm_ids = {DISTANCE_DEVICE.id, ASCENT_DEVICE.id, TIMER_TIME.id}
        found = (each for each in self.metrics if each.name == name and each.algorithm.id in algorithm_ids)
        return next((metric.value for metric in found), None)


def _read_for_change(connection: Connection, activity_id: str) -> _Current:
    activity = rows.by_ids(connection, [activity_id]).get(activity_id)
    if activity is None:
        raise NotFound("no such activity")
    streams = rows.streams_by_ids(connection, [activity_id]).get(activity_id)
    metrics = rows.metrics_by_ids(connection, [activity_id]).get(activity_id, [])
    return _Current(activity, streams, tuple(metrics))


def _measure_anew(current: _Current, sport: Sport) -> Measurement:
    """Another sport has other gates and distances; what the device told stays."""
    totals = DeviceTotals(
        elapsed_s=current.activity.elapsed_s,
        timer_s=current.told("movingTime"),
        distance_m=current.told("distance"),
        ascent_m=current.told("ascent"),
        descent_m=current.told("descent"),
    )
    band = next((each.inputs.get("deadBand") for each in current.metrics if each.name == "ascent"), None)
    return measure(current.streams, totals, sport, barometer=band != GPS_DEAD_BAND_M)


def _changed(before: Activity, change: Change) -> Activity:
    return replace(
        before,
        sport=change.sport or before.sport,
        name=None if "name" in change.clear else change.name or before.name,
        rpe=None if "rpe" in change.clear else change.rpe if change.rpe is not None else before.rpe,
        visibility=change.visibility or before.visibility,
    )


async def delete_activity(ports: TrainingPorts, activity_id: str) -> bool:
    """Delete an activity, and its file's bytes when it was the file's last; whether it was there.

    Where the bytes cannot be deleted now, they are by the next sweep.
    """
    now = ports.clock()

    def write(connection: Connection) -> bool:
        activity = rows.by_ids(connection, [activity_id]).get(activity_id)
        if activity is None:
            return False
        rows.delete(connection, activity)
        _tell(ports, connection, ACTIVITY_DELETED, activity, now)
        sha256 = activity.file_sha256
        if sha256 is not None and not rows.file_is_kept(connection, activity.athlete_id, sha256):
            doom(connection, blob_key(activity.athlete_id, sha256))
        return True

    gone = await ports.relational.write(write)
    if gone:
        await sweep_files(ports)
    return gone


async def sweep_files(ports: TrainingPorts) -> int:
    """Delete the bytes of files whose last activity is gone; how many. Also what a killed process left."""
    async with ports.files_lock:
        keys = await ports.relational.read(doomed)
        deleted = []
        for key in keys:
            try:
                await ports.blobs.delete(key)
            except StoreError:
                log.warning("%d files could not be deleted now; the next sweep tries again", len(keys))
                break
            deleted.append(key)
        if deleted:
            await ports.relational.write(lambda connection: spare(connection, deleted))
    return len(deleted)


async def put_threshold(
    ports: TrainingPorts, athlete_id: str, kind: ThresholdKind, value: float, valid_from: date
) -> Threshold | list[ValueRefused]:
    """Set a threshold from a day on; all derived metrics and loads since follow in the same transaction."""
    low, high = THRESHOLD_RANGES[kind]
    if not low <= value <= high:
        return [ValueRefused("value", "OUT_OF_RANGE", f"`value` of {kind} is from {low:g} to {high:g}")]
    now = ports.clock()
    if not EARLIEST <= valid_from <= (now + FUTURE_MAX).date():
        return [ValueRefused("validFrom", "OUT_OF_RANGE", f"`validFrom` is from {EARLIEST} to tomorrow")]
    wanted = Threshold(ports.new_id(), athlete_id, kind, value, valid_from)

    def write(connection: Connection) -> Threshold:
        kept = set_threshold(connection, wanted)
        rederive(connection, athlete_id, since=valid_from)
        ports.outbox.append(connection, [threshold_event(athlete_id=athlete_id, at_utc=now)])
        return kept

    return await ports.relational.write(write)


def _tell(
    ports: TrainingPorts, connection: Connection, topic: str, activity: Activity, now: datetime
) -> None:
    event = activity_event(topic, activity_id=activity.id, athlete_id=activity.athlete_id, at_utc=now)
    ports.outbox.append(connection, [event])
