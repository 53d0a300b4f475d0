"""The loops around the Redis stream: a feeder a source, one follower a process, one deliverer a group."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Any

from datastores.errors import Unavailable
from datastores.events import outbox as rows
from datastores.events import redis_streams as streams
from datastores.events.live import Subscribers
from datastores.events.port import Event
from datastores.events.redis_streams import Delivery, StreamKeys
from datastores.events.relay import Consumer, EventsLimits, deliver_or_bury, next_batch, pause_s, until_next
from datastores.redis_client import unavailable_where_redis_is
from datastores.relational.port import Relational

log = logging.getLogger(__name__)

# The feeder's name among the consumers of an outbox.
FEEDER = "redis-streams"
_PLACE = "the stream of events"


async def ended(tasks: set[asyncio.Task[None]], *, again_after_s: float) -> None:
    """Cancel `tasks` until they are over: the driver may take a cancellation for a timeout of its own."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=again_after_s)


async def feed_source(
    client: Any, keys: StreamKeys, name: str, source: Relational, wake: asyncio.Event, *, limits: EventsLimits
) -> None:
    """Carry the events of `source` into the stream for as long as the task lives."""
    failures = 0
    while True:
        try:
            count = await _feed_batch(client, keys, name, source, limits)
        except Unavailable:
            failures += 1
            await asyncio.sleep(pause_s(failures, limits))
            continue
        failures = 0
        if count < limits.batch_events_max:
            await until_next(wake, limits)


async def _feed_batch(
    client: Any, keys: StreamKeys, name: str, source: Relational, limits: EventsLimits
) -> int:
    position = await source.read(lambda c: rows.consumer_position(c, FEEDER))
    batch = await source.read(next_batch(position, limits))
    if batch:
        with unavailable_where_redis_is(_PLACE):
            await streams.feed(client, keys, name, batch)
        await source.write(lambda c: rows.move_consumer(c, FEEDER, batch[-1][0]))
    return len(batch)


async def follow(
    client: Any, keys: StreamKeys, subscribers: Subscribers, start: str, limits: EventsLimits
) -> None:
    """Dispatch what enters the stream after `start` to the live subscribers of this process."""
    after, failures = start, 0
    while True:
        try:
            with unavailable_where_redis_is(_PLACE):
                batch = await streams.appended(
                    client, keys, after, count=limits.batch_events_max, wait_s=limits.poll_s
                )
        except Unavailable:
            failures += 1
            await asyncio.sleep(pause_s(failures, limits))
            continue
        failures = 0
        for entry, event in batch:
            subscribers.dispatch(event)
            after = entry


class GroupRelay:
    """Delivers to one group while this process holds its lease; another takes over where it is gone."""

    def __init__(self, client: Any, keys: StreamKeys, consumer: Consumer, limits: EventsLimits) -> None:
        self._client = client
        self._keys = keys
        self._consumer = consumer
        self._limits = limits
        self._token = secrets.token_hex(16)
        self._lease = keys.lease(consumer.group)

    async def run(self) -> None:
        """Deliver for as long as the task lives."""
        failures = 0
        while True:
            try:
                with unavailable_where_redis_is(_PLACE):
                    await self._deliver_under_lease()
            except Unavailable:
                failures += 1
                await asyncio.sleep(pause_s(failures, self._limits))
                continue
            failures = 0
            await asyncio.sleep(pause_s(3, self._limits))

    async def _deliver_under_lease(self) -> None:
        """Returns where the lease is another's."""
        lease_s = self._limits.lease_s
        if not await streams.take_lease(self._client, self._lease, self._token, lease_s=lease_s):
            return
        delivering = asyncio.create_task(self._deliver_for_good())
        holding = asyncio.create_task(self._hold_lease())
        try:
            done, _ = await asyncio.wait({delivering, holding}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended({delivering, holding}, again_after_s=0.1)
            await self._give_lease_back()
        for task in done:
            task.result()

    async def _hold_lease(self) -> None:
        """Returns where the lease has become another's."""
        lease_s = self._limits.lease_s
        while True:
            await asyncio.sleep(lease_s / 3)
            with unavailable_where_redis_is(_PLACE):
                if not await streams.renew_lease(self._client, self._lease, self._token, lease_s=lease_s):
                    return

    async def _give_lease_back(self) -> None:
        try:
            with unavailable_where_redis_is(_PLACE):
                await streams.release_lease(self._client, self._lease, self._token)
        except Unavailable:
            log.warning("the lease of group %s runs until its end", self._consumer.group)

    async def _deliver_for_good(self) -> None:
        count, group = self._limits.batch_events_max, self._consumer.group
        with unavailable_where_redis_is(_PLACE):
            while batch := await streams.taken_over(self._client, self._keys, group, count=count):
                await self._deliver_batch(batch)
            while True:
                batch = await streams.delivered(
                    self._client, self._keys, group, count=count, wait_s=self._limits.poll_s
                )
                await self._deliver_batch(batch)

    async def _deliver_batch(self, batch: list[Delivery]) -> None:
        for entry, event in batch:
            if event.topic in self._consumer.topics:
                await deliver_or_bury(self._consumer, event, self._limits, self._bury)
            await self._client.xack(self._keys.stream, self._consumer.group, entry)

    async def _bury(self, event: Event, failure: str) -> None:
        fields = {"event": streams.packed(event), "failure": failure}
        await self._client.xadd(self._keys.dead(self._consumer.group), fields)
