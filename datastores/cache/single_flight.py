"""The cache on any place for entries: checks bounds, makes each missing value once, renews before the end."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datastores.cache.entries import Entries, Entry
from datastores.cache.port import KEY_BYTES_MAX, TTL_S_MAX, VALUE_BYTES_MAX
from datastores.errors import Unavailable

log = logging.getLogger(__name__)

Make = Callable[[], Awaitable[bytes]]
_Running = dict[str, asyncio.Task[bytes]]


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How long one maker may keep others waiting, how often they look, how early a value is renewed."""

    lease_s: float = 10.0
    look_first_s: float = 0.005
    look_max_s: float = 0.1
    renewal_eagerness: float = 1.0


class SharedCache:
    """`Cache` on `entries`. `chance` gives numbers in [0, 1)."""

    def __init__(
        self,
        entries: Entries,
        *,
        limits: CacheLimits | None = None,
        clock_s: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._entries = entries
        self._limits = limits or CacheLimits()
        self._clock_s = clock_s
        self._chance = chance
        self._making: _Running = {}
        self._renewing: _Running = {}

    async def open(self) -> None:
        """Connect; raises Unavailable."""
        await self._entries.open()

    async def ready(self) -> None:
        """Raise Unavailable where it cannot serve now."""
        await self._entries.ready()

    async def close(self) -> None:
        """Stop what is being made, then disconnect."""
        making = [*self._making.values(), *self._renewing.values()]
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        await self._entries.close()

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """The values that are there, by key."""
        _check_keys(keys)
        if not keys:
            return {}
        return await self._entries.read_values(keys)

    async def set_many(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        """Keep `values` for `ttl_s`."""
        _check_keys(values)
        _check_ttl(ttl_s)
        for value in values.values():
            _check_value(value)
        if values:
            expires_at_s = self._clock_s() + ttl_s
            kept = {key: Entry(value, expires_at_s) for key, value in values.items()}
            await self._entries.write(kept, ttl_s=ttl_s)

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Forget `keys`, also what is being made for them now: it may rest on what has just changed."""
        _check_keys(keys)
        for key in keys:
            self._making.pop(key, None)
            self._renewing.pop(key, None)
        if keys:
            await self._entries.delete(keys)

    async def get_or_make(self, key: str, make: Make, *, ttl_s: float) -> bytes:
        """The value of `key`; where it is missing, what `make` gives, kept for `ttl_s`."""
        _check_keys((key,))
        _check_ttl(ttl_s)
        task = self._making.get(key)
        if task is None:
            task = self._run(self._making, key, self._look_or_make(key, make, ttl_s))
        # Shielded: the first to ask may leave while the others still wait.
        return await asyncio.shield(task)

    async def _look_or_make(self, key: str, make: Make, ttl_s: float) -> bytes:
        entry = await self._read_if_possible(key)
        if entry is None:
            return await self._make_alone(key, make, ttl_s, renewing=False)
        if self._is_due(entry) and key not in self._renewing:
            renewal = self._run(self._renewing, key, self._make_alone(key, make, ttl_s, renewing=True))
            renewal.add_done_callback(_tell_of_failed_renewal)
        return entry.value

    def _run(self, running: _Running, key: str, work: Coroutine[Any, Any, bytes]) -> asyncio.Task[bytes]:
        task = asyncio.create_task(work)
        running[key] = task

        def finished(done: asyncio.Task[bytes]) -> None:
            if running.get(key) is done:
                del running[key]
            if not done.cancelled():
                done.exception()  # looked at: where all who asked have left, nobody else does

        task.add_done_callback(finished)
        return task

    async def _make_alone(self, key: str, make: Make, ttl_s: float, *, renewing: bool) -> bytes:
        """Make under a claim; where another process has it, wait for its value up to the lease."""
        token = await self._claim_if_possible(key)
        try:
            if token is None:
                entry = await self._made_elsewhere(key, renewing=renewing)
            else:
                # Somebody may have made it between our look and our claim.
                entry = None if renewing else await self._read_if_possible(key)
            if entry is not None:
                return entry.value
            return await self._make_and_keep(key, make, ttl_s)
        finally:
            if token:
                await self._release_if_possible(key, token)

    async def _make_and_keep(self, key: str, make: Make, ttl_s: float) -> bytes:
        started_s = time.perf_counter()
        value = await make()
        _check_value(value)
        if asyncio.current_task() in (self._making.get(key), self._renewing.get(key)):
            entry = Entry(value, self._clock_s() + ttl_s, time.perf_counter() - started_s)
            try:
                await self._entries.write({key: entry}, ttl_s=ttl_s)
            except Unavailable as error:
                log.warning("a value was made but not kept: %s", error)
        return value

    async def _made_elsewhere(self, key: str, *, renewing: bool) -> Entry | None:
        """What the holder of the claim makes; None where it took longer than the lease or gave up."""
        if renewing:
            return await self._read_if_possible(key)
        wait_s = self._limits.look_first_s
        deadline_s = time.monotonic() + self._limits.lease_s
        while time.monotonic() < deadline_s:
            await asyncio.sleep(random.uniform(wait_s / 2, wait_s))  # noqa: S311  # jitter, not a secret
            entry = await self._read_if_possible(key)
            if entry is not None:
                return entry
            wait_s = min(wait_s * 2, self._limits.look_max_s)
        return None

    def _is_due(self, entry: Entry) -> bool:
        """Whether this reader renews a value that still holds: likelier the nearer its end, the dearer it is.

        Source: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention" (2015).
        """
        if entry.cost_s <= 0:
            return False
        ahead_s = -entry.cost_s * self._limits.renewal_eagerness * math.log(1.0 - self._chance())
        return self._clock_s() + ahead_s >= entry.expires_at_s

    async def _read_if_possible(self, key: str) -> Entry | None:
        try:
            return (await self._entries.read((key,))).get(key)
        except Unavailable:
            return None

    async def _claim_if_possible(self, key: str) -> str | None:
        """A token, `""` where the cache is away (then everyone makes), None where somebody else makes."""
        try:
            return await self._entries.claim(key, lease_s=self._limits.lease_s)
        except Unavailable:
            return ""

    async def _release_if_possible(self, key: str, token: str) -> None:
        try:
            await self._entries.release(key, token)
        except Unavailable as error:
            log.warning("a claim of the cache runs until its end: %s", error)


def _tell_of_failed_renewal(task: asyncio.Task[bytes]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.warning("a cached value was not renewed: %s", type(task.exception()).__name__)


def _check_keys(keys: Sequence[str] | Mapping[str, bytes]) -> None:
    sizes_bytes = set(map(len, keys if "".join(keys).isascii() else map(str.encode, keys)))
    if sizes_bytes and not 0 < min(sizes_bytes) <= max(sizes_bytes) <= KEY_BYTES_MAX:
        raise ValueError(f"a cache key has 1 to {KEY_BYTES_MAX} bytes")


def _check_value(value: bytes) -> None:
    if len(value) > VALUE_BYTES_MAX:
        raise ValueError(f"a cached value of {len(value)} bytes is over the limit of {VALUE_BYTES_MAX}")


def _check_ttl(ttl_s: float) -> None:
    if not 0 < ttl_s <= TTL_S_MAX:
        raise ValueError(f"the time to live is over 0 and at most {TTL_S_MAX} s")
