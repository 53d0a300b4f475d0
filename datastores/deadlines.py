"""A time limit for each of many short exchanges with a server, kept by one timer for all of them."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

# How often a timer looks, by the limit: an exchange ends at its limit or so much of it later.
_LOOKS_PER_LIMIT = 20


class Deadlines:
    """`with deadlines:` ends what a task does in the block after `timeout_s`, with TimeoutError.

    It means what `asyncio.timeout(timeout_s)` means, 5% late at most. That one sets a timer for each block
    and takes it away again, which costs a tenth of a small question to a server nearby. One block a task at
    a time; all tasks are of one event loop.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._until_s: dict[asyncio.Task[Any], tuple[float, int]] = {}
        self._cancelled: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        """Begin the running task's time."""
        task = asyncio.current_task()
        if task is None or task in self._until_s:
            raise RuntimeError("a time limit is for one block of a task at a time")
        loop = asyncio.get_running_loop()
        self._until_s[task] = loop.time() + self._timeout_s, task.cancelling()
        if self._timer is None:
            self._timer = loop.call_later(self._timeout_s / _LOOKS_PER_LIMIT, self._look, loop)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it. Of a task that was cancelled by others too, the cancellation goes on."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit is for one block of a task at a time")
        _, cancelled_before = self._until_s.pop(task)
        if task in self._cancelled:
            self._cancelled.discard(task)
            if task.uncancel() <= cancelled_before and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what is late; look again while there is something to look after."""
        now_s = loop.time()
        for task, (until_s, _) in self._until_s.items():
            if until_s <= now_s and task not in self._cancelled:
                self._cancelled.add(task)
                task.cancel()
        again = bool(self._until_s)
        step_s = self._timeout_s / _LOOKS_PER_LIMIT
        self._timer = loop.call_later(step_s, self._look, loop) if again else None
