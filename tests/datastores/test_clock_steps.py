"""The clock of a server is set by days, forth and back, during writes: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from datastores.cache.memcached import MemcachedEntries
from datastores.cache.redis import RedisEntries
from datastores.cache.single_flight import SharedCache
from datastores.events.outbox import new_event
from datastores.events.port import Event
from datastores.events.redis import RedisEvents
from datastores.events.relay import EventsLimits
from datastores.graph.neo4j import Neo4jGraph
from datastores.relational.postgresql import PostgresqlRelational
from datastores.relational.sqlite import SqliteRelational
from datastores.series.port import AT_MS_MAX, Sample
from datastores.series.relational import RelationalSeries
from tests.kit_datastores.stepped_clock import SteppedClock
from tests.servers.absent import absent
from tests.servers.memcached import running_memcached
from tests.servers.postgresql import NoPostgresql, running_postgresql
from tests.servers.programs import ServerAbsent
from tests.servers.redis import running_redis

STEPS_DAYS = (2, -2, 40, 0)
QUICK = EventsLimits(retry_first_s=0.001, retry_max_s=0.05, poll_s=0.05, lease_s=1.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # PostgreSQL reads it as a user of its own
        yield SteppedClock(Path(folder), monkeypatch)


async def written_over_steps(clock: SteppedClock, write: Callable[[int], Awaitable[object]]) -> int:
    """Numbers from 0 on, the clock stepped between them; how many."""
    number = 0
    for days in (0, *STEPS_DAYS):
        clock.step(days=days)
        writes = [write(number + more) for more in range(10)]
        await asyncio.gather(*writes)
        number += 10
    return number


async def test_redis_streams_keep_every_event_and_its_order(clock: SteppedClock, tmp_path: Path) -> None:
    seen: list[int] = []

    async def take(event: Event) -> None:
        seen.append(event.payload["number"])

    try:
        with running_redis() as server:
            rows = SqliteRelational(tmp_path / "one.db")
            await rows.open()
            events = RedisEvents(server.url, {"one": rows}, limits=QUICK)
            events.consume("group", ["thing.changed"], take)
            await events.open()
            for turn, days in enumerate((0, *STEPS_DAYS)):
                clock.step(days=days)
                told = [
                    new_event("thing.changed", key="k", payload={"number": number})
                    for number in range(turn * 10, turn * 10 + 10)
                ]
                await rows.write(lambda c, told=told: events.outbox.append(c, told))  # type: ignore[misc]
                async with asyncio.timeout(20):
                    while turn * 10 + 9 not in seen:
                        await asyncio.sleep(0.005)
            assert seen == list(range(10 * (1 + len(STEPS_DAYS))))
            assert await events.lag("group") == 0
            await events.ready()
            await events.close()
            await rows.close()
    except ServerAbsent as why:
        absent(why)


@pytest.mark.parametrize("name", ["redis", "memcached"])
async def test_a_cache_serves_no_value_past_its_end_and_takes_new_ones(
    clock: SteppedClock, name: str
) -> None:
    """What it had may be gone: a cache may forget. What it serves is what was set last."""
    running: Any = running_redis if name == "redis" else running_memcached
    try:
        with running() as server:
            entries = RedisEntries(server.url) if name == "redis" else MemcachedEntries(server.url)
            cache = SharedCache(entries)
            await cache.open()
            for turn, days in enumerate((0, *STEPS_DAYS)):
                clock.step(days=days)
                await cache.set_many({"a": b"%d" % turn, f"k{turn}": b"1"}, ttl_s=60)
                assert (await cache.get_many(["a"])).get("a", b"%d" % turn) == b"%d" % turn
            await cache.ready()
            assert await cache.get_many(["a"]) == {"a": b"%d" % len(STEPS_DAYS)}
            await cache.close()
    except ServerAbsent as why:
        absent(why)


async def test_postgresql_keeps_rows_and_series_with_their_rollups(clock: SteppedClock) -> None:
    try:
        with running_postgresql() as server:
            rows = PostgresqlRelational(make_url(server.url))
            series = RelationalSeries(PostgresqlRelational(make_url(server.url)))
            await rows.open()
            await series.open()
            await rows.write(lambda c: c.execute(sa.text("CREATE TABLE n (value INT)")))
            insert = sa.text("INSERT INTO n VALUES (:v)")

            async def write(number: int) -> None:
                await rows.write(lambda c: c.execute(insert, {"v": number}))
                await series.append([Sample("n", 1_800_000_000_000 + number, float(number))])

            count = await written_over_steps(clock, write)
            clock.step(days=40)
            there = await rows.read(lambda c: c.execute(sa.text("SELECT now()")).scalar_one())
            assert (there - datetime.now(UTC)).days in (39, 40)  # it does reach the server
            kept = await rows.read(lambda c: c.execute(sa.text("SELECT value FROM n")).scalars().all())
            assert sorted(kept) == list(range(count))
            whole = {"start_ms": 0, "end_ms": AT_MS_MAX}
            points = (await series.read(["n"], **whole))["n"]
            assert [point.value for point in points] == list(map(float, range(count)))
            [day] = (await series.buckets(["n"], **whole, step_ms=86_400_000_000))["n"]
            assert day.samples == count
            await series.close()
            await rows.close()
    except NoPostgresql as why:
        absent(why)


@pytest.mark.nightly
async def test_neo4j_keeps_every_edge(clock: SteppedClock) -> None:
    from tests.servers.neo4j import running_neo4j

    try:
        with running_neo4j() as server:
            graph = Neo4jGraph(server.url, space=secrets.token_hex(6))
            await graph.open()
            count = await written_over_steps(clock, lambda number: graph.befriend([("hub", f"{number:03}")]))
            assert (await graph.friends(["hub"]))["hub"] == tuple(f"{n:03}" for n in range(count))
            await graph.close()
    except ServerAbsent as why:
        absent(why)
