"""Events through Redis Streams: outboxes of several processes in, groups that outlive each of them out.

Outbox rows -> feeder (once, in order) -> one stream -> live streams and -> durable groups, of which one
process at a time delivers, so that the order of a key holds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.exceptions import ResponseError

from datastores.errors import StoreError, Unavailable
from datastores.events import redis_streams as streams
from datastores.events.live import LiveStream, Subscribers
from datastores.events.outbox import RelationalOutbox, newest_position, prepare_outbox, prune
from datastores.events.port import Event
from datastores.events.redis_relay import GroupRelay, ended, feed_source, follow
from datastores.events.relay import Consumer, EventsLimits, Handler
from datastores.events.wakes import Wakes
from datastores.redis_client import RedisLimits, place_of, redis_client, unavailable_where_redis_is
from datastores.relational.port import Relational

log = logging.getLogger(__name__)


class RedisEvents:
    """`Events` over `sources` by name, which are open before it and closed after it.

    A source's name is its identity in Redis: keep it. Needs a Redis that writes to disk; what it lost
    all the same is still in the outboxes for `limits.keep`.
    """

    def __init__(
        self,
        url: str,
        sources: Mapping[str, Relational],
        *,
        limits: EventsLimits | None = None,
        redis_limits: RedisLimits | None = None,
        prefix: str = "stadion",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._redis_limits = redis_limits or RedisLimits()
        redis_client(url, self._redis_limits)  # a URL that cannot be used is told of now
        self._wakes = Wakes()
        self.outbox = RelationalOutbox(self._wakes.committed)
        self._url = url
        self._place = place_of(url)
        self._sources = dict(sources)
        self._limits = limits or EventsLimits()
        self._keys = streams.StreamKeys(prefix)
        self._clock = clock
        self._consumers: list[Consumer] = []
        self._subscribers = Subscribers()
        self._tasks: list[asyncio.Task[None]] = []
        self._client: Any = None

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

    async def tell(self, event: Event) -> None:
        """Tell of what stands in no outbox, and is lost with this process if that ends before.

        Errors: Unavailable.
        """
        if self._client is None:
            raise Unavailable("the events are not open")
        with unavailable_where_redis_is(self._place):
            await streams.add(self._client, self._keys, event)

    async def open(self) -> None:
        """Connect, make the groups, start relaying, first what an earlier process left."""
        self._wakes.start()
        # A blocking read answers after `poll_s` at the latest: the driver must wait for longer.
        # And it must not read again by itself: what the lost answer held would wait until a take-over.
        waiting = len(self._consumers) + 1
        limits = replace(
            self._redis_limits,
            answer_timeout_s=self._redis_limits.answer_timeout_s + self._limits.poll_s,
            connections_max=self._redis_limits.connections_max + waiting,
            retries_max=0,
        )
        self._client = redis_client(self._url, limits)
        try:
            with unavailable_where_redis_is(self._place):
                await self._start()
        except BaseException:
            await self.close()
            raise

    async def ready(self) -> None:
        """Raise Unavailable where Redis or a source does not answer or a relay has stopped."""
        if not self._tasks or any(task.done() for task in self._tasks):
            raise Unavailable("events are not being relayed: restart this process")
        with unavailable_where_redis_is(self._place):
            await self._client.ping()
        for source in self._sources.values():
            await source.ready()

    async def close(self) -> None:
        """Stop; what is not yet delivered stays in the outboxes and in Redis. Live streams end."""
        tasks, self._tasks = self._tasks, []
        await ended(set(tasks), again_after_s=1.0)
        self._wakes.stop()
        self._subscribers.end()
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def lag(self, group: str) -> int:
        """How many events the stream holds that `group` is not done with, those of other topics included,
        and how many the outboxes hold that are not yet in the stream."""
        waiting = 0
        with unavailable_where_redis_is(self._place):
            # Outboxes first: an event that enters the stream meanwhile is counted twice rather than nowhere.
            for name, source in self._sources.items():
                newest = await source.read(newest_position)
                waiting += max(0, newest - await streams.fed_position(self._client, self._keys, name))
            waiting += await streams.unfinished_count(self._client, self._keys, group)
        return waiting

    async def dead_letters(self, group: str) -> list[tuple[Event, str]]:
        """What `group` gave up on, in that order, each with the kind of its last failure."""
        with unavailable_where_redis_is(self._place):
            entries = await self._client.xrange(self._keys.dead(group))
        return [(streams.unpacked(fields), fields[b"failure"].decode()) for _, fields in entries]

    async def retry_dead_letters(self, group: str) -> int:
        """Hand each dead letter to its consumer once more; how many it took."""
        [consumer] = [each for each in self._consumers if each.group == group]
        taken = 0
        with unavailable_where_redis_is(self._place):
            for entry, fields in await self._client.xrange(self._keys.dead(group)):
                if await consumer.takes(streams.unpacked(fields)):
                    await self._client.xdel(self._keys.dead(group), entry)
                    taken += 1
        return taken

    async def replay(self, group: str, *, since_utc: datetime) -> None:
        """Deliver again to `group` all that entered the stream since then."""
        milliseconds = (since_utc - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
        start = streams.before(f"{milliseconds}-0")
        with unavailable_where_redis_is(self._place):
            await self._client.xgroup_setid(self._keys.stream, group, start)

    async def prune(self) -> int:
        """Delete entries and outbox rows that are old and that everyone is done with; how many they were."""
        cutoff = f"{int((self._clock() - self._limits.keep).timestamp() * 1000)}-0"
        with unavailable_where_redis_is(self._place):
            needed = await streams.oldest_unfinished(self._client, self._keys)
            until = cutoff if needed is None else streams.earlier(cutoff, needed)
            count = int(await self._client.xtrim(self._keys.stream, minid=until, approximate=False))
        now_utc, keep = self._clock(), self._limits.keep
        for source in self._sources.values():
            count += await source.write(lambda c: prune(c, now_utc=now_utc, keep=keep))
        return count

    async def _start(self) -> None:
        for group in (consumer.group for consumer in self._consumers):
            await _make_group(self._client, self._keys, group)
        for name, source in self._sources.items():
            await prepare_outbox(source)
            newest = await source.read(newest_position)
            if newest < await streams.fed_position(self._client, self._keys, name):
                # The source went back to a backup; its new events get old positions.
                await streams.set_fed_position(self._client, self._keys, name, newest)
            wake = self._wakes.of(source)
            self._run(feed_source(self._client, self._keys, name, source, wake, limits=self._limits))
        start = await streams.newest_entry(self._client, self._keys)
        self._run(follow(self._client, self._keys, self._subscribers, start, self._limits))
        for consumer in self._consumers:
            self._run(GroupRelay(self._client, self._keys, consumer, self._limits).run())
        self._run(self._prune_now_and_then())

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


async def _make_group(client: Any, keys: streams.StreamKeys, group: str) -> None:
    """A new group starts at the oldest entry: it sees what was published before it came."""
    try:
        await client.xgroup_create(keys.stream, group, id="0-0", mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


def _tell_of_failure(task: asyncio.Task[None]) -> None:
    """`ready` tells of a stopped relay too; silence would look like a quiet day."""
    if not task.cancelled() and task.exception() is not None:
        log.error("a relay of events stopped", exc_info=task.exception())
