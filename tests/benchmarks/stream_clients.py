"""Clients of the streams benchmark, on raw sockets: each reads message by message and counts bytes."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ACCEPTED = {
    "sse": "text/event-stream",
    "multipart": 'multipart/mixed;subscriptionSpec="1.0", application/json',
}


@dataclass(slots=True)
class Client:
    """One open stream. `bytes_read` are those of the wire since it was opened; `packed` says whether the
    router has agreed to compress it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    unpacking: Any
    bytes_read: int = 0
    packed: bool = field(default=False)

    async def message(self) -> bytes:
        """The next piece that the router has sent, unpacked."""
        raise NotImplementedError

    async def read_until(self, awaited: bytes) -> None:
        """Read messages until one of them holds this."""
        while awaited not in await self.message():
            pass

    async def _exactly(self, count: int) -> bytes:
        self.bytes_read += count
        return await self.reader.readexactly(count)


class HttpClient(Client):
    """A body in chunks: server-sent events or parts."""

    async def message(self) -> bytes:
        """The next chunk."""
        size = await self.reader.readuntil(b"\r\n")
        self.bytes_read += len(size)
        text = (await self._exactly(int(size, 16) + 2))[:-2]
        return self.unpacking.decompress(text) if self.packed else text


class SocketClient(Client):
    """Messages of a WebSocket."""

    async def message(self) -> bytes:
        """The next message, in one frame."""
        first, size = await self._exactly(2)
        if size == 126:
            size = int.from_bytes(await self._exactly(2), "big")
        text = await self._exactly(size)
        if not first & 0x40:
            return text
        return self.unpacking.decompress(text + b"\x00\x00\xff\xff")


async def open_http(
    port: int, operation: Mapping[str, Any], *, protocol: str, coding: str, bytes_max: int
) -> Client:
    """One stream in the body of an HTTP answer, open and subscribed."""
    body = json.dumps(operation).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: x\r\naccept: {ACCEPTED[protocol]}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        + (f"accept-encoding: {coding}\r\n" if coding else "")
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=bytes_max)
    writer.write(head.encode() + b"\r\n" + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    if b" 200 OK" not in answer:
        raise ConnectionError(answer.decode("latin-1"))
    packed = b"content-encoding: " in answer.lower()
    client = HttpClient(reader, writer, zlib.decompressobj(31) if packed else None, packed=packed)
    await client.message()  # the sign of life
    return client


async def open_websocket(port: int, operation: Mapping[str, Any], *, coding: str, bytes_max: int) -> Client:
    """One connection with one subscription."""
    key = base64.b64encode(os.urandom(16)).decode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=bytes_max)
    offer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n" if coding else ""
    writer.write(
        f"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n{offer}"
        f"sec-websocket-protocol: graphql-transport-ws\r\n\r\n".encode()
    )
    packed = b"permessage-deflate" in await reader.readuntil(b"\r\n\r\n")
    client = SocketClient(reader, writer, zlib.decompressobj(-15) if packed else None, packed=packed)
    writer.write(_frame({"type": "connection_init"}))
    await client.read_until(b'"connection_ack"}')
    writer.write(_frame({"id": "1", "type": "subscribe", "payload": operation}))
    writer.write(_frame({"type": "ping"}))
    await client.read_until(b'"pong"}')
    return client


def _frame(message: Mapping[str, Any]) -> bytes:
    """A text frame as a client sends it; its mask is zero."""
    text = json.dumps(message).encode()
    size = (
        bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
    )
    return b"\x81" + size + bytes(4) + text
