"""Streams: from a subscription's events to one client, bounded, watched, and ended when the right ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass

from authz.identity.subject import Subject
from router.edge.answers import Answer, answer_of_failure
from router.edge.credentials import Credentials
from router.edge.drain import Drain
from router.errors import ClientError
from router.execution import GraphQLResponse
from router.telemetry import lagged_count, streams_open, trace_id_of

REVOCATION_LOOK_S = 1.0
"""A quiet stream of a revoked session ends within this many seconds; a busy one at its next event."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRules:
    """What holds for every stream to a client."""

    credentials: Credentials
    drain: Drain
    events_max: int


async def watched(
    source: AsyncIterator[GraphQLResponse], subject: Subject, rules: StreamRules
) -> AsyncIterator[GraphQLResponse]:
    """The source's events, until it ends, the caller's right ends or the router stops.

    Before each event the caller is judged anew; at the token's expiry the stream ends at once, with
    SUBSCRIPTION_EXPIRED as its last error. Close the iterator to close the source.
    """
    queue = EventQueue(events_max=rules.events_max)
    pump = asyncio.create_task(_pump(source, queue))
    watch = asyncio.create_task(_watch(queue, subject, rules))
    streams_open.add(1)
    try:
        while (event := await queue.get()) is not None:
            if not rules.credentials.stands(subject):
                raise expired()
            yield event
    finally:
        streams_open.add(-1)
        for task in (pump, watch):
            task.cancel()
        await asyncio.gather(pump, watch, return_exceptions=True)


async def _pump(source: AsyncIterator[GraphQLResponse], queue: EventQueue) -> None:
    try:
        async with aclosing(source) as events:  # type: ignore[type-var]
            async for event in events:
                queue.put(event)
    except Exception as failure:
        queue.end(failure)
    else:
        queue.end()


async def _watch(queue: EventQueue, subject: Subject, rules: StreamRules) -> None:
    """Ends a quiet stream, too: nobody keeps a stream for which the right has ended."""
    while rules.credentials.stands(subject):
        with suppress(TimeoutError):
            await asyncio.wait_for(rules.drain.stopped(), _next_look_s(subject, rules.credentials))
            queue.end(stopping())
            return
    queue.end(expired())


def _next_look_s(subject: Subject, credentials: Credentials) -> float | None:
    left = credentials.seconds_left(subject)
    if credentials.is_active is None:
        return left
    return REVOCATION_LOOK_S if left is None else min(left, REVOCATION_LOOK_S)


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
