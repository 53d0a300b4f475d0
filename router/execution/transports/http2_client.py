"""HTTP/2 calls: many at a time on one connection, by the `h2` state machine on asyncio.

A call that the server says it never looked at (GOAWAY above its last stream, REFUSED_STREAM) is made again on
another connection, whatever it asks for. A server that does not take HTTP/2 is spoken to in HTTP/1.1.
Source: RFC 9113.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from router.driven import in_task
from router.execution.transports.http2_connection import Http2Connection, NotProcessed
from router.execution.transports.http_client import HttpClient
from router.execution.transports.http_wire import (
    ConnectFailed,
    ConnectionLost,
    Endpoint,
    HttpAnswer,
    TlsContext,
    connected,
)

_UNPROCESSED_TRIES_MAX: Final = 4


class Http2Client:
    """One connection to one endpoint's host, another when it is spent. Lives in one event loop.

    `plain` makes the calls where the server chose HTTP/1.1.
    """

    def __init__(
        self,
        plain: HttpClient,
        *,
        connect_timeout_s: float,
        keep_alive_s: float,
        answer_bytes_max: int,
        tls_context: TlsContext,
    ) -> None:
        self._plain = plain
        self._connect_timeout_s = connect_timeout_s
        self._keep_alive_s = keep_alive_s
        self._answer_bytes_max = answer_bytes_max
        self._tls_context = tls_context
        self._connection: Http2Connection | None = None
        self._spent: set[Http2Connection] = set()
        self._opening: asyncio.Task[Http2Connection | None] | None = None
        self._speaks_http1 = False

    async def post(
        self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes, *, timeout_s: float | None
    ) -> HttpAnswer:
        """One request, one answer.  Errors: as `HttpClient.post`."""
        await in_task()
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        for _ in range(_UNPROCESSED_TRIES_MAX):
            left_s = None if deadline is None else deadline - loop.time()
            if self._speaks_http1:
                return await self._plain.post(endpoint, headers, body, timeout_s=left_s)
            connection = self._usable(loop.time()) or await self._opened(endpoint, deadline)
            if connection is None:
                continue
            try:
                return await connection.exchange(endpoint, headers, body, deadline)
            except NotProcessed:
                continue
        raise ConnectionLost

    def renew(self) -> None:
        """Make later calls on a connection opened from now on; calls under way end on theirs."""
        self._spend()
        self._speaks_http1 = False
        self._plain.renew()

    def close(self) -> None:
        """End every connection; calls under way fail as lost."""
        if self._opening is not None:
            self._opening.cancel()
        self._spend()
        for connection in tuple(self._spent):
            connection.abort()
        self._spent.clear()
        self._plain.close()

    def _usable(self, now: float) -> Http2Connection | None:
        connection = self._connection
        if connection is None:
            return None
        if connection.takes_calls and not connection.idle_since_before(now - self._keep_alive_s):
            return connection
        self._spend()
        return None

    def _spend(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._spent.add(connection)
            connection.when_ended(self._spent.discard)
            connection.finish()

    async def _opened(self, endpoint: Endpoint, deadline: float | None) -> Http2Connection | None:
        """The connection that is opened for all who wait; None where the server speaks HTTP/1.1."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open(endpoint))
            self._opening.add_done_callback(self._has_opened)
        opening = self._opening
        async with asyncio.timeout_at(deadline):
            return await asyncio.shield(opening)

    def _has_opened(self, opening: asyncio.Task[Http2Connection | None]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # those who wait are told; nobody may wait any more

    async def _open(self, endpoint: Endpoint) -> Http2Connection | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                transport, connection = await connected(
                    endpoint,
                    lambda: Http2Connection(loop, self._answer_bytes_max),
                    self._tls_context() if endpoint.tls else None,
                )
        except (OSError, TimeoutError) as error:
            raise ConnectFailed(refused=isinstance(error, ConnectionError)) from error
        if endpoint.tls and transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            transport.abort()
            self._speaks_http1 = True
            return None
        connection.begin()
        self._connection = connection
        return connection
