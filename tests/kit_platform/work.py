"""What a request costs the stores and the policy, counted: statements, steps of SQLite's machine, owners.

Seconds differ from run to run, these do not: two requests of equal work take equal time but for chance.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from authz.decide import RequestAuthorizer
from datastores.relational import sqlite
from tests.platform.conftest import Seeded

STEPS_PER_BUCKET = 250
"""About two dozen rows read by key: some tenths of a millisecond at most."""


@dataclass
class Work:
    """What was done for one request. `statements` are the texts that were sent, in no order that counts."""

    statements: list[str] = field(default_factory=list)
    steps: int = 0
    owners: int = 0

    def sizes(self) -> tuple[list[str], int]:
        """What must be equal to the last one: which statements, and about how many owners it was decided."""
        return sorted(self.statements), self.owners


_LIST = re.compile(r"\(\?(, \?)+\)")  # how many are asked for at once is no other statement
_current: ContextVar[Work | None] = ContextVar("work", default=None)
_here = threading.local()


@contextmanager
def counted() -> Iterator[Work]:
    """Count what is done for whatever is awaited inside the block, and nothing of others."""
    work = Work()
    token = _current.set(work)
    try:
        yield work
    finally:
        _current.reset(token)


@contextmanager
def counted_calls(seeded: Seeded) -> Iterator[list[int]]:
    """How many functions the platform's loop calls for what is counted, in tasks it starts as well."""
    calls = [0]

    def called(_frame: FrameType, what: str, _argument: Any) -> None:
        if what in {"call", "c_call"} and _current.get() is not None:
            calls[0] += 1

    async def watch(profile: Any) -> None:
        sys.setprofile(profile)

    seeded.run(watch(called))
    try:
        yield calls
    finally:
        seeded.run(watch(None))


def _sent(_c: Any, cursor: Any, statement: str, *_rest: Any) -> None:
    work = getattr(_here, "work", None)
    if work is not None:
        work.statements.append(_LIST.sub("(?)", statement))


@contextmanager
def counting() -> Iterator[None]:
    """Make every SQLite store and the policy of this process count what `counted` asks for."""
    run, load_owners = sqlite._Lane.run, RequestAuthorizer.load_owners
    take, load_at_once = sqlite._Glances.take, RequestAuthorizer.load_at_once

    async def counted_run(self: Any, work: Callable[[Any], Any], *, timeout_s: float) -> Any:
        tally = _current.get()
        return await run(self, work if tally is None else _tallied(work, tally), timeout_s=timeout_s)

    def counted_take(self: Any, work: Callable[[Any], Any]) -> Any:
        tally = _current.get()
        return take(self, work if tally is None else _tallied(work, tally))

    def counted_at_once(self: Any, owner_id: str | None) -> bool:
        tally, unknown = _current.get(), owner_id is not None and self._unknown(owner_id)
        told = load_at_once(self, owner_id)
        if tally is not None and told:
            tally.owners += unknown
        return told

    async def counted_load(self: Any, owner_ids: Iterable[str | None], *, everybody: bool = False) -> None:
        tally, asked = _current.get(), set(owner_ids)
        if tally is not None:
            # Of whom nothing is remembered from the request before: what is known costs nothing.
            tally.owners += sum(each is not None and self._unknown(each) for each in asked)
        await load_owners(self, asked, everybody=everybody)

    event.listen(Engine, "before_cursor_execute", _sent)
    sqlite._Lane.run = counted_run  # type: ignore[assignment, method-assign]
    sqlite._Glances.take = counted_take  # type: ignore[assignment, method-assign]
    RequestAuthorizer.load_owners = counted_load  # type: ignore[method-assign]
    RequestAuthorizer.load_at_once = counted_at_once  # type: ignore[method-assign]
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", _sent)
        sqlite._Lane.run = run  # type: ignore[method-assign]
        sqlite._Glances.take = take  # type: ignore[method-assign]
        RequestAuthorizer.load_owners = load_owners  # type: ignore[method-assign]
        RequestAuthorizer.load_at_once = load_at_once  # type: ignore[method-assign]


def _tallied(work: Callable[[Any], Any], tally: Work) -> Callable[[Any], Any]:
    def run(connection: Any) -> Any:
        driver = sqlite._driver_connection(connection)

        def step() -> bool:
            tally.steps += 10
            return False

        _here.work = tally
        driver.set_progress_handler(step, 10)
        try:
            return work(connection)
        finally:
            _here.work = None

    return run
