"""Broadcasts: one run of a source for all who want the same, each reader with a bounded queue of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from router.broadcast import QUIET, Broadcast, Broadcasts, EventQueue
from router.errors import ClientError
from router.telemetry import dropped_count, lagged_count
from router.traffic import Joining

pytestmark = pytest.mark.timeout(20)


class Source:
    """Runs of one source: each gives what is told from then on."""

    def __init__(self) -> None:
        self.begun = self.closed = 0
        self.told: list[asyncio.Queue[Any]] = []

    async def run(self) -> AsyncIterator[Any]:
        self.begun += 1
        own: asyncio.Queue[Any] = asyncio.Queue()
        self.told.append(own)
        try:
            while (event := await own.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed += 1


class Reader:
    """One reader of the broadcasts of one key."""

    def __init__(
        self, broadcasts: Broadcasts[str], source: Source, joining: Joining = Joining.BEFORE_FIRST
    ) -> None:
        self.queue: EventQueue[str] = EventQueue(events_max=8)
        self.broadcast: Broadcast[str] = broadcasts.joined("k", self.queue, source.run, str, joining=joining)

    async def leave(self) -> None:
        await self.broadcast.leave(self.queue)


async def all_of(queue: EventQueue[Any]) -> list[Any]:
    found = []
    while (event := await queue.get()) is not None:
        found.append(event)
    return found


async def test_a_slow_reader_loses_the_oldest_events_and_they_are_counted() -> None:
    before = lagged_count.values.get((), 0)
    queue: EventQueue[int] = EventQueue(events_max=3)
    for number in range(5):
        queue.put(number)
    queue.end()
    queue.put(9)  # after the end none counts
    assert queue.dropped_count == 2
    assert lagged_count.values[()] == before + 2
    assert await all_of(queue) == [2, 3, 4]
    assert await queue.get() is None  # the end stays the end


async def test_a_reader_that_loses_too_many_events_gets_no_more_and_is_counted() -> None:
    before = dropped_count.values.get((), 0)
    queue: EventQueue[int] = EventQueue(events_max=3, lost_max=2)
    for number in range(9):
        queue.put(number)
    with pytest.raises(ClientError) as raised:
        await all_of(queue)
    assert raised.value.code == "SUBSCRIPTION_QUEUE_OVERFLOW"
    assert dropped_count.values[()] == before + 1


async def test_a_queue_for_no_event_holds_the_latest() -> None:
    queue: EventQueue[int] = EventQueue(events_max=0)
    for number in range(3):
        queue.put(number)
    assert await queue.get() == 2
    assert await queue.get(quiet_s=0.001) is QUIET


@pytest.mark.parametrize(
    ("joining", "late", "begun"),
    [
        (Joining.BEFORE_FIRST, ["2"], 2),
        (Joining.WITH_LATEST, ["1", "2"], 1),
        (Joining.FROM_NOW, ["2"], 1),
    ],
)
async def test_a_late_reader_joins_as_it_is_told(joining: Joining, late: list[str], begun: int) -> None:
    broadcasts: Broadcasts[str] = Broadcasts()
    source = Source()
    early = [Reader(broadcasts, source, joining) for _ in range(2)]
    await asyncio.sleep(0)
    source.told[0].put_nowait(1)
    assert [await one.queue.get() for one in early] == ["1", "1"]
    later = Reader(broadcasts, source, joining)
    await asyncio.sleep(0)
    for told in source.told:
        told.put_nowait(2)
    assert [await later.queue.get() for _ in late] == late
    assert [await one.queue.get() for one in early] == ["2", "2"]
    assert source.begun == begun
    for one in (*early, later):
        await one.leave()
    assert source.closed == begun


async def test_each_event_is_made_once_and_whoever_leaves_takes_nobody_along() -> None:
    broadcasts: Broadcasts[str] = Broadcasts()
    source = Source()
    readers = [Reader(broadcasts, source) for _ in range(50)]
    assert readers[0].broadcast.is_shared
    await asyncio.sleep(0)
    for one in readers[:49]:
        await one.leave()
    assert not readers[49].broadcast.is_shared
    source.told[0].put_nowait("x")
    assert await readers[49].queue.get() == "x"
    assert source.closed == 0
    await readers[49].leave()
    assert (source.begun, source.closed) == (1, 1)


@pytest.mark.parametrize("last", [None, RuntimeError("kaput")])
async def test_the_end_and_a_failure_reach_every_reader_after_what_came_before(last: object) -> None:
    broadcasts: Broadcasts[str] = Broadcasts()
    source = Source()
    readers = [Reader(broadcasts, source) for _ in range(3)]
    await asyncio.sleep(0)
    for event in (1, last):
        source.told[0].put_nowait(event)
    for one in readers:
        assert await one.queue.get() == "1"
        if last is None:
            assert await one.queue.get() is None
        else:
            with pytest.raises(RuntimeError, match="kaput"):
                await one.queue.get()
    # an ended run is joined by nobody, though its readers have not left yet
    again = Reader(broadcasts, source)
    assert again.broadcast is not readers[0].broadcast
    for one in (*readers, again):
        await one.leave()


async def test_what_cannot_be_made_of_an_event_ends_the_run_for_all() -> None:
    broadcasts: Broadcasts[int] = Broadcasts()
    source = Source()
    queue: EventQueue[int] = EventQueue(events_max=8)
    broadcast = broadcasts.joined("k", queue, source.run, int)
    await asyncio.sleep(0)
    source.told[0].put_nowait("no number")
    with pytest.raises(ValueError, match="invalid literal"):
        await queue.get()
    assert source.closed == 1
    await broadcast.leave(queue)


@pytest.mark.parametrize("has_begun", [True, False])
async def test_closing_ends_every_run_and_tells_its_readers(has_begun: bool) -> None:
    broadcasts: Broadcasts[str] = Broadcasts()
    source = Source()
    readers = [Reader(broadcasts, source)]
    if has_begun:
        await asyncio.sleep(0)
        source.told[0].put_nowait(1)
        assert await readers[0].queue.get() == "1"
        readers.append(Reader(broadcasts, source))  # of a newer run under the same key
        await asyncio.sleep(0)
    await broadcasts.close()
    assert [await one.queue.get() for one in readers] == [None] * len(readers)
    assert source.closed == source.begun == (2 if has_begun else 0)
    for one in readers:
        await one.leave()


async def test_a_storm_of_joins_and_leaves_leaves_nothing_open() -> None:
    broadcasts: Broadcasts[str] = Broadcasts()
    source = Source()

    async def comes_and_goes(number: int) -> None:
        reader = Reader(broadcasts, source)
        for _ in range(number % 7):
            await asyncio.sleep(0)
        if number % 3 == 0:
            for told in source.told:
                told.put_nowait(number)
        await reader.leave()

    await asyncio.gather(*(comes_and_goes(number) for number in range(500)))
    assert source.begun == source.closed
    survivor = Reader(broadcasts, source)
    await asyncio.sleep(0)
    source.told[-1].put_nowait("last")
    assert await survivor.queue.get() == "last"
    await survivor.leave()
    assert source.begun == source.closed
