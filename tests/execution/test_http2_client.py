"""HTTP/2 towards subgraphs: many calls on one connection; windows, limits, resets, a server that leaves."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings

from router.execution.transports.http2_client import Http2Client
from router.execution.transports.http_client import HttpClient
from router.execution.transports.http_wire import (
    AnswerTooLong,
    ConnectFailed,
    ConnectionLost,
    Endpoint,
    HttpAnswer,
    NotHttp,
)
from tests.kit_edge.certificates import Authority

JSON = [
    (":status", "200"),
    ("content-type", "application/json; charset=utf-8"),
    ("cache-control", "max-age=5"),
]
LIMITS: dict[str, Any] = {"connect_timeout_s": 5.0, "keep_alive_s": 30.0, "answer_bytes_max": 2_000_000}


class Peer(asyncio.Protocol):
    """One connection of the server: calls `answer` for each whole request."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.bodies: dict[int, bytearray] = {}
        self.heads: dict[int, dict[str, str]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.server.peers.append(self)
        self.h2.local_settings = Settings(client=False, initial_values=self.server.settings)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, events.RequestReceived):
                self.heads[event.stream_id] = {k.decode(): v.decode() for k, v in event.headers}
                self.bodies[event.stream_id] = bytearray()
            elif isinstance(event, events.DataReceived):
                self.bodies[event.stream_id] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, events.StreamReset):
                self.server.resets.append(event.stream_id)
            if isinstance(event, events.StreamEnded):
                number = event.stream_id
                self.server.requests.append((self.heads[number], bytes(self.bodies[number])))
                task = asyncio.ensure_future(self.server.answer(self, number))
                self.server.tasks.add(task)
                task.add_done_callback(self.server.tasks.discard)
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def say(self, number: int, body: bytes, head: list[tuple[str, str]] | None = None) -> None:
        self.h2.send_headers(number, head or JSON)
        for start in range(0, len(body), 16_000):
            self.h2.send_data(number, body[start : start + 16_000])
        self.h2.end_stream(number)
        self.flush()


Answer = Callable[[Peer, int], Awaitable[None]]


class Server:
    """What a test looks at."""

    def __init__(self, answer: Answer, settings: dict[SettingCodes, int]) -> None:
        self.answer = answer
        self.settings = settings
        self.peers: list[Peer] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.resets: list[int] = []
        self.tasks: set[asyncio.Future[None]] = set()


@asynccontextmanager
async def serving(
    answer: Answer, *, settings: dict[SettingCodes, int] | None = None, **limits: Any
) -> AsyncIterator[tuple[Server, Http2Client, Endpoint]]:
    """Without TLS, as `cleartext` has it."""
    server = Server(answer, settings or {})
    listening = await asyncio.get_running_loop().create_server(lambda: Peer(server), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    client = client_of(ssl.create_default_context, **limits)
    try:
        yield server, client, Endpoint.of(f"http://127.0.0.1:{port}/graphql?a=b")
    finally:
        client.close()
        listening.close()
        for peer in server.peers:
            peer.transport.abort()
        await asyncio.sleep(0)


def client_of(tls: Callable[[], ssl.SSLContext], **limits: Any) -> Http2Client:
    every = {**LIMITS, **limits}
    plain = HttpClient(connections_per_host_max=10, tls_context=tls, **every)
    return Http2Client(plain, tls_context=tls, **every)


async def echo(peer: Peer, number: int) -> None:
    peer.say(number, bytes(peer.bodies[number]))


async def post(
    client: Http2Client, endpoint: Endpoint, body: bytes = b"{}", timeout_s: float = 10
) -> HttpAnswer:
    return await client.post(endpoint, {"x-a": "1", "evil": "a\r\nb"}, body, timeout_s=timeout_s)


async def test_many_calls_share_one_connection() -> None:
    gate = asyncio.Event()

    async def together(peer: Peer, number: int) -> None:
        if len(peer.server.requests) == 20:
            gate.set()
        await gate.wait()
        await echo(peer, number)

    async with serving(together) as (server, client, endpoint):
        answers = await asyncio.gather(*(post(client, endpoint, b"%d" % n) for n in range(20)))
    assert [one.body for one in answers] == [b"%d" % n for n in range(20)]
    assert answers[0]._replace(headers=()) == HttpAnswer(200, "application/json", b"0", "max-age=5")
    assert answers[0].headers == [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"cache-control", b"max-age=5"),
    ]
    assert len(server.peers) == 1
    head = server.requests[0][0]
    assert (head[":method"], head[":path"], head[":scheme"], head["x-a"]) == (
        "POST",
        "/graphql?a=b",
        "http",
        "1",
    )
    assert "evil" not in head


