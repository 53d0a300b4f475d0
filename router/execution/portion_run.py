"""The run of one portion: its own errors, the items that it is for, and who waits for its fetches."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

from router.execution.run import Run

_NEVER: Final = frozenset((-1,))
"""The id of no fetch."""


class PortionRun(Run):
    """A `Run` on the tree of `base`. `ranges` are the items of streamed lists that it is for."""

    __slots__ = ("_base", "_finished", "_over", "_waiting", "ranges")

    def __init__(self, base: Run, ranges: Mapping[int, tuple[int, int]]) -> None:
        super().__init__(
            variables=base.variables, subject=base.subject, transport=base.transport, options=base.options
        )
        self.root, self.failed, self.reasons = base.root, base.failed, base.reasons
        self.ranges = ranges
        self._finished: set[int] = set()
        self._over = False
        self._waiting: list[asyncio.Future[None]] = []

    def finish(self, fetch_ids: Collection[int]) -> None:
        """These fetches are made and merged."""
        self._finished.update(fetch_ids)
        self._wake()

    def end(self) -> None:
        """All is made: nobody waits any longer."""
        self._over = True
        self._wake()

    async def over(self) -> None:
        """Return when all is made."""
        await self.finished(_NEVER)

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    async def finished(self, fetch_ids: Collection[int]) -> None:
        """Return when these fetches are made, or the whole run is over."""
        while not self._over and not self._finished.issuperset(fetch_ids):
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting
