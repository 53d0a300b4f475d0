"""The HTTP client against servers that write their own bytes: framing, keep-alive, limits, bad answers."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from router.execution.transports.http_client import HttpClient
from router.execution.transports.http_connection import Connection, Receiving
from router.execution.transports.http_wire import (
    AnswerTooLong,
    ConnectFailed,
    ConnectionLost,
    Endpoint,
    HttpAnswer,
    NotHttp,
)

Talk = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """Reads requests with a content length and lets `talk` write what it likes."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.requests: list[bytes] = []
        self.connections = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                await self._talk(self.requests[-1], writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    talk: Talk, *, tls: ssl.SSLContext | None = None, **limits: Any
) -> AsyncIterator[tuple[RawServer, Endpoint, HttpClient]]:
    raw = RawServer(talk)
    server = await asyncio.start_server(raw.handle, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    settings = {
        "connections_per_host_max": 10,
        "connect_timeout_s": 5.0,
        "keep_alive_s": 30.0,
        "answer_bytes_max": 10_000,
        **limits,
    }
    client = HttpClient(**settings)  # type: ignore[arg-type]
    scheme = "https" if tls else "http"
    try:
        yield raw, Endpoint.of(f"{scheme}://127.0.0.1:{port}/graphql?x=1"), client
    finally:
        client.close()
        server.close()
        await asyncio.sleep(0)


def always(text: bytes) -> Talk:
    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(text)

    return talk


def plain(body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


async def post(client: HttpClient, endpoint: Endpoint, **headers: str) -> HttpAnswer:
    return await client.post(endpoint, headers, b"body", timeout_s=5)


async def test_a_request_has_its_line_host_headers_and_length() -> None:
    async with serving(always(plain(b"ok"))) as (server, endpoint, client):
        await post(client, endpoint, accept="a/b", evil="x\r\nstadion-subject: forged", name="ü")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /graphql?x=1 HTTP/1.1",
        b"host: 127.0.0.1:%d" % endpoint.port,
        b"accept: a/b",
        "name: ü".encode(),
        b"content-length: 4",
    ]
    assert body == b"body"


async def test_the_media_type_comes_without_parameters_in_lower_case() -> None:
    answer = plain(b"{}", b"Content-Type: Application/JSON; charset=UTF-8")
    async with serving(always(answer)) as (_, endpoint, client):
        assert (await post(client, endpoint))._replace(headers=()) == HttpAnswer(
            200, "application/json", b"{}"
        )


async def test_connections_are_kept_and_used_again() -> None:
    async with serving(always(plain(b"ok"))) as (server, endpoint, client):
        for _ in range(5):
            assert (await post(client, endpoint)).body == b"ok"
        await asyncio.gather(*(post(client, endpoint) for _ in range(3)))
    assert server.connections == 3


async def test_a_connection_idle_for_too_long_is_not_used() -> None:
    async with serving(always(plain(b"ok")), keep_alive_s=-1) as (server, endpoint, client):
        await post(client, endpoint)
        await post(client, endpoint)
    assert server.connections == 2


@pytest.mark.parametrize("header", [b"connection: close", b"Connection: Close"])
async def test_a_connection_that_is_to_be_closed_is_not_kept(header: bytes) -> None:
    async with serving(always(plain(b"ok", header))) as (server, endpoint, client):
        await post(client, endpoint)
        await post(client, endpoint)
    assert server.connections == 2


async def test_calls_over_the_limit_wait_for_a_connection() -> None:
    at_once = most = 0
    gate = asyncio.Event()

    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await gate.wait()
        at_once -= 1
        writer.write(plain(b"ok"))

    async with serving(talk, connections_per_host_max=2) as (server, endpoint, client):
        calls = [asyncio.create_task(post(client, endpoint)) for _ in range(7)]
        while len(server.requests) < 2:
            await asyncio.sleep(0)
        calls[6].cancel()
        gate.set()
        done = await asyncio.gather(*calls, return_exceptions=True)
    assert [it.body for it in done[:6] if isinstance(it, HttpAnswer)] == [b"ok"] * 6
    assert isinstance(done[6], asyncio.CancelledError)
    assert (most, server.connections) == (2, 2)


async def test_a_failed_connection_frees_its_place() -> None:
    async with serving(always(b"nonsense"), connections_per_host_max=1) as (server, endpoint, client):
        for _ in range(3):
            with pytest.raises(NotHttp):
                await post(client, endpoint)
    assert server.connections == 3


async def test_chunks_may_come_in_any_pieces() -> None:
    text = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nt: 1\r\n\r\n"
    )

    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        for index in range(len(text)):
            writer.write(text[index : index + 1])
            await writer.drain()

    async with serving(talk) as (server, endpoint, client):
        assert (await post(client, endpoint)).body == b"abcdefg"
        assert (await post(client, endpoint)).body == b"abcdefg"
    assert server.connections == 1


