"""Connections of clients while the process stops: what was asked, or is about to be, is answered first.

A server that closes a connection between two requests may cross the next one on its way, which then fails.
So a stopping process takes one more request from each connection, answers it with `connection: close`, and
closes without having answered only those connections that stay silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from router.config import HttpLimits
from router.edge.packed_messages import PackedMessagesFactory
from router.edge.quick_http import ABORT, LEFT, QuickProtocol

PLAIN = "stadion.plain"
"""Marks an ASGI message that is to leave as it is, not compressed."""


class Connections:
    """Whether the server stops, and which connections are not made yet (TLS). One a server."""

    def __init__(self, limits: HttpLimits, *, unread_wait_s: float) -> None:
        self.unread_wait_s = unread_wait_s
        self.head_bytes_max = limits.head_bytes_max
        self.head_wait_s = limits.head_wait_ms_max / 1_000
        self.first_wait_s = limits.first_request_wait_ms_max / 1_000
        self.next_wait_s = limits.next_request_wait_ms_max / 1_000
        self.stopping = False
        self.accepted: WeakSet[ClientConnection] = WeakSet()

    async def made(self) -> None:
        """Return once those that were accepted are made, or have had the time for it."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self.first_wait_s
        while self.accepted and loop.time() < until_s:  # noqa: ASYNC110  # some may never be made
            await asyncio.sleep(0.005)


class Signal:
    """An event that one task waits for. An `asyncio.Event` is ten times as large, and each stream has two."""

    __slots__ = ("_is_set", "_waiter")

    def __init__(self, *, is_set: bool = False) -> None:
        self._is_set = is_set
        self._waiter: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Whether nobody has to wait."""
        return self._is_set

    def set(self) -> None:
        """Wake who waits, now or later."""
        self._is_set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        """Have the next one wait."""
        self._is_set = False

    async def wait(self) -> None:
        """Return once it is set; several may wait."""
        while not self._is_set:
            if self._waiter is None or self._waiter.done():
                self._waiter = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiter)


class Received:
    """Messages that have come and were not read yet, by one reader. An `asyncio.Queue` takes 3 KiB, and each
    WebSocket has one, almost always empty."""

    __slots__ = ("_messages", "_waiter")

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._waiter: asyncio.Future[None] | None = None

    def put_nowait(self, message: Any) -> None:
        """uvicorn: one more."""
        self._messages.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def empty(self) -> bool:
        """uvicorn: whether all were read."""
        return not self._messages

    async def get(self) -> Any:
        """uvicorn: the oldest, waited for."""
        while not self._messages:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._messages.pop(0)


class ClientConnection(QuickProtocol):
    """One connection, ended without a request of its client's being lost."""

    _heard = False
    """Whether bytes have come since the connection was looked at."""
    _closing: asyncio.TimerHandle | None = None
    _left: Callable[[], None] | None = None

    def __init__(self, *, connections: Connections, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._all = connections
        self.head_bytes_max, self.head_wait_s = connections.head_bytes_max, connections.head_wait_s
        self.unread_wait_s = connections.unread_wait_s
        connections.accepted.add(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: it is open; one that was accepted last may open after the server has begun to stop."""
        self._all.accepted.discard(self)
        super().connection_made(transport)  # type: ignore[arg-type]
        self.flow._is_writable_event = Signal(is_set=True)  # type: ignore[assignment]
        if self._all.stopping:
            self.shutdown()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came. A stopping server answers the request that they begin, and no further one."""
        super().data_received(data)
        if self._all.stopping:
            self._heard = True
            if not self._is_quiet():
                self.cycle.keep_alive = False

    def head_read(self) -> None:
        """The body follows. An answer that lasts can be told when its client goes."""
        self.scope[LEFT] = self._tell  # type: ignore[typeddict-unknown-key]
        super().head_read()
        if isinstance(self.cycle, RequestResponseCycle):
            self.cycle.message_event = Signal()  # type: ignore[assignment]

    def _tell(self, left: Callable[[], None] | None) -> None:
        self._left = left
        if left is not None and self.transport.is_closing():
            left()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it has ended."""
        if self._closing is not None:
            self._closing.cancel()
        super().connection_lost(exc)
        left, self._left = self._left, None
        if left is not None:
            left()

    def shutdown(self) -> None:
        """uvicorn: the server stops."""
        if not self._is_quiet():
            self.cycle.keep_alive = False
        elif self._closing is None:
            self._closing = self.loop.call_later(self._patience_s(), self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.transport.is_closing():
            return
        if self._heard or not self._is_quiet():
            # a request is coming in or under way; it has the time that the server has for all
            self._heard = False
            self._closing = self.loop.call_later(self._patience_s(), self._close_if_silent)
        else:
            self.transport.close()

    def _is_quiet(self) -> bool:
        latest: Any = self.cycle
        return latest is None or latest.response_complete

    def _patience_s(self) -> float:
        latest: Any = self.cycle
        return self._all.first_wait_s if latest is None else self._all.next_wait_s


class ClientSocket(WebSocketsSansIOProtocol):
    """One WebSocket connection, which can be cut off with all that its client has not read. Messages from
    `packed_bytes_min` on are compressed, where that is set and the client wants it."""

    def __init__(self, *, packed_bytes_min: int, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self.writable = Signal(is_set=True)  # type: ignore[assignment]
        self.queue = Received()  # type: ignore[assignment]
        if self.conn.available_extensions:
            self.conn.available_extensions = [PackedMessagesFactory(bytes_min=packed_bytes_min)]

    async def send(self, message: Any) -> None:
        """ASGI: what leaves. What is PLAIN is not compressed: its length would tell of it."""
        if PLAIN not in message:
            await super().send(message)
            return
        await self.writable.wait()
        packing, self.conn.extensions = self.conn.extensions, []
        try:
            await super().send(message)  # INVARIANT: it waits for nothing any more
        finally:
            self.conn.extensions = packing

    def handle_ping(self) -> None:
        """uvicorn: a ping has come. Whoever does not read is sent no further answers to theirs, which would
        pile up here.  Source: RFC 6455 §5.5.3."""
        answer = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(answer)

    def handle_connect(self, event: Request) -> None:
        """uvicorn: the opening request is here."""
        super().handle_connect(event)
        if not self.handshake_complete:
            self.scope[ABORT] = self.transport.abort  # type: ignore[typeddict-unknown-key]
