"""One HTTP/1.1 connection to a subgraph and the answer that is under way on it.

Bytes are read into a buffer that all connections of a loop share. What is the beginning of a long answer
goes into the answer's own body, and so does the rest, straight from the socket.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, cast

import httptools

from router.execution.transports.http_wire import (
    AnswerTooLong,
    ConnectionLost,
    HttpAnswer,
    NotHttp,
    Waiter,
    media_type_of,
    plain_body,
)
from router.execution.transports.known_texts import KnownTexts
from router.execution.transports.plain_head import HEAD_BYTES_MAX, plain_head

if TYPE_CHECKING:
    from router.execution.transports.http_client import Host

_HEAD_BYTES_MAX: Final = 256 * 1024
RECEIVED_BYTES_MAX: Final = 256 * 1024
"""Read from a connection at once."""


class Receiving:
    """What the connections of one loop read with: a buffer, and the long texts that are known."""

    __slots__ = ("buffer", "known", "view")

    def __init__(self, known: KnownTexts | None = None) -> None:
        self.known = known or KnownTexts()
        self.buffer = bytearray(RECEIVED_BYTES_MAX)
        self.view = memoryview(self.buffer)
        # INVARIANT: a connection takes all that it needs of it before another one of the loop reads


class Connection(asyncio.BufferedProtocol):
    """One connection."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, host: Host, answer_bytes_max: int, receiving: Receiving
    ) -> None:
        self._loop = loop
        self._host = host
        self._answer_bytes_max = answer_bytes_max
        self._receiving = receiving
        self._long: HttpAnswer | None = None
        self._rest: memoryview | None = None
        self._transport: asyncio.Transport | None = None
        self._waiter: Waiter | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline_s = math.inf
        self._parsed: HttpAnswer | None = None
        """What the parser has found, until it has looked at all that came with it."""
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

    def get_buffer(self, sizehint: int) -> memoryview:
        """asyncio: where bytes are to be put."""
        rest = self._rest
        return self._receiving.view if rest is None else rest

    def buffer_updated(self, nbytes: int) -> None:
        """asyncio: so many bytes came."""
        if self._rest is not None:
            self._rest = self._rest[nbytes:]
            if not self._rest:
                self._answer_long()
        elif self._waiter is None:
            # nobody asked: the next answer could not be told from this one
            self.discard()
        elif self._parsing or self._waiter.done() or not self._read_plain(nbytes):
            self._parse(bytes(self._receiving.view[:nbytes]))

    def _read_plain(self, nbytes: int) -> bool:
        """Take what came as an answer, or the beginning of one; False where it is not plainly that."""
        receiving = self._receiving
        data = bytes(receiving.view[: min(nbytes, HEAD_BYTES_MAX)])
        head = plain_head(data)
        if head is None:
            return False
        begins, length = head.begins, head.length
        there = nbytes - begins
        if length > self._answer_bytes_max or there > length:
            return False
        if there < length:
            long = bytearray(length)
            long[:there] = receiving.view[begins:nbytes]
            # INVARIANT: once it is whole nobody changes it; to make it `bytes` would copy it
            self._long = head.answer(cast(bytes, long))
            self._rest = memoryview(long)[there:]
            return True
        known = receiving.known.standing_at(receiving.buffer, begins, length)
        body = known or (data[begins:] if nbytes == len(data) else bytes(receiving.view[begins:nbytes]))
        self._tell(head.answer(body))
        return True

    def _answer_long(self) -> None:
        answer, self._long, self._rest = self._long, None, None
        if answer is not None:
            self._tell(answer)

    def _tell(self, answer: HttpAnswer) -> None:
        self.idle_since = self._loop.time()
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)

    def _parse(self, data: bytes) -> None:
        """Have the parser read an answer of any form."""
        self._parsing = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(NotHttp())
        if self._parsed is not None:
            self._tell_parsed()
        elif not self._headers_complete:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES_MAX:
                self._fail(NotHttp())

    def on_message_begin(self) -> None:
        """httptools: an answer begins; a second one is none that anybody asked for."""
        if self._waiter is None or self._waiter.done() or self._parsed is not None:
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
        if waiter is None or waiter.done() or self._parsed is not None:
            return
        self.is_usable = self.is_usable and self._delimited and self._parser.should_keep_alive()
        try:
            body = self._body()
        except (AnswerTooLong, NotHttp) as error:
            waiter.set_exception(error)
            return
        # told later: who is told may send the next request on this connection before the telling returns
        self._parsed = HttpAnswer(
            status, self._media_type, body, self._cache_control, self._retry_after, self._headers
        )
        self._reset()

    def _tell_parsed(self) -> None:
        answer, self._parsed = self._parsed, None
        if answer is not None:
            self._tell(answer)

    def _body(self) -> bytes:
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        return plain_body(body, self._encoding, self._answer_bytes_max)

    def _fail(self, error: Exception) -> None:
        self.is_usable = False
        self._tell_parsed()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
