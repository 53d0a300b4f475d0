# ruff: noqa: E501  # a pair a line reads as the table that it becomes
"""Caches: Redis beside redis-py, Memcached beside aiomcache."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomcache
from redis.asyncio import Redis

from datastores.cache.memcached import MemcachedEntries
from datastores.cache.redis import RedisEntries
from datastores.cache.single_flight import SharedCache
from tests.benchmarks.datastore_pairs.pair import Pair, times
from tests.servers.memcached import running_memcached
from tests.servers.redis import running_redis

VALUES = {f"k{n}": b"x" * 1_000 for n in range(100)}
KEYS = list(VALUES)


@asynccontextmanager
async def redis(folder: Path) -> AsyncIterator[list[Pair]]:
    """Redis: the driver's fastest way for each, with the time limits that it has by itself (5 s)."""
    with running_redis() as server:
        cache, bare = SharedCache(RedisEntries(server.url)), Redis.from_url(server.url)
        await cache.open()

        async def bare_set(_: int) -> None:
            pipeline = bare.pipeline(transaction=False)
            for key, value in VALUES.items():
                pipeline.set(key, value, px=60_000)
            await pipeline.execute()

        await bare_set(0)
        await cache.set_many(VALUES, ttl_s=60)
        yield [
            Pair("cache", "redis", "get one", 100, times(100, lambda n: cache.get_many(["k1"])),
                 times(100, lambda n: bare.get("k1"))),
            Pair("cache", "redis", "get 100, beside MGET", 20, times(20, lambda n: cache.get_many(KEYS)),
                 times(20, lambda n: bare.mget(KEYS))),
            Pair("cache", "redis", "set 100, beside a pipeline", 10, times(10, lambda n: cache.set_many(VALUES, ttl_s=60)),
                 times(10, bare_set)),
        ]  # fmt: skip
        await cache.close()
        await bare.aclose()


@asynccontextmanager
async def memcached(folder: Path) -> AsyncIterator[list[Pair]]:
    """Memcached: aiomcache has no time limits, and no way to set many at once."""
    with running_memcached() as server:
        cache, bare = SharedCache(MemcachedEntries(server.url)), aiomcache.Client("127.0.0.1", server.port)
        await cache.open()
        names = [key.encode() for key in KEYS]

        async def bare_set(_: int) -> None:
            for key, value in VALUES.items():
                await bare.set(key.encode(), value, exptime=60)

        await cache.set_many(VALUES, ttl_s=60)
        await bare_set(0)
        one = {"k1": VALUES["k1"]}
        yield [
            Pair("cache", "memcached", "get one", 100, times(100, lambda n: cache.get_many(["k1"])),
                 times(100, lambda n: bare.get(b"k1"))),
            Pair("cache", "memcached", "get 100", 20, times(20, lambda n: cache.get_many(KEYS)),
                 times(20, lambda n: bare.multi_get(*names))),
            Pair("cache", "memcached", "set one", 100, times(100, lambda n: cache.set_many(one, ttl_s=60)),
                 times(100, lambda n: bare.set(b"k1", one["k1"], exptime=60))),
            Pair("cache", "memcached", "set 100, beside a set after the other", 10,
                 times(10, lambda n: cache.set_many(VALUES, ttl_s=60)), times(10, bare_set)),
        ]  # fmt: skip
        await cache.close()
        await bare.close()
