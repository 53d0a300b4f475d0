"""A router before a scripted subgraph, on sockets, asked by raw clients; with its straight way or without."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from deploy.transports import http_transport
from router.codings import unpacked
from router.config import RouterConfig
from router.edge import express_ways
from router.edge.app import RouterApp
from router.edge.credentials import Credentials
from router.traffic import BreakerPolicy, RetryPolicy, SubgraphTraffic, Traffic
from tests.kit_edge.running import Running, running

QUERY = {"query": "{ hello }"}
NAMED = {"query": "query Q($name: String) { hello(name: $name) }", "variables": {"name": "a"}}
GOOD = b'{"data":{"hello":"world"}}'
TRAFFIC = Traffic(
    all=SubgraphTraffic(
        retry=RetryPolicy(attempts_max=2, pause_ms_base=1, unreachable_wait_ms_max=0),
        breaker=BreakerPolicy(failures_percent_max=0),
    )
)
CONFIG = RouterConfig(subgraphs=TRAFFIC, subgraph_timeout_ms_max=2_000, forward_headers=("authorization",))


def http(body: bytes, status: bytes = b"200 OK", *more: bytes, type_: bytes = b"application/json") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"content-type: " + type_, b"content-length: %d" % len(body), *more]
    return b"\r\n".join([*lines, b"", b""]) + body


@dataclass(slots=True)
class Scripted:
    """A subgraph that answers what it is told to, then what `good` says. None: it hangs up."""

    good: Callable[[bytes], bytes] = lambda _: GOOD
    url: str = ""
    script: list[bytes | None] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    left: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                self.asked.append(head + await reader.readexactly(length))
                body = self.asked[-1].partition(b"\r\n\r\n")[2]
                said = self.script.pop(0) if self.script else http(self.good(body))
                await self.gate.wait()
                if said is None:
                    return
                writer.write(said)
                if b"connection: close" in said:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left += 1
        finally:
            writer.close()


@asynccontextmanager
async def scripted(good: Callable[[bytes], bytes] = lambda _: GOOD) -> AsyncIterator[Scripted]:
    subgraph = Scripted(good)
    subgraph.gate.set()
    async with await asyncio.start_server(subgraph.answer, "127.0.0.1", 0) as server:
        subgraph.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        yield subgraph
        subgraph.gate.set()


@asynccontextmanager
async def serving(
    monkeypatch: pytest.MonkeyPatch,
    *,
    straight: bool,
    config: RouterConfig = CONFIG,
    credentials: Credentials | None = None,
    registered: Mapping[str, str] | None = None,
) -> AsyncIterator[tuple[Running, Scripted]]:
    with monkeypatch.context() as patch:
        if not straight:
            patch.setattr(RouterApp, "express", None)
        async with scripted() as subgraph:
            transport = http_transport({"only": subgraph.url}, None, config)
            async with running(config, credentials, registered, transport=transport) as router:
                try:
                    yield router, subgraph
                finally:
                    await Client.close_all()


class Client:
    """One kept connection, raw: the straight way is for requests that come in one piece."""

    opened: ClassVar[list[Client]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.opened.append(self)

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    @classmethod
    async def close_all(cls) -> None:
        while cls.opened:
            await cls.opened.pop().close()

    @classmethod
    async def of(cls, router: Running) -> Client:
        at = urlsplit(router.url)
        return cls(*await asyncio.open_connection(at.hostname, at.port))

    def send(self, request: object, *lines: bytes) -> None:
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        head = [b"POST /graphql HTTP/1.1", b"host: x", b"content-type: application/json", *lines]
        self.writer.write(b"\r\n".join([*head, b"content-length: %d" % len(body), b"", b""]) + body)

    async def answer(self) -> tuple[str, dict[str, str], Any]:
        """Status line, headers, body; the trace id, which is each request's own, as `TRACE`."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        status, *lines = head.split("\r\n")[:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        body = await asyncio.wait_for(self.reader.readexactly(int(headers["content-length"])), 10)
        if "content-encoding" in headers:
            body = unpacked(body, headers["content-encoding"], bytes_max=10_000_000)
            del headers["content-length"]  # packed, a trace id within it makes it longer or shorter
        trace_id = headers.pop("stadion-trace-id")
        assert len(trace_id) == 32
        return status, headers, json.loads(body.replace(trace_id.encode(), b"TRACE"))

    async def ask(self, request: object, *lines: bytes) -> tuple[str, dict[str, str], Any]:
        self.send(request, *lines)
        return await self.answer()

    async def warm(self, request: object, *, times: int = 4) -> None:
        for _ in range(times):
            assert (await self.ask(request))[0] == "HTTP/1.1 200 OK"


def ways_taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which requests went straight, by how they did; grows."""
    found: list[str] = []
    began = express_ways.ExpressCycle.__init__

    def begin(self: Any, *arguments: Any) -> None:
        began(self, *arguments)
        found.append(type(self).__name__)

    monkeypatch.setattr(express_ways.ExpressCycle, "__init__", begin)
    return found
