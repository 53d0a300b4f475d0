"""Subscriptions over WebSocket: the graphql-transport-ws protocol, one connection a subscription.

Source: the GraphQL over WebSocket protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.typing import Subprotocol

from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest

_PROTOCOL: Final = Subprotocol("graphql-transport-ws")
_FAILED: Final = "SUBREQUEST_WEBSOCKET_ERROR"
_ID: Final = "1"


async def websocket_payloads(
    request: SubgraphRequest,
    url: str,
    headers: Mapping[str, str],
    *,
    open_timeout_s: float,
    event_bytes_max: int,
) -> AsyncIterator[Any]:
    """Each `next` message's payload, until `complete`.  Errors: `SubgraphCallFailed`.

    An `error` message becomes one last payload `{"errors": […]}`. Closing the iterator tells the
    subgraph to stop and closes the connection.
    """
    service = request.service
    try:
        async with connect(
            websocket_url(url),
            subprotocols=[_PROTOCOL],
            additional_headers=dict(headers),
            open_timeout=open_timeout_s,
            close_timeout=1,
            max_size=event_bytes_max,
            proxy=None,
            user_agent_header=None,
        ) as socket:
            await _open(socket, request, open_timeout_s)
            running = True
            try:
                while running:
                    frame = await _receive(service, socket)
                    running = frame["type"] == "next"
                    if frame["type"] == "error":
                        yield {"errors": frame.get("payload") or []}
                    elif running:
                        yield frame.get("payload")
            finally:
                if running and socket.close_code is None:
                    await _say(socket, {"id": _ID, "type": "complete"})
    except TimeoutError:
        raise SubgraphCallFailed(service, "timed out", code=_FAILED) from None
    except (OSError, InvalidHandshake, InvalidURI):
        raise SubgraphCallFailed(service, "could not open a WebSocket", code=_FAILED) from None
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd is not None else 1006
        raise SubgraphCallFailed(service, f"closed the WebSocket with code {code}", code=_FAILED) from None


def websocket_url(url: str) -> str:
    """`http://…` → `ws://…`, `https://…` → `wss://…`; WebSocket URLs stay as they are."""
    return "ws" + url.removeprefix("http") if url.startswith("http") else url


async def _open(socket: ClientConnection, request: SubgraphRequest, open_timeout_s: float) -> None:
    if socket.subprotocol != _PROTOCOL:
        raise SubgraphCallFailed(request.service, f"does not speak {_PROTOCOL}", code=_FAILED)
    payload: dict[str, Any] = {"query": request.query, "variables": request.variables}
    if request.operation_name is not None:
        payload["operationName"] = request.operation_name
    await _say(socket, {"type": "connection_init"})
    async with asyncio.timeout(open_timeout_s):
        while (await _frame(request.service, socket))["type"] != "connection_ack":
            pass
    await _say(socket, {"id": _ID, "type": "subscribe", "payload": payload})


async def _receive(service: str, socket: ClientConnection) -> dict[str, Any]:
    """The next message of the subscription; pings are answered on the way."""
    while True:
        frame = await _frame(service, socket)
        if frame["type"] in {"next", "error", "complete"} and frame.get("id") == _ID:
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
