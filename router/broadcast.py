"""Broadcasts: a source of events is read once for all who want the same, each with a queue of its own.

What a flight is for an answer, a broadcast is for what goes on. INVARIANT: the key holds all that can change
an event, and whose it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import aclosing
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from router.errors import ClientError
from router.telemetry import dropped_count, lagged_count
from router.traffic import Joining

Item = TypeVar("Item")
Source = Callable[[], AsyncIterator[Any]]


class Quiet(Enum):
    """No event: nothing has come for as long as the reader wanted to wait."""

    QUIET = "quiet"


QUIET: Final = Quiet.QUIET


class EventQueue(Generic[Item]):
    """What one reader has still to read. When it is full the oldest event goes, and is counted; a reader
    that has lost `lost_max` of them gets no more (0: it may lose any number)."""

    __slots__ = ("_ended", "_events", "_events_max", "_lost_max", "_waiter", "dropped_count")

    def __init__(self, *, events_max: int, lost_max: int = 0) -> None:
        # a list: it is almost always empty, and an empty deque is ten times as large
        self._events: list[Item | BaseException | None] = []
        self._events_max = max(events_max, 1)
        self._lost_max = lost_max
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self.dropped_count = 0

    def put(self, event: Item) -> None:
        """Add an event; never waits, so that one slow reader holds up nobody. After the end none counts."""
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

    async def get(self, *, quiet_s: float | None = None) -> Item | Quiet | None:
        """The next event; None at the end, QUIET after `quiet_s` without. Raises what the source raised."""
        if not self._events:
            if self._ended:
                return None
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


class Broadcasts(Generic[Item]):
    """The broadcasts that run, by key the newest."""

    __slots__ = ("_newest", "_running")

    def __init__(self) -> None:
        self._newest: dict[Hashable, Broadcast[Item]] = {}
        self._running: set[Broadcast[Item]] = set()

    def joined(
        self,
        key: Hashable,
        queue: EventQueue[Item],
        source: Source,
        made: Callable[[Any], Item],
        *,
        joining: Joining = Joining.BEFORE_FIRST,
    ) -> Broadcast[Item]:
        """The broadcast that this queue is filled from: one that runs and may be joined, or that of `source`.

        `made` makes of each event, once, what all its readers get; what it raises ends the broadcast.
        """
        broadcast = self._newest.get(key)
        if broadcast is None or (joining is Joining.BEFORE_FIRST and broadcast.has_spoken):
            broadcast = Broadcast(self, key, source, made, keeps_latest=joining is Joining.WITH_LATEST)
            self._newest[key] = broadcast
            self._running.add(broadcast)
        elif broadcast.latest is not None:
            queue.put(broadcast.latest)
        broadcast.readers.add(queue)
        return broadcast

    def forget(self, broadcast: Broadcast[Item]) -> None:
        """It is over, or nobody reads it: nobody joins it any more."""
        self._running.discard(broadcast)
        if self._newest.get(broadcast.key) is broadcast:
            del self._newest[broadcast.key]

    async def close(self) -> None:
        """End every broadcast; its readers end too."""
        for broadcast in tuple(self._running):
            await broadcast.stop()


class Broadcast(Generic[Item]):
    """One run of a source, read by a task of its own until nobody listens any more. Its failure and its end
    reach every reader, after what came before."""

    __slots__ = ("_keeps_latest", "_owner", "_task", "has_spoken", "key", "latest", "readers")

    def __init__(
        self,
        owner: Broadcasts[Item],
        key: Hashable,
        source: Source,
        made: Callable[[Any], Item],
        *,
        keeps_latest: bool,
    ) -> None:
        self.key = key
        self.readers: set[EventQueue[Item]] = set()
        self.has_spoken = False
        self.latest: Item | None = None
        """The latest event, where later readers begin with it."""
        self._owner = owner
        self._keeps_latest = keeps_latest
        self._task = asyncio.create_task(self._pump(source, made))

    @property
    def is_shared(self) -> bool:
        """Whether it has more than one reader now."""
        return len(self.readers) > 1

    async def leave(self, queue: EventQueue[Item]) -> None:
        """One reader less; the last one ends the run, and waits until the source is closed."""
        self.readers.discard(queue)
        if not self.readers:
            await self.stop()

    async def stop(self) -> None:
        """End the run, wait until the source is closed, and tell the readers."""
        self._owner.forget(self)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._tell_end(None)  # a task that never began tells nobody

    async def _pump(self, source: Source, made: Callable[[Any], Item]) -> None:
        failure: BaseException | None = None
        try:
            async with aclosing(source()) as events:  # type: ignore[type-var]
                async for event in events:
                    self.has_spoken = True
                    item = made(event)
                    if self._keeps_latest:
                        self.latest = item
                    for queue in self.readers:
                        queue.put(item)
        except Exception as error:
            failure = error
        finally:
            self._owner.forget(self)
            self._tell_end(failure)

    def _tell_end(self, failure: BaseException | None) -> None:
        for queue in self.readers:
            queue.end(failure)


def too_slow() -> ClientError:
    """The last error of a stream whose client does not keep up."""
    return ClientError(
        "the client reads its events too slowly; subscribe again", code="SUBSCRIPTION_QUEUE_OVERFLOW"
    )
