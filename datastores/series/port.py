"""The series port: numbers over time, each sample of one series at one millisecond, read raw or summed up.

A series is there as soon as a sample names it; asking about an unknown one finds nothing and is no error. One
that is a person's has the id `person/what`, by which it goes with the person.
Times are whole milliseconds since 1970 in UTC.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import eq, lt
from typing import NamedTuple, Protocol, overload

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WIDTHS_MS = (MINUTE_MS, HOUR_MS, DAY_MS)
"""The widths of the rollups that are kept, each a multiple of the one before."""
SAMPLES_MAX = 100_000
"""Samples in one append, and samples of one series in one read."""
BUCKETS_MAX = 10_000
SERIES_MAX = 1_000
ID_CHARACTERS_MAX = 200
OF_PERSON = "/"
"""Stands in the id of a series between the person that it belongs to and what it tells."""
AT_MS_MAX = 4_102_444_800_000
"""The year 2100: later is a clock gone wrong."""


class Sample(NamedTuple):
    """One number of a series at a moment."""

    series_id: str
    at_ms: int
    value: float


class Point(NamedTuple):
    """One number at a moment, of a series that is known."""

    at_ms: int
    value: float


class Points(Sequence[Point]):
    """Samples of one series in their order, kept as two columns: who draws or computes takes those."""

    __slots__ = ("times_ms", "values")

    def __init__(self, times_ms: Sequence[int] = (), values: Sequence[float] = ()) -> None:
        self.times_ms = times_ms
        self.values = values

    def __len__(self) -> int:
        return len(self.times_ms)

    @overload
    def __getitem__(self, at: int) -> Point: ...
    @overload
    def __getitem__(self, at: slice) -> Points: ...
    def __getitem__(self, at: int | slice) -> Point | Points:
        if isinstance(at, slice):
            return Points(self.times_ms[at], self.values[at])
        return Point(self.times_ms[at], self.values[at])

    def __iter__(self) -> Iterator[Point]:
        return map(Point, self.times_ms, self.values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # equal to lists

    def __repr__(self) -> str:
        return f"Points({list(self)})"


class Bucket(NamedTuple):
    """What the samples from `start_ms` on, for one step, come to. Never of no sample."""

    start_ms: int
    samples: int
    total: float
    low: float
    high: float

    @property
    def mean(self) -> float:
        """The mean of the samples, each weighing the same."""
        return self.total / self.samples


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of the samples of a call: `too_old` were of a time whose samples have been let go."""

    kept: int
    too_old: int


class Series(Protocol):
    """Samples by series and moment.

    Identity: a series has one sample at a moment. The same sample again changes nothing, another value there
    takes the place of the older one: an append may be repeated. Late samples are as good as others until
    their time is let go by `retain`; the rollups that are read include each acknowledged sample.
    Atomicity: an append, whole or not at all; an acknowledged one survives a crash.
    Ordering: answers by time. Errors: Unavailable; ValueError for an id, time, value, range or step out of
    bounds. There is no NotFound: a series without samples has an empty answer. There is no Conflict.
    """

    async def open(self) -> None:
        """Connect and make what the store needs; raises Unavailable or SchemaTooNew."""
        ...

    async def ready(self) -> None:
        """Raise Unavailable where it cannot serve now."""
        ...

    async def close(self) -> None:
        """Give back resources."""
        ...

    async def append(self, samples: Sequence[Sample] | Mapping[str, Points]) -> Appended:
        """Keep `samples`, at most 100 000, in any order; of two at one moment in a call the last is kept.

        Points by series, as `read` gives them, are kept without a `Sample` made of each.
        """
        ...

    async def read(
        self, series_ids: Sequence[str], *, start_ms: int, end_ms: int, limit: int = 10_000
    ) -> Mapping[str, Points]:
        """The first `limit` samples of each series from `start_ms` on and before `end_ms`."""
        ...

    async def buckets(
        self, series_ids: Sequence[str], *, start_ms: int, end_ms: int, step_ms: int, offset_ms: int = 0
    ) -> Mapping[str, tuple[Bucket, ...]]:
        """What each series comes to in each step that begins in [`start_ms`, `end_ms`) and has samples.

        Steps begin at multiples of `step_ms` past `offset_ms` (a time zone's, for local days). They are read
        from the widest rollup that fits both, from samples where none does. A gap is a step that is left
        out: `with_gaps` shows it.
        """
        ...

    async def latest(self, series_ids: Sequence[str]) -> Mapping[str, Point]:
        """The last sample of each series that has one."""
        ...

    async def forget(self, series_ids: Sequence[str]) -> None:
        """Remove series with everything that was kept of them."""
        ...

    async def forget_people(self, ids: Sequence[str]) -> None:
        """Remove every series of people who are erased: those whose id is `person/…` for one of `ids`."""
        ...

    async def retain(self, *, samples_from_ms: int, rollups_from_ms: Mapping[int, int] | None = None) -> None:
        """Let the samples before `samples_from_ms` go, and the rollups of a width before its own time.

        Rollups stay where no time is given for their width. Times are rounded down to whole days, never go
        back, and rollups are never let go before the samples they sum up.
        """
        ...


