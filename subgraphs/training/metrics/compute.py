"""All metrics of one activity: first what the streams alone say, then what thresholds make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from subgraphs.training.metrics import algorithms as by
from subgraphs.training.metrics.efforts import best_distances, best_powers
from subgraphs.training.metrics.heart import hr_tss, seconds_by_rate, trimp
from subgraphs.training.metrics.motion import (
    BAROMETER_DEAD_BAND_M,
    GPS_DEAD_BAND_M,
    climb_m,
    distance_along_m,
    moving_time_s,
    recorded_time_s,
)
from subgraphs.training.metrics.power import normalised_power_w, work_kj
from subgraphs.training.metrics.series import has_times, one_hertz, recorded_only
from subgraphs.training.model import (
    Algorithm,
    BestEffort,
    DeviceTotals,
    Metric,
    Sport,
    Streams,
    StreamType,
    ThresholdsAt,
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What streams and device totals say, without any threshold. Kept, so that streams are read once."""

    elapsed_s: float | None = None
    moving_s: float | None = None
    distance_m: float | None = None
    ascent_m: float | None = None
    descent_m: float | None = None
    metrics: tuple[Metric, ...] = ()
    efforts: tuple[BestEffort, ...] = ()
    seconds_by_rate: Mapping[int, int] = field(default_factory=dict)

    def value(self, name: str) -> float | None:
        """A metric's value; None where it was not computed."""
        return next((metric.value for metric in self.metrics if metric.name == name), None)


def measure(streams: Streams | None, totals: DeviceTotals, sport: Sport, *, barometer: bool) -> Measurement:
    """Everything that needs no threshold. Device totals win over what we would compute of samples,
    except for moving time, which every device means differently.

    `barometer` tells whose altitude it is: a device's own (FIT) or one that went through an app.
    """
    if streams is None or not streams.samples:
        return Measurement(
            elapsed_s=totals.elapsed_s or totals.timer_s,
            moving_s=totals.timer_s,
            distance_m=totals.distance_m,
            ascent_m=totals.ascent_m,
            descent_m=totals.descent_m,
        )
    moving = _moving_time(streams, totals, sport)
    distance = _distance(streams, totals)
    ascent, descent = _climb(streams, totals, barometer=barometer)
    metrics = (moving, distance, ascent, descent, *_power(streams), *_rates(streams))
    return Measurement(
        elapsed_s=_elapsed(streams, totals),
        moving_s=moving.value,
        distance_m=distance.value,
        ascent_m=ascent.value,
        descent_m=descent.value,
        metrics=metrics,
        efforts=(*best_powers(streams), *best_distances(streams, sport)),
        seconds_by_rate=seconds_by_rate(streams),
    )


def _elapsed(streams: Streams, totals: DeviceTotals) -> float | None:
    if totals.elapsed_s is not None:
        return totals.elapsed_s
    if not has_times(streams):
        return totals.timer_s
    return max(float(streams.columns[StreamType.TIME][-1]), totals.timer_s or 0.0)


def _metric(
    name: str,
    value: float | None,
    unit: str,
    algorithm: Algorithm,
    *,
    reason: str | None = None,
    **inputs: float | str,
) -> Metric:
    return Metric(name, value, unit, algorithm, inputs, None if value is not None else reason)


def _moving_time(streams: Streams, totals: DeviceTotals, sport: Sport) -> Metric:
    moving = moving_time_s(streams, sport)
    if moving is not None:
        return _metric("movingTime", moving, "s", by.MOVING_TIME, sport=sport.value)
    recorded = totals.timer_s if totals.timer_s is not None else recorded_time_s(streams)
    return _metric("movingTime", recorded, "s", by.TIMER_TIME, reason="no clock ran")


def _distance(streams: Streams, totals: DeviceTotals) -> Metric:
    if totals.distance_m is not None:
        return _metric("distance", totals.distance_m, "m", by.DISTANCE_DEVICE)
    along = distance_along_m(streams)
    if along is None:
        return _metric("distance", None, "m", by.DISTANCE_TRACK, reason="neither distance nor position")
    algorithm = by.DISTANCE_DEVICE if streams.get(StreamType.DISTANCE) is not None else by.DISTANCE_TRACK
    return _metric("distance", float(along[-1]), "m", algorithm)


def _climb(streams: Streams, totals: DeviceTotals, *, barometer: bool) -> tuple[Metric, Metric]:
    names = ("ascent", "descent")
    told = (totals.ascent_m, totals.descent_m)
    altitude = streams.get(StreamType.ALTITUDE)
    band = BAROMETER_DEAD_BAND_M if barometer else GPS_DEAD_BAND_M
    computed: tuple[float | None, float | None] = (None, None)
    if altitude is not None:
        computed = climb_m(altitude, band)
    made = [
        _metric(name, device, "m", by.ASCENT_DEVICE)
        if device is not None
        else _metric(name, ours, "m", by.ASCENT_TRACK, reason="no altitude", deadBand=band)
        for name, device, ours in zip(names, told, computed, strict=True)
    ]
    return made[0], made[1]


