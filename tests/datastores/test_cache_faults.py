"""A Redis and a Memcached that die and come back, are silent or slow, and URLs that cannot be used."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from datastores.cache.entries import Entries
from datastores.cache.memcached import MemcachedEntries
from datastores.cache.memcached_wire import MemcachedLimits, MemcachedWire
from datastores.cache.opening import open_cache
from datastores.cache.redis import RedisEntries
from datastores.cache.single_flight import SharedCache
from datastores.config import StoreUrlProblem
from datastores.errors import Unavailable
from datastores.redis_client import RedisLimits
from tests.kit_datastores.between import cut_off
from tests.servers.memcached import MemcachedServer
from tests.servers.redis import RedisServer

QUICK = RedisLimits(connect_timeout_s=0.5, answer_timeout_s=0.5, backoff_first_s=0.001, backoff_max_s=0.01)
QUICK_MEMCACHED = MemcachedLimits(connect_timeout_s=0.5, answer_timeout_s=0.5)


Own = tuple[RedisServer | MemcachedServer, Entries]


@pytest.fixture(params=["redis", "memcached"])
def own(request: pytest.FixtureRequest) -> Own:
    """A server that the test may kill, with the entries on it."""
    server = request.getfixturevalue(f"own_{request.param}")
    if request.param == "redis":
        return server, RedisEntries(server.url, limits=QUICK)
    return server, MemcachedEntries(server.url, limits=QUICK_MEMCACHED)


async def test_a_killed_server_is_unavailable_and_comes_back_without_a_restart_of_ours(own: Own) -> None:
    server, entries = own
    cache = SharedCache(entries)
    await cache.open()
    await cache.set_many({"a": b"1"}, ttl_s=60)
    server.stop(kill=True)
    for asked in (cache.get_many(["a"]), cache.ready(), cache.set_many({"a": b"2"}, ttl_s=1)):
        with pytest.raises(Unavailable) as told:
            await asked
        assert str(server.port) in str(told.value)
        assert server.url.split("@")[0].removeprefix("redis://:") not in str(told.value)

    async def make() -> bytes:
        return b"made without a cache"

    assert await cache.get_or_make("a", make, ttl_s=60) == b"made without a cache"
    server.start()
    await cache.ready()
    kept = {"a": b"1"} if isinstance(server, RedisServer) else {}  # Memcached forgets, which a cache may
    assert await cache.get_many(["a"]) == kept
    await cache.set_many({"a": b"3"}, ttl_s=60)
    assert await cache.get_many(["a"]) == {"a": b"3"}
    await cache.close()


async def test_cut_connections_are_made_anew(own: Own) -> None:
    server, entries = own
    async with cut_off(server.port) as between:
        place = f"127.0.0.1:{between.port}"
        url = server.url.replace(f"127.0.0.1:{server.port}", place)
        again = type(entries)(url, limits=entries._limits)  # type: ignore[attr-defined,call-arg]
        cache = SharedCache(again)
        await cache.open()
        for turn in range(5):
            await cache.set_many({f"k{turn}": b"1"}, ttl_s=60)
            between.cut()
        # The first may meet the cut; after it there is a new connection.
        with contextlib.suppress(Unavailable):
            await cache.ready()
        assert len(await cache.get_many([f"k{turn}" for turn in range(5)])) == 5
        await cache.close()


async def test_answers_that_come_too_late_are_unavailable_in_time_and_answer_no_later_question(
    own: Own,
) -> None:
    server, entries = own
    async with cut_off(server.port) as between:
        url = server.url.replace(f"127.0.0.1:{server.port}", f"127.0.0.1:{between.port}")
        cache = SharedCache(type(entries)(url, limits=entries._limits))  # type: ignore[attr-defined,call-arg]
        await cache.open()
        await cache.set_many({"a": b"1", "b": b"2"}, ttl_s=60)
        between.answers.clear()
        async with asyncio.timeout(20):
            for late in (cache.get_many(["a"]), cache.set_many({"a": b"3"}, ttl_s=60), cache.ready()):
                with pytest.raises(Unavailable):
                    await late
        between.answers.set()  # and what was held back comes now
        await until_ready(cache)
        assert (await cache.get_many(["b"])) == {"b": b"2"}
        assert (await cache.get_many(["a"]))["a"] in (b"1", b"3")
        await cache.close()


async def until_ready(cache: SharedCache) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await cache.ready()
            except Unavailable:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("scheme", ["redis", "memcached"])
async def test_a_server_that_does_not_answer_is_unavailable_in_time(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        port = silent.getsockname()[1]
        redis = RedisLimits(connect_timeout_s=0.05, answer_timeout_s=0.05, retries_max=0)
        memcached = MemcachedLimits(connect_timeout_s=0.05, answer_timeout_s=0.05)
        cache = SharedCache(
            RedisEntries(f"redis://127.0.0.1:{port}", limits=redis)
            if scheme == "redis"
            else MemcachedEntries(f"memcached://127.0.0.1:{port}", limits=memcached)
        )
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable):
                await cache.open()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"ERROR\r\n",
        b"VALUE x\r\n",
        b"VALUE k 0 9999999 1\r\n",
        b"\xff" * 5_000,
        b"VALUE k 0 x 1\r\nEND\r\n",
    ],
)
async def test_what_is_no_memcached_is_unavailable(said: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    url = f"memcached://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        with pytest.raises(Unavailable):
            await MemcachedEntries(url, limits=QUICK_MEMCACHED).open()
        reading = MemcachedWire("127.0.0.1", server.sockets[0].getsockname()[1], QUICK_MEMCACHED)
        with pytest.raises(Unavailable):
            await reading.get([b"k"])


async def test_a_wrong_password_is_unavailable_and_not_told(redis_url: str) -> None:
    wrong = redis_url.replace("redis://:", "redis://:WRONG")
    with pytest.raises(Unavailable) as told:
        await open_cache(wrong).open()
    assert "WRONG" not in str(told.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://h",
        "redis://",
        "redis://h:port",
        "redis://h/?max_connections=x",
        "memcached://",
        "memcached://h:x",
        "memcached://user:password@h",
        "memcached://h/path",
    ],
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
