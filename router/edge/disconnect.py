"""Departure: stops the work for a client that has closed its connection."""

from __future__ import annotations

import asyncio
from types import TracebackType

from starlette.types import Receive

from router.edge.requests import ClientGone

QUICK_S = 1.0
"""Most requests are answered sooner; only slower ones are worth a watch."""


class Departure:
    """Cancels the block when the client goes, and turns that cancellation into ClientGone."""

    def __init__(self, receive: Receive, *, at_once: bool = False) -> None:
        self._receive = receive
        self._patience_s = 0.0 if at_once else QUICK_S
        self._watch: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._work: asyncio.Task[object] | None = None
        self._gone = self._ignored = False

    def __enter__(self) -> Departure:
        self._work = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(self._patience_s, self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if self._gone and kind is asyncio.CancelledError and self._work is not None:
            self._work.uncancel()
            raise ClientGone from None

    def ignore(self) -> None:
        """Finish although nobody reads the answer: a mutation under way has its effect whole."""
        self._ignored = True

    def _begin(self) -> None:
        if not self._ignored:
            self._watch = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._ignored and self._work is not None:
            self._gone = True
            self._work.cancel()
