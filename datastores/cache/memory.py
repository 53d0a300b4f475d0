"""The embedded cache: this process's memory, bounded in entries and bytes; the least recently read goes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from datastores.cache.entries import Entry
from datastores.errors import Unavailable

# What Python needs beside key and value for one entry, by measurement, rounded up.
_OVERHEAD_BYTES = 300


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Bounds of one memory cache."""

    entries_max: int = 50_000
    bytes_max: int = 64 * 1_048_576


class MemoryEntries:
    """`Entries` in a dictionary. One process has one, so it needs no claims beyond the caller's own.

    `clock_s` only ever goes forward: a step of the machine's clock neither ends an entry nor keeps it.
    """

    def __init__(
        self, *, limits: MemoryLimits | None = None, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits or MemoryLimits()
        self._clock_s = clock_s
        self._entries: OrderedDict[str, tuple[Entry, float]] = OrderedDict()
        self._bytes = 0
        self._open = False

    @property
    def size_bytes(self) -> int:
        """What is kept now, keys and an estimate of the overhead included."""
        return self._bytes

    async def open(self) -> None:
        """Start empty."""
        self._open = True

    async def ready(self) -> None:
        """Raise Unavailable where it is not open."""
        self._check_open()

    async def close(self) -> None:
        """Forget everything."""
        self._open = False
        self._entries.clear()
        self._bytes = 0

    async def read(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """The entries that are there; reading one makes it the last to go."""
        self._check_open()
        now_s = self._clock_s()
        found = {}
        for key in keys:
            kept = self._entries.get(key)
            if kept is None:
                continue
            entry, ends_at_s = kept
            if ends_at_s <= now_s:
                self._drop(key)
                continue
            self._entries.move_to_end(key)
            found[key] = entry
        return found

    async def read_values(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """The values of the same entries."""
        return {key: entry.value for key, entry in (await self.read(keys)).items()}

    async def write(self, entries: Mapping[str, Entry], *, ttl_s: float) -> None:
        """Put `entries`; what has ended goes first, then what was not read for longest."""
        self._check_open()
        ends_at_s = self._clock_s() + ttl_s
        for key, entry in entries.items():
            self._drop(key)
            self._entries[key] = (entry, ends_at_s)
            self._bytes += _size_bytes(key, entry)
        if self._is_full():
            self._drop_ended()
        while self._is_full():
            self._drop(next(iter(self._entries)))

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove `keys`."""
        self._check_open()
        for key in keys:
            self._drop(key)

    async def claim(self, key: str, *, lease_s: float) -> str | None:
        """Always granted: within one process the cache itself makes each key once."""
        self._check_open()
        return "memory"

    async def release(self, key: str, token: str) -> None:
        """Nothing to give back."""

    def _check_open(self) -> None:
        if not self._open:
            raise Unavailable("the cache in memory is not open")

    def _is_full(self) -> bool:
        return len(self._entries) > self._limits.entries_max or self._bytes > self._limits.bytes_max

    def _drop_ended(self) -> None:
        now_s = self._clock_s()
        for key in [key for key, (_, ends_at_s) in self._entries.items() if ends_at_s <= now_s]:
            self._drop(key)

    def _drop(self, key: str) -> None:
        kept = self._entries.pop(key, None)
        if kept is not None:
            self._bytes -= _size_bytes(key, kept[0])


def _size_bytes(key: str, entry: Entry) -> int:
    return len(key) + len(entry.value) + _OVERHEAD_BYTES
