"""HTTP/1.1 calls over kept-alive connections, on asyncio and httptools: as little as a subgraph call needs.

Why not a general client: a call costs an eighth of what the general one takes, and a request makes many.
What it does not do is refused, not guessed: no redirects, no cookies, no proxies.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from typing import Final, cast

import httptools

from router.execution.transports.http_wire import (
    AnswerTooLong,
    ConnectFailed,
    ConnectionLost,
    Endpoint,
    HttpAnswer,
    NotHttp,
    TlsContext,
    Waiter,
    connected,
    media_type_of,
    plain_body,
    system_tls,
)
from router.execution.transports.known_texts import KnownTexts
from router.execution.transports.whole_answer import whole_answer

_HEAD_BYTES_MAX: Final = 256 * 1024


class HttpClient:
    """A pool of connections for each endpoint's host. Lives in the event loop of its first call."""

    def __init__(
        self,
        *,
        connections_per_host_max: int,
        connect_timeout_s: float,
        keep_alive_s: float,
        answer_bytes_max: int,
        tls_context: TlsContext = system_tls,
        known: KnownTexts | None = None,
    ) -> None:
        self._connections_max = connections_per_host_max
        self._connect_timeout_s = connect_timeout_s
        self._keep_alive_s = keep_alive_s
        self._answer_bytes_max = answer_bytes_max
        self._tls_context = tls_context
        self._known = known or KnownTexts()
        self._hosts: dict[tuple[str, int, bool], _Host] = {}

    async def post(
        self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes, *, timeout_s: float | None
    ) -> HttpAnswer:
        """One request, one answer.

        Errors: TimeoutError, `ConnectFailed`, `ConnectionLost`, `AnswerTooLong`, `NotHttp`.
        """
        loop = asyncio.get_running_loop()
        host = self._host(endpoint)
        now_s = loop.time()
        deadline = None if timeout_s is None else now_s + timeout_s
        connection = host.idle_connection(now_s - self._keep_alive_s)
        if connection is None:
            async with asyncio.timeout_at(deadline):
                connection = await self._new_connection(endpoint, host)
        waiter: asyncio.Future[HttpAnswer] = loop.create_future()
        try:
            connection.send(endpoint.request(headers, body), waiter, deadline)
            answer = await waiter
        except BaseException:
            connection.discard()
            raise
        connection.give_back()
        return answer

    def begin(
        self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes, waiter: Waiter, *, timeout_s: float
    ) -> Connection | None:
        """One request on a connection that is open and idle; None where there is none.

        `waiter` is told the outcome; then the connection is to be given back, or discarded after a failure.
        """
        now_s = asyncio.get_running_loop().time()
        connection = self._host(endpoint).idle_connection(now_s - self._keep_alive_s)
        if connection is not None:
            try:
                connection.send(endpoint.request(headers, body), waiter, now_s + timeout_s)
            except ConnectionLost:
                connection.discard()
                return None
        return connection

    def close(self) -> None:
        """End every connection; calls under way fail as lost."""
        hosts, self._hosts = self._hosts, {}
        for host in hosts.values():
            host.close()

    def renew(self) -> None:
        """Make later calls on connections opened from now on; calls under way end on theirs."""
        for host in self._hosts.values():
            host.renew()

    def _host(self, endpoint: Endpoint) -> _Host:
        key = (endpoint.socket or endpoint.host, endpoint.port, endpoint.tls)
        host = self._hosts.get(key)
        if host is None:
            host = self._hosts[key] = _Host(self._connections_max)
        return host

    async def _new_connection(self, endpoint: Endpoint, host: _Host) -> Connection:
        connection = await host.place()
        if connection is not None:
            return connection
        try:
            return await self._open(endpoint, host)
        except BaseException:
            host.leave()
            raise

    async def _open(self, endpoint: Endpoint, host: _Host) -> Connection:
        loop = asyncio.get_running_loop()
        context = self._tls_context() if endpoint.tls else None
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await connected(
                    endpoint, lambda: Connection(loop, host, self._answer_bytes_max, self._known), context
                )
        except (OSError, TimeoutError) as error:
            raise ConnectFailed(refused=isinstance(error, ConnectionError)) from error
        host.opened.add(connection)
        return connection


class _Host:
    """The connections to one host: idle ones, the number in use, and who waits for one."""

    def __init__(self, connections_max: int) -> None:
        self.opened: set[Connection] = set()
        self._idle: list[Connection] = []
        self._places = connections_max
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()

    def idle_connection(self, fresh_since: float) -> Connection | None:
        """The connection used last, unless it has been idle for too long."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable and connection.idle_since >= fresh_since:
                return connection
            connection.discard()
        return None

    async def place(self) -> Connection | None:
        """Wait for room for one more connection (None), or for one that another call gives back."""
        if self._places > 0:
            self._places -= 1
            return None
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                given = waiter.result()
                if given is None:
                    self.leave()
                else:
                    self.give_back(given)
            raise

    def give_back(self, connection: Connection) -> None:
        """A connection whose call is over: for the next who waits, or kept."""
        if not connection.is_usable:
            connection.discard()
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """A connection that has ended; again does nothing."""
        if connection in self.opened:
            self.opened.remove(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self.leave()

    def leave(self) -> None:
        """One connection less: room for the next who waits."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._places += 1

    def renew(self) -> None:
        """Keep none of the connections of now: idle ones end at once, the others after their call."""
        idle = tuple(self._idle)
        for connection in self.opened:
            connection.is_usable = False
        for connection in idle:
            connection.discard()

    def close(self) -> None:
        """End every connection."""
        for connection in tuple(self.opened):
            connection.discard()


