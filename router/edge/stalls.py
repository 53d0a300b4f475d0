"""Stalls: how late the event loop comes to what is due, because something kept it that should not have.

One timer a loop, on while somebody reads metrics: a hundred looks a second, of some microseconds each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from router.telemetry import instruments, longest_stall_s, stall_s

INTERVAL_S: Final = 0.01
CLOCKS: Final = ("wall", "processor")
TOLD_S_MIN: Final = 0.001
"""The loop's own clock counts in milliseconds."""


class StallWatch:
    """Looks at one loop from `begin` until `end`; told are stalls of TOLD_S_MIN or more.

    A busy machine stalls a loop too: `processor` says how long the loop's own thread was running.
    """

    __slots__ = ("_clock", "_due_s", "_loop", "_processor", "_ran_s", "_timer", "longest_s")

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        processor: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock = clock
        self._processor = processor
        self._ran_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self.longest_s = dict.fromkeys(CLOCKS, 0.0)
        """Of all stalls since it was last read, by the clock."""

    def begin(self) -> None:
        """Look at the running loop from now on."""
        self._loop = asyncio.get_running_loop()
        self._wait()
        instruments.before_reading(self._tell_longest)

    def end(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            instruments.not_before_reading(self._tell_longest)

    def _wait(self) -> None:
        assert self._loop is not None  # noqa: S101  # INVARIANT: set by `begin`
        self._due_s, self._ran_s = self._clock() + INTERVAL_S, self._processor()
        self._timer = self._loop.call_later(INTERVAL_S, self._look)

    def _look(self) -> None:
        late_s = self._clock() - self._due_s
        if late_s >= TOLD_S_MIN:
            stall_s.record(late_s)
            ran_s = min(self._processor() - self._ran_s, late_s)
            for clock, stalled_s in zip(CLOCKS, (late_s, ran_s), strict=True):
                self.longest_s[clock] = max(self.longest_s[clock], stalled_s)
        self._wait()

    def _tell_longest(self) -> None:
        for clock in CLOCKS:
            longest_stall_s.set(self.longest_s[clock], {"clock": clock})
            self.longest_s[clock] = 0.0


async def watch_stalls() -> None:
    """Look at the running loop until cancelled."""
    watch = StallWatch()
    watch.begin()
    try:
        await asyncio.Event().wait()
    finally:
        watch.end()