async def test_bodies_larger_than_every_window_go_both_ways() -> None:
    body = bytes(range(256)) * 6_000  # 1.5 MB, the default window has 64 KiB
    async with serving(echo_in_turns) as (_, client, endpoint):
        first, second = await asyncio.gather(post(client, endpoint, body), post(client, endpoint, body))
    assert first.body == second.body == body


async def echo_in_turns(peer: Peer, number: int) -> None:
    """As much as the client's windows take, again and again."""
    peer.h2.send_headers(number, JSON)
    rest = bytes(peer.bodies[number])
    while rest and number in peer.h2.streams:
        room = min(peer.h2.local_flow_control_window(number), 16_384)
        peer.h2.send_data(number, rest[:room])
        rest = rest[room:]
        peer.flush()
        await asyncio.sleep(0)
    peer.h2.end_stream(number)
    peer.flush()


async def test_calls_wait_where_the_server_takes_few_streams() -> None:
    most = 0

    async def counting(peer: Peer, number: int) -> None:
        nonlocal most
        most = max(most, peer.h2.open_inbound_streams)
        await asyncio.sleep(0)
        await echo(peer, number)

    async with serving(counting, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 3}) as (
        server,
        client,
        endpoint,
    ):
        await post(client, endpoint)  # the setting is known from now on
        answers = await asyncio.gather(*(post(client, endpoint, b"%d" % n) for n in range(12)))
    assert [one.body for one in answers] == [b"%d" % n for n in range(12)]
    assert most <= 3
    assert len(server.peers) == 1


async def test_after_goaway_calls_under_way_end_and_later_ones_go_elsewhere() -> None:
    gate = asyncio.Event()

    async def leaving(peer: Peer, number: int) -> None:
        if len(peer.server.peers) == 1 and not gate.is_set():
            # said by hand: `h2` would refuse to answer after it
            peer.transport.write(b"\0\0\x08\x07\0\0\0\0\0" + number.to_bytes(4, "big") + bytes(4))
            await gate.wait()
        await echo(peer, number)

    async with serving(leaving) as (server, client, endpoint):
        first = asyncio.create_task(post(client, endpoint, b"first"))
        while not server.requests:
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        gate_open_before = gate.is_set()
        second = await asyncio.wait_for(asyncio.gather(post_when_open(client, endpoint, gate)), 5)
        assert (await first).body == b"first"
    assert not gate_open_before
    assert second[0].body == b"second"
    assert len(server.peers) == 2


async def post_when_open(client: Http2Client, endpoint: Endpoint, gate: asyncio.Event) -> HttpAnswer:
    gate.set()
    return await post(client, endpoint, b"second")


async def test_what_the_server_never_looked_at_is_sent_again() -> None:
    refused = 0

    async def refusing(peer: Peer, number: int) -> None:
        nonlocal refused
        if refused < 2:
            refused += 1
            peer.h2.reset_stream(number, ErrorCodes.REFUSED_STREAM)
            peer.flush()
        else:
            await echo(peer, number)

    async with serving(refusing) as (_, client, endpoint):
        assert (await post(client, endpoint, b"x")).body == b"x"
    assert refused == 2


async def test_another_reset_is_a_lost_call_and_costs_the_others_nothing() -> None:
    async def resetting(peer: Peer, number: int) -> None:
        if peer.bodies[number] == b"bad":
            peer.h2.reset_stream(number, ErrorCodes.INTERNAL_ERROR)
            peer.flush()
        else:
            await echo(peer, number)

    async with serving(resetting) as (server, client, endpoint):
        good, bad = await asyncio.gather(
            post(client, endpoint, b"good"), post(client, endpoint, b"bad"), return_exceptions=True
        )
        assert isinstance(bad, ConnectionLost)
        assert isinstance(good, HttpAnswer)
        assert (await post(client, endpoint, b"again")).body == b"again"
    assert len(server.peers) == 1


