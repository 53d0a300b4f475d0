"""Clients that send and do not read: what they are owed does not pile up in the router."""

from __future__ import annotations

import asyncio
import json
import socket
from urllib.parse import urlsplit

import pytest

from router.config import HttpLimits, RouterConfig, StreamLimits
from router.edge.connections import ClientConnection, ClientSocket
from router.edge.quick_http import QuickProtocol
from tests.kit_edge.running import running

FLOOD_BYTES = 24 * 1024 * 1024
"""More than the system keeps of what a client does not read."""
HELD_BYTES_MAX = 256 * 1024
NO_MASK = bytes(4)


def frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame, masked by zeros."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + NO_MASK + payload


@pytest.mark.timeout(60)
async def test_pings_of_a_client_that_does_not_read_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    sockets: list[ClientSocket] = []
    made = ClientSocket.connection_made

    def noted(self: ClientSocket, transport: asyncio.Transport) -> None:
        sockets.append(self)
        made(self, transport)

    monkeypatch.setattr(ClientSocket, "connection_made", noted)
    pings = frame(0x9, b"x" * 125) * 500
    async with running() as router:
        at = urlsplit(router.url)
        loop = asyncio.get_running_loop()
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        await loop.sock_connect(client, (at.hostname, at.port))
        await loop.sock_sendall(
            client,
            b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-protocol: graphql-transport-ws\r\n\r\n",
        )
        received = await loop.sock_recv(client, 4_096)
        assert received.startswith(b"HTTP/1.1 101 ")
        await loop.sock_sendall(client, frame(0x1, json.dumps({"type": "connection_init"}).encode()))
        for _ in range(FLOOD_BYTES // len(pings)):
            await loop.sock_sendall(client, pings)
        (flooded,) = sockets
        assert flooded.transport.get_write_buffer_size() < HELD_BYTES_MAX
        await loop.sock_sendall(client, frame(0x1, b'{"type":"ping","payload":{"n":1}}'))
        while b'"type":"pong"' not in received[-256:]:
            received = received[-256:] + await loop.sock_recv(client, 65_536)
        client.close()


REQUESTS, WAITING_MAX = 12_000, 8_192
"""As many are in one read at most; uvicorn would let all of them wait."""


@pytest.mark.timeout(60)
async def test_requests_that_wait_for_their_turn_are_not_read_on_and_all_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = 0
    begins = QuickProtocol.on_message_begin

    def noted(self: QuickProtocol) -> None:
        nonlocal waiting
        waiting = max(waiting, len(self.pipeline))
        begins(self)

    monkeypatch.setattr(QuickProtocol, "on_message_begin", noted)
    body = b'{"query":"{ __typename }"}'
    last = b"POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
    last += b"content-length: %d\r\n\r\n" % len(body)
    async with running() as router:
        at = urlsplit(router.url)
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        writer.write(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n" * REQUESTS + last + body)
        answered = await asyncio.wait_for(reader.read(), 50)
        writer.close()
    assert answered.count(b"HTTP/1.1 200 ") == REQUESTS + 1
    assert answered.endswith(b'{"data":{"__typename":"Query"}}')
    assert 0 < waiting <= WAITING_MAX


@pytest.mark.timeout(60)
async def test_who_reads_nothing_of_long_answers_is_cut_off_and_nothing_is_left_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = asyncio.Event()
    lost = ClientConnection.connection_lost

    def noted(self: ClientConnection, exc: Exception | None) -> None:
        ended.set()
        lost(self, exc)

    monkeypatch.setattr(ClientConnection, "connection_lost", noted)
    config = RouterConfig(
        streams=StreamLimits(send_wait_ms_max=250), http=HttpLimits(body_bytes_max=4_000_000)
    )
    text = "query ($name: String) { hello(name: $name) }"
    body = json.dumps({"query": text, "variables": {"name": "x" * 3_000_000}}).encode()
    head = (
        b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    async with running(config) as router:
        at = urlsplit(router.url)
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, (at.hostname, at.port))
        sending = asyncio.create_task(loop.sock_sendall(client, (head % len(body) + body) * 6))
        await asyncio.wait_for(ended.wait(), 30)
        sending.cancel()
        await asyncio.wait([sending])
        client.close()
        while router.app.state.drain.in_flight:
            await asyncio.sleep(0.01)
