"""`/graphql` over WebSocket: queries, mutations and subscriptions of one client on one connection.

Source: the GraphQL over WebSocket protocol; `dialects.py` has its two subprotocols.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, aclosing, nullcontext, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import orjson
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from authz.identity.subject import Subject
from router.edge.answers import Answer, answer_of_failure
from router.edge.connections import PLAIN
from router.edge.dialects import Dialect, dialect_of
from router.edge.drain import overloaded
from router.edge.feeds import Event
from router.edge.forwarding import Forwarding
from router.edge.incremental import standing
from router.edge.init_payload import authorization_of, format_of, texts_of, with_proof
from router.edge.origins import Origins
from router.edge.packed_messages import PAYLOAD
from router.edge.parts import Parts
from router.edge.quick_http import ABORT
from router.edge.rate import caller_of
from router.edge.requests import decode_message, request_of
from router.edge.streams import expired
from router.errors import ClientError
from router.execution import GraphQLResponse, IncrementalFormat
from router.operation.model import OperationKind
from router.pipeline import GraphQLRequest
from router.snapshot import Document, Snapshot
from router.telemetry import (
    Waiting,
    dropped_count,
    overhead_s,
    request_trace_id,
    request_waiting,
    trace_id_of,
)

_overhead = overhead_s.series({})


class Close(IntEnum):
    """Why the server closes; the numbers are the protocol's."""

    DONE = 1000
    GOING_AWAY = 1001
    TRY_AGAIN_LATER = 1013
    BAD_MESSAGE = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INIT_TIMEOUT = 4408
    DUPLICATE_ID = 4409
    TOO_MANY_INITS = 4429
    FAULT = 4500


class Closing(Exception):
    """The connection has to end, for this reason."""

    def __init__(self, close: Close, reason: str) -> None:
        super().__init__(reason)
        self.close = close
        self.reason = reason


