"""What has come on a WebSocket and was not read yet: in order, waited for, and nothing lost with a reader."""

from __future__ import annotations

import asyncio

import pytest

from router.edge.connections import Received

pytestmark = pytest.mark.timeout(10)


async def test_messages_are_read_in_order_and_waited_for() -> None:
    received = Received()
    for number in range(3):
        received.put_nowait(number)
    assert [await received.get() for _ in range(3)] == [0, 1, 2]
    assert received.empty()
    waiting = asyncio.ensure_future(received.get())
    await asyncio.sleep(0)
    for number in (3, 4):
        received.put_nowait(number)
    assert [await waiting, await received.get()] == [3, 4]


async def test_a_reader_that_leaves_takes_nothing_along() -> None:
    received = Received()
    waiting = asyncio.ensure_future(received.get())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    received.put_nowait("kept")
    assert await received.get() == "kept"
    leaving = asyncio.ensure_future(received.get())
    await asyncio.sleep(0)
    received.put_nowait("for the next one")
    leaving.cancel()  # in the same turn in which it came
    await asyncio.gather(leaving, return_exceptions=True)
    assert await asyncio.wait_for(received.get(), 1) == "for the next one"
