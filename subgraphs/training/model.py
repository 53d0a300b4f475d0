"""The words of the domain: sports, streams, activities, thresholds, metrics; frozen values and pure rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from authz.classes import Visibility

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Sport(StrEnum):
    """What an athlete did, coarse enough that devices agree; `sub_sport` keeps the device's own word."""

    RUNNING = "RUNNING"
    CYCLING = "CYCLING"
    SWIMMING = "SWIMMING"
    WALKING = "WALKING"
    HIKING = "HIKING"
    ROWING = "ROWING"
    STRENGTH = "STRENGTH"
    SKIING = "SKIING"
    FITNESS = "FITNESS"
    TRANSITION = "TRANSITION"
    OTHER = "OTHER"


class StreamType(StrEnum):
    """One measured quantity over an activity. Units: s, m, m, m/s, W, rpm, °C, bpm, degrees, degrees."""

    TIME = "TIME"
    DISTANCE = "DISTANCE"
    ALTITUDE = "ALTITUDE"
    SPEED = "SPEED"
    POWER = "POWER"
    CADENCE = "CADENCE"
    TEMPERATURE = "TEMPERATURE"
    HEART_RATE = "HEART_RATE"
    LATITUDE = "LATITUDE"
    LONGITUDE = "LONGITUDE"


STREAM_UNITS: Mapping[StreamType, str] = {
    StreamType.TIME: "s",
    StreamType.DISTANCE: "m",
    StreamType.ALTITUDE: "m",
    StreamType.SPEED: "m/s",
    StreamType.POWER: "W",
    StreamType.CADENCE: "rpm",
    StreamType.TEMPERATURE: "°C",
    StreamType.HEART_RATE: "bpm",
    StreamType.LATITUDE: "deg",
    StreamType.LONGITUDE: "deg",
}


class ThresholdKind(StrEnum):
    """What a threshold is of. Units: W, bpm, bpm, bpm."""

    FTP = "FTP"
    LTHR = "LTHR"
    MAX_HR = "MAX_HR"
    REST_HR = "REST_HR"


THRESHOLD_UNITS: Mapping[ThresholdKind, str] = {
    ThresholdKind.FTP: "W",
    ThresholdKind.LTHR: "bpm",
    ThresholdKind.MAX_HR: "bpm",
    ThresholdKind.REST_HR: "bpm",
}

THRESHOLD_RANGES: Mapping[ThresholdKind, tuple[float, float]] = {
    ThresholdKind.FTP: (20.0, 700.0),
    ThresholdKind.LTHR: (80.0, 230.0),
    ThresholdKind.MAX_HR: (100.0, 250.0),
    ThresholdKind.REST_HR: (20.0, 120.0),
}


@dataclass(frozen=True, slots=True)
class Streams:
    """Columns of equal length; a missing value is NaN. `columns` always has TIME (offset from the start, s).

    `breaks` are the sample numbers at which recording began anew (a pause, a new segment): no distance is
    counted across them.
    """

    columns: Mapping[StreamType, FloatArray]
    breaks: tuple[int, ...] = ()

    @property
    def samples(self) -> int:
        """How many rows."""
        return len(self.columns[StreamType.TIME])

    def get(self, kind: StreamType) -> FloatArray | None:
        """A column, or None where no row has the value."""
        return self.columns.get(kind)


@dataclass(frozen=True, slots=True)
class Lap:
    """A part of an activity that a device or a person marked. Offsets from the activity's start."""

    index: int
    start_s: float
    elapsed_s: float | None = None
    timer_s: float | None = None
    distance_m: float | None = None
    ascent_m: float | None = None
    heart_rate_average_bpm: float | None = None
    heart_rate_max_bpm: float | None = None
    power_average_w: float | None = None
    cadence_average_rpm: float | None = None
    trigger: str | None = None


class IntervalKind(StrEnum):
    """A pool length or a strength set."""

    LENGTH = "LENGTH"
    SET = "SET"


