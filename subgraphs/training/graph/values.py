"""Values of an activity or an athlete: summary, laps, streams, track, heart rate, metrics, load."""

from __future__ import annotations

import datetime as dt
import math

import strawberry

from authz.classes import DataClass
from subgraphs.kit import JSON, RowAccess, classified
from subgraphs.training.graph.words import OpenStreamType
from subgraphs.training.model import (
    Activity,
    BestEffort,
    DailyLoad,
    EffortKind,
    FloatArray,
    Interval,
    IntervalKind,
    Lap,
    Metric,
    ThresholdKind,
)
from subgraphs.training.track import Positions, bounds, encoded_polyline, without_ends


@classified(DataClass.TRAINING)
@strawberry.type(description="The totals of an activity. Seconds, metres, kilocalories.")
class ActivitySummary:
    """Totals; the device's own where it told them."""

    elapsed_s: float | None
    moving_s: float | None
    distance_m: float | None
    ascent_m: float | None
    descent_m: float | None
    calories_kcal: float | None
    load: float | None = strawberry.field(description="TSS by power, else by heart rate.")

    @classmethod
    def of(cls, activity: Activity) -> ActivitySummary:
        """The totals of a row."""
        return cls(
            elapsed_s=activity.elapsed_s,
            moving_s=activity.moving_s,
            distance_m=activity.distance_m,
            ascent_m=activity.ascent_m,
            descent_m=activity.descent_m,
            calories_kcal=activity.calories_kcal,
            load=activity.load,
        )


@classified(DataClass.TRAINING)
@strawberry.type(name="Lap", description="A part of an activity; offsets are from its start.")
class LapType:
    """A lap, with its heart rate behind a class of its own."""

    index: int | None
    start_s: float | None
    elapsed_s: float | None
    timer_s: float | None
    distance_m: float | None
    ascent_m: float | None
    power_average_w: float | None
    cadence_average_rpm: float | None
    trigger: str | None
    heart_rate_average_bpm: float | None = strawberry.field(directives=[classified(DataClass.WELLNESS)])
    heart_rate_max_bpm: float | None = strawberry.field(directives=[classified(DataClass.WELLNESS)])
    row_access: strawberry.Private[RowAccess]

    @classmethod
    def of(cls, lap: Lap, access: RowAccess) -> LapType:
        """A lap of a row."""
        return cls(
            index=lap.index,
            start_s=lap.start_s,
            elapsed_s=lap.elapsed_s,
            timer_s=lap.timer_s,
            distance_m=lap.distance_m,
            ascent_m=lap.ascent_m,
            power_average_w=lap.power_average_w,
            cadence_average_rpm=lap.cadence_average_rpm,
            trigger=lap.trigger,
            heart_rate_average_bpm=lap.heart_rate_average_bpm,
            heart_rate_max_bpm=lap.heart_rate_max_bpm,
            row_access=access,
        )


@classified(DataClass.TRAINING)
@strawberry.type(name="Interval", description="A pool length or a strength set.")
class IntervalType:
    """One length or set; rests are inactive ones."""

    kind: IntervalKind | None
    index: int | None
    active: bool | None
    start_s: float | None
    duration_s: float | None
    repetitions: int | None = strawberry.field(description="Repetitions of a set, strokes of a length.")
    weight_kg: float | None
    stroke: str | None

    @classmethod
    def of(cls, interval: Interval) -> IntervalType:
        """An interval of a row."""
        return cls(
            kind=interval.kind,
            index=interval.index,
            active=interval.active,
            start_s=interval.start_s,
            duration_s=interval.duration_s,
            repetitions=interval.repetitions,
            weight_kg=interval.weight_kg,
            stroke=interval.stroke,
        )


@classified(DataClass.TRAINING)
@strawberry.type(description="Samples of one quantity; all streams of one answer have the same places.")
class Stream:
    """A column."""

    type: OpenStreamType | None
    unit: str | None
    values: list[float | None] | None


@classified(DataClass.LOCATION)
@strawberry.type(description="The box around a track, in degrees; `west` is over `east` across 180°.")
class TrackBounds:
    """The box."""

    south: float | None
    west: float | None
    north: float | None
    east: float | None

    @classmethod
    def of(cls, positions: Positions) -> TrackBounds:
        """The box around places, of which there is at least one."""
        south, west, north, east = bounds(positions)
        return cls(south=south, west=west, north=north, east=east)