async def test_an_answer_without_a_length_lasts_until_the_connection_ends() -> None:
    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\n\r\nuntil the end")
        writer.close()

    async with serving(talk) as (_, endpoint, client):
        assert (await post(client, endpoint))._replace(headers=()) == HttpAnswer(200, "a/b", b"until the end")


async def test_interim_answers_are_passed_over() -> None:
    text = b"HTTP/1.1 103 Early Hints\r\ncontent-type: x/y\r\n\r\n" + plain(b"ok")
    async with serving(always(text)) as (_, endpoint, client):
        assert (await post(client, endpoint))._replace(headers=()) == HttpAnswer(200, "", b"ok")


class Wire(asyncio.Transport):
    """A connection's other end, whose bytes the test hands over itself."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = False

    def write(self, data: Any) -> None:
        """Requests go nowhere."""

    def is_closing(self) -> bool:
        return self.ended

    def abort(self) -> None:
        self.ended = True


async def wired(receiving: Receiving, *, answer_bytes_max: int = 10_000) -> tuple[Connection, Wire]:
    client = HttpClient(
        connections_per_host_max=1, connect_timeout_s=5, keep_alive_s=5, answer_bytes_max=answer_bytes_max
    )
    connection = Connection(
        asyncio.get_running_loop(),
        client._host(Endpoint.of("http://127.0.0.1/")),
        answer_bytes_max,
        receiving,
    )
    wire = Wire()
    connection.connection_made(wire)
    return connection, wire


def receive(connection: Connection, data: bytes) -> None:
    while data:
        buffer = connection.get_buffer(-1)
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        connection.buffer_updated(count)
        data = data[count:]


async def test_an_answer_is_the_same_in_two_pieces_wherever_it_is_cut() -> None:
    first, second = plain(b"one more", b"content-type: a/b"), plain(b"two", b"content-type: a/b")
    receiving = Receiving()
    connection, wire = await wired(receiving)
    for cut in range(1, len(first)):
        for answer in (first, second):
            told: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
            connection.send(b"request", told, None)
            receive(connection, answer[:cut])
            receive(connection, answer[cut:])
            came = told.result()
            assert (came.status, came.media_type) == (200, "a/b")
            assert answer.endswith(b"\r\n\r\n" + came.body)
            connection.give_back()
    assert not wire.ended


async def test_an_answer_longer_than_what_is_read_at_once_goes_into_its_own_place() -> None:
    body = bytes(range(256)) * 8_000
    connection, _ = await wired(Receiving(), answer_bytes_max=len(body))
    told: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
    connection.send(b"request", told, None)
    receive(connection, plain(body)[:-1])
    assert not told.done()
    receive(connection, body[-1:])
    assert told.result().body == body


async def test_connections_that_read_in_turns_take_nothing_of_each_other() -> None:
    receiving, bodies = Receiving(), (b"a" * 5_000, b"b" * 5_000)
    pairs = [await wired(receiving) for _ in bodies]
    told = []
    for (connection, _), body in zip(pairs, bodies, strict=True):
        told.append(asyncio.get_running_loop().create_future())
        connection.send(b"request", told[-1], None)
        receive(connection, plain(body)[:2_000])
    for (connection, _), body in zip(pairs, bodies, strict=True):
        receive(connection, plain(body)[2_000:])
    assert tuple(it.result().body for it in told) == bodies


async def test_what_comes_beyond_an_answer_ends_the_connection() -> None:
    connection, wire = await wired(Receiving())
    told: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
    connection.send(b"request", told, None)
    receive(connection, plain(b"x" * 100)[:-1])
    receive(connection, b"x")
    assert told.result().body == b"x" * 100
    connection.give_back()
    receive(connection, b"more")
    assert wire.ended


async def test_an_answer_nobody_asked_for_is_not_taken_for_the_next() -> None:
    async with serving(always(plain(b"first") + plain(b"forged"))) as (server, endpoint, client):
        assert (await post(client, endpoint)).body == b"first"
        assert (await post(client, endpoint)).body == b"first"
    assert server.connections == 2


@pytest.mark.parametrize(
    "text",
    [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 2000 X\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"],
)
async def test_what_is_not_http_is_said_so(text: bytes) -> None:
    async with serving(always(text)) as (_, endpoint, client):
        with pytest.raises(NotHttp):
            await post(client, endpoint)


@pytest.mark.parametrize("text", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart"])
async def test_an_answer_that_is_cut_is_lost(text: bytes) -> None:
    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        writer.close()

    async with serving(talk) as (_, endpoint, client):
        with pytest.raises(ConnectionLost):
            await post(client, endpoint)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"ok" * 50)),
        ("deflate", zlib.compress(b"ok" * 50)),
        ("identity", b"ok" * 50),
    ],
    ids=["gzip", "deflate", "identity"],  # a gzip header holds the time, and workers compare names
)
async def test_compressed_answers_are_read(encoding: str, body: bytes) -> None:
    answer = plain(body, b"content-encoding: " + encoding.encode())
    async with serving(always(answer)) as (_, endpoint, client):
        assert (await post(client, endpoint)).body == b"ok" * 50


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (plain(b"x" * 10_001), AnswerTooLong),
        (plain(gzip.compress(b"x" * 10_001), b"content-encoding: gzip"), AnswerTooLong),
        (plain(b"not gzip", b"content-encoding: gzip"), NotHttp),
        (plain(b"x", b"content-encoding: br"), NotHttp),
    ],
)
async def test_too_long_and_unreadable_answers_are_refused(answer: bytes, error: type[Exception]) -> None:
    async with serving(always(answer)) as (_, endpoint, client):
        with pytest.raises(error):
            await post(client, endpoint)


async def test_time_runs_out_and_the_connection_is_not_used_again() -> None:
    async with serving(always(b"HTTP/1.1 200 OK\r\n")) as (server, endpoint, client):
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await client.post(endpoint, {}, b"", timeout_s=0.01)
    assert server.connections == 2


async def test_nobody_there_is_told_apart() -> None:
    async with serving(always(plain(b""))) as (_, endpoint, client):
        pass
    with pytest.raises(ConnectFailed):
        await post(client, endpoint)
    client.close()


@pytest.mark.parametrize("url", ["ftp://h/", "http://", "graphql", "", "http://h:x/"])
def test_only_http_urls_are_endpoints(url: str) -> None:
    with pytest.raises(ValueError):
        Endpoint.of(url)


def test_credentials_in_a_url_do_not_become_a_host_header() -> None:
    assert b"secret" not in Endpoint.of("http://user:secret@h:81/p").head


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "subgraph")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "cert.pem", folder / "key.pem"


async def test_tls_is_spoken_and_certificates_are_checked(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(cert, key)
    trusting = ssl.create_default_context(cafile=str(cert))
    async with serving(always(plain(b"ok")), tls=server_side, tls_context=lambda: trusting) as (  # type: ignore[arg-type]
        _,
        endpoint,
        client,
    ):
        assert (await post(client, endpoint)).body == b"ok"
    async with serving(always(plain(b"ok")), tls=server_side) as (_, endpoint, client):
        with pytest.raises(ConnectFailed):
            await post(client, endpoint)
