"""A subgraph over HTTP, for routers alone: `POST /graphql` (JSON, multipart, event stream) and WebSocket.

Every call carries the router's signature over its body in `stadion-subject`; without a valid one the answer
is 403 and nothing of the subgraph runs. Over WebSocket the handshake carries it, signed for an empty body.
Source: GraphQL over HTTP, GraphQL multipart request specification, graphql-sse (distinct connections),
graphql-transport-ws.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any, cast

import msgspec
import orjson
from starlette.applications import Starlette
from starlette.datastructures import FormData, Headers
from starlette.datastructures import UploadFile as StarletteUpload
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from authz.errors import InvalidCall
from authz.identity.internal import HEADER_NAME, CallKey, SeenCalls, verify_call
from authz.identity.subject import Subject
from subgraphs.kit.answer_headers import HeadedAnswer
from subgraphs.kit.calls import AppLimits, Call
from subgraphs.kit.codings import Damaged, UnknownCoding, UnpackedTooLong, packed_answer, plain_body
from subgraphs.kit.sockets import PROTOCOL, Socket
from subgraphs.kit.subgraph import Subgraph

EMPTY_BODY_SHA256 = hashlib.sha256(b"").hexdigest()
JSON_TYPE = "application/graphql-response+json"


class _Refused(Exception):
    """The request gets this status and this one GraphQL error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def response(self) -> Response:
        error = {"message": self.message, "extensions": {"code": self.code}}
        return Response(orjson.dumps({"errors": [error]}), self.status, media_type=JSON_TYPE)


def subgraph_app(
    subgraph: Subgraph[Any],
    *,
    keys: Sequence[CallKey | bytes],
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    limits: AppLimits | None = None,
    ready: Callable[[], Awaitable[None]] | None = None,
    audience: str = "",
) -> Starlette:
    """The ASGI application. `keys` are shared with the router (the newest first); `ready` raises while a
    store is away, and `/health/ready` then answers 503. `audience` is whom calls are signed for, the
    subgraph's name unless told."""
    edge = _Edge(subgraph, list(keys), now, limits or AppLimits(), audience or subgraph.name)

    async def live(_: Request) -> Response:
        return Response(status_code=200)

    async def is_ready(_: Request) -> Response:
        try:
            if ready is not None:
                await ready()
        except Exception:  # whatever keeps a store away, the answer is the same
            return Response(status_code=503)
        return Response(status_code=200)

    return Starlette(
        routes=[
            Route("/graphql", edge.post, methods=["POST"]),
            WebSocketRoute("/graphql", edge.socket),
            Route("/health/live", live),
            Route("/health/startup", live),  # the port is open only after the start
            Route("/health/ready", is_ready),
        ]
    )