def _power(streams: Streams) -> tuple[Metric, ...]:
    if streams.get(StreamType.POWER) is None:
        return ()
    grid = one_hertz(streams, StreamType.POWER)
    if grid is None:
        return ()
    watts = recorded_only(grid)
    normalised = normalised_power_w(watts)
    mean = float(watts.mean())
    ratio = normalised / mean if normalised is not None and mean > 0 else None
    return (
        _metric("powerAverage", mean, "W", by.TIME_MEAN),
        _metric("powerMax", float(np.nanmax(streams.columns[StreamType.POWER])), "W", by.MAXIMUM),
        _metric(
            "normalisedPower",
            normalised,
            "W",
            by.NORMALISED_POWER,
            reason="less than 30 s of power",
            seconds=len(watts),
        ),
        _metric("variabilityIndex", ratio, "1", by.VARIABILITY, reason="no normalised power"),
        _metric("work", work_kj(watts), "kJ", by.WORK),
    )


def _rates(streams: Streams) -> tuple[Metric, ...]:
    made: list[Metric] = []
    for name, kind, unit in (
        ("heartRate", StreamType.HEART_RATE, "bpm"),
        ("cadence", StreamType.CADENCE, "rpm"),
        ("speed", StreamType.SPEED, "m/s"),
    ):
        values = streams.get(kind)
        if values is not None:
            made.append(_metric(f"{name}Average", float(np.nanmean(values)), unit, by.MEAN))
            made.append(_metric(f"{name}Max", float(np.nanmax(values)), unit, by.MAXIMUM))
    return tuple(made)


def derive(measured: Measurement, thresholds: ThresholdsAt) -> tuple[Metric, ...]:
    """What thresholds make of a measurement. Null with a reason where one is missing."""
    made: list[Metric] = []
    tss = _tss(measured, thresholds, made)
    heart = _heart(measured, thresholds, made)
    normalised, rate = measured.value("normalisedPower"), measured.value("heartRateAverage")
    if normalised is not None and rate is not None:
        made.append(_metric("efficiencyFactor", normalised / rate, "W/bpm", by.EFFICIENCY))
    best, chosen = (tss, "tss") if tss is not None else (heart, "hrTss")
    reason = "neither power with an FTP nor heart rate with LTHR, maximum and resting rate"
    made.append(
        _metric("load", best, "TSS", by.LOAD, reason=reason, **({"of": chosen} if best is not None else {}))
    )
    return tuple(made)


def _tss(measured: Measurement, thresholds: ThresholdsAt, made: list[Metric]) -> float | None:
    normalised = measured.value("normalisedPower")
    if normalised is None:
        return None
    seconds = next(float(m.inputs["seconds"]) for m in measured.metrics if m.name == "normalisedPower")
    factor = normalised / thresholds.ftp_w if thresholds.ftp_w else None
    tss = seconds / 3600.0 * factor**2 * 100.0 if factor is not None else None
    inputs: dict[str, float | str] = {"ftp": thresholds.ftp_w} if thresholds.ftp_w else {}
    reason = "no FTP is set for that day"
    made.append(_metric("intensityFactor", factor, "1", by.INTENSITY_FACTOR, reason=reason, **inputs))
    made.append(_metric("tss", tss, "TSS", by.TSS, reason=reason, **inputs))
    return tss


def _heart(measured: Measurement, thresholds: ThresholdsAt, made: list[Metric]) -> float | None:
    if not measured.seconds_by_rate:
        return None
    rest, top, lthr = thresholds.rest_hr_bpm, thresholds.max_hr_bpm, thresholds.lthr_bpm
    reason = "resting, maximum and threshold heart rate are not all set for that day"
    inputs: dict[str, float | str] = {}
    impulse = load = None
    if rest is not None and top is not None and top > rest:
        inputs = {"restHr": rest, "maxHr": top}
        impulse = trimp(measured.seconds_by_rate, rest_bpm=rest, max_bpm=top)
        if lthr is not None:
            load = hr_tss(measured.seconds_by_rate, rest_bpm=rest, max_bpm=top, lthr_bpm=lthr)
    made.append(_metric("trimp", impulse, "1", by.TRIMP, reason=reason, **inputs))
    if lthr is not None:
        inputs = {**inputs, "lthr": lthr}
    made.append(_metric("hrTss", load, "TSS", by.HR_TSS, reason=reason, **inputs))
    return load
