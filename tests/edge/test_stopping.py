"""A router that stops: whoever has connected is answered; nobody's request meets a closed connection."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from router.admission import ServerTls
from router.config import HttpLimits, RouterConfig
from router.edge.app import build_app
from router.edge.drain import Drain
from router.edge.serve import draining_server, listen
from tests.kit_edge.certificates import Authority
from tests.kit_edge.running import router_of
from tests.kit_edge.subgraph import Hall

pytestmark = pytest.mark.timeout(60)
BODY = json.dumps({"query": "{ hello }"}).encode()
ASKED = (
    b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    + f"content-length: {len(BODY)}\r\n\r\n".encode()
    + BODY
)
ANSWER = b'{"data":{"hello":"hello world"}}'


@dataclass(frozen=True, slots=True)
class Stoppable:
    """A router that serves at `port` until `stop`."""

    port: int
    server: uvicorn.Server
    serving: asyncio.Task[None]
    listening: socket.socket

    @property
    def drain(self) -> Drain:
        drain: Drain = self.server.config.app.state.drain  # type: ignore[union-attr]
        return drain

    async def stop(self) -> None:
        """Return when it stops, and its port is closed."""
        self.server.should_exit = True
        while self.listening.fileno() >= 0 and self.server.servers[0].is_serving():
            await asyncio.sleep(0.001)

    async def open(self, tls: ssl.SSLContext | None = None) -> Client:
        """A connection that the router has accepted."""
        before = len(self.server.server_state.connections)
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, ssl=tls))
        while len(self.server.server_state.connections) <= before:
            await asyncio.sleep(0.001)
        return client


@dataclass(frozen=True, slots=True)
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self) -> tuple[bytes, bytes]:
        """The head and the body of an answer."""
        self.writer.write(ASKED)
        return await self.answer()

    async def answer(self) -> tuple[bytes, bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        return head, await self.reader.readexactly(length)

    async def has_ended(self) -> bool:
        """Whether the router has closed the connection, without an error."""
        ended = await self.reader.read() == b""
        self.writer.close()
        await self.writer.wait_closed()
        return ended


@asynccontextmanager
async def stoppable(config: RouterConfig | None = None, *, shared: bool = False) -> AsyncIterator[Stoppable]:
    config = config or RouterConfig()
    listening, ready = listen("127.0.0.1", 0), asyncio.Event()
    app = build_app(router_of(Hall(), config))
    server = draining_server(app, config, ready=ready.set, shared=shared)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await ready.wait()
    try:
        yield Stoppable(listening.getsockname()[1], server, serving, listening)
    finally:
        server.should_exit = True
        await serving
        listening.close()


async def test_connections_that_nobody_has_accepted_are_answered_before_the_port_closes() -> None:
    """They are made in the moment in which the router begins to stop: the loop does not run meanwhile."""
    waiting: list[socket.socket] = []

    async with stoppable() as it:

        def connect() -> None:
            for _ in range(64):
                client = socket.create_connection(("127.0.0.1", it.port))
                client.setblocking(False)
                waiting.append(client)

        it.drain.on_stop(connect)
        await it.stop()
        assert len(waiting) == 64
        clients = [Client(*await asyncio.open_connection(sock=one)) for one in waiting]
        answers = await asyncio.gather(*(client.ask() for client in clients))
        assert {body for _, body in answers} == {ANSWER}
        assert all(b"connection: close" in head for head, _ in answers)
        assert all([await client.has_ended() for client in clients])
        await it.serving


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems cannot close a port to new connections alone"
)
async def test_a_port_that_is_about_to_close_makes_no_new_connection() -> None:
    """So that none can come between the last that is accepted and the closing."""
    refused: list[str] = []

    async with stoppable() as it:

        async def connect() -> None:
            client = socket.socket()
            client.setblocking(False)
            try:
                await asyncio.wait_for(
                    asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", it.port)), 0.03
                )
            except (TimeoutError, ConnectionError) as error:
                refused.append(type(error).__name__)
            client.close()

        tried: list[asyncio.Task[None]] = []
        it.drain.on_stop(lambda: tried.append(asyncio.create_task(connect())))
        await it.stop()
        await tried[0]
        assert refused == ["TimeoutError"]


async def test_a_connection_that_has_asked_nothing_yet_is_answered_after_the_port_has_closed() -> None:
    async with stoppable() as it:
        client = await it.open()
        await it.stop()
        head, body = await client.ask()
        assert body == ANSWER
        assert b"connection: close" in head
        assert await client.has_ended()


async def test_the_next_request_of_a_kept_connection_is_answered_and_is_its_last() -> None:
    async with stoppable() as it:
        client = await it.open()
        head, _ = await client.ask()
        assert b"connection: close" not in head
        await it.stop()
        head, body = await client.ask()
        assert body == ANSWER
        assert b"connection: close" in head
        assert await client.has_ended()


async def test_a_request_that_comes_in_pieces_while_the_router_stops_is_answered() -> None:
    async with stoppable() as it:
        client = await it.open()
        client.writer.write(ASKED[:40])
        await it.stop()
        for piece in (ASKED[40:90], ASKED[90:]):
            client.writer.write(piece)
            await client.writer.drain()
        assert (await client.answer())[1] == ANSWER
        assert await client.has_ended()


async def test_connections_that_stay_silent_are_ended() -> None:
    limits = HttpLimits(first_request_wait_ms_max=50, next_request_wait_ms_max=50)
    async with stoppable(RouterConfig(http=limits)) as it:
        fresh, kept = await it.open(), await it.open()
        await kept.ask()
        await it.stop()
        assert await fresh.has_ended()
        assert await kept.has_ended()
        await it.serving


async def test_a_tls_handshake_under_way_is_ended_and_its_request_answered(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.certificate("router")
    config = RouterConfig(tls=ServerTls(certificate_file=str(certificate), key_file=str(key)))
    connected: list[socket.socket] = []
    async with stoppable(config) as it:

        def connect() -> None:
            client = socket.create_connection(("127.0.0.1", it.port))
            client.setblocking(False)
            connected.append(client)

        it.drain.on_stop(connect)
        await it.stop()
        opened = await asyncio.open_connection(
            sock=connected[0], ssl=authority.client_context(), server_hostname="localhost"
        )
        assert (await Client(*opened).ask())[1] == ANSWER
        opened[1].close()


async def test_what_shares_its_port_leaves_new_connections_to_the_others() -> None:
    """A worker that is replaced closes its copy of the socket; the kernel goes on making connections."""
    async with stoppable(shared=True) as it:
        other = socket.fromfd(it.listening.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        client = await it.open()
        it.server.should_exit = True
        await client.ask()
        await it.serving
        late = socket.create_connection(("127.0.0.1", it.port))
        other.settimeout(5)
        accepted, _ = other.accept()
        for one in (late, accepted, other):
            one.close()
        client.writer.close()
