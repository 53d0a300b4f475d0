"""Accepting: all clients that wait at a listening socket, in one turn of the event loop.

uvloop accepts one connection of a listening socket a turn. While turns are full of requests, of a thousand
clients that come at once the last would wait for seconds.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

log = logging.getLogger("stadion.router.server")

ACCEPTED_A_TURN_MAX: Final = 128
"""Clients accepted in one turn; those that were accepted before have theirs in between."""
AGAIN_S: Final = 0.1
"""How long nobody is accepted after the system has refused a further connection: it has no more files."""


class Acceptor:
    """Accepts on one listening socket until it is closed, and makes a connection of each.

    It is used as one of asyncio's servers is; `protocol` makes the protocol of one connection.
    """

    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        *,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.sockets = (listening,)
        self._listening = listening
        self._protocol = protocol
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._making: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._is_closed = False
        listening.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Accept nobody any more, and give the socket back to the system. Again does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._again is not None:
            self._again.cancel()
        else:
            self._loop.remove_reader(self._listening)
        self._listening.close()

    def is_serving(self) -> bool:
        """Whether clients are accepted."""
        return not self._is_closed

    async def wait_closed(self) -> None:
        """Return once every accepted connection is made, or could not be."""
        if self._making:
            await asyncio.wait(tuple(self._making))

    def _listen(self) -> None:
        self._again = None
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_A_TURN_MAX):
            try:
                client, _address = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue  # it has left already
            except OSError as error:
                log.error("no client can be accepted: %s", error.strerror)
                self._loop.remove_reader(self._listening)
                self._again = self._loop.call_later(AGAIN_S, self._listen)
                return
            client.setblocking(False)
            making = self._loop.create_task(self._make(client))
            self._making.add(making)
            making.add_done_callback(partial(self._made, client))

    async def _make(self, client: socket.socket) -> None:
        """A connection of an accepted client; one whose handshake fails ends, and that is all."""
        with suppress(OSError):  # as of any client that leaves while it connects
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._protocol, client, ssl=self._tls)
            return
        client.close()

    def _made(self, client: socket.socket, making: asyncio.Task[None]) -> None:
        self._making.discard(making)
        if making.cancelled():  # maybe before it began: nobody else knows of the client then
            client.close()
