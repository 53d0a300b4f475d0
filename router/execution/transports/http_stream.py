"""One HTTP/1.1 answer read as it comes, on a connection of its own: what event streams arrive on."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, cast

import httptools

from router.execution.transports.http_wire import (
    ConnectFailed,
    ConnectionLost,
    Endpoint,
    NotHttp,
    TlsContext,
    connected,
    media_type_of,
)

_HEAD_BYTES_MAX: Final = 64 * 1024
_WAITING_BYTES_MAX: Final = 256 * 1024
"""Beyond, nothing more is read from the socket until somebody takes what is there."""
KEEP_ALIVE_S: Final = 20
"""Seconds of silence after which the system asks whether the other end is still there: a stream may be
silent for hours, and a machine that is gone says no farewell."""
_PROBES_MAX: Final = 3


@asynccontextmanager
async def opened_stream(
    endpoint: Endpoint,
    headers: Mapping[str, str],
    body: bytes,
    *,
    open_timeout_s: float,
    tls_context: TlsContext,
) -> AsyncIterator[HttpStream]:
    """The answer, once its head is there; the connection ends with the block.

    Errors: TimeoutError until the head is there, `ConnectFailed`, `ConnectionLost`, `NotHttp`.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(open_timeout_s):
        try:
            transport, stream = await connected(
                endpoint, lambda: HttpStream(loop), tls_context() if endpoint.tls else None
            )
        except OSError as error:
            raise ConnectFailed from error
        if not endpoint.socket:
            _watch_the_other_end(transport.get_extra_info("socket"))
        try:
            transport.write(endpoint.request(headers, body))
            await stream.head()
        except BaseException:
            transport.abort()
            raise
    try:
        yield stream
    finally:
        transport.abort()


def _watch_the_other_end(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # Linux; others ask as often as they are set up to
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_ALIVE_S // 2)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES_MAX)


class HttpStream(asyncio.Protocol):
    """An answer in progress. Iterating gives its body's pieces; it raises `ConnectionLost` where the body
    ends before it is whole, `NotHttp` where it is none."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._head: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = self._head_bytes = 0
        self._ended = self._paused = self._delimited = False
        self._failure: Exception | None = None
        self.status = 0
        self.media_type = ""
        self.content_type = ""
        self.encoding = ""

    async def head(self) -> None:
        """Wait for status and headers."""
        await self._head

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Itself."""
        return self

    async def __anext__(self) -> bytes:
        """The next piece, waited for."""
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            self._waiter = self._loop.create_future()
            await self._waiter
        piece = self._pieces.popleft()
        self._waiting_bytes -= len(piece)
        if self._paused and self._waiting_bytes < _WAITING_BYTES_MAX // 2 and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return piece

    async def read(self, bytes_max: int) -> bytes:
        """The rest of the body, at most so much of it."""
        pieces, size = [], 0
        async for piece in self:
            pieces.append(piece)
            size += len(piece)
            if size > bytes_max:
                break
        return b"".join(pieces)[:bytes_max]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection is open."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection has ended; a body that lasts until the end is whole."""
        self._transport = None
        if not self._ended and (exc is not None or self._delimited or not self._head.done()):
            self._fail(ConnectionLost())
        self._ended = True
        self._wake()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(NotHttp())
        if not self._head.done():
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES_MAX:
                self._fail(NotHttp())
        if self._failure is not None and self._transport is not None:
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one header."""
        match name.lower():
            case b"content-type":
                self.content_type = value.decode("latin-1")
                self.media_type = media_type_of(value)
            case b"content-encoding":
                self.encoding = value.strip().lower().decode("latin-1")
            case b"content-length" | b"transfer-encoding":
                self._delimited = True

    def on_headers_complete(self) -> None:
        """httptools: the body follows; interim answers (1xx) are passed over."""
        self.status = self._parser.get_status_code()
        if self.status >= 200 and not self._head.done():
            self._head.set_result(None)

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self._pieces.append(body)
        self._waiting_bytes += len(body)
        if self._waiting_bytes > _WAITING_BYTES_MAX and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """httptools: the answer is whole."""
        if self.status >= 200:
            self._ended = True
            self._wake()

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        if not self._head.done():
            self._head.set_exception(error)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
