"""Streams: from a subscription's events to one client, bounded, watched, and ended when the right ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager

from authz.identity.subject import Subject
from router.edge.answers import Answer, answer_of_failure
from router.edge.credentials import Credentials
from router.edge.drain import Drain
from router.errors import ClientError
from router.execution import GraphQLResponse
from router.telemetry import lagged_count, streams_open, trace_id_of

LOOK_S = 1.0
"""A quiet stream ends within this many seconds of its right; a busy one at its next event."""


class EventQueue:
    """What one client has still to read. When it is full the oldest event goes, and is counted."""

    def __init__(self, *, events_max: int) -> None:
        self._events: deque[GraphQLResponse | BaseException | None] = deque()
        self._events_max = events_max
        self._filled = asyncio.Event()
        self.dropped_count = 0

    def put(self, event: GraphQLResponse) -> None:
        """Add an event; never waits, so that one slow client holds up nobody."""
        if len(self._events) >= self._events_max:
            self._events.popleft()
            self.dropped_count += 1
            lagged_count.add(1)
        self._events.append(event)
        self._filled.set()

    def end(self, failure: BaseException | None = None) -> None:
        """Say that nothing follows, or with what it failed. What was put before is still read."""
        self._events.append(failure)
        self._filled.set()

    async def get(self) -> GraphQLResponse | None:
        """The next event; None at the end. Raises what the source raised."""
        while not self._events:
            self._filled.clear()
            await self._filled.wait()
        event = self._events.popleft()
        if isinstance(event, BaseException):
            raise event
        return event


class Watch:
    """Ends streams whose right has ended, also the quiet ones: one look at all of them every LOOK_S.

    When the router stops, all end at once. One an app.
    """

    def __init__(self, credentials: Credentials, drain: Drain) -> None:
        self._credentials = credentials
        self._drain = drain
        self._streams: dict[EventQueue, Subject] = {}
        self._next: asyncio.TimerHandle | None = None
        drain.on_stop(self._end_all)

    def stands(self, subject: Subject) -> bool:
        """Whether this caller's streams may go on."""
        return self._credentials.stands(subject)

    @contextmanager
    def over(self, queue: EventQueue, subject: Subject) -> Iterator[None]:
        """Look after one stream while it is open."""
        self._streams[queue] = subject
        if self._next is None:
            self._look()
        try:
            yield
        finally:
            self._streams.pop(queue, None)

    def _look(self) -> None:
        for queue, subject in tuple(self._streams.items()):
            if not self.stands(subject):
                del self._streams[queue]
                queue.end(expired())
        again = bool(self._streams)
        self._next = asyncio.get_running_loop().call_later(LOOK_S, self._look) if again else None

    def _end_all(self) -> None:
        while self._streams:
            queue, _ = self._streams.popitem()
            queue.end(stopping())


async def watched(
    source: AsyncIterator[GraphQLResponse], subject: Subject, watch: Watch, *, events_max: int
) -> AsyncIterator[GraphQLResponse]:
    """The source's events, until it ends, the caller's right ends or the router stops.

    Before each event the caller is judged anew; a stream whose right has ended fails with
    SUBSCRIPTION_EXPIRED. Close the iterator to close the source.
    """
    queue = EventQueue(events_max=events_max)
    pump = asyncio.create_task(_pump(source, queue))
    streams_open.add(1)
    try:
        with watch.over(queue, subject):
            while (event := await queue.get()) is not None:
                if not watch.stands(subject):
                    raise expired()
                yield event
    finally:
        streams_open.add(-1)
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


async def _pump(source: AsyncIterator[GraphQLResponse], queue: EventQueue) -> None:
    try:
        async with aclosing(source) as events:  # type: ignore[type-var]
            async for event in events:
                queue.put(event)
    except Exception as failure:
        queue.end(failure)
    else:
        queue.end()


def expired() -> ClientError:
    """The last error of a stream whose caller may no longer read it."""
    return ClientError("the token that opened the stream is no longer valid", code="SUBSCRIPTION_EXPIRED")


def stopping() -> ClientError:
    """The last error of a stream that ends because the router does."""
    return ClientError("the router is stopping; subscribe again", code="SERVICE_OVERLOADED")


async def answers(source: AsyncIterator[GraphQLResponse]) -> AsyncIterator[Answer]:
    """Every event as an answer; a failure is the last answer, worded or masked."""
    trace_id = trace_id_of(None)
    try:
        async for event in source:
            yield Answer(event.body())
    except Exception as failure:
        yield answer_of_failure(failure, trace_id)