class SocketEndpoint:
    """The ASGI app behind `/graphql` for WebSockets. One an app."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._forwarding = Forwarding(parts.config)
        self._origins = Origins(parts.config)
        self._open: set[_Connection] = set()
        parts.drain.on_stop(self._end_all)

    def _end_all(self) -> None:
        for connection in self._open:
            connection.end(Close.GOING_AWAY, "The router is stopping")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until either side closes it."""
        socket = WebSocket(scope, receive, send)
        if not self._origins.admits(socket.headers):
            await socket.send_denial_response(_not_admitted())
            return
        dialect = dialect_of(scope.get("subprotocols", []))
        if dialect is None:
            await socket.accept()
            await socket.close(Close.SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable")
            return
        await socket.accept(subprotocol=dialect.subprotocol)
        try:
            with self._parts.drain.stream():
                handshake = self._origins.handshake(socket.headers)
                connection = _Connection(socket, dialect, self._parts, self._forwarding, handshake)
                self._open.add(connection)
                try:
                    await connection.serve()
                finally:
                    self._open.discard(connection)
        except ClientError:
            await _close(socket, Closing(Close.TRY_AGAIN_LATER, "too many connections"))


def _not_admitted() -> JSONResponse:
    refusal = ClientError(
        "pages of this origin may not call; name it in `cors.origins`, or the router's own in `public_urls`",
        code="CSRF_PREVENTED",
    )
    answer = answer_of_failure(refusal, trace_id_of(None))
    return JSONResponse(answer.body, answer.http_status)


async def _close(socket: WebSocket, closing: Closing) -> None:
    if socket.application_state is WebSocketState.CONNECTED:
        with suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(closing.close, closing.reason)


@dataclass(frozen=True, slots=True)
class _Said:
    """One response as JSON. `is_whole`: nothing follows. What is `secret` is not compressed: its length would
    tell of it."""

    text: bytes
    is_whole: bool = False
    secret: bool = False


@dataclass(slots=True, eq=False)
class _Connection:
    """One client's connection. `operations` are those under way, by the client's ids."""

    socket: WebSocket
    dialect: Dialect
    parts: Parts
    forwarding: Forwarding
    handshake: Mapping[str, str]
    subject: Subject | None = None
    initialised: bool = False
    format_: IncrementalFormat = IncrementalFormat.PENDING
    headers: dict[str, str] = field(default_factory=dict)
    own: ExitStack = field(default_factory=ExitStack)
    operations: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    closing: asyncio.Future[Closing] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    async def serve(self) -> None:
        """Read messages until the client leaves or `closing` says why the server does."""
        self.headers = self.forwarding.of(self.handshake)
        reading = asyncio.create_task(self._read())
        init = asyncio.get_running_loop().call_later(
            self.parts.config.streams.init_wait_ms_max / 1_000, self._check_init
        )
        ends: set[asyncio.Future[Any]] = {reading, self.closing}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self.closing.done():
                await _close(self.socket, self.closing.result())
        finally:
            self.own.close()
            init.cancel()
            ending = [reading, *self.operations.values()]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    def end(self, close: Close, reason: str) -> None:
        """Have the connection closed; the first reason counts."""
        if not self.closing.done():
            self.closing.set_result(Closing(close, reason))

    def _check_init(self) -> None:
        if not self.initialised:
            self.end(Close.INIT_TIMEOUT, "Connection initialisation timeout")

    async def _read(self) -> None:
        try:
            while True:
                await self._handle(self._message(await self.socket.receive()))
        except WebSocketDisconnect:
            return
        except Closing as closing:
            self.end(closing.close, closing.reason)
        except Exception as failure:
            answer_of_failure(failure, trace_id_of(None))
            self.end(Close.FAULT, "Internal server error")

    def _message(self, received: Mapping[str, Any]) -> dict[str, Any]:
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1005))
        text = received.get("text")
        if text is None or len(text) > self.parts.config.streams.message_bytes_max:
            raise Closing(Close.BAD_MESSAGE, "Messages are JSON texts within the size limit")
        try:
            message = decode_message(text.encode())
        except ClientError as refusal:
            raise Closing(Close.BAD_MESSAGE, f"Invalid message: {refusal.message}") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Closing(Close.BAD_MESSAGE, "Invalid message: `type` is missing")
        meant = self.dialect.heard.get(message["type"])
        if meant is None:
            raise Closing(Close.BAD_MESSAGE, f"Invalid message: unknown type `{message['type'][:40]}`")
        return {**message, "type": meant}

    async def _handle(self, message: dict[str, Any]) -> None:
        payload = message.get("payload")
        if payload is not None and not isinstance(payload, dict):
            raise Closing(Close.BAD_MESSAGE, "Invalid message: `payload` must be an object")
        match message["type"]:
            case "connection_init":
                await self._init(payload or {})
            case "ping":
                await self._send(
                    {"type": "pong"} if payload is None else {"type": "pong", "payload": payload}
                )
            case "pong":
                pass
            case "subscribe":
                self._subscribe(message.get("id"), payload)
            case "complete":
                self._complete(message.get("id"))
            case "terminate":
                raise Closing(Close.DONE, "Bye")

    async def _init(self, payload: Mapping[str, Any]) -> None:
        if self.initialised:
            raise Closing(Close.TOO_MANY_INITS, "Too many initialisation requests")
        self.initialised = True
        self.format_ = format_of(payload)
        authorization = authorization_of(payload) or self.handshake.get("authorization")
        if authorization is not None and self.forwarding.takes("authorization"):
            self.headers["authorization"] = authorization
        try:
            headers = with_proof(self.handshake, payload)
            self.subject = await self.parts.door.caller(authorization, self.socket.scope, headers)
            self.parts.door.check_client({**self.handshake, **texts_of(payload)})
        except ClientError:
            if self.dialect.refusal is not None:
                await self._send(self.dialect.refusal)
            raise Closing(Close.FORBIDDEN, "Forbidden") from None
        try:
            self.own.enter_context(self.parts.drain.own(caller_of(self.subject)))
        except ClientError:
            raise Closing(Close.TRY_AGAIN_LATER, "too many connections") from None
        await self._send({"type": "connection_ack"})
        if self.dialect.sign_of_life is not None:
            await self._send(self.dialect.sign_of_life)
            self.own.callback(asyncio.create_task(self._show_life(self.dialect.sign_of_life)).cancel)

    async def _show_life(self, sign: Mapping[str, Any]) -> None:
        """Clients that have heard one such sign leave where no other follows."""
        while not self.closing.done():
            await asyncio.sleep(self.parts.config.streams.heartbeat_ms / 1_000)
            with suppress(WebSocketDisconnect, RuntimeError):
                await self._send(sign)

    def _subscribe(self, id_: object, payload: dict[str, Any] | None) -> None:
        subject = self.subject
        if subject is None:
            raise Closing(Close.UNAUTHORIZED, "Unauthorized")
        if not isinstance(id_, str) or not id_ or payload is None:
            raise Closing(Close.BAD_MESSAGE, "Invalid message: `subscribe` needs `id` and `payload`")
        if id_ in self.operations and self.dialect.begins_anew:
            self._complete(id_)
        elif id_ in self.operations:
            raise Closing(Close.DUPLICATE_ID, f"Subscriber for {id_[:80]} already exists")
        if not self.parts.credentials.stands(subject):
            raise Closing(Close.FORBIDDEN, "Forbidden")
        try:
            request = request_of(payload, self.headers)
        except ClientError as refusal:
            raise Closing(Close.BAD_MESSAGE, f"Invalid message: {refusal.message}") from None
        full = len(self.operations) >= self.parts.config.streams.operations_per_connection_max
        self.operations[id_] = asyncio.create_task(self._run(id_, request, subject, full=full))

    def _complete(self, id_: object) -> None:
        task = self.operations.pop(id_, None) if isinstance(id_, str) else None
        if task is not None:
            task.cancel()

    async def _run(self, id_: str, request: GraphQLRequest, subject: Subject, *, full: bool) -> None:
        """One operation from `subscribe` to `complete` or `error`. Its id is free again afterwards."""
        failure: Exception | None = None
        began_s, waiting = time.perf_counter(), Waiting()
        request_waiting.set(waiting)
        request_trace_id.set(trace_id_of(self.handshake.get("traceparent")))
        try:
            if full:
                raise overloaded()
            await self.parts.door.count(subject)
            async with aclosing(self._responses(request, subject)) as responses:
                async for said in responses:
                    await self._send_next(id_, said)
                    if said.is_whole:
                        _overhead(time.perf_counter() - began_s - waiting.total_s)
        except Exception as raised:
            failure = raised
        if self.operations.get(id_) is asyncio.current_task():
            del self.operations[id_]
        with suppress(WebSocketDisconnect, RuntimeError):
            if failure is None:
                await self._send({"id": id_, "type": "complete"})
            else:
                await self._fail(id_, failure)

    async def _fail(self, id_: str, failure: Exception) -> None:
        answer: Answer = answer_of_failure(failure, request_trace_id.get())
        await self._send({"id": id_, "type": "error", "payload": answer.body["errors"]})
        if answer.code == expired().code:
            self.end(Close.FORBIDDEN, "Forbidden")

    async def _responses(self, request: GraphQLRequest, subject: Subject) -> AsyncGenerator[_Said]:
        """Each response. Headers that subgraphs have for a client end here: a WebSocket carries none."""
        if self.parts.router.on_request is not None:
            request = await self.parts.router.on_request(request, subject)
        door = self.parts.door
        request = self.parts.persisted.resolved(request, door.safelist(subject), client=subject.client_id)
        graph = self.parts.router.snapshot
        document = await self.parts.router.read(request, graph)
        door.check_operation(request, document.normal.name)
        door.note(subject, document.kind, document.normal.name)
        if document.kind is not OperationKind.SUBSCRIPTION:
            async with aclosing(self._answers(request, document, subject, graph)) as parts:
                secret = document.kind is OperationKind.MUTATION  # it may hand out tokens
                async for response in parts:
                    yield _Said(orjson.dumps(response.body()), not document.defers, secret)
            return
        source = await self.parts.router.events(request, document, subject, graph)
        reading = self.parts.feeds.reading(source, request, subject, graph)
        async with aclosing(reading):
            while isinstance(event := await reading.next(), Event):
                yield _Said(event.answer.text())

    async def _answers(
        self, request: GraphQLRequest, document: Document, subject: Subject, graph: Snapshot
    ) -> AsyncGenerator[GraphQLResponse]:
        """One response, or several where something is deferred."""
        router = self.parts.router
        changes = document.kind is OperationKind.MUTATION
        if not document.defers:
            with self.parts.shared.mutation() if changes else nullcontext():
                response = await router.answer(request, document, subject, graph)
            yield response
            return
        source = await router.parts(request, document, subject, graph, self.format_)
        async with aclosing(standing(source, subject, self.parts.watch)) as parts:  # type: ignore[type-var]
            with self.parts.shared.mutation() if changes else nullcontext():
                response = await anext(parts)
            yield response
            async for response in parts:
                yield response

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self._send_text(orjson.dumps(self.dialect.spoken(message)).decode())

    async def _send_next(self, id_: str, said: _Said) -> None:
        """A response whose text was made for all who get it."""
        kind = self.dialect.said.get("next", "next")
        payload = said.text.decode()
        text = f'{{"id":{orjson.dumps(id_).decode()},"type":"{kind}",{PAYLOAD}{payload}}}'
        await self._send_text(text, secret=said.secret)

    async def _send_text(self, text: str, *, secret: bool = False) -> None:
        message: dict[str, Any] = {"type": "websocket.send", "text": text}
        if secret:
            message[PLAIN] = True
        try:
            async with asyncio.timeout(self.parts.config.streams.send_wait_ms_max / 1_000):
                await self.socket.send(message)
        except TimeoutError:
            self._cut_off()
            raise WebSocketDisconnect(Close.TRY_AGAIN_LATER) from None

    def _cut_off(self) -> None:
        """End a connection whose client does not read: a word of farewell would wait like all else."""
        if not self.closing.done():
            dropped_count.add(1)
        if (abort := self.socket.scope.get(ABORT)) is not None:
            abort()
        self.end(Close.TRY_AGAIN_LATER, "The client reads too slowly")
