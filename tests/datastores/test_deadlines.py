"""One timer for many exchanges: each ends at its limit, and a cancellation stays a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from datastores.deadlines import Deadlines


async def forever_within(deadlines: Deadlines, begun: asyncio.Event | None = None) -> None:
    with deadlines:
        if begun is not None:
            begun.set()
        await asyncio.Event().wait()


async def test_what_takes_too_long_times_out_and_what_ends_in_time_does_not() -> None:
    deadlines = Deadlines(0.05)
    ended = await asyncio.gather(*(forever_within(deadlines) for _ in range(10)), return_exceptions=True)
    assert [type(each) for each in ended] == [TimeoutError] * 10
    with deadlines:
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await forever_within(deadlines)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_an_exchange_has_its_own_time_and_not_that_of_the_one_before() -> None:
    deadlines = Deadlines(0.2)
    for _ in range(6):
        with deadlines:
            await asyncio.sleep(0.05)  # together longer than the limit


async def test_who_is_cancelled_by_others_is_cancelled() -> None:
    deadlines, begun = Deadlines(60.0), asyncio.Event()
    task = asyncio.create_task(forever_within(deadlines, begun))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_within_a_shorter_timeout_the_shorter_one_ends_it() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await forever_within(Deadlines(60.0))


async def test_an_error_of_the_exchange_is_told_as_it_is_and_a_second_block_of_a_task_is_refused() -> None:
    deadlines = Deadlines(60.0)
    with pytest.raises(LookupError), deadlines:
        raise LookupError
    with deadlines, pytest.raises(RuntimeError):
        deadlines.__enter__()
