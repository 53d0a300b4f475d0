"""Backlog: connections that the kernel has made and nobody has accepted yet, when their port is closed.

Closing a listening socket resets them: their clients have connected, and may have sent their requests.
"""

from __future__ import annotations

import asyncio
import ctypes
import select
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

HANDSHAKE_S: Final = 0.05
"""How long the last packet of a handshake that had begun may be on its way."""
EMPTIED_S_MAX: Final = 1.0
"""A backlog that does not become empty in this time is shared with somebody who takes new connections."""

_ATTACH_FILTER: Final = 26  # SO_ATTACH_FILTER, which Python's socket module does not name
_SYN: Final = 0x02
_FILTER: Final = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # the byte of flags of the TCP header
        (0x45, 0, 1, _SYN),
        (0x06, 0, 0, 0),  # a first packet: drop it; its sender tries again, or elsewhere
        (0x06, 0, 0, 0xFFFF_FFFF),
    )
)


def refuse_new(listening: socket.socket) -> None:
    """Have the kernel begin no connection on this socket any more; those that it has begun go on.

    A client that comes now tries again after a second, and finds what is listening then. Where the system
    cannot do this, nothing happens. INVARIANT: the filter is the socket's, in every process that has it.
    Source: socket(7), SO_ATTACH_FILTER.
    """
    if sys.platform != "linux" or listening.fileno() < 0:
        return
    program = ctypes.create_string_buffer(_FILTER, len(_FILTER))
    with suppress(OSError):
        listening.setsockopt(
            socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HL", len(_FILTER) // 8, ctypes.addressof(program))
        )


async def emptied(listening: Sequence[socket.socket]) -> None:
    """Return once all that waits on these sockets was accepted, by the loop's own servers."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + EMPTIED_S_MAX
    await asyncio.sleep(HANDSHAKE_S)
    waiting = select.poll()
    for one in listening:
        if one.fileno() >= 0:
            waiting.register(one, select.POLLIN)
    while waiting.poll(0) and loop.time() < until_s:  # noqa: ASYNC110  # the kernel tells of no empty queue
        await asyncio.sleep(0.001)
    for _ in range(3):  # what was accepted last becomes a connection
        await asyncio.sleep(0)
