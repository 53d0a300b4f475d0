"""A relay: what comes from a client goes on to the subgraphs and back, unread; any proxy has to do as much.

Run: `python -m tests.benchmarks.gateway.relay --port 4000 --to 4200`. It answers rightly where one subgraph's
answer is the client's. Each client has a connection of its own to the subgraphs.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import cast

import uvloop


class Side(asyncio.Protocol):
    """One of two connections; what it receives leaves on the other one."""

    def __init__(self, other: Side | None = None, *, to: int = 0) -> None:
        self._other = other
        self._to = to
        self._early: list[bytes] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: it is open; a client's gets its other one."""
        self.transport = cast(asyncio.Transport, transport)
        if self._other is None:
            self._other = Side(self)
            loop = asyncio.get_running_loop()
            self._connecting = loop.create_task(self._connect(loop, self._other))

    async def _connect(self, loop: asyncio.AbstractEventLoop, other: Side) -> None:
        await loop.create_connection(lambda: other, "127.0.0.1", self._to)
        for data in self._early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        if self._other is None or self._other.transport is None:
            self._early.append(data)
        else:
            self._other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it has ended, and so does the other one."""
        if self._other is not None and self._other.transport is not None:
            self._other.transport.close()


async def serve(port: int, to: int) -> None:
    """Relay until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Side(to=to), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", type=int, required=True)
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.to))
