# ruff: noqa: E501  # a pair a line reads as the table that it becomes
"""PostgreSQL: rows beside SQLAlchemy's async engine in SERIALIZABLE too, samples beside asyncpg."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from datastores.relational.postgresql import PostgresqlRelational
from datastores.series.opening import open_series
from datastores.series.port import Points
from tests.benchmarks.datastore_pairs.pair import ALL_ROWS, ONE_ROW, ROWS, TABLE, UPDATE, Pair, times
from tests.servers.postgresql import running_postgresql

_READ = "SELECT at_ms, value FROM series.series_samples WHERE key = 1 AND at_ms < $1 ORDER BY at_ms"


@asynccontextmanager
async def postgresql(folder: Path) -> AsyncIterator[list[Pair]]:
    """Rows and samples of one server."""
    with running_postgresql() as server:
        async with rows(server.url) as of_rows, samples(server.url) as of_samples:
            yield of_rows + of_samples


@asynccontextmanager
async def rows(url: str) -> AsyncIterator[list[Pair]]:
    """Rows: a serialisable transaction a call, on a pool that looks whether a connection lives."""
    store = PostgresqlRelational(make_url(url))
    await store.open()
    await store.write(TABLE.metadata.create_all)
    await store.write(lambda c: c.execute(sa.insert(TABLE), ROWS))
    engine = create_async_engine(url, isolation_level="SERIALIZABLE", pool_pre_ping=True)

    async def bare_read(number: int) -> Any:
        async with engine.connect() as connection, connection.begin():
            return (await connection.execute(ONE_ROW, {"id": number})).one()

    async def bare_page(_: int) -> Any:
        async with engine.connect() as connection, connection.begin():
            return (await connection.execute(ALL_ROWS)).all()

    async def bare_write(_: int) -> None:
        async with engine.connect() as connection, connection.begin():
            await connection.exec_driver_sql(UPDATE)

    yield [
        Pair("relational", "postgresql", "row by key, beside the async engine", 50,
             times(50, lambda n: store.read(lambda c: c.execute(ONE_ROW, {"id": n}).one())), times(50, bare_read)),
        Pair("relational", "postgresql", "1000 rows, beside the async engine", 10,
             times(10, lambda n: store.read(lambda c: c.execute(ALL_ROWS).all())), times(10, bare_page)),
        Pair("relational", "postgresql", "committed write, beside the async engine", 40,
             times(40, lambda n: store.write(lambda c: c.exec_driver_sql(UPDATE))), times(40, bare_write)),
    ]  # fmt: skip
    await engine.dispose()
    await store.close()


@asynccontextmanager
async def samples(url: str) -> AsyncIterator[list[Pair]]:
    """Series: the same hour as asyncpg's rows, on its own pool."""
    series = open_series(url)
    await series.open()
    pool = await asyncpg.create_pool(url.replace("+asyncpg", ""))
    hour = Points(range(0, 3_600_000, 1_000), [float(at) for at in range(3_600)])
    await series.append({"p": hour})
    yield [
        Pair("series", "postgresql", "read an hour of seconds, beside asyncpg", 10,
             times(10, lambda n: series.read(["p"], start_ms=0, end_ms=3_600_000)),
             times(10, lambda n: pool.fetch(_READ, 3_600_000))),
    ]  # fmt: skip
    await pool.close()
    await series.close()
