# ruff: noqa: E501  # a pair a line reads as the table that it becomes
"""Events: outbox rows beside the same insert by SQLAlchemy Core, the stream beside redis-py's pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from redis.asyncio import Redis

from datastores.events import redis_streams as streams
from datastores.events.outbox import RelationalOutbox, new_event, outbox, prepare_outbox
from datastores.redis_client import RedisLimits, redis_client
from datastores.relational.sqlite import SqliteRelational
from tests.benchmarks.datastore_pairs.pair import Pair, times
from tests.benchmarks.datastore_pairs.sqlite import driver_of
from tests.servers.redis import running_redis

AT_UTC = datetime(2026, 3, 1, tzinfo=UTC)


def hundred() -> list[Any]:
    """Events as a domain makes them."""
    return [new_event("thing.changed", key=f"k{n}", payload={"number": n}, at_utc=AT_UTC) for n in range(100)]


@asynccontextmanager
async def outboxes(folder: Path) -> AsyncIterator[list[Pair]]:
    """Appending: the same rows into the same table, committed."""
    store = SqliteRelational(folder / "a.db")
    await store.open()
    await prepare_outbox(store)
    other = SqliteRelational(folder / "b.db")
    await other.open()
    await prepare_outbox(other)  # the same indexes
    await other.close()
    driver = driver_of(folder / "b.db")
    engine = sa.create_engine("sqlite://", creator=lambda: driver, poolclass=sa.pool.StaticPool)
    ours = RelationalOutbox()

    def bare() -> None:
        rows = [
            {name: getattr(each, name) for name in ("id", "topic", "key", "payload", "at_utc")}
            for each in hundred()
        ]
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.execute(sa.insert(outbox), rows)
            connection.exec_driver_sql("COMMIT")

    yield [
        Pair("events", "sqlite", "append 100 events, committed, beside SQLAlchemy Core in a thread", 10,
             times(10, lambda n: store.write(lambda c: ours.append(c, hundred()))),
             times(10, lambda n: asyncio.to_thread(bare))),
    ]  # fmt: skip
    await store.close()
    engine.dispose()


@asynccontextmanager
async def redis_events(folder: Path) -> AsyncIterator[list[Pair]]:
    """Feeding a stream: the same events packed and added, by us also in order and none of them twice."""
    with running_redis() as server:
        client, bare = redis_client(server.url, RedisLimits()), Redis.from_url(server.url)
        keys, events, positions = streams.StreamKeys("bench"), hundred(), count(1)

        async def feed(_: int) -> None:
            await streams.feed(client, keys, "source", [(next(positions), each) for each in events])

        async def bare_feed(_: int) -> None:
            pipeline = bare.pipeline(transaction=False)
            for each in events:
                pipeline.xadd("bare", {"event": streams.packed(each)})
            await pipeline.execute()

        yield [
            Pair("events", "redis", "feed a stream with 100 events, beside a pipeline", 10, times(10, feed), times(10, bare_feed)),
        ]  # fmt: skip
        await client.aclose()
        await bare.aclose()
