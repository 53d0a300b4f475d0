"""Streams: from a subscription's events to one client, bounded, watched, and ended when the right ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager

from authz.identity.subject import Subject
from router.config import StreamLimits
from router.edge.answers import Answer, answer_of_failure
from router.edge.credentials import Credentials
from router.edge.drain import Drain
from router.errors import ClientError
from router.execution import GraphQLResponse
from router.pipeline import GraphQLRequest
from router.telemetry import dropped_count, lagged_count, streams_open, trace_id_of

LOOK_S = 1.0
"""A quiet stream ends within this many seconds of its right; a busy one at its next event."""


class EventQueue:
    """What one client has still to read. When it is full the oldest event goes, and is counted; a client
    that has lost `lost_max` of them gets no more (0: it may lose any number)."""

    def __init__(self, *, events_max: int, lost_max: int = 0) -> None:
        self._events: deque[GraphQLResponse | BaseException | None] = deque()
        self._events_max = events_max
        self._lost_max = lost_max
        self._ended = False
        self._filled = asyncio.Event()
        self.dropped_count = 0

    def put(self, event: GraphQLResponse) -> None:
        """Add an event; never waits, so that one slow client holds up nobody. After the end none counts."""
        if self._ended:
            return
        if len(self._events) >= self._events_max:
            self._events.popleft()
            self.dropped_count += 1
            lagged_count.add(1)
            if self.dropped_count == self._lost_max:
                dropped_count.add(1)
                self.end(too_slow())
                return
        self._events.append(event)
        self._filled.set()

    def end(self, failure: BaseException | None = None) -> None:
        """Say that nothing follows, or with what it failed. What was put before is still read."""
        if self._ended:
            return
        self._ended = True
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
        self._streams: dict[EventQueue, tuple[Subject, GraphQLRequest]] = {}
        self._next: asyncio.TimerHandle | None = None
        drain.on_stop(self._end_all)

    def stands(self, subject: Subject) -> bool:
        """Whether this caller's streams may go on."""
        return self._credentials.stands(subject)

    @contextmanager
    def over(self, queue: EventQueue, subject: Subject, request: GraphQLRequest) -> Iterator[None]:
        """Look after one stream while it is open."""
        self._streams[queue] = subject, request
        if self._next is None:
            self._look()
        try:
            yield
        finally:
            self._streams.pop(queue, None)

    def _look(self) -> None:
        for queue, (subject, _) in tuple(self._streams.items()):
            if not self.stands(subject):
                del self._streams[queue]
                queue.end(expired())
        again = bool(self._streams)
        self._next = asyncio.get_running_loop().call_later(LOOK_S, self._look) if again else None

    async def keep_valid(self, read: Callable[[GraphQLRequest], Awaitable[object]]) -> None:
        """After a reload: streams go on, but for those whose operation the new schema does not have."""
        fits: dict[tuple[str, str | None], bool] = {}
        for queue, (_, request) in tuple(self._streams.items()):
            key = request.text, request.operation_name
            if key not in fits:
                fits[key] = await _is_read(read, request)
            if not fits[key] and self._streams.pop(queue, None) is not None:
                queue.end(outdated())

    def _end_all(self) -> None:
        while self._streams:
            queue, _ = self._streams.popitem()
            queue.end(stopping())


async def _is_read(read: Callable[[GraphQLRequest], Awaitable[object]], request: GraphQLRequest) -> bool:
    try:
        await read(request)
    except ClientError:
        return False
    return True


async def watched(
    source: AsyncIterator[GraphQLResponse],
    subject: Subject,
    watch: Watch,
    request: GraphQLRequest,
    *,
    limits: StreamLimits,
) -> AsyncIterator[GraphQLResponse]:
    """The source's events, until it ends, the caller's right ends or the router stops.

    Before each event the caller is judged anew; a stream whose right has ended fails with
    SUBSCRIPTION_EXPIRED. Close the iterator to close the source.
    """
    queue = EventQueue(events_max=limits.queue_events_max, lost_max=limits.lost_events_max)
    pump = asyncio.create_task(_pump(source, queue))
    streams_open.add(1)
    try:
        with watch.over(queue, subject, request):
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


def outdated() -> ClientError:
    """The last error of a stream that the schema in force has no place for."""
    return ClientError(
        "the schema has changed under the subscription; subscribe again", code="SUBSCRIPTION_SCHEMA_RELOAD"
    )


def too_slow() -> ClientError:
    """The last error of a stream whose client does not keep up."""
    return ClientError(
        "the client reads its events too slowly; subscribe again", code="SUBSCRIPTION_QUEUE_OVERFLOW"
    )


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
