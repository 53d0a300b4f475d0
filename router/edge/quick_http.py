"""The server's way for one small `POST /graphql` after another; all else goes uvicorn's own way.

uvicorn's cycle of request and response handles bodies and answers of any length and form. A GraphQL
request has a short body, known in length, and one answer: for that, half of the server's work can go.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeAlias, cast

from starlette.types import Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from router.edge.head_guard import GuardedProtocol
from router.edge.heads import Heads, WholeRequest

log = logging.getLogger("stadion.router.server")

QUICK_PATH: Final = b"/graphql"
WHOLE_BODY: Final = "stadion.body"
"""Where an ASGI scope has the body, if that was there before the request began."""
WHOLE_HEADERS: Final = "stadion.headers"
"""Where an ASGI scope has the headers by lower-case name, if they were read so."""
ASKED: Final = "stadion.asked"
"""Where an ASGI scope has the `GraphQLRequest` of the body, if that was read and is in order."""
REPLY: Final = "stadion.reply"
"""Where an ASGI scope has what takes a whole answer at once, as a `Reply`."""
ABORT: Final = "stadion.abort"
"""Where an ASGI scope has what cuts the connection off, with all that its client has not read."""
LEFT: Final = "stadion.left"
"""Where an ASGI scope has what takes whom to call when the client goes; None: nobody any more."""
BODY_BYTES_MAX: Final = HIGH_WATER_LIMIT
"""Longer bodies may have to be refused or slowed down while they arrive."""
COPIED_BYTES_MAX: Final = 16 * 1024
"""Longer answers are not copied to stand behind their head; shorter ones leave sooner in one piece."""
Express: TypeAlias = "Callable[[QuickProtocol, WholeRequest], bool]"
"""Takes a request that came whole and answers it by itself; False where the app has to."""
Reply: TypeAlias = Callable[[int, bytes, bytes], bool]
"""Status, header lines each with its end, and body; False where the client has to read first."""
_HEADS: Final = Heads(body_bytes_max=BODY_BYTES_MAX)
_STREAMED: Final = (b"event-stream", b"multipart")
_DISCONNECT: Final[dict[str, Any]] = {"type": "http.disconnect"}


class QuickProtocol(GuardedProtocol):
    """One connection. Requests that the quick way does not serve are served as uvicorn serves them."""

    _waiting: QuickCycle | None = None
    """The request whose headers have come; begun at the end of what has come with them."""
    _in_message = False
    """Whether the parser has seen a request's beginning and not its end."""

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came. A request whose body is still to come begins, too: its time is limited."""
        earlier: Any = self.cycle
        if not self._in_message and (earlier is None or earlier.response_complete):
            whole = self._heads.read(data)
            if whole is not None and self.limit_concurrency is None and not self.root_path:
                if self._express is None or not self._express(self, whole):
                    self.serve(whole)
                return
        super().data_received(data)
        if self._waiting is not None:
            self._begin(self._waiting)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._heads: Heads = getattr(self.app, "heads", None) or _HEADS
        self._client_scope: Scope | None = None
        self._express: Express | None = getattr(self.app, "express", None)

    @property
    def scope_of_client(self) -> Scope:
        """What a scope says of who is connected."""
        if self._client_scope is None:
            self._client_scope = {"client": self.client}
        return self._client_scope

    def begin_express(self, cycle: QuickCycle) -> None:
        """A request that came whole is under way, and its app not called."""
        self._until_s = math.inf
        self.cycle = cast(RequestResponseCycle, cycle)

    def serve(self, request: WholeRequest, **known: Any) -> None:
        """Have the app answer a request that came whole; `known` goes into its scope."""
        self._until_s = math.inf
        cycle = QuickCycle(self, request.body)
        self.cycle = cast(RequestResponseCycle, cycle)
        self.scope = cast(
            Any,
            {
                "type": "http",
                "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
                "http_version": "1.1",
                "server": self.server,
                "client": self.client,
                "scheme": self.scheme,
                "root_path": "",
                "headers": request.pairs,
                "state": self.app_state.copy(),
                "method": "POST",
                "path": "/graphql",
                "raw_path": QUICK_PATH,
                "query_string": b"",
                WHOLE_HEADERS: request.by_name,
                WHOLE_BODY: request.body,
                REPLY: cycle.reply,
                ASKED: request.asked,
                **known,
            },
        )
        self._begin(cycle)

    def on_message_begin(self) -> None:
        """httptools: a request begins."""
        self._in_message = True
        super().on_message_begin()

    def head_read(self) -> None:
        """The body follows."""
        earlier: Any = self.cycle
        if (
            self.url != QUICK_PATH
            or not (earlier is None or earlier.response_complete)
            or not self._is_quick()
        ):
            self.scope[ABORT] = self.transport.abort  # type: ignore[typeddict-unknown-key]
            super().head_read()
            return
        self.scope["method"] = "POST"
        self.scope["path"] = "/graphql"
        self.scope["raw_path"] = QUICK_PATH
        self.scope["query_string"] = b""
        self._waiting = cycle = QuickCycle(self, keep_alive=self.parser.should_keep_alive())
        self.scope[REPLY] = cycle.reply  # type: ignore[typeddict-unknown-key]
        self.cycle = cast(RequestResponseCycle, cycle)

    def on_message_complete(self) -> None:
        """httptools: the body is whole; mostly it has come together with its headers."""
        self._in_message = False
        super().on_message_complete()
        waiting = self._waiting
        if waiting is not None and waiting is cast(object, self.cycle):
            self.scope[WHOLE_BODY] = bytes(waiting.body)  # type: ignore[typeddict-unknown-key]
            self._begin(waiting)

    def _begin(self, cycle: QuickCycle) -> None:
        self._waiting = None
        # INVARIANT: with this request's own scope: the next one's may have taken its place when the task runs
        task = self.loop.create_task(cycle.run(self.app, cast(Scope, self.scope)))
        cycle.task = task
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        """The cycle: its answer is out. The next request may be here already."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        self.flow.resume_reading()
        self._until_s = self.loop.time() + self.timeout_keep_alive
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection has ended."""
        super().connection_lost(exc)
        # both lead back here: what is left of a thousand clients that leave is freed now, and not by the
        # collector, which would hold up the loop for as many of them as it lets come together
        self.cycle = None  # type: ignore[assignment]
        self.scope = {}  # type: ignore[typeddict-item]

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
        "task",
    )

    def __init__(
        self, protocol: QuickProtocol, body: bytes | None = None, *, keep_alive: bool = True
    ) -> None:
        """`body` where it is whole already; else it arrives."""
        self._protocol = protocol
        self.task: asyncio.Task[None] | None = None
        self._head: bytes | None = None
        self._read = False
        self._answered = False
        self._waiter: asyncio.Future[None] | None = None
        self.body = bytearray() if body is None else body
        self.more_body = body is None
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

    async def run(self, app: Any, scope: Scope) -> None:
        """The request's whole life. An app that fails or says too little ends the connection."""
        transport = self._protocol.transport
        try:
            await app(scope, self.receive, self.send)
        except BaseException as error:
            log.error("the app failed", exc_info=error)
        self._protocol.tasks.discard(cast(Any, self.task))
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

    def reply(self, status: int, lines: bytes, body: bytes) -> bool:
        """The whole answer at once; False where what was answered before waits for the client to read."""
        protocol = self._protocol
        if protocol.flow.write_paused:
            return False
        if not self.disconnected:
            end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
            self._answered = True
            head = _STATUS[status] + lines + end
            if len(body) > COPIED_BYTES_MAX:
                protocol.transport.writelines((head, body))
            else:
                protocol.transport.write(head + body)
            self._answered_whole()
        return True

    def _answered_whole(self) -> None:
        self.response_complete = True
        self.set_left()
        if not self.keep_alive:
            self._protocol.transport.close()
        self._protocol.on_response_complete()

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
        self._answered_whole()

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
