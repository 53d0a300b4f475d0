"""Live subscribers in this process: bounded queues that lose the oldest event rather than slow the writer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from weakref import WeakSet

from datastores.events.port import Event

QUEUE_EVENTS_MAX = 128


class LiveStream:
    """One subscriber's events, in order. One reader at a time."""

    def __init__(self, topics: Sequence[str], key: str | None, on_loss: Callable[[], None]) -> None:
        self._topics = frozenset(topics)
        self._key = key
        self._on_loss = on_loss
        self._queue: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    def offer(self, event: Event) -> None:
        """Queue `event` where it was asked for; the oldest goes where 128 wait already."""
        if self._closed or event.topic not in self._topics:
            return
        if self._key is not None and event.key != self._key:
            return
        if len(self._queue) >= QUEUE_EVENTS_MAX:
            self._queue.popleft()
            self._on_loss()
        self._queue.append(event)
        self._changed.set()

    def end(self) -> None:
        """No more events; what is queued can still be read."""
        self._closed = True
        self._changed.set()

    def __aiter__(self) -> LiveStream:
        return self

    async def __anext__(self) -> Event:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._queue.popleft()

    async def aclose(self) -> None:
        """Take no more; a waiting reader ends."""
        self._queue.clear()
        self.end()


class Subscribers:
    """All live streams of this process. A stream that nobody holds any more is forgotten."""

    def __init__(self) -> None:
        self.lost_count = 0
        self._streams: WeakSet[LiveStream] = WeakSet()

    def add(self, topics: Sequence[str], key: str | None) -> LiveStream:
        """A stream that sees every event dispatched from now on."""
        stream = LiveStream(topics, key, self._count_loss)
        self._streams.add(stream)
        return stream

    def dispatch(self, event: Event) -> None:
        """Offer `event` to everyone."""
        for stream in list(self._streams):
            stream.offer(event)

    def end(self) -> None:
        """End all streams."""
        for stream in list(self._streams):
            stream.end()

    def _count_loss(self) -> None:
        self.lost_count += 1
