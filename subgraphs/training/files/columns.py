"""Rows of points as they come out of a parser, made into streams: sorted, joined, freed of the impossible."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from subgraphs.training.files.problems import FileWarning, WarningCode
from subgraphs.training.model import BoolArray, FloatArray, Streams, StreamType

NAN = float("nan")
COLUMNS: tuple[StreamType, ...] = (
    StreamType.TIME,
    StreamType.LATITUDE,
    StreamType.LONGITUDE,
    StreamType.ALTITUDE,
    StreamType.DISTANCE,
    StreamType.HEART_RATE,
    StreamType.POWER,
    StreamType.CADENCE,
    StreamType.SPEED,
    StreamType.TEMPERATURE,
)
"""The order of a row. TIME is seconds since 1970 (or since the device was switched on)."""

# What no person and no sensor does; a value outside is dropped with a warning, its row stays.
BELIEVABLE: Mapping[StreamType, tuple[float, float]] = {
    StreamType.HEART_RATE: (1.0, 254.0),
    StreamType.POWER: (0.0, 4000.0),
    StreamType.CADENCE: (0.0, 300.0),
    StreamType.SPEED: (0.0, 150.0),
    StreamType.ALTITUDE: (-500.0, 12000.0),
    StreamType.TEMPERATURE: (-60.0, 90.0),
    StreamType.DISTANCE: (0.0, 5_000_000.0),
}
EARLIEST_S = datetime(1998, 7, 5, tzinfo=UTC).timestamp()
"""Device clocks count from here when they were never set (FIT: below 0x10000000 means `since power on`)."""
CLOCK_STOPPED_S = 1.0
"""Three points or more within less than this tell that the clock stood still."""
SPREAD_S_MAX = 14 * 86_400.0
"""Times further than this from the median of their file are not believed."""


@dataclass(slots=True)
class Rows:
    """Points being gathered: one flat array, ten numbers a point, and where segments begin."""

    values: array[float] = field(default_factory=lambda: array("d"))
    breaks: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.values) // len(COLUMNS)

    def begin_segment(self) -> None:
        """The next point is not connected to the last one."""
        if len(self) and (not self.breaks or self.breaks[-1] != len(self)):
            self.breaks.append(len(self))

    def matrix(self) -> FloatArray:
        """Shapes: points × columns; a copy, so that more rows may follow."""
        return np.array(self.values, dtype=np.float64).reshape(-1, len(COLUMNS))


@dataclass(frozen=True, slots=True)
class Timeline:
    """Streams with the clock time of offset 0, None where no believable clock was running."""

    streams: Streams
    start_utc: datetime | None
    warnings: tuple[FileWarning, ...]


def timeline(
    rows: FloatArray, breaks: list[int], *, at: str | None = None, zero_s: float | None = None
) -> Timeline:
    """Streams of `rows`; offset 0 is `zero_s` or the first time, whichever is earlier.

    Rows without time between timed ones get one by interpolation; rows of one instant that complete each
    other become one; rows out of order are sorted; each such act leaves a warning.
    """
    if not len(rows):
        return Timeline(Streams({StreamType.TIME: np.zeros(0)}), None, ())
    found: list[FileWarning] = []
    breaks = [number for number in breaks if 0 < number < len(rows)]
    rows = _without_unbelievable(rows, found, at)
    rows, breaks = _with_times(rows, breaks, found, at)
    rows, breaks = _sorted(rows, breaks, found, at)
    rows, breaks = _joined(rows, breaks)
    times = rows[:, 0]
    zero = _zero(times, zero_s)
    start = _clock(zero, found, at)
    if zero is not None:
        rows[:, 0] = times - zero
    columns = {
        kind: np.ascontiguousarray(rows[:, number])
        for number, kind in enumerate(COLUMNS)
        if number == 0 or np.isfinite(rows[:, number]).any()
    }
    return Timeline(Streams(columns, tuple(breaks)), start, tuple(found))


def _zero(times: FloatArray, zero_s: float | None) -> float | None:
    if not np.isfinite(times).any():
        return None
    first = float(np.nanmin(times))
    if zero_s is None or not first - SPREAD_S_MAX <= zero_s <= first:
        return first
    return zero_s


def _clock(zero: float | None, found: list[FileWarning], at: str | None) -> datetime | None:
    if zero is None:
        return None
    if zero < EARLIEST_S:
        found.append(
            FileWarning(
                WarningCode.CLOCK_NOT_SET, "the device's clock was not set: only offsets are used", at
            )
        )
        return None
    return datetime.fromtimestamp(zero, UTC)


def _without_unbelievable(rows: FloatArray, found: list[FileWarning], at: str | None) -> FloatArray:
    rows = rows.copy()
    rows[~np.isfinite(rows)] = NAN
    for number, kind in enumerate(COLUMNS):
        if kind not in BELIEVABLE:
            continue
        low, high = BELIEVABLE[kind]
        column = rows[:, number]
        wrong = (column < low) | (column > high)
        if wrong.any():
            column[wrong] = NAN
            word = kind.value.lower().replace("_", " ")
            found.append(
                FileWarning(
                    WarningCode.VALUE_IMPLAUSIBLE,
                    f"{int(wrong.sum())} values of {word} outside {low:g} to {high:g} were left out",
                    at,
                )
            )
    lost = ~(np.abs(rows[:, 1]) <= 90.0) | ~(np.abs(rows[:, 2]) <= 180.0)
    wrong = lost & ~(np.isnan(rows[:, 1]) & np.isnan(rows[:, 2]))
    if wrong.any():
        found.append(
            FileWarning(
                WarningCode.POSITION_INVALID, f"{int(wrong.sum())} positions off the globe were left out", at
            )
        )
    rows[lost, 1:3] = NAN
    return rows


def _with_times(
    rows: FloatArray, breaks: list[int], found: list[FileWarning], at: str | None
) -> tuple[FloatArray, list[int]]:
    times = rows[:, 0]
    known = np.isfinite(times)
    if known.any():
        far = known & (np.abs(times - np.median(times[known])) > SPREAD_S_MAX)
        if far.any():
            found.append(
                FileWarning(
                    WarningCode.TIMES_IMPLAUSIBLE,
                    f"{int(far.sum())} records more than 14 days from the rest were left out",
                    at,
                )
            )
            rows, breaks = _kept(rows, breaks, ~far)
            times, known = rows[:, 0], known[~far]
    if not known.any() or _clock_stopped(times[known], found, at):
        if not any(warning.code is WarningCode.CLOCK_STOPPED for warning in found):
            found.append(FileWarning(WarningCode.NO_TIMES, "no point has a time", at))
        rows[:, 0] = NAN
        return rows, breaks
    if not known.all():
        numbers = np.arange(len(times), dtype=np.float64)
        inside = ~known & (numbers > numbers[known][0]) & (numbers < numbers[known][-1])
        times[inside] = np.interp(numbers[inside], numbers[known], times[known])
        rest = np.isnan(times)
        message = f"{int(inside.sum())} points got a time between neighbours, {int(rest.sum())} were left out"
        found.append(FileWarning(WarningCode.TIMES_FILLED, message, at))
        rows, breaks = _kept(rows, breaks, ~rest)
    return rows, breaks


def _clock_stopped(times: FloatArray, found: list[FileWarning], at: str | None) -> bool:
    if len(times) < 3 or float(times.max()) - float(times.min()) >= CLOCK_STOPPED_S:
        return False
    found.append(
        FileWarning(
            WarningCode.CLOCK_STOPPED, f"all {len(times)} points have the same time: it is not used", at
        )
    )
    return True


def _kept(rows: FloatArray, breaks: list[int], keep: BoolArray) -> tuple[FloatArray, list[int]]:
    before = np.concatenate(([0], np.cumsum(keep)))
    moved = sorted({int(before[number]) for number in breaks})
    kept = rows[keep]
    return kept, [number for number in moved if 0 < number < len(kept)]


def _sorted(
    rows: FloatArray, breaks: list[int], found: list[FileWarning], at: str | None
) -> tuple[FloatArray, list[int]]:
    times = rows[:, 0]
    back = int((np.diff(times) < 0).sum()) if len(times) else 0
    if not back:
        return rows, breaks
    found.append(FileWarning(WarningCode.TIMES_OUT_OF_ORDER, f"time ran backwards {back} times: sorted", at))
    order = np.argsort(times, kind="stable")
    # A segment's start means little once its points are interleaved with others.
    marks = np.zeros(len(times), dtype=bool)
    marks[breaks] = True
    return rows[order], [int(number) for number in np.flatnonzero(marks[order]) if number]


def _joined(rows: FloatArray, breaks: list[int]) -> tuple[FloatArray, list[int]]:
    """Rows of one instant become one where no column has two different values."""
    if len(rows) < 2:
        return rows, breaks
    same = np.flatnonzero(np.diff(rows[:, 0]) == 0) + 1
    if not len(same):
        return rows, breaks
    keep = np.ones(len(rows), dtype=bool)
    target = -1
    for number in same:
        if target < 0 or keep[number - 1]:
            target = int(number) - 1
        first, second = rows[target], rows[number]
        both = np.isfinite(first[1:]) & np.isfinite(second[1:])
        if bool((first[1:][both] == second[1:][both]).all()):
            first[1:] = np.where(np.isfinite(first[1:]), first[1:], second[1:])
            keep[number] = False
    return _kept(rows, breaks, keep)
