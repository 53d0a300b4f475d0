"""Redis and Neo4j on a full disk: what was acknowledged stays, and with room again all goes on."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from datastores.cache.redis import RedisEntries
from datastores.cache.single_flight import SharedCache
from datastores.errors import Unavailable
from datastores.events.outbox import new_event
from datastores.events.port import Event
from datastores.events.redis import RedisEvents
from datastores.events.relay import EventsLimits
from datastores.graph.neo4j import Neo4jGraph, Neo4jLimits
from datastores.redis_client import RedisLimits
from datastores.relational.sqlite import SqliteRelational
from tests.kit_datastores.small_disk import MEGABYTE, Ballast, small_disk
from tests.servers.absent import absent
from tests.servers.neo4j import running_neo4j
from tests.servers.programs import ServerAbsent
from tests.servers.redis import running_redis

QUICK = EventsLimits(retry_first_s=0.001, retry_max_s=0.05, poll_s=0.05, lease_s=1.0)
IMPATIENT = RedisLimits(connect_timeout_s=0.5, answer_timeout_s=2.0, retries_max=0)
NO_REWRITE = ("--auto-aof-rewrite-percentage", "0")


async def until_done(work: Callable[[], Awaitable[object]]) -> None:
    """Asked again, by the same store, until it is available."""
    async with asyncio.timeout(60):
        while True:
            try:
                await work()
            except Unavailable:
                await asyncio.sleep(0.02)
            else:
                return


async def test_a_cache_in_redis_on_a_full_disk_is_unavailable_and_goes_on_with_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", 12) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        try:
            # Flushed each second, as Redis comes: then it refuses writes, and goes on by itself.
            with running_redis("--appendfsync", "everysec", *NO_REWRITE) as server:
                cache = SharedCache(RedisEntries(server.url, limits=IMPATIENT))
                await cache.open()
                ballast = Ballast(disk, leaving_bytes=MEGABYTE)
                kept: dict[str, bytes] = {}
                with pytest.raises(Unavailable, match="refuses: MISCONF"):
                    for number in range(400):
                        some = {f"k{number}": os.urandom(MEGABYTE // 16)}
                        await cache.set_many(some, ttl_s=3600)
                        kept |= some
                assert len(kept) > 3
                assert await cache.get_many(list(kept)) == kept
                ballast.throw_off()
                await until_done(lambda: cache.set_many({"after": b"1"}, ttl_s=3600))
                await asyncio.to_thread(server.stop)
                server.start()
                await until_done(cache.ready)
                assert await cache.get_many([*kept, "after"]) == kept | {"after": b"1"}
                await cache.close()
        except ServerAbsent as why:
            absent(why)


async def test_events_in_redis_on_a_full_disk_come_all_and_in_order_with_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    async def take(event: Event) -> None:
        seen.append(event.payload["number"])

    with small_disk(tmp_path / "disk", 8) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        try:
            # Flushed each write: a Redis that cannot stops itself, as it must, and its supervisor starts it.
            with running_redis(*NO_REWRITE) as server:
                rows = SqliteRelational(tmp_path / "one.db")
                await rows.open()
                events = RedisEvents(server.url, {"one": rows}, limits=QUICK, redis_limits=IMPATIENT)
                events.consume("group", ["thing.changed"], take)
                await events.open()
                ballast, number = Ballast(disk, leaving_bytes=MEGABYTE), 0
                async with asyncio.timeout(60):
                    while not server.has_ended():
                        body = {"number": number, "body": os.urandom(MEGABYTE // 32).hex()}
                        made = [new_event("thing.changed", key="k", payload=body)]
                        await rows.write(lambda c, made=made: events.outbox.append(c, made))  # type: ignore[misc]
                        number += 1
                        await asyncio.sleep(0.005)
                with pytest.raises(Unavailable):
                    await events.ready()
                assert number > len(seen) > 0
                ballast.throw_off()
                await asyncio.to_thread(server.start)
                async with asyncio.timeout(60):
                    while number - 1 not in seen:
                        await asyncio.sleep(0.01)
                assert list(dict.fromkeys(seen)) == list(range(number))
                await until_done(events.ready)
                await events.close()
                await rows.close()
        except ServerAbsent as why:
            absent(why)


@pytest.mark.timeout(300)  # two starts of Neo4j
async def test_a_graph_in_neo4j_on_a_full_disk_is_unavailable_and_goes_on_with_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Neo4jLimits(retry_time_s=1.0, call_timeout_s=5.0, connect_timeout_s=1.0)
    lean = {"db.tx_log.preallocate": "false", "db.tx_log.rotation.size": "1M"}
    with small_disk(tmp_path / "disk", 96) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        try:
            with running_neo4j(more=lean) as server:
                graph = Neo4jGraph(re.sub("^neo4j:", "bolt:", server.url), limits=limits)
                await graph.open()
                await graph.befriend([("hub", "first")])
                ballast, kept = Ballast(disk, leaving_bytes=MEGABYTE), {"first"}
                with pytest.raises(Unavailable):
                    for turn in range(400):
                        some = [f"{turn}-{number}-" + "x" * 100 for number in range(200)]
                        await graph.befriend([("hub", each) for each in some])
                        kept.update(some)
                ballast.throw_off()
                # A database that could not write its log stays down until its server is started again.
                await asyncio.to_thread(server.stop, kill=True)
                await asyncio.to_thread(server.start)
                await until_done(lambda: graph.befriend([("hub", "after")]))
                there = set((await graph.friends(["hub"]))["hub"])
                assert kept | {"after"} <= there
                assert len(there - kept - {"after"}) in (0, 200)  # the refused call: whole, or not at all
                await graph.close()
        except ServerAbsent as why:
            absent(why)