@dataclass(frozen=True, slots=True)
class Interval:
    """A pool length (strokes, stroke) or a strength set (repetitions, load)."""

    kind: IntervalKind
    index: int
    active: bool
    start_s: float | None = None
    duration_s: float | None = None
    repetitions: int | None = None
    weight_kg: float | None = None
    stroke: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceTotals:
    """What the device itself says of an activity; None where it says nothing."""

    elapsed_s: float | None = None
    timer_s: float | None = None
    distance_m: float | None = None
    ascent_m: float | None = None
    descent_m: float | None = None
    calories_kcal: float | None = None
    heart_rate_average_bpm: float | None = None
    heart_rate_max_bpm: float | None = None
    power_average_w: float | None = None
    normalised_power_w: float | None = None
    cadence_average_rpm: float | None = None
    pool_length_m: float | None = None


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How a number was made: stable id, version (a change of result changes it), source to look it up."""

    id: str
    version: int
    source: str


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that names how it was made. `value` is None with a `reason` where it cannot be computed."""

    name: str
    value: float | None
    unit: str
    algorithm: Algorithm
    inputs: Mapping[str, float | str] = field(default_factory=dict)
    reason: str | None = None


class EffortKind(StrEnum):
    """POWER: most mean watts over `size` seconds. DISTANCE: fewest seconds over `size` metres."""

    POWER = "POWER"
    DISTANCE = "DISTANCE"


@dataclass(frozen=True, slots=True)
class BestEffort:
    """The best stretch of one size in an activity. `value` in W or s; `start_s` from the start."""

    kind: EffortKind
    size: float
    value: float
    start_s: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """An athlete's threshold from a day on, until the next one of its kind."""

    id: str
    athlete_id: str
    kind: ThresholdKind
    value: float
    valid_from: date


@dataclass(frozen=True, slots=True)
class ThresholdsAt:
    """The thresholds that hold on one day; None where the athlete has set none by then."""

    ftp_w: float | None = None
    lthr_bpm: float | None = None
    max_hr_bpm: float | None = None
    rest_hr_bpm: float | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """One thing that an athlete did, as stored. Times are UTC; `utc_offset_s` is the wall clock there."""

    id: str
    athlete_id: str
    sport: Sport
    started_at_utc: datetime
    start_known: bool = True
    utc_offset_s: int | None = None
    sub_sport: str | None = None
    name: str | None = None
    device: str | None = None
    visibility: Visibility = Visibility.PRIVATE
    rpe: int | None = None
    elapsed_s: float | None = None
    moving_s: float | None = None
    distance_m: float | None = None
    ascent_m: float | None = None
    descent_m: float | None = None
    calories_kcal: float | None = None
    load: float | None = None
    file_sha256: str | None = None
    file_index: int | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class VisibleRows:
    """The activities of `athlete_id` whose visibility is one of these. Empty: none."""

    athlete_id: str
    visibilities: frozenset[Visibility]


@dataclass(frozen=True, slots=True)
class DailyLoad:
    """One day of the performance management chart. `load` sums the day's activities; `unknown` counts
    those whose load could not be computed (they count as 0)."""

    day: date
    load: float
    ctl: float
    atl: float
    tsb: float
    unknown: int


def thresholds_on(history: list[Threshold], day: date) -> ThresholdsAt:
    """The thresholds that hold on `day`: per kind the latest that is valid from then or before."""
    held: dict[ThresholdKind, Threshold] = {}
    for threshold in sorted(history, key=lambda each: each.valid_from):
        if threshold.valid_from <= day:
            held[threshold.kind] = threshold
    values = {kind: threshold.value for kind, threshold in held.items()}
    return ThresholdsAt(
        ftp_w=values.get(ThresholdKind.FTP),
        lthr_bpm=values.get(ThresholdKind.LTHR),
        max_hr_bpm=values.get(ThresholdKind.MAX_HR),
        rest_hr_bpm=values.get(ThresholdKind.REST_HR),
    )
