"""The PostgreSQL adapter: asyncpg, serialisable transactions, retries where the server asks for one."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, exc, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from datastores.config import StoreUrlProblem
from datastores.errors import Conflict, StoreError, Unavailable
from datastores.relational.after_commit import take_callbacks
from datastores.relational.port import Relational
from datastores.relational.postgresql_limits import PostgresqlLimits

T = TypeVar("T")

_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# Source: PostgreSQL, appendix A "Error Codes". The server rolled back and asks to try again.
_RETRY = {"40001", "40P01"}
# Of two overlapping transactions that look and then insert, one may meet the other's row in place of a 40001.
_UNIQUE_VIOLATION = "23505"
_UNAVAILABLE_CLASSES = {"08", "53", "57", "58", "28", "3D"}
_UNAVAILABLE_STATES = {"25006", "55P03"}


class PostgresqlRelational:
    """`Relational` on a PostgreSQL server. `work` runs in SERIALIZABLE and is run again after 40001/40P01.

    `search_path` is the schema that all tables are in; `open` makes it where it is missing.
    """

    def __init__(
        self, url: URL, *, limits: PostgresqlLimits | None = None, search_path: str | None = None
    ) -> None:
        if search_path is not None and not _SCHEMA_NAME.fullmatch(search_path):
            raise StoreUrlProblem("the name of a PostgreSQL schema has letters, digits and `_`")
        self._limits = limits or PostgresqlLimits()
        self._url = url
        self._search_path = search_path
        self._engine: AsyncEngine | None = None

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """Always `postgresql`."""
        return "postgresql"

    async def open(self) -> None:
        """Connect once; raises Unavailable with one sentence that says what to do."""
        if self._engine is not None:
            return
        self._engine = self._make_engine()
        try:
            if self._search_path is None:
                await self.ready()
            else:
                await self.write(self._make_schema)
        except BaseException:
            await self.close()
            raise

    async def ready(self) -> None:
        """Answer a trivial query or raise Unavailable."""
        await self.read(_ask_one)

    async def close(self) -> None:
        """Close the pool; running work keeps its connection until it is done."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a serialisable, read-only transaction."""
        return await self._transact(work, read_only=True, timeout_s=self._limits.read_timeout_s)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, commit, and give its result."""
        return await self._transact(work, read_only=False, timeout_s=self._limits.write_timeout_s)

    def _make_engine(self) -> AsyncEngine:
        settings = {
            "application_name": "stadion",
            "timezone": "UTC",
            # An interrupted process must not hold locks for longer than this.
            "idle_in_transaction_session_timeout": f"{int(self._limits.write_timeout_s * 1000)}",
        }
        if self._search_path is not None:
            settings["search_path"] = self._search_path
        return create_async_engine(
            self._url,
            isolation_level="SERIALIZABLE",
            pool_size=self._limits.connections_max,
            max_overflow=0,
            pool_timeout=self._limits.pool_timeout_s,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"timeout": self._limits.connect_timeout_s, "server_settings": settings},
        )

    def _make_schema(self, connection: Connection) -> None:
        # Looked for first: a role that may use the schema need not be allowed to make one.
        name = self._search_path
        if connection.execute(text("SELECT to_regnamespace(:name)"), {"name": name}).scalar() is None:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {name}"))

    async def _transact(self, work: Callable[[Connection], T], *, read_only: bool, timeout_s: float) -> T:
        if self._engine is None:
            raise Unavailable(f"the store {self._place} is not open")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._try_until_serialised(self._engine, work, read_only=read_only)
        except TimeoutError:
            raise Unavailable(f"the store {self._place} did not answer within {timeout_s:g} s") from None

    async def _try_until_serialised(
        self, engine: AsyncEngine, work: Callable[[Connection], T], *, read_only: bool
    ) -> T:
        wait_s = self._limits.backoff_first_s
        for attempt in range(1, self._limits.attempts_max + 1):
            try:
                return await self._try_once(engine, work, read_only=read_only)
            except exc.TimeoutError:
                raise Unavailable(f"the store {self._place} has no free connection") from None
            except exc.DBAPIError as error:
                if not self._worth_another(_sqlstate(error), attempt):
                    raise self._translated(error) from None
            except OSError as error:
                raise Unavailable(f"the store {self._place} cannot be reached: {error.strerror}") from None
            await asyncio.sleep(random.uniform(0, wait_s))  # noqa: S311  # jitter, not a secret
            wait_s = min(wait_s * 2, self._limits.backoff_max_s)
        raise AssertionError("the last attempt returns or raises")

    def _worth_another(self, state: str, attempt: int) -> bool:
        """Whether the work may end otherwise on a fresh snapshot. A conflict that stays is a conflict."""
        if state == _UNIQUE_VIOLATION:
            return attempt <= self._limits.conflict_retries_max
        return state in _RETRY and attempt < self._limits.attempts_max

    async def _try_once(self, engine: AsyncEngine, work: Callable[[Connection], T], *, read_only: bool) -> T:
        async with engine.connect() as connection:
            if read_only:
                await connection.execution_options(postgresql_readonly=True)
            async with connection.begin():
                result, callbacks = await connection.run_sync(_run, work)
        for callback in callbacks:
            callback(self)
        return result

    @property
    def _place(self) -> str:
        # Without user and password: this goes to logs.
        return f"`{self._url.host}:{self._url.port or 5432}/{self._url.database}`"

    def _translated(self, error: exc.DBAPIError) -> Exception:
        """The port's error for the server's, or the error itself where it tells of a bug in the statement."""
        state = _sqlstate(error)
        if state in _RETRY:
            return Unavailable(f"the store {self._place} is too busy: a transaction lost every retry")
        if state[:2] == "23":
            # The server's detail line holds values; the names of table and constraint do not.
            cause: Any = getattr(error.orig, "__cause__", None)
            table = getattr(cause, "table_name", None)
            rule = getattr(cause, "constraint_name", None) or getattr(cause, "column_name", None)
            return Conflict(f"the store refused a row of `{table}`: rule `{rule}` does not hold")
        if state[:2] in _UNAVAILABLE_CLASSES or state in _UNAVAILABLE_STATES:
            return Unavailable(f"the store {self._place} is unavailable: the server answered {state}")
        if error.connection_invalidated or isinstance(error, exc.InterfaceError):
            return Unavailable(f"the store {self._place} closed the connection")
        if state.startswith("XX"):
            return StoreError(f"the store {self._place} reports damage ({state}): restore it from a backup")
        return error


def _run(
    connection: Connection, work: Callable[[Connection], T]
) -> tuple[T, list[Callable[[Relational], None]]]:
    take_callbacks(connection)  # of a work that failed on this connection before
    result = work(connection)
    return result, take_callbacks(connection)


def _sqlstate(error: exc.DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _ask_one(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT 1")