async def test_a_call_that_is_cancelled_or_late_is_reset_at_the_server() -> None:
    async def never(peer: Peer, number: int) -> None:
        if peer.bodies[number] == b"quick":
            await echo(peer, number)

    async with serving(never) as (server, client, endpoint):
        with pytest.raises(TimeoutError):
            await post(client, endpoint, b"slow", timeout_s=0.05)
        task = asyncio.create_task(post(client, endpoint, b"slow"))
        while len(server.requests) < 2:
            await asyncio.sleep(0)
        task.cancel()
        assert (await post(client, endpoint, b"quick")).body == b"quick"
        while len(server.resets) < 2:
            await asyncio.sleep(0)


async def test_a_connection_that_went_silent_is_not_used_after_a_timeout() -> None:
    async def silent(peer: Peer, number: int) -> None:
        if len(peer.server.peers) > 1:
            await echo(peer, number)

    async with serving(silent) as (server, client, endpoint):
        for _ in range(2):  # during the first one the settings may have come, which is a sign of life
            with pytest.raises(TimeoutError):
                await post(client, endpoint, b"a", timeout_s=0.2)
            if not server.peers or client._connection is None or not client._connection.takes_calls:
                break
        assert (await post(client, endpoint, b"c")).body == b"c"
    assert len(server.peers) == 2


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", NotHttp),
        (b"\0\0\x05\x07\0\0\0\0\0hello", NotHttp),
        (b"\0\xff\xff\x07\0\0\0\0\0", NotHttp),
        (b"\0\0\x01\x01\x04\0\0\0\0\x82", NotHttp),
        (b"", ConnectionLost),
    ],
)
async def test_what_is_not_http_2_ends_the_call(said: bytes, error: type[Exception]) -> None:
    ended = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(10)
            writer.write(said)
            while said and await reader.read(1_000):
                pass
        finally:
            writer.close()
            ended.set()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    client = client_of(ssl.create_default_context)
    endpoint = Endpoint.of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    with pytest.raises(error):
        await post(client, endpoint)
    client.close()
    await ended.wait()
    server.close()
    await server.wait_closed()


async def test_an_answer_over_the_limit_is_refused() -> None:
    async def long(peer: Peer, number: int) -> None:
        peer.say(number, b"x" * 10_001)

    async with serving(long, answer_bytes_max=10_000) as (_, client, endpoint):
        with pytest.raises(AnswerTooLong):
            await post(client, endpoint)


async def test_renewing_ends_no_call() -> None:
    gate = asyncio.Event()

    async def waiting(peer: Peer, number: int) -> None:
        await gate.wait()
        await echo(peer, number)

    async with serving(waiting) as (server, client, endpoint):
        first = asyncio.create_task(post(client, endpoint, b"first"))
        while not server.requests:
            await asyncio.sleep(0)
        client.renew()
        gate.set()
        assert (await post(client, endpoint, b"second")).body == b"second"
        assert (await first).body == b"first"
    assert len(server.peers) == 2


async def test_nobody_there_is_told_apart() -> None:
    async with serving(echo) as (_, client, endpoint):
        pass
    with pytest.raises(ConnectFailed) as failed:
        await post(client, endpoint)
    assert failed.value.refused
    client.close()


@pytest.mark.parametrize("protocols", [["h2", "http/1.1"], ["http/1.1"]])
async def test_over_tls_the_server_chooses_the_protocol(protocols: list[str], tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = Server(echo, {})
    tls = authority.server_context("subgraph")
    tls.set_alpn_protocols(protocols)

    async def http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none")
        await reader.read()
        writer.close()
        answered.set()

    answered = asyncio.Event()
    loop = asyncio.get_running_loop()
    listening = (
        await loop.create_server(lambda: Peer(server), "127.0.0.1", 0, ssl=tls)
        if "h2" in protocols
        else await asyncio.start_server(http1, "127.0.0.1", 0, ssl=tls)
    )
    context = authority.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = client_of(lambda: context)
    endpoint = Endpoint.of(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/")
    assert (await post(client, endpoint, b"two")).body == (b"two" if "h2" in protocols else b"one")
    client.close()
    if "h2" not in protocols:
        # The server's end too: left to the garbage collector, it would fail whatever test runs by then.
        await answered.wait()
    listening.close()
    await listening.wait_closed()
