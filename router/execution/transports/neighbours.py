"""Workers that share a port: what reached one of them is handed to those whom it is for."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import orjson

HAND_OVER_S_MAX: Final = 5.0
"""A worker that has not answered its neighbour by then is not there."""

Take = Callable[[str, object], int | Awaitable[int]]
"""What it is for (a subscription's id), and what was handed over → the status that it is answered with."""


class Neighbours:
    """The workers of one port, each with a local socket in `folder`, which they alone may enter.

    `own` is the number of this one. A post is given on as it is: it is judged by whom it is meant for.
    """

    def __init__(self, folder: Path, own: int, *, bytes_max: int) -> None:
        self.own = own
        self._folder = folder
        self._bytes_max = bytes_max

    async def serve(self, take: Take) -> None:
        """Answer what neighbours hand over, until cancelled. The socket is there after the first step."""
        listening = socket.socket(socket.AF_UNIX)
        listening.setblocking(False)
        made = self._folder / f"{self.own}.{os.getpid()}"
        listening.bind(str(made))
        made.rename(self._at(self.own))  # where another process had it, it has it until now

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                async with asyncio.timeout(HAND_OVER_S_MAX):
                    handed = await reader.read(-1)
                    if len(handed) <= self._bytes_max:
                        subscription_id, message = orjson.loads(handed)
                        status = take(subscription_id, message)
                        writer.write(str(status if isinstance(status, int) else await status).encode())
                        await writer.drain()
            except (TimeoutError, OSError, ValueError):
                pass  # the neighbour has no answer then, and says so
            finally:
                writer.close()

        server = await asyncio.start_unix_server(answer, sock=listening)
        async with server:
            await asyncio.get_running_loop().create_future()

    async def hand_over(self, worker: int, subscription_id: str, message: object) -> int | None:
        """What the worker answers; None where it cannot be reached."""
        try:
            async with asyncio.timeout(HAND_OVER_S_MAX):
                reader, writer = await asyncio.open_unix_connection(str(self._at(worker)))
                try:
                    writer.write(orjson.dumps([subscription_id, message]))
                    writer.write_eof()
                    answer = await reader.read(-1)
                finally:
                    writer.close()
        except (TimeoutError, OSError):
            return None
        return int(answer) if answer.isdigit() else None

    def _at(self, worker: int) -> Path:
        return self._folder / str(worker)
