"""What keeps the event loop is seen and told as a metric."""

from __future__ import annotations

import asyncio

import pytest

from router.edge.stalls import INTERVAL_S, StallWatch
from router.telemetry import instruments, longest_stall_s, stall_s


def told() -> tuple[int, float, float]:
    """How many stalls were told, their sum, and the longest since the last reading, in seconds."""
    list(instruments.read())
    measured = stall_s.values.get(())
    counted = (sum(measured.counts), measured.total) if measured is not None else (0, 0.0)
    return (*counted, longest_stall_s.values.get(("wall",), 0.0))


class Times:
    """A clock that says these times, one after the other; `done` is set when all were said."""

    def __init__(self, *times_s: float) -> None:
        self._times_s = list(times_s)
        self.done = asyncio.Event()

    def __call__(self) -> float:
        if len(self._times_s) == 1:
            self.done.set()
            return self._times_s[0]
        return self._times_s.pop(0)


async def test_the_longest_stall_is_told_until_it_was_read() -> None:
    before = told()
    due_s = INTERVAL_S
    # begin; then each look takes the time twice: how late it is, and when the next one is due
    clock = Times(0.0, due_s, 1.0, 1.0 + due_s + 0.2, 2.0, 2.0 + due_s + 0.07, 3.0)
    watch = StallWatch(clock=clock, processor=lambda: 0.0)
    watch.begin()
    try:
        await clock.done.wait()
        after = told()
        assert after[0] - before[0] == 2
        assert after[1] - before[1] == pytest.approx(0.27)
        assert after[2] == pytest.approx(0.2)
        assert longest_stall_s.values["processor",] == 0, "others kept it from running"
        assert told()[2] == 0
    finally:
        watch.end()


async def test_of_a_stall_counts_apart_how_long_the_loop_itself_was_running() -> None:
    clock = Times(0.0, INTERVAL_S + 0.2, 1.0)
    ran_s = iter((0.0, 0.15, 0.15))
    watch = StallWatch(clock=clock, processor=lambda: next(ran_s, 0.15))
    watch.begin()
    try:
        await clock.done.wait()
        told()
        assert longest_stall_s.values["wall",] == pytest.approx(0.2)
        assert longest_stall_s.values["processor",] == pytest.approx(0.15)
    finally:
        watch.end()


async def test_what_was_ended_tells_nothing_more() -> None:
    watch = StallWatch(clock=Times(0.0, 5.0, 5.0))
    watch.begin()
    watch.end()
    watch.longest_s["wall"] = 7.0
    assert told()[2] != 7.0