def columns_of(samples: Sequence[Sample] | Mapping[str, Points]) -> dict[str, Points]:
    """`samples` by series and in order, of each moment the last one.  Errors: ValueError for what no series
    can keep."""
    columns = samples if isinstance(samples, Mapping) else _by_series(samples)
    if sum(map(len, columns.values())) > SAMPLES_MAX:
        raise ValueError(f"one append has at most {SAMPLES_MAX} samples")
    check_ids(columns.keys())
    return {series_id: _in_order(points) for series_id, points in columns.items() if len(points)}


def _by_series(samples: Sequence[Sample]) -> dict[str, Points]:
    if not samples:
        return {}
    series_ids, times_ms, values = zip(*samples, strict=True)
    if series_ids.count(series_ids[0]) == len(series_ids):
        return {series_ids[0]: Points(times_ms, values)}
    columns: dict[str, tuple[list[int], list[float]]] = {}
    for series_id, at_ms, value in samples:
        own_times_ms, own_values = columns.setdefault(series_id, ([], []))
        own_times_ms.append(at_ms)
        own_values.append(value)
    return {series_id: Points(*own) for series_id, own in columns.items()}


def _in_order(points: Points) -> Points:
    times_ms, values = points.times_ms, points.values
    if len(times_ms) != len(values):
        raise ValueError("points have as many times as values")
    if not all(map(lt, times_ms, times_ms[1:])):
        last = sorted(dict(zip(times_ms, values, strict=True)).items())
        points = Points(*zip(*last, strict=True))
    if points.times_ms[0] < 0 or points.times_ms[-1] >= AT_MS_MAX:
        raise ValueError("the time of a sample is in milliseconds since 1970 and before 2100")
    # A sum is finite only where all that it sums up is; where it overflows, each is looked at.
    if not math.isfinite(sum(values)) and not all(map(math.isfinite, values)):
        raise ValueError("the value of a sample is a finite number")
    return points


def check_ids(series_ids: Collection[str]) -> None:
    """ValueError for an id out of bounds, or too many of them."""
    if len(series_ids) > SERIES_MAX:
        raise ValueError(f"one call has at most {SERIES_MAX} series")
    for series_id in series_ids:
        if not 0 < len(series_id) <= ID_CHARACTERS_MAX or "\0" in series_id:
            raise ValueError(f"the id of a series has 1 to {ID_CHARACTERS_MAX} characters")


def check_range(start_ms: int, end_ms: int, *, limit: int = 1) -> None:
    """ValueError for a range that ends before it begins, or a limit out of bounds."""
    if not 0 <= start_ms <= end_ms <= AT_MS_MAX:
        raise ValueError("a range begins in 1970 or later and does not end before it begins")
    if not 1 <= limit <= SAMPLES_MAX:
        raise ValueError(f"`limit` is 1 to {SAMPLES_MAX}")


def first_step_ms(start_ms: int, end_ms: int, *, step_ms: int, offset_ms: int) -> int:
    """The first begin of a step at or after `start_ms`.  Errors: ValueError, also for too many steps."""
    check_range(start_ms, end_ms)
    if step_ms < 1_000 or not -DAY_MS < offset_ms < DAY_MS:
        raise ValueError("a step is a second or longer, its offset less than a day")
    if (end_ms - start_ms) / step_ms > BUCKETS_MAX:
        raise ValueError(f"one call gives at most {BUCKETS_MAX} steps a series: ask for longer ones")
    return start_ms + (offset_ms - start_ms) % step_ms


def width_for(step_ms: int, offset_ms: int = 0) -> int | None:
    """The widest rollup that steps can be put together from; None where only samples will do."""
    fitting = [width for width in WIDTHS_MS if step_ms % width == 0 and offset_ms % width == 0]
    return fitting[-1] if fitting else None


def step_for(start_ms: int, end_ms: int, *, points_max: int) -> int:
    """The shortest usual step that shows a range in at most `points_max` points: a resolution for a chart."""
    for step_ms in _STEPS_MS:
        if (end_ms - start_ms) <= step_ms * points_max:
            return step_ms
    return DAY_MS * math.ceil((end_ms - start_ms) / DAY_MS / points_max)


_STEPS_MS = (
    *(1_000 * seconds for seconds in (1, 5, 15, 30)),
    *(MINUTE_MS * minutes for minutes in (1, 5, 15, 30)),
    *(HOUR_MS * hours for hours in (1, 3, 6, 12)),
    *(DAY_MS * days for days in (1, 7, 28)),
)


def with_gaps(
    buckets: Sequence[Bucket], *, start_ms: int, end_ms: int, step_ms: int, offset_ms: int = 0
) -> tuple[Bucket | None, ...]:
    """One place for each step that begins in [`start_ms`, `end_ms`): None where nothing was measured."""
    first_ms = first_step_ms(start_ms, end_ms, step_ms=step_ms, offset_ms=offset_ms)
    by_start = {bucket.start_ms: bucket for bucket in buckets}
    return tuple(by_start.get(at_ms) for at_ms in range(first_ms, end_ms, step_ms))
