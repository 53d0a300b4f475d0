"""The relational port: a repository method is one function of a connection, run in one hop.

A domain's `store.py` writes synchronous SQLAlchemy Core against a `Connection`; the adapter decides where
it runs. SQLite: the whole function on one executor thread. PostgreSQL: `AsyncConnection.run_sync`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeVar, cast

from sqlalchemy import Connection

T = TypeVar("T")


class Relational(Protocol):
    """A transactional store of rows.

    Atomicity: `write` commits all of `work` or nothing, and an acknowledged write survives a crash of the
    process. Isolation: serialisable for writers. `work` may be run again after a serialisation failure, so
    it touches nothing but its connection.
    Errors: Conflict for a violated constraint; Unavailable where the server is gone or `timeout_s` passed.
    """

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """Which SQL dialect `work` meets; only adapters and migrations look at it."""
        ...

    async def open(self) -> None:
        """Connect; raises Unavailable or SchemaTooNew with one sentence that says what to do."""
        ...

    async def ready(self) -> None:
        """Answer a trivial query or raise Unavailable."""
        ...

    async def close(self) -> None:
        """Finish running work, then disconnect."""
        ...

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a read transaction and give its result."""
        ...

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one write transaction, commit, and give its result."""
        ...


class Glances(Protocol):
    """What an embedded adapter may do besides: a read of some rows by key costs less than the hop to it."""

    def glance(self, work: Callable[[Connection], T]) -> T | None:
        """Run `work`, which gives something, on one snapshot and on the thread of whoever asks.

        None where that would have to wait for another, took longer than some tenths of a millisecond, or
        failed: then `read` is to be asked, which tells what is the matter.
        """
        ...


def glance(store: Relational | Glances, work: Callable[[Connection], T]) -> T | None:
    """See `Glances.glance`; None of a store that does not glance."""
    glances = getattr(store, "glance", None)
    return None if glances is None else cast(T | None, glances(work))


async def read_few(store: Relational, work: Callable[[Connection], T]) -> T:
    """A glance where that will do, else `read`; `work` gives something."""
    found = glance(store, work)
    return await store.read(work) if found is None else found