class _Edge:
    def __init__(
        self,
        subgraph: Subgraph[Any],
        keys: list[CallKey | bytes],
        now: Callable[[], dt.datetime],
        limits: AppLimits,
        audience: str,
    ) -> None:
        self._subgraph = subgraph
        self._audience = audience
        self._keys = keys
        self._now = now
        self._limits = limits
        self._seen = SeenCalls()

    async def post(self, request: Request) -> Response:
        """One signed GraphQL call."""
        with SpooledTemporaryFile(self._limits.spool_bytes_max) as body:
            try:
                return await self._answer(request, body)
            except _Refused as refusal:
                return refusal.response()
            except ClientDisconnect:
                return Response(status_code=400)

    async def _answer(self, request: Request, body: SpooledTemporaryFile[bytes]) -> Response:
        multipart = _media_type(request.headers) == "multipart/form-data"
        digest = await self._receive(request, body, multipart=multipart)
        subject = self._caller(request.headers, digest)
        if not multipart:
            call = self._json(request, body)
            if "text/event-stream" in request.headers.get("accept", ""):
                return StreamingResponse(self._events(call, subject), media_type="text/event-stream")
            return await self._executed(call, subject, request.headers.get("accept-encoding", ""))
        form = await self._form(request.headers, body)
        try:
            return await self._executed(_call_of(form), subject)
        finally:
            await form.close()

    async def _executed(self, call: Call, subject: Subject, accept_encoding: str = "") -> Response:
        answer = await self._subgraph.execute(call.query, call.variables, call.operation_name, subject)
        body, headers = packed_answer(orjson.dumps(answer), accept_encoding)
        # What was decided for this caller now is nobody's to keep, whatever a router keeps by default.
        response = Response(body, media_type=JSON_TYPE, headers={"cache-control": "no-store", **headers})
        if isinstance(answer, HeadedAnswer):
            for name, values in answer.headers.items():
                del response.headers[name]
                for value in values:
                    response.headers.append(name, value)
        return response

    async def _receive(self, request: Request, body: SpooledTemporaryFile[bytes], *, multipart: bool) -> str:
        """The body into `body`; its SHA-256, hex."""
        if HEADER_NAME not in request.headers:
            raise _unsigned()
        bytes_max = self._limits.multipart_bytes_max if multipart else self._limits.body_bytes_max
        digest, size = hashlib.sha256(), 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > bytes_max:
                raise _Refused(413, "REQUEST_TOO_LARGE", f"the body is over {bytes_max} bytes")
            digest.update(chunk)
            body.write(chunk)
        body.seek(0)
        return digest.hexdigest()

    def _caller(self, headers: Headers, body_sha256: str) -> Subject:
        signature = headers.get(HEADER_NAME, "")
        try:
            return verify_call(
                signature, self._audience, body_sha256, self._keys, self._now(), seen=self._seen
            )
        except InvalidCall:
            raise _unsigned() from None

    def _json(self, request: Request, body: SpooledTemporaryFile[bytes]) -> Call:
        if _media_type(request.headers) != "application/json":
            raise _Refused(415, "UNSUPPORTED_MEDIA_TYPE", "send `application/json`")
        coding, bytes_max = request.headers.get("content-encoding", ""), self._limits.body_bytes_max
        try:
            return _decoded(plain_body(body.read(), coding, bytes_max=bytes_max))
        except UnknownCoding:
            raise _Refused(415, "UNSUPPORTED_MEDIA_TYPE", "send `gzip`, `deflate` or no coding") from None
        except UnpackedTooLong:
            raise _Refused(413, "REQUEST_TOO_LARGE", f"the body is over {bytes_max} bytes") from None
        except Damaged:
            raise _bad_request() from None

    async def _form(self, headers: Headers, body: SpooledTemporaryFile[bytes]) -> FormData:
        async def chunks() -> AsyncGenerator[bytes, None]:
            while chunk := body.read(64 * 1024):
                yield chunk

        parser = MultiPartParser(
            headers,
            chunks(),
            max_files=self._limits.uploads_max,
            max_fields=2,
            max_part_size=self._limits.body_bytes_max,
        )
        try:
            return await parser.parse()
        except (MultiPartException, KeyError, ValueError):
            raise _bad_request() from None

    async def _events(self, call: Call, subject: Subject) -> AsyncIterator[bytes]:
        """Server-sent events: `next` for each response, then `complete`; a comment while nothing comes."""
        responses = self._subgraph.subscribe(call.query, call.variables, call.operation_name, subject)
        pending: asyncio.Task[dict[str, Any]] | None = None
        try:
            while True:
                pending = pending or asyncio.ensure_future(anext(responses))
                done, _ = await asyncio.wait({pending}, timeout=self._limits.heartbeat_s)
                if not done:
                    yield b":\n\n"
                    continue
                try:
                    response = pending.result()
                except StopAsyncIteration:
                    break
                pending = None
                yield b"event: next\ndata: " + orjson.dumps(response) + b"\n\n"
            yield b"event: complete\ndata:\n\n"
        finally:
            if pending is not None and not pending.done():
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)
            await cast(Any, responses).aclose()

    async def socket(self, websocket: WebSocket) -> None:
        """One graphql-transport-ws connection of the router, for one subject."""
        try:
            subject = self._caller(websocket.headers, EMPTY_BODY_SHA256)
        except _Refused:
            await websocket.close(1008)  # before the handshake is accepted: HTTP 403
            return
        if PROTOCOL not in websocket.scope.get("subprotocols", []):
            await websocket.close(4406)
            return
        await websocket.accept(PROTOCOL)
        await Socket(self._subgraph, subject, websocket, self._limits).serve()


def _unsigned() -> _Refused:
    return _Refused(403, "INVALID_CALL", "the call carries no valid router signature")


def _bad_request() -> _Refused:
    return _Refused(400, "BAD_REQUEST", "the body is not a GraphQL request")


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _decoded(body: bytes) -> Call:
    try:
        return msgspec.json.decode(body, type=Call)
    except msgspec.MsgspecError:
        raise _bad_request() from None


def _call_of(form: FormData) -> Call:
    """The multipart request: its operation, with the files put where `map` says."""
    try:
        operations, paths = form["operations"], form["map"]
        if not isinstance(operations, str) or not isinstance(paths, str):
            raise _bad_request()
        call = _decoded(operations.encode())
        for name, places in msgspec.json.decode(paths, type=dict[str, list[str]]).items():
            file = form[name]
            if not isinstance(file, StarletteUpload):
                raise _bad_request()
            for place in places:
                _put(call, place.split("."), file)
    except (KeyError, IndexError, ValueError, TypeError, msgspec.MsgspecError):
        raise _bad_request() from None
    return call


def _put(call: Call, place: Sequence[str], file: StarletteUpload) -> None:
    """Put `file` at `variables.a.0`, where the operation has null."""
    if len(place) < 2 or place[0] != "variables" or call.variables is None:
        raise ValueError
    holder: Any = call.variables
    for step in place[1:-1]:
        holder = holder[int(step)] if isinstance(holder, list) else holder[step]
    key: Any = int(place[-1]) if isinstance(holder, list) else place[-1]
    if holder[key] is not None:
        raise ValueError
    holder[key] = file
