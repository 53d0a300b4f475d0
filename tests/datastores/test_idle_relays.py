"""An idle outbox is looked at once a poll, however many consumers wait for its events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from datastores.errors import Unavailable
from datastores.events.embedded import EmbeddedEvents
from datastores.events.outbox import RelationalOutbox, new_event, newest_position
from datastores.events.port import Event
from datastores.events.relay import EventsLimits
from datastores.relational.sqlite import SqliteRelational

T = TypeVar("T")
CONSUMERS = 12


class Watched(SqliteRelational):
    """Notes what is read, and fails as often as told."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reads: list[object] = []
        self.failing = 0
        self.read_again = asyncio.Condition()

    async def read(self, work: Callable[[Connection], T]) -> T:
        self.reads.append(work)
        async with self.read_again:
            self.read_again.notify_all()
        if self.failing:
            self.failing -= 1
            raise Unavailable("away for a moment")
        return await super().read(work)

    async def looked_at(self, times: int) -> list[object]:
        """What is read until the newest position was asked for so often more."""
        began = len(self.reads)
        async with self.read_again, asyncio.timeout(10):
            await self.read_again.wait_for(lambda: self.reads[began:].count(newest_position) >= times)
        return self.reads[began:]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Watched]:
    store = Watched(tmp_path / "idle.db")
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def seen(store: Watched) -> AsyncIterator[asyncio.Queue[Event]]:
    taken: asyncio.Queue[Event] = asyncio.Queue()
    events = EmbeddedEvents([store], limits=EventsLimits(poll_s=0.005, retry_first_s=0.001))
    for number in range(CONSUMERS):
        events.consume(f"group {number}", ["thing.changed"], taken.put)
    await events.open()
    yield taken
    await events.close()


async def append(store: Watched) -> None:
    event = new_event("thing.changed", key="k", payload={})
    await store.write(lambda c: RelationalOutbox().append(c, [event]))


async def test_without_news_nothing_is_read_but_the_newest_position(
    store: Watched, seen: asyncio.Queue[Event]
) -> None:
    await store.looked_at(6)  # the first look wakes everybody once
    assert set(await store.looked_at(10)) == {newest_position}
    await append(store)
    async with asyncio.timeout(10):
        found = {(await seen.get()).id for _ in range(CONSUMERS)}
    assert len(found) == 1


async def test_a_look_that_fails_is_made_again_and_misses_nothing(
    store: Watched, seen: asyncio.Queue[Event]
) -> None:
    await store.looked_at(3)
    store.failing = 3
    await append(store)
    async with asyncio.timeout(10):
        for _ in range(CONSUMERS):
            await seen.get()
    assert store.failing == 0
