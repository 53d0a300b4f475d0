"""Subgraphs on the same machine behind a Unix socket: calls and streams of every kind go over it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from authz.identity.subject import ANONYMOUS
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest
from router.execution.transports.http import HttpTransport
from router.operation.model import OperationKind
from router.traffic import StreamProtocol, SubgraphTraffic, SubscriptionSource, Traffic

URL = "http://books.invalid/graphql"
"""Its host is told and never looked up."""


def call(kind: OperationKind = OperationKind.QUERY) -> SubgraphRequest:
    return SubgraphRequest("books", kind, "{hello}", {}, ANONYMOUS, timeout_s=10)


async def answer(request: web.Request) -> web.StreamResponse:
    if request.headers.get("upgrade", "").lower() == "websocket":
        socket = web.WebSocketResponse(protocols=["graphql-transport-ws"])
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            said = json.loads(message.data)
            if said["type"] == "connection_init":
                await socket.send_json({"type": "connection_ack"})
            elif said["type"] == "subscribe":
                payload = {"data": {"host": request.host}}
                await socket.send_json({"id": said["id"], "type": "next", "payload": payload})
                await socket.send_json({"id": said["id"], "type": "complete"})
        return socket
    body = json.dumps({"data": {"host": request.host}})
    if "event-stream" in request.headers["accept"]:
        text = f"event: next\ndata: {body}\n\nevent: complete\ndata:\n\n"
        return web.Response(text=text, content_type="text/event-stream")
    return web.Response(text=body, content_type="application/json")


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/graphql", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    with TemporaryDirectory() as folder:  # a test's own folder may have a path too long for a socket
        path = str(Path(folder) / "books.sock")
        await web.UnixSite(runner, path).start()
        try:
            yield path
        finally:
            await runner.cleanup()


def transport_to(path: str, **more: Any) -> HttpTransport:
    source = SubscriptionSource(protocol=more.pop("protocol", StreamProtocol.SSE))
    traffic = SubgraphTraffic(socket=path, subscriptions=source, **more)
    return HttpTransport({"books": URL}, traffic=Traffic(by_name={"books": traffic}))


async def test_calls_go_over_the_socket_and_name_the_host_of_the_address() -> None:
    async with served() as path:
        transport = transport_to(path)
        for _ in range(2):
            assert (await transport.fetch(call())).data == {"host": "books.invalid"}
        await transport.close()


@pytest.mark.parametrize("protocol", [StreamProtocol.SSE, StreamProtocol.WEBSOCKET])
async def test_streams_go_over_it_as_well(protocol: StreamProtocol) -> None:
    async with served() as path:
        transport = transport_to(path, protocol=protocol)
        events = [one.data async for one in transport.subscribe(call(OperationKind.SUBSCRIPTION))]
        await transport.close()
    assert events == [{"host": "books.invalid"}]


async def test_a_socket_that_is_not_there_is_a_subgraph_that_is_not_there() -> None:
    transport = transport_to("/nowhere/books.sock")
    with pytest.raises(SubgraphCallFailed, match="could not be reached"):
        await transport.fetch(call())
    await transport.close()
