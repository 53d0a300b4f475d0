"""Rates that several routers count together, in Redis."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import ConnectionPool

PREFIX = "stadion-rate"
ANSWER_S_MAX = 0.25


class RedisRates:
    """A moving window of `burst` requests for each caller, as long as the rate takes to let them in.

    Keys are hashes: whoever reads the Redis learns neither persons nor addresses. One a process; `close` it.
    Source: the `limits` library.
    """

    def __init__(self, url: str) -> None:
        # what does not answer at once is not waited for: the router then counts by itself
        self._pool = ConnectionPool.from_url(
            url, socket_timeout=ANSWER_S_MAX, socket_connect_timeout=ANSWER_S_MAX
        )
        storage = RedisStorage(f"async+{url}", implementation="redispy", connection_pool=self._pool)  # type: ignore[arg-type]
        self._windows = MovingWindowRateLimiter(storage)

    async def open_until_cancelled(self) -> None:
        """Stay open for as long as the app runs; then close."""
        try:
            await asyncio.Event().wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """Give back the connections."""
        await self._pool.aclose()

    async def wait_s(self, caller: str, *, per_minute: int, burst: int) -> float:
        """Seconds to wait; 0 counts the request and lets it in."""
        window_s = max(math.ceil(burst * 60 / per_minute), 1)
        limit = RateLimitItemPerSecond(burst, window_s, namespace=PREFIX)
        key = hashlib.blake2b(caller.encode(), digest_size=16).hexdigest()
        if await self._windows.hit(limit, key):
            return 0.0
        stats = await self._windows.get_window_stats(limit, key)
        return max(stats.reset_time - time.time(), 1.0)
