"""FIT laps, pool lengths and strength sets, given to the session in whose time they lie."""

from __future__ import annotations

import math
from collections.abc import Iterator

from subgraphs.training.files.fit_messages import Fields, FitDocument, number_of, unix_s
from subgraphs.training.model import Interval, IntervalKind, Lap


def laps_of(document: FitDocument, begins_s: float, ends_s: float, zero_s: float | None) -> tuple[Lap, ...]:
    """The laps that start in [`begins_s`, `ends_s`), in the file's order, as offsets from `zero_s`."""
    return tuple(
        _lap(index, message, start_s)
        for index, (message, start_s) in enumerate(_inside(document.of("lap"), begins_s, ends_s, zero_s))
    )


def intervals_of(
    document: FitDocument, begins_s: float, ends_s: float, zero_s: float | None
) -> tuple[Interval, ...]:
    """Lengths, then sets, that start in [`begins_s`, `ends_s`)."""
    lengths = [
        _length(index, message, start_s)
        for index, (message, start_s) in enumerate(_inside(document.of("length"), begins_s, ends_s, zero_s))
    ]
    sets = [
        _set(index, message, start_s)
        for index, (message, start_s) in enumerate(_inside(document.of("set"), begins_s, ends_s, zero_s))
    ]
    return (*lengths, *sets)


def _inside(
    messages: list[Fields], begins_s: float, ends_s: float, zero_s: float | None
) -> Iterator[tuple[Fields, float | None]]:
    """Messages with their offset. One without start belongs where the message before it did."""
    here = begins_s == -math.inf
    for message in messages:
        start = unix_s(message.get("start_time"))
        if math.isfinite(start):
            here = begins_s <= start < ends_s
        if here:
            known = math.isfinite(start) and zero_s is not None
            yield message, max(0.0, start - (zero_s or 0.0)) if known else None


def _told(message: Fields, *names: str) -> float | None:
    value = number_of(message, *names)
    return value if math.isfinite(value) else None


def _lap(index: int, message: Fields, start_s: float | None) -> Lap:
    trigger = message.get("lap_trigger")
    return Lap(
        index=index,
        start_s=start_s or 0.0,
        elapsed_s=_told(message, "total_elapsed_time"),
        timer_s=_told(message, "total_timer_time"),
        distance_m=_told(message, "total_distance"),
        ascent_m=_told(message, "total_ascent"),
        heart_rate_average_bpm=_told(message, "avg_heart_rate") or None,
        heart_rate_max_bpm=_told(message, "max_heart_rate") or None,
        power_average_w=_told(message, "avg_power"),
        cadence_average_rpm=_told(message, "avg_cadence", "avg_running_cadence", "avg_swimming_cadence"),
        trigger=trigger if isinstance(trigger, str) else None,
    )


def _length(index: int, message: Fields, start_s: float | None) -> Interval:
    stroke = message.get("swim_stroke")
    strokes = _told(message, "total_strokes")
    return Interval(
        kind=IntervalKind.LENGTH,
        index=index,
        active=message.get("length_type") == "active",
        start_s=start_s,
        duration_s=_told(message, "total_timer_time", "total_elapsed_time"),
        repetitions=int(strokes) if strokes is not None else None,
        stroke=stroke if isinstance(stroke, str) else None,
    )


def _set(index: int, message: Fields, start_s: float | None) -> Interval:
    repetitions = _told(message, "repetitions")
    return Interval(
        kind=IntervalKind.SET,
        index=index,
        active=message.get("set_type") == "active",
        start_s=start_s,
        duration_s=_told(message, "duration"),
        repetitions=int(repetitions) if repetitions is not None else None,
        weight_kg=_told(message, "weight"),
    )
