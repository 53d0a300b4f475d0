"""What a cache promises, in memory, on Redis, on a Redis cluster and on Memcached."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable

import pytest

from datastores.cache.entries import Entries
from datastores.cache.memcached import MemcachedEntries
from datastores.cache.memory import MemoryEntries, MemoryLimits
from datastores.cache.port import KEY_BYTES_MAX, TTL_S_MAX, VALUE_BYTES_MAX, Cache
from datastores.cache.redis import RedisEntries
from datastores.cache.single_flight import CacheLimits, SharedCache
from datastores.errors import Unavailable

pytestmark = pytest.mark.port("cache")
Places = Callable[[], Entries]


SERVERS = ["redis", "redis-cluster", "memcached"]


def places_on(server: str, request: pytest.FixtureRequest) -> Places:
    """Makes places for entries that all see the same keys."""
    url, prefix = request.getfixturevalue(f"{server.replace('-', '_')}_url"), f"{secrets.token_hex(6)}:"
    if server == "memcached":
        return lambda: MemcachedEntries(url, prefix=prefix)
    return lambda: RedisEntries(url, prefix=prefix)


@pytest.fixture(params=["memory", *SERVERS])
def places(request: pytest.FixtureRequest) -> Places:
    """Makes places for entries; on a server all of one test see the same keys."""
    return MemoryEntries if request.param == "memory" else places_on(request.param, request)


@pytest.fixture(params=SERVERS)
def shared_places(request: pytest.FixtureRequest) -> Places:
    """As `places`, on servers that several processes share."""
    return places_on(request.param, request)


@pytest.fixture
async def cache(places: Places) -> AsyncIterator[Cache]:
    cache = SharedCache(places())
    await cache.open()
    yield cache
    await cache.close()


class Maker:
    """Makes `v1`, `v2`, … and counts; waits for `gate` where it is given one."""

    def __init__(self, gate: asyncio.Event | None = None, error: Exception | None = None) -> None:
        self.calls = 0
        self.started = asyncio.Event()
        self._gate = gate
        self._error = error

    async def __call__(self) -> bytes:
        self.calls += 1
        made = self.calls
        self.started.set()
        if self._gate is not None:
            await self._gate.wait()
        if self._error is not None:
            raise self._error
        return f"v{made}".encode()


async def until_gone(cache: Cache, key: str) -> None:
    async with asyncio.timeout(5):
        while await cache.get_many([key]):
            await asyncio.sleep(0.001)


async def test_what_was_set_is_got_and_what_was_not_is_left_out(cache: Cache) -> None:
    await cache.set_many({"a": b"1", "b": b"\x00\xff", "c": b""}, ttl_s=60)
    assert await cache.get_many(["c", "missing", "a", "b"]) == {"a": b"1", "b": b"\x00\xff", "c": b""}


async def test_the_later_value_stays(cache: Cache) -> None:
    await cache.set_many({"a": b"1"}, ttl_s=60)
    await cache.set_many({"a": b"2"}, ttl_s=60)
    assert await cache.get_many(["a", "a"]) == {"a": b"2"}


async def test_deleted_keys_are_gone_and_others_stay(cache: Cache) -> None:
    await cache.set_many({"a": b"1", "b": b"2"}, ttl_s=60)
    await cache.delete_many(["a", "never"])
    assert await cache.get_many(["a", "b"]) == {"b": b"2"}


async def test_a_value_ends(cache: Cache) -> None:
    await cache.set_many({"short": b"1"}, ttl_s=0.02)
    await cache.set_many({"long": b"2"}, ttl_s=60)
    await until_gone(cache, "short")
    assert await cache.get_many(["short", "long"]) == {"long": b"2"}


async def test_asking_for_nothing_does_nothing(cache: Cache) -> None:
    assert await cache.get_many([]) == {}
    await cache.set_many({}, ttl_s=1)
    await cache.delete_many([])


async def test_a_thousand_keys_in_one_call(cache: Cache) -> None:
    values = {f"k{n}": str(n).encode() for n in range(1_000)}
    await cache.set_many(values, ttl_s=60)
    assert await cache.get_many(list(values)) == values
    await cache.delete_many(list(values))
    assert await cache.get_many(list(values)) == {}


@pytest.mark.parametrize("key", ["", "k" * (KEY_BYTES_MAX + 1), "ø" * 126])
async def test_a_key_out_of_bounds_is_refused(cache: Cache, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        await cache.get_many([key])
    with pytest.raises(ValueError, match="key"):
        await cache.get_or_make(key, Maker(), ttl_s=1)


async def test_a_value_over_the_limit_is_refused(cache: Cache) -> None:
    await cache.set_many({"a": bytes(VALUE_BYTES_MAX)}, ttl_s=60)
    with pytest.raises(ValueError, match="over the limit"):
        await cache.set_many({"a": bytes(VALUE_BYTES_MAX + 1)}, ttl_s=60)


@pytest.mark.parametrize("ttl_s", [0, -1, TTL_S_MAX + 1, float("nan")])
async def test_a_time_out_of_bounds_is_refused(cache: Cache, ttl_s: float) -> None:
    with pytest.raises(ValueError, match="time to live"):
        await cache.set_many({"a": b"1"}, ttl_s=ttl_s)


async def test_a_missing_value_is_made_once_and_kept(cache: Cache) -> None:
    make = Maker()
    assert [await cache.get_or_make("a", make, ttl_s=60) for _ in range(3)] == [b"v1"] * 3
    assert make.calls == 1
    assert await cache.get_many(["a"]) == {"a": b"v1"}


async def test_a_hundred_who_ask_at_once_have_it_made_once(cache: Cache) -> None:
    gate = asyncio.Event()
    make = Maker(gate)
    asking = [asyncio.create_task(cache.get_or_make("a", make, ttl_s=60)) for _ in range(100)]
    await make.started.wait()
    gate.set()
    assert await asyncio.gather(*asking) == [b"v1"] * 100
    assert make.calls == 1


async def test_an_error_reaches_all_who_wait_and_is_not_kept(cache: Cache) -> None:
    failing = Maker(error=LookupError("no"))
    asking = [cache.get_or_make("a", failing, ttl_s=60) for _ in range(5)]
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(answer) for answer in answers] == [LookupError] * 5
    assert failing.calls == 1
    assert await cache.get_or_make("a", Maker(), ttl_s=60) == b"v1"


async def test_one_who_leaves_takes_nobody_along(cache: Cache) -> None:
    gate = asyncio.Event()
    make = Maker(gate)
    first = asyncio.create_task(cache.get_or_make("a", make, ttl_s=60))
    await make.started.wait()
    second = asyncio.create_task(cache.get_or_make("a", make, ttl_s=60))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    assert await second == b"v1"
    assert make.calls == 1


async def test_what_was_being_made_when_its_key_was_deleted_is_not_kept(cache: Cache) -> None:
    gate = asyncio.Event()
    stale = Maker(gate)
    asking = asyncio.create_task(cache.get_or_make("a", stale, ttl_s=60))
    await stale.started.wait()
    await cache.delete_many(["a"])
    gate.set()
    assert await asking == b"v1"
    assert await cache.get_many(["a"]) == {}


async def test_a_dear_value_near_its_end_is_renewed_behind_the_readers_back(places: Places) -> None:
    now_s = [1_000_000.0]
    chances = [0.0]
    cache = SharedCache(places(), clock_s=lambda: now_s[0], chance=lambda: chances[0])
    await cache.open()
    gate = asyncio.Event()
    make = Maker()
    now_s[0] = time.time()  # a memory cache has a clock of its own, by which the value must hold too
    assert await cache.get_or_make("a", make, ttl_s=60) == b"v1"
    assert await cache.get_or_make("a", make, ttl_s=60) == b"v1"
    now_s[0] += 60 - 1e-6
    chances[0] = 0.999999
    again = Maker(gate)
    assert await cache.get_or_make("a", again, ttl_s=60) == b"v1"  # the old one, at once
    await again.started.wait()
    gate.set()
    assert make.calls == again.calls == 1
    await cache.close()


async def test_a_closed_cache_is_unavailable_and_makes_all_the_same(places: Places) -> None:
    cache = SharedCache(places())
    with pytest.raises(Unavailable):
        await cache.get_many(["a"])
    with pytest.raises(Unavailable):
        await cache.ready()
    assert await cache.get_or_make("a", Maker(), ttl_s=60) == b"v1"
    await cache.open()
    await cache.ready()
    await cache.close()
    with pytest.raises(Unavailable):
        await cache.set_many({"a": b"1"}, ttl_s=1)


async def test_closing_ends_what_is_being_made(places: Places) -> None:
    cache = SharedCache(places())
    await cache.open()
    make = Maker(asyncio.Event())
    asking = asyncio.create_task(cache.get_or_make("a", make, ttl_s=60))
    await make.started.wait()
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_memory_cache_keeps_within_its_bounds_and_loses_the_least_read() -> None:
    entries = MemoryEntries(limits=MemoryLimits(entries_max=3, bytes_max=10_000))
    cache = SharedCache(entries)
    await cache.open()
    await cache.set_many({"a": b"1", "b": b"2", "c": b"3"}, ttl_s=60)
    await cache.get_many(["a"])
    await cache.set_many({"d": b"4"}, ttl_s=60)
    assert sorted(await cache.get_many(["a", "b", "c", "d"])) == ["a", "c", "d"]
    await cache.set_many({"big": bytes(9_000)}, ttl_s=60)
    assert sorted(await cache.get_many(["a", "c", "d", "big"])) == ["big", "c", "d"]
    await cache.set_many({"huge": bytes(10_000)}, ttl_s=60)
    assert (entries.size_bytes, await cache.get_many(["huge", "big"])) == (0, {})
    await cache.close()


async def test_a_memory_cache_lets_go_what_has_ended_before_what_holds() -> None:
    now_s = [100.0]
    entries = MemoryEntries(limits=MemoryLimits(entries_max=2), clock_s=lambda: now_s[0])
    cache = SharedCache(entries, clock_s=lambda: now_s[0])
    await cache.open()
    await cache.set_many({"holds": b"1"}, ttl_s=60)
    await cache.set_many({"ends": b"2"}, ttl_s=5)
    now_s[0] += 5
    await cache.set_many({"new": b"3"}, ttl_s=60)
    assert sorted(await cache.get_many(["holds", "ends", "new"])) == ["holds", "new"]
    await cache.close()


async def test_of_several_processes_one_makes_it_for_all(shared_places: Places) -> None:
    caches = [SharedCache(shared_places()) for _ in range(4)]
    for cache in caches:
        await cache.open()
    gate, makers = asyncio.Event(), []
    asking = []
    for cache in caches:
        makers.append(Maker(gate))
        asking.append(asyncio.create_task(cache.get_or_make("a", makers[-1], ttl_s=60)))
    await asyncio.wait(
        [asyncio.create_task(maker.started.wait()) for maker in makers], return_when="FIRST_COMPLETED"
    )
    gate.set()
    assert await asyncio.gather(*asking) == [b"v1"] * 4
    assert sum(maker.calls for maker in makers) == 1
    for cache in caches:
        await cache.close()


async def test_a_maker_that_died_holds_nobody_longer_than_its_lease(shared_places: Places) -> None:
    dead = shared_places()
    await dead.open()
    assert await dead.claim("a", lease_s=60) is not None
    assert await dead.claim("a", lease_s=60) is None
    cache = SharedCache(shared_places(), limits=CacheLimits(lease_s=0.02))
    await cache.open()
    assert await cache.get_or_make("a", Maker(), ttl_s=60) == b"v1"
    await cache.close()
    await dead.close()


async def test_a_claim_that_has_passed_on_is_not_given_back(shared_places: Places) -> None:
    entries = shared_places()
    await entries.open()
    token = await entries.claim("a", lease_s=60)
    assert token is not None
    await entries.release("a", "of-another")
    assert await entries.claim("a", lease_s=60) is None
    await entries.release("a", token)
    assert await entries.claim("a", lease_s=60) is not None
    await entries.close()


async def test_what_another_program_wrote_is_a_miss(redis_url: str) -> None:
    from datastores.redis_client import RedisLimits, redis_client

    client = redis_client(redis_url, RedisLimits())
    prefix = f"{secrets.token_hex(6)}:"
    await client.set(f"{prefix}a", b"short")
    await client.set(f"{prefix}b", b"something longer than a header")
    cache = SharedCache(RedisEntries(redis_url, prefix=prefix))
    await cache.open()
    assert await cache.get_many(["a", "b"]) == {}
    assert await cache.get_or_make("b", Maker(), ttl_s=60) == b"v1"
    await cache.close()
    await client.aclose()


async def test_a_hundred_writers_of_one_key_leave_one_whole_value(cache: Cache) -> None:
    values = [bytes([n]) * 20_000 for n in range(100)]
    await asyncio.gather(*(cache.set_many({"a": value}, ttl_s=60) for value in values))
    assert (await cache.get_many(["a"]))["a"] in values


async def test_a_key_may_hold_what_the_servers_own_keys_may_not(cache: Cache) -> None:
    values = {"with space\r\nset x 0 0 1\r\n": b"1", "ø" * 125: b"2", "k" * KEY_BYTES_MAX: b"3"}
    await cache.set_many(values, ttl_s=60)
    assert await cache.get_many([*values, "x"]) == values


async def test_values_hold_up_to_a_month(cache: Cache) -> None:
    await cache.set_many({"a": b"1"}, ttl_s=TTL_S_MAX)
    assert await cache.get_many(["a"]) == {"a": b"1"}


async def test_one_who_leaves_leaves_no_half_answer_to_the_next(memcached_url: str) -> None:
    from datastores.cache.memcached_wire import MemcachedLimits

    limits = MemcachedLimits(connections_max=2)
    entries = MemcachedEntries(memcached_url, prefix=f"{secrets.token_hex(6)}:", limits=limits)
    cache = SharedCache(entries)
    await cache.open()
    values = {f"k{n}": f"{n}".encode() * 2_000 for n in range(40)}
    await cache.set_many(values, ttl_s=60)
    for turn in range(60):
        leaving = asyncio.create_task(cache.get_many(["k7", "k8"]))
        for _ in range(turn % 12):
            await asyncio.sleep(0)
        leaving.cancel()
        key = f"k{turn % 40}"
        assert await cache.get_many([key]) == {key: values[key]}
    await cache.close()


async def test_an_entry_with_a_value_over_what_memcached_takes_is_a_miss_and_so_is_the_older(
    memcached_url: str,
) -> None:
    cache = SharedCache(MemcachedEntries(memcached_url, prefix=f"{secrets.token_hex(6)}:"))
    await cache.open()
    await cache.set_many({"a": b"old"}, ttl_s=60)
    await cache.set_many({"a": bytes(VALUE_BYTES_MAX), "b": bytes(1_000_000)}, ttl_s=60)
    assert await cache.get_many(["a", "b"]) == {"b": bytes(1_000_000)}
    await cache.close()


@pytest.mark.parametrize("step_s", [-86_400.0, 86_400.0])
async def test_a_step_of_the_machines_clock_neither_ends_a_value_in_memory_nor_keeps_it(
    step_s: float,
) -> None:
    wall_s, ticking_s = [1_000_000.0], [50.0]
    entries = MemoryEntries(clock_s=lambda: ticking_s[0])
    cache = SharedCache(entries, clock_s=lambda: wall_s[0])
    await cache.open()
    await cache.set_many({"a": b"1"}, ttl_s=60)
    wall_s[0] += step_s
    ticking_s[0] += 59
    assert await cache.get_many(["a"]) == {"a": b"1"}
    ticking_s[0] += 1
    assert await cache.get_many(["a"]) == {}
    await cache.close()


async def test_a_step_back_of_the_machines_clock_does_not_outlive_the_servers_end(redis_url: str) -> None:
    wall_s = [time.time()]
    places = RedisEntries(redis_url, prefix=f"{secrets.token_hex(6)}:")
    cache = SharedCache(places, clock_s=lambda: wall_s[0])
    await cache.open()
    await cache.set_many({"a": b"1"}, ttl_s=0.02)
    wall_s[0] -= 86_400
    await until_gone(cache, "a")
    await cache.close()
