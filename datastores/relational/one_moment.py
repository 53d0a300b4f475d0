"""Many reads of one moment: a backup takes hours over what its readers and writers change meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NoReturn, TypeVar

from sqlalchemy import Connection
from sqlalchemy.util import await_only

from datastores.errors import StoreError, Unavailable
from datastores.relational.port import Relational

T = TypeVar("T")


@asynccontextmanager
async def one_moment(store: Relational) -> AsyncIterator[Moment]:
    """A store whose reads all see what `store` had when the first of them ran, and that cannot be written.

    They share one read transaction, which lives for as long as the read timeout of `store` allows.
    """
    moment = Moment(store)
    serving = moment.begin()
    try:
        yield moment
    finally:
        moment.end()
        with suppress(Exception):  # of a read, which was told
            await serving


class _Asked(NamedTuple):
    work: Callable[[Connection], Any]
    answer: asyncio.Future[Any]


@dataclass(slots=True)
class Moment:
    """`Relational` of one moment of `store`. It is open for as long as its block."""

    store: Relational
    _asked: asyncio.Queue[_Asked | None] = field(default_factory=asyncio.Queue)
    _serving: asyncio.Task[None] | None = None
    _begun: bool = False

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """That of the store."""
        return self.store.dialect

    async def open(self) -> None:
        """Nothing to do."""

    async def ready(self) -> None:
        """As the store is."""
        await self.store.ready()

    async def close(self) -> None:
        """Nothing to do: its block ends it."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the one transaction.  Errors: as those of the store; then no read follows."""
        if self._serving is None:
            raise Unavailable("this moment of the store has passed")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked.put_nowait(_Asked(work, answer))
        both: set[asyncio.Future[Any]] = {answer, self._serving}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            await self._serving
            raise Unavailable("this moment of the store has passed")
        return answer.result()

    async def write(self, work: Callable[[Connection], T]) -> NoReturn:
        """Refused."""
        raise StoreError("one moment of a store cannot be written")

    def begin(self) -> asyncio.Task[None]:
        """Run what is asked until `end`."""
        self._serving = asyncio.create_task(self._serve())
        return self._serving

    async def _serve(self) -> None:
        wait, loop = waiting(self.store), asyncio.get_running_loop()

        def work(connection: Connection) -> None:
            if self._begun:  # a server asks to try again, but what was read is of another moment
                raise Unavailable("the store has let go of the moment that is being read: try again")
            self._begun = True
            while (asked := wait(self._asked.get())) is not None:
                loop.call_soon_threadsafe(_set, asked.answer, asked.work(connection))

        await self.store.read(work)

    def end(self) -> None:
        """Let the transaction go."""
        self._asked.put_nowait(None)


def waiting(store: Relational) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """How a work, which is no coroutine, waits for one: on SQLite it runs on a thread, on PostgreSQL as a
    greenlet of the loop."""
    if store.dialect == "postgresql":
        return await_only
    loop = asyncio.get_running_loop()
    return lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()


def _set(answer: asyncio.Future[Any], result: Any) -> None:
    if not answer.done():
        answer.set_result(result)
