"""Retries of one subgraph's queries: the budget, the pauses, and waiting for one that refuses connections."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from router.traffic import RetryPolicy

KEPT_S: Final = 10
"""Seconds whose earnings a budget keeps."""
RETRIED_STATUSES: Final = frozenset({502, 503, 504})
_KNOCK_PAUSE_S_MAX: Final = 0.25
_LOOK_AGAIN_S: Final = 0.5
"""Who waits looks this often whether somebody still knocks: that one's client may have left."""


class RetryBudget:
    """A bucket of retries: calls and time fill it, retries empty it. It begins with what time alone earns."""

    __slots__ = ("_earned_a_call", "_earned_a_second", "_filled_s", "_kept_max", "_now_s", "_retries")

    def __init__(self, policy: RetryPolicy, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._earned_a_call = policy.budget_percent / 100
        self._earned_a_second = policy.budget_per_second
        self._now_s = now_s
        self._filled_s = now_s()
        self._retries = float(policy.budget_per_second * KEPT_S)
        self._kept_max = self._retries + policy.budget_percent * KEPT_S

    def earn(self) -> None:
        """One call was begun."""
        self._retries = min(self._retries + self._earned_a_call, self._kept_max)

    def take(self) -> bool:
        """Whether one retry may be made."""
        now = self._now_s()
        earned = (now - self._filled_s) * self._earned_a_second
        self._retries, self._filled_s = min(self._retries + earned, self._kept_max), now
        if self._retries < 1:
            return False
        self._retries -= 1
        return True


def pause_s(policy: RetryPolicy, tries: int, retry_after: str = "") -> float:
    """Seconds to wait after `tries` tries: what the subgraph asked for, else a random part of a doubling
    time, so that those who failed together do not come back together."""
    if retry_after.isdecimal() and len(retry_after) < 6:
        return float(retry_after)
    longest_ms = min(policy.pause_ms_base << min(tries - 1, 16), policy.pause_ms_max)
    return random.uniform(0, longest_ms) / 1_000  # noqa: S311  # spreads load, guards nothing


class Door:
    """A subgraph that refuses connections: one caller knocks, the others wait with it until it opens.

    However many wait, the subgraph sees one connection attempt at a time, and all go on together.
    """

    __slots__ = ("_knocking", "_now_s", "_opened", "_refused_since_s", "_wait_s_max")

    def __init__(self, policy: RetryPolicy, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._wait_s_max = policy.unreachable_wait_ms_max / 1_000
        self._now_s = now_s
        self._refused_since_s: float | None = None
        self._opened: asyncio.Future[None] | None = None
        self._knocking = False

    def is_open(self) -> None:
        """A connection was made or an answer came."""
        if self._refused_since_s is not None:
            self._refused_since_s = None
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.set_result(None)

    async def wait(self, *, until_s: float) -> bool:
        """After a refusal: wait, and say whether it is worth another try before `until_s` of the clock."""
        while True:
            now = self._now_s()
            if self._refused_since_s is None:
                self._refused_since_s = now
            left_s = min(self._refused_since_s + self._wait_s_max, until_s) - now
            if left_s <= 0:
                return False
            if not self._knocking:
                await self._pause(left_s, waited_s=now - self._refused_since_s)
                return True
            if await self._opens_within(min(left_s, _LOOK_AGAIN_S)):
                return True

    async def _pause(self, left_s: float, *, waited_s: float) -> None:
        """The pause of the one who knocks: longer the longer it lasts, its end is still noticed soon."""
        self._knocking = True
        try:
            longest_s = min(0.02 + waited_s / 2, _KNOCK_PAUSE_S_MAX)
            await asyncio.sleep(min(random.uniform(0.01, longest_s), left_s))  # noqa: S311  # spreads load
        finally:
            self._knocking = False

    async def _opens_within(self, seconds: float) -> bool:
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(asyncio.shield(self._opened), seconds)
        except TimeoutError:
            return False
        return True
