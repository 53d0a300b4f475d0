"""Subscriptions over WebSocket, one connection each: graphql-transport-ws, or its forerunner graphql-ws.

Source: the GraphQL over WebSocket protocol; the protocol of subscriptions-transport-ws.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Final

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest


@dataclass(frozen=True, slots=True)
class Dialect:
    """A subprotocol and its words."""

    name: Subprotocol
    begin: str
    event: str
    stop: str


MODERN: Final = Dialect(Subprotocol("graphql-transport-ws"), "subscribe", "next", "complete")
LEGACY: Final = Dialect(Subprotocol("graphql-ws"), "start", "data", "stop")
PING_S: Final = 20.0
"""A connection is pinged this often, so that one whose other end is gone is not waited on for ever."""
PONG_S_MAX: Final = 20.0
_FAILED: Final = "SUBREQUEST_WEBSOCKET_ERROR"
_ID: Final = "1"


async def websocket_payloads(
    request: SubgraphRequest,
    url: str,
    headers: Mapping[str, str],
    *,
    open_timeout_s: float,
    event_bytes_max: int,
    dialect: Dialect = MODERN,
    tls: SSLContext | None = None,
    unix_socket: str = "",
) -> AsyncIterator[Any]:
    """Each event's payload, until `complete`.  Errors: `SubgraphCallFailed`.

    An `error` message becomes one last payload `{"errors": […]}`. Closing the iterator tells the
    subgraph to stop and closes the connection.
    """
    service = request.service
    over_socket: dict[str, Any] = {"unix": True, "path": unix_socket} if unix_socket else {}
    try:
        async with connect(
            websocket_url(url),
            subprotocols=[dialect.name],
            additional_headers=dict(headers),
            open_timeout=open_timeout_s,
            close_timeout=1,
            ping_interval=PING_S,
            ping_timeout=PONG_S_MAX,
            max_size=event_bytes_max,
            proxy=None,
            user_agent_header=None,
            ssl=tls,
            **over_socket,
        ) as socket:
            await _open(socket, request, open_timeout_s, dialect)
            running = True
            try:
                while running:
                    frame = await _receive(service, socket, dialect)
                    running = frame["type"] == dialect.event
                    if frame["type"] == "error":
                        yield {"errors": _errors(frame.get("payload"))}
                    elif running:
                        yield frame.get("payload")
            finally:
                if running and socket.close_code is None:
                    await _say(socket, {"id": _ID, "type": dialect.stop})
    except TimeoutError:
        raise SubgraphCallFailed(service, "timed out", code=_FAILED) from None
    except (OSError, InvalidHandshake, InvalidURI):
        raise SubgraphCallFailed(service, "could not open a WebSocket", code=_FAILED) from None
    except ConnectionClosed as closed:
        raise SubgraphCallFailed(service, _why(closed, event_bytes_max), code=_FAILED) from None


def websocket_url(url: str) -> str:
    """`http://…` → `ws://…`, `https://…` → `wss://…`; WebSocket URLs stay as they are."""
    return "ws" + url.removeprefix("http") if url.startswith("http") else url


def _why(closed: ConnectionClosed, event_bytes_max: int) -> str:
    """What ended the connection; what this side closed it for comes first."""
    sent = closed.sent.code if closed.sent is not None and not closed.rcvd_then_sent else 0
    match sent:
        case CloseCode.MESSAGE_TOO_BIG:
            return f"sent an event of more than {event_bytes_max} bytes"
        case CloseCode.INTERNAL_ERROR:
            return "answered no ping"
        case CloseCode.PROTOCOL_ERROR | CloseCode.INVALID_DATA:
            return "did not speak WebSocket"
    code = closed.rcvd.code if closed.rcvd is not None else CloseCode.ABNORMAL_CLOSURE
    return f"closed the WebSocket with code {int(code)}"


def _errors(payload: object) -> list[Any]:
    """An `error` message's errors: a list, and in the forerunner one error or a text."""
    if isinstance(payload, list):
        return payload
    return [payload if isinstance(payload, Mapping) else {"message": str(payload or "the stream failed")}]


async def _open(
    socket: ClientConnection, request: SubgraphRequest, open_timeout_s: float, dialect: Dialect
) -> None:
    if socket.subprotocol != dialect.name:
        raise SubgraphCallFailed(request.service, f"does not speak {dialect.name}", code=_FAILED)
    payload: dict[str, Any] = {"query": request.query, "variables": request.variables}
    if request.operation_name is not None:
        payload["operationName"] = request.operation_name
    await _say(socket, {"type": "connection_init"})
    async with asyncio.timeout(open_timeout_s):
        while (frame := await _frame(request.service, socket))["type"] != "connection_ack":
            if frame["type"] == "connection_error":
                raise SubgraphCallFailed(request.service, "refused the connection", code=_FAILED)
    await _say(socket, {"id": _ID, "type": dialect.begin, "payload": payload})


async def _receive(service: str, socket: ClientConnection, dialect: Dialect) -> dict[str, Any]:
    """The next message of the subscription; pings are answered on the way. One for a subscription that
    nobody opened is no silence: its sender thinks that it is this one's."""
    while True:
        frame = await _frame(service, socket)
        if frame["type"] in {dialect.event, "error", "complete"}:
            if frame.get("id") != _ID:
                raise SubgraphCallFailed(service, "answered a subscription that was not opened", code=_FAILED)
            return frame


async def _frame(service: str, socket: ClientConnection) -> dict[str, Any]:
    try:
        frame = orjson.loads(await socket.recv(decode=False))
    except orjson.JSONDecodeError:
        frame = None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise SubgraphCallFailed(service, "sent a message that is not of the protocol", code=_FAILED)
    if frame["type"] == "ping":
        await _say(socket, {"type": "pong"})
    return frame


async def _say(socket: ClientConnection, message: Mapping[str, Any]) -> None:
    await socket.send(orjson.dumps(message).decode())
