"""The embedded relational adapter: one SQLite file, one writer thread, a few reader threads.

A `work` is one executor hop: begin, the whole function, commit. The caller is answered after the commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.pool import QueuePool

from datastores.errors import Conflict, StoreError, Unavailable
from datastores.relational.after_commit import take_callbacks

T = TypeVar("T")

# Extended codes carry the primary code in their low byte. Source: SQLite, "Result and Error Codes".
_UNAVAILABLE = {
    sqlite3.SQLITE_PERM: "permission was denied",
    sqlite3.SQLITE_BUSY: "another process holds its lock",
    sqlite3.SQLITE_LOCKED: "a table is locked",
    sqlite3.SQLITE_NOMEM: "memory ran out",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only",
    sqlite3.SQLITE_INTERRUPT: "the time limit passed",
    sqlite3.SQLITE_IOERR: "the disk gave an error",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_PROTOCOL: "another process holds its lock",
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# How many SQLite virtual-machine steps run between two looks at the clock: some tenths of a millisecond.
_STEPS_PER_CLOCK_CHECK = 20_000
# A glance may take ten times so many steps: less than half a millisecond.
_STEPS_PER_GLANCE_CHECK, _GLANCE_CHECKS_MAX = 4_000, 10


@dataclass(frozen=True, slots=True)
class SqliteLimits:
    """Bounds of one SQLite store."""

    readers: int = 4
    busy_timeout_s: float = 5.0
    read_timeout_s: float = 10.0
    write_timeout_s: float = 30.0


class SqliteRelational:
    """`Relational` on one SQLite file in WAL mode.

    `synchronous=FULL`: an acknowledged write survives kill -9 (which NORMAL would give too) and the loss of
    power, which NORMAL would not: refresh-token rotation and clinical rows must not step back in time.
    Serialisable: writers run one after the other, readers see one snapshot.
    """

    def __init__(self, path: Path, *, limits: SqliteLimits | None = None) -> None:
        self.path = path
        self._limits = limits or SqliteLimits()
        self._writer: _Lane | None = None
        self._readers: _Lane | None = None
        self._glances: _Glances | None = None

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """Always `sqlite`."""
        return "sqlite"

    async def open(self) -> None:
        """Create or open the file; raises Unavailable with one sentence that says what to do."""
        if self._writer is not None:
            return
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"cannot make the folder `{folder}`: {error.strerror}") from error
        busy_timeout_s = self._limits.busy_timeout_s
        writer = _Lane(self, 1, begin="BEGIN IMMEDIATE", busy_timeout_s=busy_timeout_s)
        readers = _Lane(self, self._limits.readers, begin="BEGIN", busy_timeout_s=busy_timeout_s)
        try:
            # The writer goes first: it makes the file and switches it to WAL.
            await writer.run(_ask_one, timeout_s=self._limits.write_timeout_s)
            await readers.run(_ask_one, timeout_s=self._limits.read_timeout_s)
        except BaseException:
            await writer.close()
            await readers.close()
            raise
        self._writer, self._readers, self._glances = writer, readers, _Glances(self.path)

    async def ready(self) -> None:
        """Answer a trivial query or raise Unavailable."""
        await self.read(_ask_one)

    async def close(self) -> None:
        """Finish running work, then close every connection."""
        writer, readers, glances = self._writer, self._readers, self._glances
        self._writer = self._readers = self._glances = None
        if glances is not None:
            glances.close()
        # Readers first: the last connection to close then folds the WAL into the file.
        for lane in (readers, writer):
            if lane is not None:
                await lane.close()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one snapshot; a write in it fails."""
        if self._readers is None:
            raise Unavailable(f"the store `{self.path.name}` is not open")
        return await self._readers.run(work, timeout_s=self._limits.read_timeout_s)

    def glance(self, work: Callable[[Connection], T]) -> T | None:
        """See `Glances.glance`."""
        return None if self._glances is None else self._glances.take(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` alone, commit, and give its result."""
        if self._writer is None:
            raise Unavailable(f"the store `{self.path.name}` is not open")
        return await self._writer.run(work, timeout_s=self._limits.write_timeout_s)

    async def truncate_log(self) -> None:
        """Fold the write-ahead log into the file and empty it, so that no deleted row is left in it.

        Errors: Unavailable where a reader held the log for longer than the busy timeout.
        """
        if self._writer is None:
            raise Unavailable(f"the store `{self.path.name}` is not open")
        await self._writer.truncate_log()


class _Lane:
    """Some threads with a connection each, all beginning their transactions in one way.

    A thread keeps its connection, and transactions are begun and ended on the driver itself: by SQLAlchemy's
    pool and transaction objects, a read of one row would take twice as long. To SQLAlchemy each connection is
    in one transaction that never ends.
    """

    def __init__(self, store: SqliteRelational, threads: int, *, begin: str, busy_timeout_s: float) -> None:
        path = store.path
        self._store = store
        self._name = path.name
        self._begin = begin
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"sqlite-{path.stem}")
        self._engine = _engine(path, threads, read_only=begin == "BEGIN", busy_timeout_s=busy_timeout_s)
        self._own = threading.local()
        self._connections: list[Connection] = []

    async def run(self, work: Callable[[Connection], T], *, timeout_s: float) -> T:
        deadline_s = time.monotonic() + timeout_s
        loop = asyncio.get_running_loop()
        try:
            transaction = loop.run_in_executor(self._executor, self._transact, work, deadline_s)
        except RuntimeError:
            raise Unavailable(f"the store `{self._name}` is closing") from None
        return await transaction

    def _transact(self, work: Callable[[Connection], T], deadline_s: float) -> T:
        if time.monotonic() > deadline_s:
            raise Unavailable(f"the store `{self._name}` is busy: the time limit passed in its queue")
        try:
            connection = self._connection()
            driver = _driver_connection(connection)
            driver.set_progress_handler(lambda: time.monotonic() > deadline_s, _STEPS_PER_CLOCK_CHECK)
            try:
                driver.execute(self._begin)
                result = work(connection)
                callbacks = take_callbacks(connection)
                driver.execute("COMMIT")
            except BaseException:
                _undo(connection, driver)
                raise
            finally:
                if driver.in_transaction or connection.in_nested_transaction():
                    connection.invalidate()  # what is still open would be the next work's
        except exc.DBAPIError as error:
            raise _translated(error, error.orig, self._name) from None
        except sqlite3.Error as error:
            raise _translated(error, error, self._name) from None
        for callback in callbacks:
            callback(self._store)
        return result

    def _connection(self) -> Connection:
        """This thread's own; a new one where the work before has left something open on it."""
        known: Connection | None = getattr(self._own, "connection", None)
        if known is not None and not known.closed and not known.invalidated:
            return known
        if known is not None:
            self._connections.remove(known)
            known.close()
        self._own.connection = connection = self._engine.connect()
        self._connections.append(connection)
        return connection

    async def truncate_log(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._executor, self._truncate_log)

    def _truncate_log(self) -> None:
        # On the driver itself: a checkpoint does not run inside a transaction.
        driver = _driver_connection(self._connection())
        driver.set_progress_handler(None, 0)  # the last work's: its time may have passed
        busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise Unavailable(f"the log of `{self._name}` is in use: try again")

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, wait=True)
        for connection in self._connections:
            connection.close()
        self._engine.dispose()


class _Glances:
    """A connection for reads on the caller's own thread, made with the first one. They wait for nobody."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._taken = threading.Lock()
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._checks = 0

    def take(self, work: Callable[[Connection], T]) -> T | None:
        if not self._taken.acquire(blocking=False):
            return None
        try:
            return self._read(work)
        except (exc.DBAPIError, sqlite3.Error):
            return None
        finally:
            self._taken.release()

    def _read(self, work: Callable[[Connection], T]) -> T:
        connection = self._opened()
        driver = _driver_connection(connection)
        self._checks = 0
        driver.set_progress_handler(self._has_taken_long, _STEPS_PER_GLANCE_CHECK)
        try:
            driver.execute("BEGIN")
            result = work(connection)
            driver.execute("COMMIT")
        except BaseException:
            _undo(connection, driver)
            raise
        return result

    def _has_taken_long(self) -> bool:
        # Steps are counted over all runs of a statement: the first check may come with the first step.
        self._checks += 1
        return self._checks > _GLANCE_CHECKS_MAX

    def _opened(self) -> Connection:
        if self._connection is None or self._connection.invalidated:
            if self._engine is None:
                self._engine = _engine(self._path, 1, read_only=True, busy_timeout_s=0.0)
            self._connection = self._engine.connect()
        return self._connection

    def close(self) -> None:
        # Whoever glances now is on another thread, and has done soon.
        with self._taken:
            if self._connection is not None:
                self._connection.close()
            if self._engine is not None:
                self._engine.dispose()
            self._connection = self._engine = None


def _engine(path: Path, connections: int, *, read_only: bool, busy_timeout_s: float) -> Engine:
    engine = create_engine(
        f"sqlite+pysqlite:///{path}",
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_reset_on_return=None,  # every transaction is ended by `_transact`
        hide_parameters=True,  # values never reach an error text
        connect_args={"check_same_thread": False, "timeout": busy_timeout_s, "cached_statements": 512},
    )

    @event.listens_for(engine, "connect")
    def _prepare(driver: sqlite3.Connection, _record: object) -> None:
        driver.isolation_level = None  # BEGIN is ours: the driver would begin late and deferred
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "trusted_schema=OFF",
            "secure_delete=ON",  # a deleted row leaves no readable bytes in the file
        ):
            driver.execute(f"PRAGMA {pragma}")
        if read_only:
            driver.execute("PRAGMA query_only=ON")

    return engine


def _undo(connection: Connection, driver: sqlite3.Connection) -> None:
    """As if the work had never run."""
    take_callbacks(connection)
    driver.set_progress_handler(None, 0)
    with contextlib.suppress(sqlite3.Error):
        if driver.in_transaction:
            driver.execute("ROLLBACK")


def _driver_connection(connection: Connection) -> sqlite3.Connection:
    driver: Any = connection.connection.driver_connection
    return driver  # type: ignore[no-any-return]


def _ask_one(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT 1")


def _translated(error: Exception, cause: BaseException | None, name: str) -> Exception:
    """The port's error for SQLite's, or the error itself where it tells of a bug in the statement."""
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_CONSTRAINT:
        # SQLite names table and columns here, never values.
        return Conflict(f"the store `{name}` refused a row: {cause}")
    if code in _UNAVAILABLE:
        return Unavailable(f"the store `{name}` is unavailable: {_UNAVAILABLE[code]}")
    if code in _DAMAGED:
        return StoreError(f"the store `{name}` is damaged or no SQLite file: restore it from a backup")
    return error
