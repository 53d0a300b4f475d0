"""Turns: long pieces of work one a turn of the event loop, so that many at once do not hold up all else."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Lets one caller go on in each turn of the loop, in the order in which they came. One a loop."""

    __slots__ = ("_is_taken", "_waiting")

    def __init__(self) -> None:
        self._is_taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def turn(self) -> bool:
        """Return at once in a turn of the loop that nobody has taken yet, else in a later one: then true,
        as others went before, who may have done the same work."""
        loop = asyncio.get_running_loop()
        if not self._is_taken:
            self._is_taken = True
            loop.call_soon(self._next)
            return False
        mine = loop.create_future()
        self._waiting.append(mine)
        await mine
        return True

    def _next(self) -> None:
        while self._waiting:
            first = self._waiting.popleft()
            if not first.done():  # a caller that was cancelled takes no turn
                first.set_result(None)
                first.get_loop().call_soon(self._next)
                return
        self._is_taken = False
