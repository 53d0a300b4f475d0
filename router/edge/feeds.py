"""Feeds: a subscription runs once for all equal streams, and each of its events is put into words once.

INVARIANT: the key holds all that can change an event, as that of a shared query does: among it the caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from authz.identity.subject import Subject
from router.config import StreamLimits
from router.edge.answers import Answer
from router.edge.sharing import Key, key_of
from router.edge.streams import Watch, expired, too_slow
from router.execution import GraphQLResponse
from router.pipeline import GraphQLRequest
from router.snapshot import Snapshot
from router.telemetry import dropped_count, lagged_count, streams_open

if TYPE_CHECKING:
    from router.edge.framing import Framing

JUDGED_S: Final = 0.1
"""An event that has waited longer than this for its client is not sent before the caller is judged anew."""


class Event:
    """One event of a subscription, as all its readers get it."""

    __slots__ = ("_frame", "_framing", "answer", "judged_at_s")

    def __init__(self, answer: Answer, judged_at_s: float = 0.0) -> None:
        self.answer = answer
        self.judged_at_s = judged_at_s
        self._framing: Framing | None = None
        self._frame = b""

    def framed(self, framing: Framing) -> bytes:
        """Its bytes on a stream of this kind; made once for readers of one kind."""
        if self._framing is not framing:
            self._framing, self._frame = framing, framing.frame(self.answer)
        return self._frame


QUIET: Final = Event(Answer({}))
"""No event: nothing has come for as long as the reader wanted to wait."""


class EventQueue:
    """What one client has still to read. When it is full the oldest event goes, and is counted; a client
    that has lost `lost_max` of them gets no more (0: it may lose any number)."""

    __slots__ = ("_ended", "_events", "_events_max", "_lost_max", "_waiter", "dropped_count")

    def __init__(self, *, events_max: int, lost_max: int = 0) -> None:
        # a list: it is almost always empty, and an empty deque is ten times as large
        self._events: list[Event | BaseException | None] = []
        self._events_max = events_max
        self._lost_max = lost_max
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self.dropped_count = 0

    def put(self, event: Event) -> None:
        """Add an event; never waits, so that one slow client holds up nobody. After the end none counts."""
        if self._ended:
            return
        if len(self._events) >= self._events_max:
            del self._events[0]
            self.dropped_count += 1
            lagged_count.add(1)
            if self.dropped_count == self._lost_max:
                dropped_count.add(1)
                self.end(too_slow())
                return
        self._events.append(event)
        self._wake()

    def end(self, failure: BaseException | None = None) -> None:
        """Say that nothing follows, or with what it failed. What was put before is still read."""
        if self._ended:
            return
        self._ended = True
        self._events.append(failure)
        self._wake()

    async def get(self, *, quiet_s: float | None = None) -> Event | None:
        """The next event; None at the end, QUIET after `quiet_s` without. Raises what the source raised."""
        if not self._events:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(quiet_s, self._wake) if quiet_s is not None else None
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
            if not self._events:
                return QUIET
        event = self._events.pop(0)
        if isinstance(event, BaseException):
            raise event
        return event

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Feed:
    """One run of a subscription, read by a task of its own until nobody listens any more.

    The caller is judged once an event, for all readers. `graph` is kept as long as the run: the key names it
    by its address.
    """

    def __init__(
        self,
        source: AsyncIterator[GraphQLResponse],
        subject: Subject,
        graph: Snapshot,
        watch: Watch,
        gone: Callable[[Feed], None],
    ) -> None:
        self.readers: set[EventQueue] = set()
        self.has_spoken = False
        self._graph = graph
        self._gone = gone
        self._task = asyncio.create_task(self._pump(source, subject, watch))

    async def leave(self, queue: EventQueue) -> None:
        """One reader less; the last one ends the run, and waits until the subgraph has been told."""
        self.readers.discard(queue)
        if not self.readers:
            self._gone(self)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _pump(self, source: AsyncIterator[GraphQLResponse], subject: Subject, watch: Watch) -> None:
        failure: BaseException | None = None
        loop = asyncio.get_running_loop()
        try:
            async with aclosing(source) as responses:  # type: ignore[type-var]
                async for response in responses:
                    self.has_spoken = True
                    if not watch.stands(subject):
                        failure = expired()
                        break
                    event = Event(Answer(response.body()), loop.time())
                    for queue in self.readers:
                        queue.put(event)
        except Exception as error:
            failure = error
        self._gone(self)
        for queue in self.readers:
            queue.end(failure)


class Feeds:
    """The feeds that run, by key the newest. One an app.

    A stream joins a feed that has given nothing yet: whoever comes later may be promised a first event.
    """

    def __init__(self, watch: Watch, limits: StreamLimits, *, shared: bool) -> None:
        self.watch = watch
        self.limits = limits
        self._shared = shared
        self._newest: dict[Key, Feed] = {}

    def reading(
        self,
        source: AsyncIterator[GraphQLResponse],
        request: GraphQLRequest,
        subject: Subject,
        graph: Snapshot,
    ) -> Reading:
        """A stream of this subscription. `source` is run where no equal one can be joined."""
        return Reading(self, source, request, subject, graph)

    def joined(self, reading: Reading, queue: EventQueue, source: AsyncIterator[GraphQLResponse]) -> Feed:
        """The feed that this stream reads."""
        key = self._key(reading)
        feed = self._newest.get(key)
        if feed is None or feed.has_spoken:
            feed = Feed(source, reading.subject, reading.graph, self.watch, lambda it: self._forget(key, it))
            self._newest[key] = feed
        feed.readers.add(queue)
        return feed

    def _key(self, reading: Reading) -> Key:
        if not self._shared:
            return (object(),)
        try:
            return key_of(reading.request, reading.subject, reading.graph)
        except TypeError:  # variables that JSON has no word for
            return (object(),)

    def _forget(self, key: Key, feed: Feed) -> None:
        if self._newest.get(key) is feed:
            del self._newest[key]


class Reading:
    """One client's stream: it begins with the first `next`, and `aclose` ends it.

    Ends where the source ends, the caller's right ends (SUBSCRIPTION_EXPIRED), or the router stops.
    """

    __slots__ = ("_feed", "_feeds", "_queue", "_source", "graph", "request", "subject")

    def __init__(
        self,
        feeds: Feeds,
        source: AsyncIterator[GraphQLResponse],
        request: GraphQLRequest,
        subject: Subject,
        graph: Snapshot,
    ) -> None:
        self.request = request
        self.subject = subject
        self.graph = graph
        self._feeds = feeds
        self._source: AsyncIterator[GraphQLResponse] | None = source
        self._feed: Feed | None = None
        self._queue = EventQueue(
            events_max=feeds.limits.queue_events_max, lost_max=feeds.limits.lost_events_max
        )

    async def next(self, *, quiet_s: float | None = None) -> Event | None:
        """As the queue's `get`; an event that waited for its client is read by those alone who still may."""
        if self._source is not None:
            self._begin(self._source)
        event = await self._queue.get(quiet_s=quiet_s)
        if (
            event is not None
            and event is not QUIET
            and event.judged_at_s + JUDGED_S < asyncio.get_running_loop().time()
            and not self._feeds.watch.stands(self.subject)
        ):
            raise expired()
        return event

    def _begin(self, source: AsyncIterator[GraphQLResponse]) -> None:
        self._source = None
        self._feed = self._feeds.joined(self, self._queue, source)
        self._feeds.watch.add(self._queue, self.subject, self.request)
        streams_open.add(1)

    async def aclose(self) -> None:
        """End the stream; the subgraph's ends with its last reader."""
        self._source = None
        feed, self._feed = self._feed, None
        if feed is not None:
            streams_open.add(-1)
            self._feeds.watch.remove(self._queue)
            await feed.leave(self._queue)
