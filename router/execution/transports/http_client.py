"""HTTP/1.1 calls over kept-alive connections, on asyncio and httptools: as little as a subgraph call needs.

Why not a general client: a call costs an eighth of what the general one takes, and a request makes many.
What it does not do is refused, not guessed: no redirects, no cookies, no proxies.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from router.driven import in_task, waiter
from router.execution.transports.http_connection import Connection, Receiving
from router.execution.transports.http_wire import (
    ConnectFailed,
    ConnectionLost,
    Endpoint,
    HttpAnswer,
    TlsContext,
    Waiter,
    connected,
    system_tls,
)


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
        receiving: Receiving | None = None,
    ) -> None:
        self._connections_max = connections_per_host_max
        self._connect_timeout_s = connect_timeout_s
        self._keep_alive_s = keep_alive_s
        self._answer_bytes_max = answer_bytes_max
        self._tls_context = tls_context
        self._receiving = receiving or Receiving()
        self._hosts: dict[tuple[str, int, bool], Host] = {}

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
            await in_task()
            async with asyncio.timeout_at(deadline):
                connection = await self._new_connection(endpoint, host)
        told = waiter()
        try:
            connection.send(endpoint.request(headers, body), told, deadline)
            answer: HttpAnswer = await told
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

    def _host(self, endpoint: Endpoint) -> Host:
        key = (endpoint.socket or endpoint.host, endpoint.port, endpoint.tls)
        host = self._hosts.get(key)
        if host is None:
            host = self._hosts[key] = Host(self._connections_max)
        return host

    async def _new_connection(self, endpoint: Endpoint, host: Host) -> Connection:
        connection = await host.place()
        if connection is not None:
            return connection
        try:
            return await self._open(endpoint, host)
        except BaseException:
            host.leave()
            raise

    async def _open(self, endpoint: Endpoint, host: Host) -> Connection:
        loop = asyncio.get_running_loop()
        context = self._tls_context() if endpoint.tls else None
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await connected(
                    endpoint, lambda: Connection(loop, host, self._answer_bytes_max, self._receiving), context
                )
        except (OSError, TimeoutError) as error:
            raise ConnectFailed(refused=isinstance(error, ConnectionError)) from error
        host.opened.add(connection)
        return connection


class Host:
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
