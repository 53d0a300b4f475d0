"""What the domain needs from outside, in one value: stores, outbox, clock, and where long work runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ParamSpec, Protocol, TypeVar

from authz.identity.subject import Subject
from authz.question import Question
from datastores.blobs.port import Blobs
from datastores.events.outbox import time_ordered_id
from datastores.events.port import Outbox
from datastores.relational.port import Relational
from subgraphs.training.files.imported import FileLimits

FILES_READ_AT_ONCE_MAX = 2

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OriginalFile:
    """A file as it came. `key` is where its bytes are, `name` what its owner called it."""

    key: str
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class FileLink:
    """Where somebody may read a file, and until when."""

    url: str
    valid_until_utc: datetime


class MakesLinks(Protocol):
    """Makes links for people who may read a file."""

    async def __call__(
        self, subject: Subject, file: OriginalFile, questions: Sequence[Question], *, now: datetime
    ) -> FileLink:
        """A link for `subject`. It is to end, as far as can be, when `questions` are answered with no."""
        ...


@dataclass(frozen=True, slots=True)
class TrainingPorts:
    """Stores that are open, and a clock. `workers` None: the event loop's own threads. `links` None: files
    are served nowhere."""

    relational: Relational
    blobs: Blobs
    outbox: Outbox
    workers: Executor | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    limits: FileLimits = field(default_factory=FileLimits)
    links: MakesLinks | None = None
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
