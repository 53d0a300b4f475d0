"""Mock subgraphs over HTTP on an ephemeral port: queries, and subscriptions over WebSocket and SSE."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from authz.identity.subject import ANONYMOUS
from tests.kit_federation.mock_subgraph import Call, MockSubgraph

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(
    subgraphs: Sequence[MockSubgraph], *, instead: Handler | None = None
) -> AsyncIterator[dict[str, str]]:
    """Serve them; yields their URLs by name. `instead` answers in place of every subgraph."""
    app = web.Application()
    for subgraph in subgraphs:
        handler = instead or _handler(subgraph)
        app.router.add_post(f"/{subgraph.name}", handler)
        app.router.add_get(f"/{subgraph.name}", instead or _socket(subgraph))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield {it.name: f"http://{host}:{port}/{it.name}" for it in subgraphs}
    finally:
        await runner.cleanup()


def _handler(subgraph: MockSubgraph) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}
        query, variables = body["query"], body.get("variables") or {}
        if headers.get("accept") == "text/event-stream":
            return await _events(request, subgraph, body)
        if headers.get("accept", "").startswith("multipart/mixed"):
            return await _parts(request, subgraph, body)
        subgraph.calls.append(Call(query, variables, body.get("operationName"), None, headers))
        answered = await subgraph.answer(query, variables, body.get("operationName"))
        return web.json_response(answered, content_type="application/graphql-response+json")

    return handle


async def _events(request: web.Request, subgraph: MockSubgraph, body: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    async for event in subgraph.subscribe(
        body["query"], body.get("variables") or {}, body.get("operationName"), ANONYMOUS
    ):
        await response.write(f"event: next\ndata: {json.dumps(event)}\n\n".encode())
    await response.write(b"event: complete\ndata:\n\n")
    return response


async def _parts(request: web.Request, subgraph: MockSubgraph, body: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": 'multipart/mixed; boundary="graphql"'})
    await response.prepare(request)
    await response.write(b"\r\n--graphql\r\ncontent-type: application/json\r\n\r\n{}")
    async for event in subgraph.subscribe(
        body["query"], body.get("variables") or {}, body.get("operationName"), ANONYMOUS
    ):
        part = json.dumps({"payload": event})
        await response.write(f"\r\n--graphql\r\ncontent-type: application/json\r\n\r\n{part}".encode())
    await response.write(b"\r\n--graphql--\r\n")
    return response


def _socket(subgraph: MockSubgraph) -> Handler:
    """The graphql-transport-ws protocol or its forerunner, one subscription at a time."""

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=["graphql-transport-ws", "graphql-ws"])
        await socket.prepare(request)
        running: asyncio.Task[None] | None = None
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            frame = json.loads(message.data)
            if frame["type"] == "connection_init":
                await socket.send_json({"type": "connection_ack"})
                if socket.ws_protocol == "graphql-ws":
                    await socket.send_json({"type": "ka"})
            elif frame["type"] in {"subscribe", "start"}:
                running = asyncio.create_task(_stream(socket, subgraph, frame))
            elif frame["type"] in {"complete", "stop"} and running is not None:
                running.cancel()
        if running is not None:
            running.cancel()
        return socket

    return handle


async def _stream(socket: web.WebSocketResponse, subgraph: MockSubgraph, frame: dict[str, Any]) -> None:
    payload = frame["payload"]
    event_type = "data" if frame["type"] == "start" else "next"
    async for event in subgraph.subscribe(
        payload["query"], payload.get("variables") or {}, payload.get("operationName"), ANONYMOUS
    ):
        await socket.send_json({"id": frame["id"], "type": event_type, "payload": event})
    await socket.send_json({"id": frame["id"], "type": "complete"})
