"""What the domain needs from outside, in one value: stores, outbox, clock, and where long work runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from datastores.blobs.port import Blobs
from datastores.events.outbox import time_ordered_id
from datastores.events.port import Outbox
from datastores.relational.port import Relational
from subgraphs.training.files.imported import FileLimits

FILES_READ_AT_ONCE_MAX = 2

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TrainingPorts:
    """Stores that are open, and a clock. `workers` None: the event loop's own threads."""

    relational: Relational
    blobs: Blobs
    outbox: Outbox
    workers: Executor | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    limits: FileLimits = field(default_factory=FileLimits)
    # A file's bytes and its row are written, and deleted, by one task at a time: else a deletion could take
    # the bytes from under a new import of the same file.
    files_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    # The largest allowed file takes some 400 MB while it is read: so many are read at once, the rest wait.
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FILES_READ_AT_ONCE_MAX))

    def new_id(self) -> str:
        """A fresh id, ordered by time."""
        return time_ordered_id(self.clock())

    async def off_the_loop(self, work: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
        """Run CPU-bound `work` where it does not hold up the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.workers, work, *arguments)
