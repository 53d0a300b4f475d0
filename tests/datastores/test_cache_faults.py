"""A Redis that dies and comes back, and URLs that cannot be used."""

from __future__ import annotations

import asyncio
import socket

import pytest

from datastores.cache.opening import open_cache
from datastores.cache.redis import RedisEntries
from datastores.cache.single_flight import SharedCache
from datastores.config import StoreUrlProblem
from datastores.errors import Unavailable
from datastores.redis_client import RedisLimits
from tests.servers.redis import RedisServer

QUICK = RedisLimits(connect_timeout_s=0.5, answer_timeout_s=0.5, backoff_first_s=0.001, backoff_max_s=0.01)


async def test_a_killed_server_is_unavailable_and_comes_back_without_a_restart_of_ours(
    own_redis: RedisServer,
) -> None:
    cache = SharedCache(RedisEntries(own_redis.url, limits=QUICK))
    await cache.open()
    await cache.set_many({"a": b"1"}, ttl_s=60)
    own_redis.stop(kill=True)
    for asked in (cache.get_many(["a"]), cache.ready(), cache.set_many({"a": b"2"}, ttl_s=1)):
        with pytest.raises(Unavailable) as told:
            await asked
        assert str(own_redis.port) in str(told.value)
        assert own_redis.url.split("@")[0].removeprefix("redis://:") not in str(told.value)

    async def make() -> bytes:
        return b"made without a cache"

    assert await cache.get_or_make("a", make, ttl_s=60) == b"made without a cache"
    own_redis.start()
    await cache.ready()
    assert await cache.get_many(["a"]) == {"a": b"1"}
    await cache.close()


async def test_a_server_that_does_not_answer_is_unavailable_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        port = silent.getsockname()[1]
        limits = RedisLimits(connect_timeout_s=0.05, answer_timeout_s=0.05, retries_max=0)
        cache = SharedCache(RedisEntries(f"redis://127.0.0.1:{port}", limits=limits))
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable):
                await cache.open()


async def test_a_wrong_password_is_unavailable_and_not_told(redis_url: str) -> None:
    wrong = redis_url.replace("redis://:", "redis://:WRONG")
    with pytest.raises(Unavailable) as told:
        await open_cache(wrong).open()
    assert "WRONG" not in str(told.value)


@pytest.mark.parametrize(
    "url", ["memcached://h", "redis://", "redis://h:port", "redis://h/?max_connections=x"]
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(StoreUrlProblem):
        open_cache(url)


async def test_memory_is_chosen_by_url() -> None:
    cache = open_cache("memory://")
    await cache.open()
    await cache.set_many({"a": b"1"}, ttl_s=1)
    assert await cache.get_many(["a"]) == {"a": b"1"}
    await cache.close()
