"""The server's way for one small `POST /graphql` after another; all else goes uvicorn's own way.

uvicorn's cycle of request and response handles bodies and answers of any length and form. A GraphQL
request has a short body, known in length, and one answer: for that, half of the server's work can go.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Final, cast

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

log = logging.getLogger("stadion.router.server")

QUICK_PATH: Final = b"/graphql"
WHOLE_BODY: Final = "stadion.body"
"""Where an ASGI scope has the body, if that was there before the request began."""
ABORT: Final = "stadion.abort"
"""Where an ASGI scope has what cuts the connection off, with all that its client has not read."""
BODY_BYTES_MAX: Final = HIGH_WATER_LIMIT
"""Longer bodies may have to be refused or slowed down while they arrive."""
_STREAMED: Final = (b"event-stream", b"multipart")
_DISCONNECT: Final[dict[str, Any]] = {"type": "http.disconnect"}


class QuickProtocol(HttpToolsProtocol):
    """One connection. Requests that the quick way does not serve are served as uvicorn serves them."""

    _waiting: QuickCycle | None = None
    """The request whose headers have come; begun at the end of what has come with them."""

    def on_headers_complete(self) -> None:
        """httptools: the body follows."""
        earlier: Any = self.cycle
        if (
            self.url != QUICK_PATH
            or not (earlier is None or earlier.response_complete)
            or not self._is_quick()
        ):
            self.scope[ABORT] = self.transport.abort  # type: ignore[typeddict-unknown-key]
            super().on_headers_complete()
            return
        self.scope["method"] = "POST"
        self.scope["path"] = "/graphql"
        self.scope["raw_path"] = QUICK_PATH
        self.scope["query_string"] = b""
        self._waiting = cycle = QuickCycle(self, keep_alive=self.parser.should_keep_alive())
        self.cycle = cast(RequestResponseCycle, cycle)

    def on_message_complete(self) -> None:
        """httptools: the body is whole; mostly it has come together with its headers."""
        super().on_message_complete()
        waiting = self._waiting
        if waiting is not None and waiting is cast(object, self.cycle):
            self.scope[WHOLE_BODY] = bytes(waiting.body)  # type: ignore[typeddict-unknown-key]
            self._begin(waiting)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came. A request whose body is still to come begins, too: its time is limited."""
        super().data_received(data)
        if self._waiting is not None:
            self._begin(self._waiting)

    def _begin(self, cycle: QuickCycle) -> None:
        self._waiting = None
        task = self.loop.create_task(cycle.run(self.app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _is_quick(self) -> bool:
        if self.parser.get_method() != b"POST" or self.limit_concurrency is not None or self.root_path:
            return False
        if (
            self.parser.get_http_version() != "1.1"
            or self.expect_100_continue
            or self.parser.should_upgrade()
        ):
            return False
        length = -1
        for name, value in self.headers:
            if name == b"content-length":
                length = int(value) if value.isdigit() else -1
            elif name == b"accept" and any(it in value.lower() for it in _STREAMED):
                return False
        return 0 <= length <= BODY_BYTES_MAX


class QuickCycle:
    """One request and its answer. Its attributes are those that uvicorn's protocol reads and sets."""

    __slots__ = (
        "_answered",
        "_head",
        "_protocol",
        "_read",
        "_waiter",
        "body",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
    )

    def __init__(self, protocol: QuickProtocol, *, keep_alive: bool) -> None:
        self._protocol = protocol
        self._head: bytes | None = None
        self._read = False
        self._answered = False
        self._waiter: asyncio.Future[None] | None = None
        self.body = bytearray()
        self.more_body = True
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False

    @property
    def message_event(self) -> QuickCycle:
        """What the protocol tells of changes. No attribute: that would be a reference in a circle."""
        return self

    def set(self) -> None:
        """The protocol: something has changed (a part of the body, its end, the connection's end)."""
        waiter = self._waiter
        if waiter is not None and not waiter.done() and (self.disconnected or not self.more_body):
            waiter.set_result(None)

    async def run(self, app: Any) -> None:
        """The request's whole life. An app that fails or says too little ends the connection."""
        transport = self._protocol.transport
        try:
            await app(self._protocol.scope, self.receive, self.send)
        except BaseException as error:
            log.error("the app failed", exc_info=error)
        if not self.response_complete and not self.disconnected:
            if not self._answered:
                transport.write(_head(500, [(b"content-length", b"0"), (b"connection", b"close")]))
            transport.close()

    async def receive(self) -> dict[str, Any]:
        """ASGI: the whole body in one message, then the client's leaving."""
        while not self.disconnected and not self.response_complete:
            if not self._read and not self.more_body:
                self._read = True
                return {"type": "http.request", "body": bytes(self.body), "more_body": False}
            self._waiter = self._protocol.loop.create_future()
            await self._waiter
        return _DISCONNECT

    async def send(self, message: Any) -> None:
        """ASGI: the head waits for the body, so that both leave in one write."""
        protocol = self._protocol
        if self.disconnected:
            return
        if protocol.flow.write_paused:
            await protocol.flow.drain()
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            if not self.keep_alive:
                headers.append((b"connection", b"close"))
            self._head = _head(message["status"], headers)
            return
        if self._head is None or message.get("more_body", False):
            raise RuntimeError("the quick way is for answers in one piece")
        self._answered = True
        protocol.transport.write(self._head + message["body"])
        self.response_complete = True
        self.set_left()
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()

    def set_left(self) -> None:
        """Wake whoever waits for the client's leaving: the answer is out."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


_STATUS: Final = {it.value: f"HTTP/1.1 {it.value} {it.phrase}\r\n".encode() for it in HTTPStatus}


def _head(status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Status line and headers. INVARIANT: the app makes header values from its own texts alone."""
    lines = [_STATUS[status]]
    for name, value in headers:
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)
