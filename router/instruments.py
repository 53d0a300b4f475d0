"""Instruments: counters, levels and distributions that a scrape reads; adding to one writes a dictionary."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final, TypeAlias, TypeVar

Labels: TypeAlias = Mapping[str, str | bool]
Key: TypeAlias = tuple[str | bool, ...]

SERIES_MAX: Final = 2_000
"""Series of one instrument; more are counted together, as `other`: labels may come from clients."""
OTHER: Final = "other"
NO_LABELS: Final[Labels] = {}
SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
OVERHEAD_BUCKETS: Final = (0.0001, 0.00025, 0.0005, *SECONDS_BUCKETS[:12])
COST_BUCKETS: Final = (1, 10, 50, 100, 500, 1_000, 5_000, 10_000, 100_000)


class Kind(StrEnum):
    """What the numbers of an instrument are."""

    COUNTER = "counter"
    LEVEL = "level"
    DISTRIBUTION = "distribution"


@dataclass(slots=True)
class Measured:
    """One series of a distribution: how many values fell under each bound (the last is infinity's)."""

    counts: list[int]
    total: float = 0.0


class Instrument:
    """A name with its series. `labels` are their names, in the order of each series' key; where they were
    not declared, the first use names them, and each use gives the same in the same order."""

    __slots__ = ("description", "kind", "labels", "name", "unit")

    def __init__(
        self, name: str, kind: Kind, description: str, *, unit: str = "", labels: tuple[str, ...] = ()
    ) -> None:
        self.name = name
        self.kind = kind
        self.description = description
        self.unit = unit
        self.labels = labels

    def key(self, labels: Labels, known: Mapping[Key, object]) -> Key:
        """The series of these labels, given in the declared order; `other` where there are too many."""
        if not self.labels and labels:
            self.labels = tuple(labels)
        key = tuple(labels.values())
        if key in known or len(known) < SERIES_MAX:
            return key
        return (OTHER,) * len(self.labels)


class Counter(Instrument):
    """A number that grows, or (a level) one that also falls."""

    __slots__ = ("_read", "values")

    def __init__(
        self,
        name: str,
        description: str,
        *,
        kind: Kind = Kind.COUNTER,
        unit: str = "",
        labels: tuple[str, ...] = (),
    ) -> None:
        super().__init__(name, kind, description, unit=unit, labels=labels)
        self.values: dict[Key, float] = {}

    def add(self, amount: float, labels: Labels = NO_LABELS) -> None:
        """Add to one series."""
        key = self.key(labels, self.values)
        self.values[key] = self.values.get(key, 0) + amount

    def series(self, labels: Labels) -> Callable[[], None]:
        """What adds one to a single series; for what happens with every request."""
        values, key = self.values, self.key(labels, self.values)

        def add_one() -> None:
            values[key] = values.get(key, 0) + 1

        return add_one

    def set(self, value: float, labels: Labels = NO_LABELS) -> None:
        """What a level is now."""
        self.values[self.key(labels, self.values)] = value


class Distribution(Instrument):
    """How values spread over `bounds`."""

    __slots__ = ("bounds", "values")

    def __init__(
        self,
        name: str,
        description: str,
        *,
        unit: str = "",
        labels: tuple[str, ...] = (),
        bounds: tuple[float, ...] = SECONDS_BUCKETS,
    ) -> None:
        super().__init__(name, Kind.DISTRIBUTION, description, unit=unit, labels=labels)
        self.bounds = bounds
        self.values: dict[Key, Measured] = {}

    def record(self, value: float, labels: Labels = NO_LABELS) -> None:
        """One more value of one series."""
        self._record(self.key(labels, self.values), value)

    def series(self, labels: Labels) -> Callable[[float], None]:
        """What records values of a single series; for what happens with every request."""
        return partial(self._record, self.key(labels, self.values))

    def _record(self, key: Key, value: float) -> None:
        measured = self.values.get(key)
        if measured is None:
            measured = self.values[key] = Measured([0] * (len(self.bounds) + 1))
        measured.counts[bisect_left(self.bounds, value)] += 1
        measured.total += value


Kept = TypeVar("Kept", Counter, Distribution)


class Instruments:
    """Every instrument of the process, each made once. `before_reading` calls bring levels up to date."""

    def __init__(self) -> None:
        self._all: dict[str, Counter | Distribution] = {}
        self._before_reading: list[Callable[[], None]] = []

    def counter(
        self, name: str, description: str, *, unit: str = "", labels: tuple[str, ...] = ()
    ) -> Counter:
        """A number that grows."""
        return self._kept(Counter(name, description, unit=unit, labels=labels))

    def level(self, name: str, description: str, *, unit: str = "", labels: tuple[str, ...] = ()) -> Counter:
        """A number that grows and falls."""
        return self._kept(Counter(name, description, kind=Kind.LEVEL, unit=unit, labels=labels))

    def distribution(
        self,
        name: str,
        description: str,
        *,
        unit: str = "",
        labels: tuple[str, ...] = (),
        bounds: tuple[float, ...] = SECONDS_BUCKETS,
    ) -> Distribution:
        """How values spread."""
        return self._kept(Distribution(name, description, unit=unit, labels=labels, bounds=bounds))

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Counter:
        """As OpenTelemetry's meter has it: labels are named by the first use."""
        return self.counter(name, description, unit=unit)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Counter:
        """As OpenTelemetry's meter has it."""
        return self.level(name, description, unit=unit)

    def create_histogram(self, name: str, unit: str = "", description: str = "") -> Distribution:
        """As OpenTelemetry's meter has it."""
        return self.distribution(name, description, unit=unit)

    def _kept(self, made: Kept) -> Kept:
        if made.name in self._all:
            raise ValueError(f"there is an instrument `{made.name}` already")
        self._all[made.name] = made
        return made

    def before_reading(self, call: Callable[[], None]) -> None:
        """Have `call` called before the instruments are read."""
        self._before_reading.append(call)

    def not_before_reading(self, call: Callable[[], None]) -> None:
        """Forget such a call."""
        self._before_reading.remove(call)

    def read(self) -> Iterator[Counter | Distribution]:
        """All instruments, their levels up to date."""
        for call in tuple(self._before_reading):
            call()
        yield from self._all.values()

    def __iter__(self) -> Iterator[Counter | Distribution]:
        return iter(self._all.values())