@classified(DataClass.LOCATION)
@strawberry.type(description="Where an activity went. Degrees, WGS 84.")
class Track:
    """Positions with their offsets."""

    polyline: str | None = strawberry.field(description="Encoded polyline, five decimals.")
    latitudes: list[float] | None
    longitudes: list[float] | None
    offsets_s: list[float | None] | None
    bounds: TrackBounds | None
    positions: strawberry.Private[Positions]

    @classmethod
    def of(cls, positions: Positions) -> Track:
        """The track of these places; one without any has no bounds."""
        box = TrackBounds.of(positions) if len(positions.latitudes) else None
        return cls(
            polyline=encoded_polyline(positions),
            latitudes=positions.latitudes.tolist(),
            longitudes=positions.longitudes.tolist(),
            offsets_s=nullable(positions.offsets_s),
            bounds=box,
            positions=positions,
        )

    def trimmed(self) -> Track:
        """Without its ends."""
        return Track.of(without_ends(self.positions))


@classified(DataClass.WELLNESS)
@strawberry.type(description="The heart rate of an activity, in beats a minute.")
class HeartRate:
    """Mean, maximum and samples."""

    average_bpm: float | None
    max_bpm: float | None
    values: list[float | None] | None = strawberry.field(description="At the places of `streams`.")

    def rounded(self) -> HeartRate:
        """To five beats, without samples."""
        return HeartRate(average_bpm=_fives(self.average_bpm), max_bpm=_fives(self.max_bpm), values=None)


def _fives(rate: float | None) -> float | None:
    return None if rate is None else 5.0 * round(rate / 5.0)


def nullable(column: FloatArray) -> list[float | None]:
    """A column as GraphQL has it: null for what is missing."""
    return [value if math.isfinite(value) else None for value in column.tolist()]


@classified(DataClass.TRAINING)
@strawberry.type(name="Algorithm", description="How a number was made.")
class AlgorithmType:
    """Id, version, source."""

    id: str | None
    version: int | None
    source: str | None


@classified(DataClass.TRAINING)
@strawberry.type(name="Metric", description="A number that names how it was made.")
class MetricType:
    """Null with a reason where it could not be computed."""

    name: str | None
    value: float | None
    unit: str | None
    algorithm: AlgorithmType | None
    inputs: JSON | None
    reason: str | None

    @classmethod
    def of(cls, metric: Metric) -> MetricType:
        """A metric of a row."""
        made = metric.algorithm
        return cls(
            name=metric.name,
            value=metric.value,
            unit=metric.unit,
            algorithm=AlgorithmType(id=made.id, version=made.version, source=made.source),
            inputs=JSON(dict(metric.inputs)),
            reason=metric.reason,
        )


@classified(DataClass.TRAINING)
@strawberry.type(name="BestEffort", description="The best stretch of one size.")
class BestEffortType:
    """Power in W over seconds, or seconds over metres."""

    kind: EffortKind | None
    size: float | None
    value: float | None
    start_s: float | None

    @classmethod
    def of(cls, effort: BestEffort) -> BestEffortType:
        """An effort of a row."""
        return cls(kind=effort.kind, size=effort.size, value=effort.value, start_s=effort.start_s)


@classified(DataClass.TRAINING)
@strawberry.type(name="DailyLoad", description="A day of fitness (CTL), fatigue (ATL) and form (TSB).")
class DailyLoadType:
    """One day of the chart."""

    day: dt.date | None
    load: float | None
    ctl: float | None
    atl: float | None
    tsb: float | None
    unknown: int | None = strawberry.field(description="Activities whose load could not be computed.")

    @classmethod
    def of(cls, day: DailyLoad) -> DailyLoadType:
        """A day of the fold."""
        return cls(day=day.day, load=day.load, ctl=day.ctl, atl=day.atl, tsb=day.tsb, unknown=day.unknown)


@classified(DataClass.TRAINING)
@strawberry.type(name="Threshold", description="A threshold from a day on.")
class ThresholdType:
    """FTP in W; LTHR, maximum and resting heart rate in bpm are wellness."""

    kind: ThresholdKind | None
    value: float | None
    unit: str | None
    valid_from: dt.date | None
