"""Head guard: how long and how large a request's head may be, and what of it asks for another protocol.

A head that never ends would hold memory and a connection for nothing. A wish for HTTP/2 on the same
connection (`Upgrade: h2c`, which Java's client makes by itself) is passed over, as HTTP lets a server do:
the parser ends there, so that what follows is given to a new one.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Sized
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX: Final = 65_536
HEAD_WAIT_S: Final = 10.0
UNREAD_WAIT_S: Final = 60.0
LINGER_S: Final = 1.0
"""For so long a client that still sends may read why it is refused; closed at once, it is told nothing."""
_UPGRADING: Final = frozenset({b"upgrade", b"http2-settings"})


class HeadTooLarge(Exception):
    """Raised within the parser, which then says that there is no request."""


class HostUnclear(Exception):
    """Raised within the parser as well: the request does not say once to which host it goes."""


class InTurn(FlowControl):
    """Reads no further while requests that have come wait for their turn: a client that sends many without
    reading answers would have them all kept here. uvicorn reads on as soon as one is answered."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """uvicorn: more may come. INVARIANT: of those that wait, the last alone may lack a part of its body,
        and nobody reads that before its turn."""
        if not self._waiting:
            super().resume_reading()


class GuardedProtocol(HttpToolsProtocol):
    """One connection that begins each request in time and within its bounds, or is ended."""

    head_bytes_max = HEAD_BYTES_MAX
    head_wait_s = HEAD_WAIT_S
    unread_wait_s = UNREAD_WAIT_S
    """So long a client may read nothing of what waits for it; streams have a shorter time of their own."""
    _unread_bytes = 0
    _unread: asyncio.TimerHandle | None = None
    _header_bytes = 0
    """Of the headers that have come of a head."""
    _arrived_bytes = 0
    """Of a head that is not complete, without the piece in which it began."""
    _in_head = False
    _until_s = math.inf
    """Until when, on the loop's clock, the client has to ask; infinite while a request is under way."""
    _declined = False
    """Whether the head that has come wishes for another protocol, which it does not get."""
    _refused = False
    _again: bytes | None = None
    """What is to be read once more, by a new parser."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio: it is open. Who then says nothing is not waited for."""
        super().connection_made(transport)
        self.flow = InTurn(transport, self.pipeline)
        self._wait(self.timeout_keep_alive)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        if self._refused:
            return
        self._arrived_bytes += len(data)
        arrived: bytes | None = data
        while arrived is not None:
            self._arrived, self._again = arrived, None
            super().data_received(arrived)
            arrived = self._again
        if self._in_head:
            if self._until_s == math.inf:
                self._wait(self.head_wait_s)
            if self._arrived_bytes > self.head_bytes_max:
                self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        """uvicorn: what came is no request, or too much of one."""
        if self.transport.is_closing() or self._refused:
            return
        if max(self._header_bytes, self._arrived_bytes if self._in_head else 0) <= self.head_bytes_max:
            super().send_400_response(msg)
            return
        self._in_head, self._refused = False, True
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        self.loop.call_later(LINGER_S, self.transport.close)

    def pause_writing(self) -> None:
        """asyncio: more waits for the client than should."""
        super().pause_writing()
        self._watch_unread()

    def resume_writing(self) -> None:
        """asyncio: it has read most of that."""
        super().resume_writing()
        self._forget_unread()

    def _watch_unread(self) -> None:
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(self.unread_wait_s, self._look_at_unread)

    def _look_at_unread(self) -> None:
        """Cut a client off that reads nothing: what it was sent, and what waits to be, would stay."""
        self._unread = None
        if self.transport.get_write_buffer_size() < self._unread_bytes:
            self._watch_unread()
        else:
            self.transport.abort()

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def on_message_begin(self) -> None:
        """httptools: a request begins."""
        self._in_head, self._declined, self._until_s = True, False, math.inf
        self._header_bytes = self._arrived_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one header."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self.head_bytes_max:
            raise HeadTooLarge
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """httptools: the head is complete."""
        self._in_head, self._until_s = False, math.inf
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise HostUnclear  # RFC 9112, section 3.2: two servers in a row could take two for it
        upgrades = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        self._declined = upgrades and not self._should_upgrade()
        if not self._declined:
            self.head_read()

    def head_read(self) -> None:
        """The head is complete and within its bounds."""
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """httptools: the body is whole."""
        if not self._declined:
            super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """uvicorn: the parser has ended with a head that wishes for another protocol."""
        if not self._declined:
            self.send_400_response("")  # a tunnel, which no wish less makes a request
            return
        ended: Any = sys.exc_info()[1]
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers if name not in _UPGRADING]
        lines = [line for line in lines if not line.startswith(b"connection: ")]
        self._again = b"\r\n".join((*lines, b"", b"")) + self._arrived[ended.args[0] :]
        self.parser = httptools.HttpRequestParser(self)

    def handle_websocket_upgrade(self) -> None:
        """uvicorn: from here on it is a WebSocket."""
        self._unwatch()
        self._forget_unread()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection has ended."""
        self._unwatch()
        self._forget_unread()
        super().connection_lost(exc)

    def _unwatch(self) -> None:
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def _unset_keepalive_if_required(self) -> None:
        """uvicorn: bytes came. Whether they are enough is told when the head is complete."""

    def _wait(self, seconds: float) -> None:
        """End the connection unless a request is under way by then."""
        self._until_s = self.loop.time() + seconds
        watched = self.timeout_keep_alive_task
        if watched is None or watched.when() > self._until_s:
            self._unwatch()
            self.timeout_keep_alive_task = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """End a connection on which nothing was asked in time. One timer serves many requests."""
        self.timeout_keep_alive_task = None
        if self._until_s == math.inf:
            return  # a request is under way; its answer sets the timer again
        latest: Any = self.cycle
        if latest is not None and not latest.response_complete:
            self._until_s = (
                self.loop.time() + self.head_wait_s
            )  # the next one is on its way while this one is answered
        left_s = self._until_s - self.loop.time()
        if left_s <= 0:
            self.timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(left_s, self._look)
