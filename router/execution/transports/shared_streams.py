"""Equal subscriptions share one stream from the subgraph; each reader has a queue of its own.

INVARIANT: as for fetches under way, the key holds all that the subgraph gets to see, and with signed calls
the subject.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import aclosing
from typing import Any

import orjson

from router.telemetry import lagged_count
from router.traffic import Joining


class SharedStreams:
    """The streams that are open, by key the newest. A stream ends with its last reader."""

    def __init__(self) -> None:
        self._newest: dict[Hashable, _Stream] = {}
        self._open: set[_Stream] = set()

    async def read(
        self,
        key: Hashable,
        open_: Callable[[], AsyncIterator[Any]],
        *,
        queue_events_max: int,
        shared: Callable[[], None],
        joining: Joining = Joining.BEFORE_FIRST,
    ) -> AsyncIterator[Any]:
        """The payloads of the stream that `open_` gives, or of one that was open and may be joined: `shared`
        is told then.

        A reader slower than its queue loses the oldest events, and they are counted. Errors of the stream
        reach every reader.
        """
        stream, reader = self._newest.get(key), _Reader(queue_events_max)
        if stream is None or (joining is Joining.BEFORE_FIRST and stream.latest is not None):
            stream = self._newest[key] = _Stream(open_, lambda it: self._forget(key, it))
            self._open.add(stream)
        else:
            shared()
            if joining is Joining.WITH_LATEST and stream.latest is not None:
                reader.put(stream.latest)
        stream.readers.add(reader)
        try:
            while (text := await reader.next()) is not None:
                yield orjson.loads(text)
        finally:
            await stream.leave(reader)

    def _forget(self, key: Hashable, stream: _Stream) -> None:
        self._open.discard(stream)
        if self._newest.get(key) is stream:
            del self._newest[key]

    async def close(self) -> None:
        """End every stream; its readers end too."""
        for stream in tuple(self._open):
            await stream.stop()


class _Reader:
    """What has come and was not read yet, as JSON: each reader may change what it is given."""

    __slots__ = ("_arrived", "_ended", "_failure", "_queue")

    def __init__(self, queue_events_max: int) -> None:
        self._queue: deque[bytes] = deque(maxlen=max(queue_events_max, 1))
        self._arrived = asyncio.Event()
        self._failure: BaseException | None = None
        self._ended = False

    def put(self, text: bytes) -> None:
        if len(self._queue) == self._queue.maxlen:
            lagged_count.add(1)
        self._queue.append(text)
        self._arrived.set()

    def end(self, failure: BaseException | None) -> None:
        self._failure, self._ended = failure, True
        self._arrived.set()

    async def next(self) -> bytes | None:
        while not self._queue:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()


class _Stream:
    """One stream from a subgraph, read by a task of its own until nobody listens any more."""

    def __init__(self, open_: Callable[[], AsyncIterator[Any]], gone: Callable[[_Stream], None]) -> None:
        self.readers: set[_Reader] = set()
        self.latest: bytes | None = None
        self._gone = gone
        self._task = asyncio.create_task(self._pump(open_))

    async def leave(self, reader: _Reader) -> None:
        self.readers.discard(reader)
        if not self.readers:
            await self.stop()

    async def stop(self) -> None:
        """End the stream and wait until the subgraph has been told."""
        self._gone(self)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _pump(self, open_: Callable[[], AsyncIterator[Any]]) -> None:
        failure: BaseException | None = None
        try:
            async with aclosing(open_()) as payloads:  # type: ignore[type-var]
                async for payload in payloads:
                    self.latest = text = orjson.dumps(payload)
                    for reader in tuple(self.readers):
                        reader.put(text)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failure = error
        finally:
            self._gone(self)
            for reader in tuple(self.readers):
                reader.end(failure)
