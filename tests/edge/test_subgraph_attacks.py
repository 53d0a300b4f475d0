"""Subgraphs and clients that would have the router call elsewhere, or hold more than it should."""

from __future__ import annotations

import asyncio
import gzip
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from authz.identity.subject import ANONYMOUS
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest
from router.execution.transports.http import HttpTransport
from router.operation.model import OperationKind
from router.traffic import Http2, RetryPolicy, StreamProtocol, SubgraphTraffic, SubscriptionSource, Traffic

pytestmark = pytest.mark.timeout(30)
STREAMS = [one for one in StreamProtocol if one not in {StreamProtocol.CALLBACK, StreamProtocol.EVENTS}]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def transport_to(url: str, **settings: Any) -> HttpTransport:
    every = SubgraphTraffic(retry=RetryPolicy(attempts_max=1, unreachable_wait_ms_max=0), **settings)
    return HttpTransport({"a": url}, traffic=Traffic(all=every))


def call(kind: OperationKind = OperationKind.QUERY, **more: Any) -> SubgraphRequest:
    return SubgraphRequest(
        service="a", kind=kind, query="{a}", variables={}, subject=ANONYMOUS, timeout_s=5, **more
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("protocol", [None, *STREAMS])
async def test_no_redirect_is_followed_for_calls_or_streams(
    status: int, protocol: StreamProtocol | None
) -> None:
    visited = []

    async def secret(request: web.Request) -> web.StreamResponse:
        visited.append(request.path)
        return web.json_response({"data": {"a": "secret"}})

    async with served(secret) as elsewhere:

        async def away(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, headers={"location": f"{elsewhere}/metadata"})

        async with served(away) as url:
            source = SubscriptionSource(protocol=protocol or StreamProtocol.SSE)
            transport = transport_to(url, subscriptions=source)
            with pytest.raises(SubgraphCallFailed) as failed:
                if protocol is None:
                    await transport.fetch(call())
                else:
                    await anext(transport.subscribe(call(OperationKind.SUBSCRIPTION)))
            await transport.close()
    assert visited == []
    assert elsewhere.split("//")[1] not in failed.value.message


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://h/",
        "gopher://h/",
        "unix:///run/x",
        "//h/graphql",
        "http://",
        "",
        "http://h:x/",
    ],
)
async def test_an_address_that_is_not_http_is_never_called(url: str) -> None:
    transport = transport_to(url)
    with pytest.raises(SubgraphCallFailed, match="has no address"):
        await transport.fetch(call())
    with pytest.raises(SubgraphCallFailed, match="has no address"):
        await anext(transport.subscribe(call(OperationKind.SUBSCRIPTION)))
    await transport.close()


async def test_neither_headers_nor_the_operation_choose_the_address() -> None:
    seen: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append((request.headers["host"], request.path_qs))
        return web.json_response({"data": {"a": 1}})

    hostile = {
        "host": "evil.invalid", "Host": "evil.invalid", ":authority": "evil.invalid", "x-forwarded-host": "e",
        "x-a": "1\r\nhost: evil.invalid", "x-b\r\nhost": "evil.invalid", "transfer-encoding": "chunked",
        "content-length": "5", "connection": "upgrade", "upgrade": "h2c", "te": "trailers",
    }  # fmt: skip
    async with served(answer) as url:
        for settings in ({}, {"compress_requests": True}):
            transport = transport_to(f"{url}/graphql?a=b", **settings)
            await transport.fetch(call(headers=hostile))
            await transport.close()
    assert set(seen) == {(url.removeprefix("http://"), "/graphql?a=b")}


async def test_a_compressed_bomb_is_refused_before_it_is_held() -> None:
    bomb = gzip.compress(bytes(200_000_000), compresslevel=1)

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(
            body=bomb, headers={"content-type": "application/json", "content-encoding": "gzip"}
        )

    async with served(answer) as url:
        transport = transport_to(url, answer_bytes_max=1_000_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(3):
            with pytest.raises(SubgraphCallFailed, match="more than 1000000 bytes"):
                await transport.fetch(call())
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        await transport.close()
    assert grown_kib < 50_000


async def test_an_endless_answer_and_an_endless_head_are_cut_off() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        with_room = b"x" * 65_536
        try:
            while True:
                await response.write(with_room)
        except ConnectionError:
            return response

    async with served(endless) as url:
        transport = transport_to(url, answer_bytes_max=1_000_000)
        with pytest.raises(SubgraphCallFailed, match="more than 1000000 bytes"):
            await transport.fetch(call())
        await transport.close()

    async def heads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        try:
            while True:
                writer.write(b"x-a: " + b"a" * 1_000 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(heads, "127.0.0.1", 0)
    transport = transport_to(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    with pytest.raises(SubgraphCallFailed):
        await transport.fetch(call())
    await transport.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("http2", [Http2.OFF, Http2.CLEARTEXT])
async def test_a_failure_tells_clients_nothing_of_the_address(http2: Http2) -> None:
    transport = transport_to("http://user:secret@127.0.0.1:1/hidden-path", http2=http2)
    with pytest.raises(SubgraphCallFailed) as failed:
        await transport.fetch(call())
    await transport.close()
    told = str(failed.value.to_graphql())
    assert not any(one in told for one in ("127.0.0.1", "secret", "hidden-path", "user"))
