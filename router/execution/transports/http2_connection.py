"""One HTTP/2 connection and the answers that are under way on it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, cast

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import H2Error, NoAvailableStreamIDError
from h2.settings import SettingCodes, Settings

from router.execution.transports.http_wire import (
    AnswerTooLong,
    CallFailed,
    ConnectionLost,
    Endpoint,
    HttpAnswer,
    NotHttp,
    is_line,
    media_type_of,
    plain_body,
)

_WINDOW_BYTES: Final = 1 << 20
"""What a server may send of one answer before it is told to go on."""
_CONNECTION_WINDOW_BYTES: Final = 16 << 20
_HEAD_BYTES_MAX: Final = 256 * 1024
_GOAWAY: Final = 7
_FRAME_HEAD_BYTES: Final = 9
_FRAME_BYTES_MAX: Final = 16_384 + _FRAME_HEAD_BYTES
"""Larger ones are not agreed upon."""
_HOP_HEADERS: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host", "te"}
)


class NotProcessed(Exception):
    """The server says that it never looked at this call: it may be made again."""


class _Call:
    """One stream: what is left to send, what has come."""

    __slots__ = (
        "cache_control", "chunks", "encoding", "headers", "media_type", "retry_after", "size", "status",
        "unsent", "waiter",
    )  # fmt: skip

    def __init__(self, waiter: asyncio.Future[HttpAnswer], body: bytes) -> None:
        self.waiter = waiter
        self.unsent = memoryview(body)
        self.status = 0
        self.media_type = self.encoding = self.cache_control = self.retry_after = ""
        self.chunks: list[bytes] = []
        self.headers: list[tuple[bytes, bytes]] = []
        self.size = 0

    def take_head(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.headers = [it for it in headers if not it[0].startswith(b":")]
        for name, value in headers:
            match name:
                case b":status":
                    self.status = int(value)
                case b"content-type":
                    self.media_type = media_type_of(value)
                case b"content-encoding":
                    self.encoding = value.strip().lower().decode("latin-1")
                case b"cache-control":
                    said = value.decode("latin-1")
                    self.cache_control = f"{self.cache_control}, {said}" if self.cache_control else said
                case b"retry-after":
                    self.retry_after = value.decode("latin-1")

    def fail(self, error: Exception) -> None:
        if not self.waiter.done():
            self.waiter.set_exception(error)

    def end(self, answer_bytes_max: int) -> None:
        if self.waiter.done():
            return
        try:
            body = plain_body(b"".join(self.chunks), self.encoding, answer_bytes_max)
        except CallFailed as error:
            self.waiter.set_exception(error)
            return
        self.waiter.set_result(
            HttpAnswer(self.status, self.media_type, body, self.cache_control, self.retry_after, self.headers)
        )


class Http2Connection(asyncio.Protocol):
    """A connection that carries calls until it is spent: `takes_calls` is false then; those under way end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, answer_bytes_max: int) -> None:
        self._loop = loop
        self._answer_bytes_max = answer_bytes_max
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._transport: asyncio.Transport | None = None
        self._calls: dict[int, _Call] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._pending = bytearray()
        self._passing = 0
        self._received_s = loop.time()
        self._ended: list[Callable[[Http2Connection], None]] = []
        self.takes_calls = False

    def begin(self) -> None:
        """Send the preface; calls may follow at once."""
        self._h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
                SettingCodes.MAX_HEADER_LIST_SIZE: _HEAD_BYTES_MAX,
            },
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW_BYTES)
        self.takes_calls = self._transport is not None
        self._flush()

    async def exchange(
        self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes, deadline: float | None
    ) -> HttpAnswer:
        """One call.  Errors: those of `HttpClient.post`; NotProcessed where it may be made again."""
        await self._place(deadline)
        call, began_s = _Call(self._loop.create_future(), body), self._loop.time()
        number = self._send_head(endpoint, headers, has_body=bool(body))
        self._calls[number] = call
        timer = None if deadline is None else self._loop.call_at(deadline, call.fail, TimeoutError())
        try:
            self._send_body(number, call)
            self._flush()
            return await call.waiter
        except TimeoutError:
            # a server that said nothing at all meanwhile may be gone without a word
            self.takes_calls = self.takes_calls and self._received_s > began_s
            raise
        finally:
            if timer is not None:
                timer.cancel()
            self._leave(number)

    def idle_since_before(self, time_s: float) -> bool:
        """Whether nothing is under way and nothing has come since then."""
        return not self._calls and self._received_s < time_s

    def when_ended(self, tell: Callable[[Http2Connection], None]) -> None:
        """Have `tell` called once the connection is closed; at once where it is."""
        if self._transport is None:
            tell(self)
        else:
            self._ended.append(tell)

    def finish(self) -> None:
        """Take no more calls, and close when those under way have ended."""
        self.takes_calls = False
        self._wake()
        if not self._calls and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End now; calls under way fail as lost."""
        self.takes_calls = False
        if self._transport is not None:
            self._transport.abort()
        self._fail_all(ConnectionLost())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection is open."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection has ended."""
        self._transport, self.takes_calls = None, False
        self._fail_all(ConnectionLost())
        self._wake()
        ended, self._ended = self._ended, []
        for tell in ended:
            tell(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        self._received_s = self._loop.time()
        try:
            for event in self._h2.receive_data(self._without_goaway(data)):
                self._take(event)
        except (H2Error, ValueError):
            self.takes_calls = False
            self._fail_all(NotHttp())
            self._flush()
            if self._transport is not None:
                self._transport.close()
            return
        self._flush()

    def _without_goaway(self, data: bytes) -> bytes:
        """The bytes less GOAWAY frames, which are taken here: `h2` would end what is under way with them."""
        self._pending += data
        through = bytearray()
        while self._pending:
            if self._passing:
                part = self._pending[: self._passing]
                del self._pending[: len(part)]
                self._passing -= len(part)
                through += part
                continue
            if len(self._pending) < _FRAME_HEAD_BYTES:
                break
            size = int.from_bytes(self._pending[:3], "big") + _FRAME_HEAD_BYTES
            if size > _FRAME_BYTES_MAX:
                raise ValueError("a frame of that size")
            if self._pending[3] != _GOAWAY:
                self._passing = size
                continue
            if size < _FRAME_HEAD_BYTES + 8:
                raise ValueError("a GOAWAY frame of that size")
            if len(self._pending) < size:
                break
            self._go_away(int.from_bytes(self._pending[9:13], "big") & 0x7FFFFFFF)
            del self._pending[:size]
        return bytes(through)

    def _go_away(self, last_stream: int) -> None:
        for number, call in tuple(self._calls.items()):
            if number > last_stream:
                call.fail(NotProcessed())
        self.finish()

    def _take(self, event: events.Event) -> None:
        match event:
            case events.ResponseReceived():
                self._with_call(event.stream_id, lambda call: call.take_head(event.headers))
            case events.DataReceived():
                self._take_data(event)
            case events.StreamEnded():
                self._with_call(event.stream_id, lambda call: call.end(self._answer_bytes_max))
            case events.StreamReset():
                refused = event.error_code == ErrorCodes.REFUSED_STREAM
                error = NotProcessed() if refused else ConnectionLost()
                self._with_call(event.stream_id, lambda call: call.fail(error))
            case events.WindowUpdated() | events.RemoteSettingsChanged():
                for number, call in tuple(self._calls.items()):
                    self._send_body(number, call)
                self._wake()
            case _:
                pass

    def _take_data(self, event: events.DataReceived) -> None:
        if event.flow_controlled_length:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        call = self._calls.get(event.stream_id)
        if call is None:
            return
        call.size += len(event.data)
        if call.size > self._answer_bytes_max:
            call.fail(AnswerTooLong())
        elif not call.waiter.done():
            call.chunks.append(event.data)

    def _with_call(self, number: int | None, act: Callable[[_Call], None]) -> None:
        call = self._calls.get(number or 0)
        if call is not None:
            act(call)

    async def _place(self, deadline: float | None) -> None:
        """Wait until the server takes one more stream."""
        while self.takes_calls and len(self._calls) >= self._h2.remote_settings.max_concurrent_streams:
            waiter = self._loop.create_future()
            self._waiting.append(waiter)
            async with asyncio.timeout_at(deadline):
                await waiter
        if not self.takes_calls:
            raise NotProcessed

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _send_head(self, endpoint: Endpoint, headers: Mapping[str, str], *, has_body: bool) -> int:
        try:
            number = self._h2.get_next_available_stream_id()
        except NoAvailableStreamIDError:
            self.finish()
            raise NotProcessed from None
        head = [
            (":method", endpoint.method),
            (":scheme", "https" if endpoint.tls else "http"),
            (":authority", endpoint.authority),
            (":path", endpoint.target),
        ]
        head += [
            (name, value.strip())
            for name, value in headers.items()
            if name not in _HOP_HEADERS and is_line(name, value)
        ]
        self._h2.send_headers(number, head, end_stream=not has_body)
        return number

    def _send_body(self, number: int, call: _Call) -> None:
        """As much as the windows allow; the rest goes when the server widens them."""
        while call.unsent and not call.waiter.done():
            room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            if room <= 0:
                return
            part, call.unsent = call.unsent[:room], call.unsent[room:]
            self._h2.send_data(number, bytes(part), end_stream=not call.unsent)

    def _leave(self, number: int) -> None:
        del self._calls[number]
        if self._transport is not None:
            stream = self._h2.streams.get(number)
            if stream is not None and not stream.closed:
                with suppress(H2Error):  # the connection itself may be over
                    self._h2.reset_stream(number, ErrorCodes.CANCEL)
                self._flush()
            if not self.takes_calls and not self._calls:
                self._transport.close()
        self._wake()

    def _fail_all(self, error: Exception) -> None:
        for call in tuple(self._calls.values()):
            call.fail(error)

    def _flush(self) -> None:
        out = self._h2.data_to_send()
        if out and self._transport is not None:
            self._transport.write(out)
