"""The loops between an outbox and those who want its events: one for live streams, one a durable consumer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from datastores.errors import Unavailable
from datastores.events import outbox as rows
from datastores.events.live import Subscribers
from datastores.events.port import Event
from datastores.relational.port import Relational

log = logging.getLogger(__name__)

Handler = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class EventsLimits:
    """How often to look, how much to take, how long to try and to keep. Retries have full jitter."""

    poll_s: float = 1.0
    batch_events_max: int = 200
    failures_max: int = 5
    retry_first_s: float = 0.05
    retry_max_s: float = 5.0
    keep: timedelta = timedelta(days=7)
    prune_every_s: float = 3600.0
    lease_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable consumer as it was registered."""

    group: str
    topics: tuple[str, ...]
    handler: Handler

    async def takes(self, event: Event) -> bool:
        """Whether it takes `event`, asked once. Errors: Unavailable, which says nothing about the event."""
        try:
            await self.handler(event)
        except Unavailable:
            raise
        except Exception as error:
            log.warning("consumer %s failed on event %s: %s", self.group, event.id, type(error).__name__)
            return False
        return True


async def deliver_or_bury(
    consumer: Consumer,
    event: Event,
    limits: EventsLimits,
    bury: Callable[[Event, str], Awaitable[None]],
) -> None:
    """Deliver or, after `failures_max`, bury. Unavailable says nothing about the event: no failure."""
    failures = waits = 0
    while True:
        try:
            await consumer.handler(event)
            return
        except Unavailable:
            waits += 1
        except Exception as error:
            failures += 1
            waits = failures
            log.warning(
                "consumer %s failed on event %s (%d of %d): %s",
                *(consumer.group, event.id, failures, limits.failures_max),
                type(error).__name__,
            )
            if failures >= limits.failures_max:
                await bury(event, type(error).__name__)
                log.error(
                    "consumer %s gave up on event %s of topic %s", consumer.group, event.id, event.topic
                )
                return
        await asyncio.sleep(pause_s(waits, limits))


async def relay_live(
    source: Relational, wake: asyncio.Event, subscribers: Subscribers, start: int, limits: EventsLimits
) -> None:
    """Dispatch every event after position `start`, for as long as the task lives."""
    position = start
    failures = 0
    while True:
        try:
            batch = await source.read(next_batch(position, limits))
        except Unavailable:
            failures += 1
            await asyncio.sleep(pause_s(failures, limits))
            continue
        failures = 0
        for at, event in batch:
            subscribers.dispatch(event)
            position = at
        if len(batch) < limits.batch_events_max:
            await until_woken(wake)


class DurableRelay:
    """Hands the events of one source to one consumer, in order, and remembers how far it came."""

    def __init__(self, source: Relational, consumer: Consumer, limits: EventsLimits) -> None:
        self.source = self._source = source
        self.group = consumer.group
        self._consumer = consumer
        self._limits = limits
        self._position: int | None = None
        self._rewound_to: int | None = None

    async def run(self, wake: asyncio.Event) -> None:
        """Deliver for as long as the task lives. A crash of the process delivers a batch again."""
        failures = 0
        while True:
            try:
                delivered = await self._deliver_batch()
            except Unavailable:
                failures += 1
                await asyncio.sleep(pause_s(failures, self._limits))
                continue
            failures = 0
            if delivered < self._limits.batch_events_max:
                await until_woken(wake)

    async def save(self) -> None:
        """Store the position also where no event of these topics came by, so that old events can go."""
        if self._position is not None and self._rewound_to is None:
            position, group = self._position, self._consumer.group
            await self._source.write(lambda c: rows.move_consumer(c, group, position))

    async def _deliver_batch(self) -> int:
        consumer = self._consumer
        if self._rewound_to is not None:
            self._position, self._rewound_to = self._rewound_to, None
        if self._position is None:
            self._position = await self._source.read(lambda c: rows.consumer_position(c, consumer.group))
        position = self._position
        newest, batch = await self._source.read(_next_batch_of(position, consumer.topics, self._limits))
        for at, event in batch:
            await self._deliver(at, event)
            if self._is_rewound():
                return self._limits.batch_events_max  # again at once, from there
        if len(batch) < self._limits.batch_events_max:
            self._position = max(newest, self._position)
        if batch:
            await self.save()
        return len(batch)

    def _is_rewound(self) -> bool:
        return self._rewound_to is not None

    async def rewind(self, position: int) -> None:
        """Deliver again what comes after `position`."""
        group = self._consumer.group
        await self._source.write(lambda c: rows.rewind_consumer(c, group, position))
        self._rewound_to = position

    async def _deliver(self, position: int, event: Event) -> None:
        async def bury(event: Event, failure: str) -> None:
            await self._source.write(lambda c: self._bury(c, position, event, failure))

        await deliver_or_bury(self._consumer, event, self._limits, bury)
        self._position = position

    def _bury(self, connection: Connection, position: int, event: Event, failure: str) -> None:
        group = self._consumer.group
        rows.bury(connection, group, event, failure=failure, at_utc=datetime.now(UTC))
        rows.move_consumer(connection, group, position)


def next_batch(position: int, limits: EventsLimits) -> Callable[[Connection], list[tuple[int, Event]]]:
    """Reads the events after `position`, of all topics."""
    return lambda c: rows.events_after(c, position, limit=limits.batch_events_max)


def _next_batch_of(
    position: int, topics: tuple[str, ...], limits: EventsLimits
) -> Callable[[Connection], tuple[int, list[tuple[int, Event]]]]:
    def work(connection: Connection) -> tuple[int, list[tuple[int, Event]]]:
        batch = rows.events_after(connection, position, limit=limits.batch_events_max, topics=topics)
        return rows.newest_position(connection), batch

    return work


def pause_s(failures: int, limits: EventsLimits) -> float:
    """How long to wait after so many failures: a random part of a doubling time."""
    longest_s = min(limits.retry_first_s * 2 ** min(failures - 1, 20), limits.retry_max_s)
    return random.uniform(0, longest_s)  # noqa: S311  # jitter, not a secret


async def look_for_others(
    source: Relational, wake: Callable[[Relational], None], limits: EventsLimits
) -> None:
    """Wake the relays of `source` where another process has appended to it, for as long as the task lives.

    One look for all of them: each by itself would read two dozen times as much from an idle store.
    """
    seen = -1
    while True:
        await asyncio.sleep(limits.poll_s)
        try:
            newest = await source.read(rows.newest_position)
        except Unavailable:
            continue  # the relays have their own patience with it
        if newest != seen:
            seen = newest
            wake(source)


async def until_woken(wake: asyncio.Event) -> None:
    """Until there is something new to read."""
    await wake.wait()
    wake.clear()


async def until_next(wake: asyncio.Event, limits: EventsLimits) -> None:
    """Until an append in this process wakes us, or the time to look for other processes' appends."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limits.poll_s):
            await wake.wait()
    wake.clear()