class Connection(asyncio.Protocol):
    """One connection and the answer that is under way on it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, host: _Host, answer_bytes_max: int, known: KnownTexts
    ) -> None:
        self._loop = loop
        self._host = host
        self._answer_bytes_max = answer_bytes_max
        self._known = known
        self._transport: asyncio.Transport | None = None
        self._waiter: Waiter | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline_s = math.inf
        self._parser = httptools.HttpResponseParser(self)
        self._reset()
        self.is_usable = False
        self.idle_since = 0.0

    def _reset(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._media_type = ""
        self._encoding = ""
        self._cache_control = ""
        self._retry_after = ""
        self._headers: list[tuple[bytes, bytes]] = []
        self._delimited = False
        self._headers_complete = False
        self._head_bytes = 0
        self._parsing = False

    def send(self, request: bytes, waiter: Waiter, deadline_s: float | None) -> None:
        """Send a request; `waiter` is told its outcome by this time of the loop's. Errors: ConnectionLost."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionLost
        self._waiter = waiter
        if deadline_s is not None:
            self._expect_by(deadline_s)
        self._transport.write(request)

    def settle(self) -> None:
        """The call is over, one way or the other: the connection is for the next one as far as it can be."""
        if self.is_usable:
            self.give_back()
        else:
            self.discard()

    def give_back(self) -> None:
        """The call is over, and well: the connection is for the next one."""
        self._waiter = None
        self._deadline_s = math.inf
        self._host.give_back(self)

    def _expect_by(self, deadline_s: float) -> None:
        """Fail the exchange at this time of the loop's. One timer serves many exchanges after one another."""
        self._deadline_s = deadline_s
        if self._timer is not None:
            if self._timer.when() <= deadline_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._deadline_s <= self._loop.time():
            self._fail(TimeoutError())
        elif self._deadline_s < math.inf:
            self._timer = self._loop.call_at(self._deadline_s, self._look)

    def discard(self) -> None:
        """End the connection and free its place; again does nothing."""
        self.is_usable = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._host.forget(self)
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection is open."""
        self._transport = cast(asyncio.Transport, transport)
        self.is_usable = True

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection has ended; an answer that lasts until the end is complete."""
        self._transport = None
        if exc is None and self._headers_complete and not self._delimited:
            self.is_usable = False
            self.on_message_complete()
        self._fail(ConnectionLost())
        self.discard()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        if self._waiter is None:
            # nobody asked: the next answer could not be told from this one
            self.discard()
            return
        if not self._parsing and not self._waiter.done():
            answer = whole_answer(data, self._known, answer_bytes_max=self._answer_bytes_max)
            if answer is not None:
                self.idle_since = self._loop.time()
                self._waiter.set_result(answer)
                return
        self._parsing = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(NotHttp())
        if not self._headers_complete:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES_MAX:
                self._fail(NotHttp())

    def on_message_begin(self) -> None:
        """httptools: an answer begins; a second one is none that anybody asked for."""
        if self._waiter is None or self._waiter.done():
            self.is_usable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one header."""
        self._headers.append((name, value))
        match name.lower():
            case b"content-type":
                self._media_type = media_type_of(value)
            case b"content-encoding":
                self._encoding = value.strip().lower().decode("latin-1")
            case b"content-length" | b"transfer-encoding":
                self._delimited = True
            case b"cache-control":
                said = value.decode("latin-1")
                self._cache_control = f"{self._cache_control}, {said}" if self._cache_control else said
            case b"retry-after":
                self._retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """httptools: the body follows."""
        self._headers_complete = True

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self._size += len(body)
        if self._size > self._answer_bytes_max:
            self._fail(AnswerTooLong())
            return
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """httptools: the answer is whole; interim answers (1xx) are passed over."""
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._reset()
            return
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        self.is_usable = self.is_usable and self._delimited and self._parser.should_keep_alive()
        try:
            body = self._body()
        except (AnswerTooLong, NotHttp) as error:
            waiter.set_exception(error)
            return
        self.idle_since = self._loop.time()
        waiter.set_result(
            HttpAnswer(status, self._media_type, body, self._cache_control, self._retry_after, self._headers)
        )
        self._reset()

    def _body(self) -> bytes:
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        return plain_body(body, self._encoding, self._answer_bytes_max)

    def _fail(self, error: Exception) -> None:
        self.is_usable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
