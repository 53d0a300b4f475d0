"""Departure: stops the work for a client that has closed its connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TypeAlias

from starlette.types import Receive

from router.edge.requests import ClientGone

Tell: TypeAlias = Callable[[Callable[[], None] | None], None]
"""Takes what to call when the client goes; None: nothing any more."""
QUICK_S = 1.0
"""Most requests are answered sooner; only slower ones are worth a watch."""


class Departure:
    """Cancels the block when the client goes, and turns that cancellation into ClientGone."""

    __slots__ = ("_at_once", "_gone", "_ignored", "_receive", "_tell", "_watch", "_work", "is_over")

    def __init__(self, receive: Receive, *, at_once: bool, tell: Tell | None = None) -> None:
        """`tell` has the server say when the client goes; without it a task waits for that."""
        self._tell = tell
        self._receive: Receive | None = receive
        self._at_once = at_once
        self._watch: asyncio.Task[None] | None = None
        self._work: asyncio.Task[object] | None = None
        self._gone = self._ignored = self.is_over = False

    def __enter__(self) -> Departure:
        self._work = asyncio.current_task()
        if self._at_once:
            self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_over = True
        if self._watch is not None:
            self._watch.cancel()
        elif self._tell is not None:
            self._tell(None)
        work, self._work, self._receive = self._work, None, None
        if self._gone and kind is asyncio.CancelledError and work is not None:
            work.uncancel()
            raise ClientGone from None

    def ignore(self) -> None:
        """Finish although nobody reads the answer: a mutation under way has its effect whole."""
        self._ignored = True

    def begin(self) -> None:
        """Watch the client from now on."""
        if self._ignored or self.is_over:
            return
        if self._tell is not None:
            self._tell(self._leave)
        else:
            self._watch = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while self._receive is not None and (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        if not self._ignored and self._work is not None:
            self._gone = True
            self._work.cancel()


class Departures:
    """Finds the requests that take longer than `QUICK_S`: one timer for all, not one for each. One an app."""

    __slots__ = ("_timer", "_under_way")

    def __init__(self) -> None:
        self._under_way: deque[tuple[float, Departure]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def of(self, receive: Receive) -> Departure:
        """The departure of a request that begins now; watched for once the request is a slow one."""
        departure = Departure(receive, at_once=False)
        loop, under_way = asyncio.get_running_loop(), self._under_way
        while under_way and under_way[0][1].is_over:
            under_way.popleft()
        due_s = loop.time() + QUICK_S
        under_way.append((due_s, departure))
        if self._timer is None:
            self._timer = loop.call_at(due_s, self._look, loop)
        return departure

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s, under_way = loop.time(), self._under_way
        while under_way and (under_way[0][0] <= now_s or under_way[0][1].is_over):
            under_way.popleft()[1].begin()
        self._timer = loop.call_at(under_way[0][0], self._look, loop) if under_way else None
