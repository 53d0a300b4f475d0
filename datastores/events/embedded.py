"""Events without a server: relays the outboxes of this process's databases to its subscribers and consumers.

Outbox rows -> live streams (from now on) and -> durable consumers (each with its own position, per source).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial

from datastores.errors import StoreError, Unavailable
from datastores.events import outbox as rows
from datastores.events.live import LiveStream, Subscribers
from datastores.events.outbox import RelationalOutbox, newest_position, prepare_outbox, prune
from datastores.events.port import Event
from datastores.events.relay import (
    Consumer,
    DurableRelay,
    EventsLimits,
    Handler,
    look_for_others,
    relay_live,
)
from datastores.events.wakes import Wakes
from datastores.relational.port import Relational

log = logging.getLogger(__name__)


class EmbeddedEvents:
    """`Events` over the outboxes of `sources`, which are open before it and closed after it.

    `outbox` is the Outbox for the domains of this process: it wakes the relay right after a commit. What
    another process appends is found within `poll_s`. One process alone relays durable consumers.
    """

    def __init__(
        self,
        sources: Sequence[Relational],
        *,
        limits: EventsLimits | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._wakes = Wakes()
        self.outbox = RelationalOutbox(self._wakes.committed)
        self._sources = list(sources)
        self._limits = limits or EventsLimits()
        self._clock = clock
        self._consumers: list[Consumer] = []
        self._subscribers = Subscribers()
        self._relays: list[DurableRelay] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def lost_count(self) -> int:
        """Live events that slow subscribers have lost so far."""
        return self._subscribers.lost_count

    def consume(self, group: str, topics: Sequence[str], handler: Handler) -> None:
        """Register a durable consumer, before `open`."""
        if self._tasks:
            raise RuntimeError("`consume` comes before `open`")
        if any(consumer.group == group for consumer in self._consumers):
            raise ValueError(f"the consumer group `{group}` is registered twice")
        self._consumers.append(Consumer(group, tuple(topics), handler))

    def subscribe(self, topics: Sequence[str], *, key: str | None = None) -> LiveStream:
        """Live events from now on (of one key, if given), until the stream is closed or dropped."""
        return self._subscribers.add(topics, key)

    async def open(self) -> None:
        """Prepare every outbox and start relaying, first what an earlier process left."""
        self._wakes.start()
        try:
            await self._start_relays()
        except BaseException:
            await self.close()
            raise

    async def _start_relays(self) -> None:
        for source in self._sources:
            await prepare_outbox(source)
            wake = self._wakes.of(source)
            start = await source.read(newest_position)
            self._run(relay_live(source, wake, self._subscribers, start, self._limits))
            for consumer in self._consumers:
                relay = DurableRelay(source, consumer, self._limits)
                self._relays.append(relay)
                self._run(relay.run(self._wakes.of(source)))
            self._run(look_for_others(source, self._wakes.wake, self._limits))
        self._run(self._prune_now_and_then())

    async def ready(self) -> None:
        """Raise Unavailable where a source cannot be read or a relay has stopped."""
        if not self._tasks or any(task.done() for task in self._tasks):
            raise Unavailable("events are not being relayed: restart this process")
        for source in self._sources:
            await source.ready()

    async def close(self) -> None:
        """Stop; what is not yet delivered stays in the outboxes. Live streams end."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._wakes.stop()
        self._relays.clear()
        self._subscribers.end()

    async def lag(self, group: str) -> int:
        """How many events `group` is not done with."""
        consumer = self._consumer_of(group)
        counts = [
            await source.read(lambda c: rows.waiting_count(c, group, consumer.topics))
            for source in self._sources
        ]
        return sum(counts)

    async def dead_letters(self, group: str) -> list[tuple[Event, str]]:
        """What `group` gave up on, in that order, each with the kind of its last failure."""
        buried = [await source.read(lambda c: rows.read_dead_letters(c, group)) for source in self._sources]
        return [letter for part in buried for letter in part]

    async def retry_dead_letters(self, group: str) -> int:
        """Hand each dead letter to its consumer once more; how many it took."""
        consumer, taken = self._consumer_of(group), 0
        for source in self._sources:
            for event, _ in await source.read(lambda c: rows.read_dead_letters(c, group)):
                if await consumer.takes(event):
                    await source.write(partial(rows.unbury, consumer=group, event_id=event.id))
                    taken += 1
        return taken

    async def replay(self, group: str, *, since_utc: datetime) -> None:
        """Deliver again to `group` all events from `since_utc` on that the outboxes still hold."""
        for relay in self._relays:
            if relay.group == group:
                await relay.rewind(await relay.source.read(lambda c: rows.position_before(c, since_utc)))
        self._wakes.wake_all()

    async def prune(self) -> int:
        """Delete events that are old and that every consumer is done with; how many they were."""
        for relay in self._relays:
            await relay.save()
        now_utc, keep = self._clock(), self._limits.keep
        counts = [
            await source.write(lambda c: prune(c, now_utc=now_utc, keep=keep)) for source in self._sources
        ]
        return sum(counts)

    def _consumer_of(self, group: str) -> Consumer:
        [consumer] = [each for each in self._consumers if each.group == group]
        return consumer

    async def _prune_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._limits.prune_every_s)
            try:
                await self.prune()
            except StoreError as error:
                log.warning("old events were not pruned: %s", error)

    def _run(self, relay: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(relay)
        task.add_done_callback(_tell_of_failure)
        self._tasks.append(task)


def _tell_of_failure(task: asyncio.Task[None]) -> None:
    """`ready` tells of a stopped relay too; silence would look like a quiet day."""
    if not task.cancelled() and task.exception() is not None:
        log.error("a relay of events stopped", exc_info=task.exception())
