"""A client that pings and does not read: answers to its pings do not pile up in the router."""

from __future__ import annotations

import asyncio
import json
import socket
from urllib.parse import urlsplit

import pytest

from router.edge.connections import ClientSocket
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
