# ruff: noqa: E501  # a pair a line reads as the table that it becomes
"""PostgreSQL: rows beside SQLAlchemy's async engine in SERIALIZABLE too, samples beside asyncpg."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from datastores.relational.postgresql import PostgresqlRelational
from datastores.series import postgresql as statements
from datastores.series.opening import open_series
from datastores.series.port import DAY_MS, HOUR_MS, MINUTE_MS, Points
from tests.benchmarks.datastore_pairs.embedded import Hours
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
    ours, bare = Hours(hour.values), Hours(hour.values)

    async def bare_append(_: int) -> None:
        points = bare.points()
        async with pool.acquire() as connection, connection.transaction():
            await _append(connection, points)

    yield [
        Pair("series", "postgresql", "append an hour of seconds as columns, with rollups, beside asyncpg", 3,
             times(3, lambda n: series.append({"p": ours.points()})), times(3, bare_append)),
        Pair("series", "postgresql", "read an hour of seconds, beside asyncpg", 10,
             times(10, lambda n: series.read(["p"], start_ms=0, end_ms=3_600_000)),
             times(10, lambda n: pool.fetch(_READ, 3_600_000))),
    ]  # fmt: skip
    await pool.close()
    await series.close()


async def _append(connection: Any, points: Points) -> None:
    """The samples as arrays, and the rollups of ours, without locks and the look at what is kept."""
    start_ms, key = points.times_ms[0], [1]
    day_ms = start_ms - start_ms % DAY_MS
    await connection.execute(_INSERT, 1, points.times_ms, points.values)
    await connection.execute(_MINUTES, [MINUTE_MS], key, [start_ms], [start_ms + HOUR_MS])
    spans = [HOUR_MS, DAY_MS], key * 2, [start_ms, day_ms], [start_ms + HOUR_MS, day_ms + DAY_MS]
    await connection.execute(_WIDER, *spans, MINUTE_MS)


def _of_schema(statement: str) -> str:
    """The same on a connection that has no search path."""
    return re.sub(r"\bseries_(samples|rollups)\b(?!\.)", r"series.\g<0>", statement)


_INSERT = (
    "INSERT INTO series.series_samples (key, at_ms, value)"
    " SELECT $1, * FROM unnest($2::bigint[], $3::float8[])"
    " ON CONFLICT (key, at_ms) DO UPDATE SET value = excluded.value"
    " WHERE series_samples.value <> excluded.value"
)
_MINUTES = _of_schema(statements._FROM_SAMPLES)
_WIDER = _of_schema(statements._FROM_ROLLUPS)
