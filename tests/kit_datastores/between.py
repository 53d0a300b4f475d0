"""A way to a server that a test may cut, make silent or slow: bytes pass through this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Between:
    """Passes bytes on to a server. `answers` is cleared to hold its answers back."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.answers = asyncio.Event()
        self.answers.set()
        self.held = asyncio.Event()
        self.port = 0

    def cut(self) -> None:
        """End every connection at once, as a pulled cable or a restarted proxy does."""
        for writer in self._writers:
            writer.transport.abort()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            there = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there[1]}
        ways = [
            asyncio.create_task(self._pass_on(reader, there[1], held=False)),
            asyncio.create_task(self._pass_on(there[0], writer, held=True)),
        ]
        self._tasks |= set(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, there[1]):
            self._writers.discard(each)
            each.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while content := await reader.read(65_536):
                if held and not self.answers.is_set():
                    self.held.set()
                    await self.answers.wait()
                writer.write(content)
                await writer.drain()

    async def end(self) -> None:
        """Cut, and wait until nothing runs any more."""
        self.answers.set()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def cut_off(port: int) -> AsyncIterator[Between]:
    """A way to the server at `port` of this machine."""
    between = Between(port)
    listening = await asyncio.start_server(between.connected, "127.0.0.1", 0)
    between.port = listening.sockets[0].getsockname()[1]
    try:
        yield between
    finally:
        listening.close()
        await between.end()
        await listening.wait_closed()
