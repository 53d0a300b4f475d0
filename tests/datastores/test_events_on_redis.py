"""Events through Redis where several processes share it, and where it dies."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from datastores.errors import Unavailable
from datastores.events.outbox import new_event
from datastores.events.port import Event
from datastores.events.redis import RedisEvents
from datastores.events.relay import EventsLimits
from datastores.redis_client import RedisLimits, redis_client
from datastores.relational.sqlite import SqliteRelational
from tests.kit_datastores.between import cut_off
from tests.servers.redis import RedisServer

QUICK = EventsLimits(retry_first_s=0.001, retry_max_s=0.01, poll_s=0.05, lease_s=1.0)
IMPATIENT = RedisLimits(connect_timeout_s=0.5, answer_timeout_s=0.5)


class Numbers:
    """A consumer that notes the numbers it saw."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    async def __call__(self, event: Event) -> None:
        self.seen.append(event.payload["number"])


async def publish(events: RedisEvents, store: SqliteRelational, *numbers: int) -> None:
    told = [new_event("thing.changed", key="k", payload={"number": number}) for number in numbers]
    await store.write(lambda c: events.outbox.append(c, told))


async def until_done(events: RedisEvents, group: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if await events.lag(group) == 0:
                    return
            except Unavailable:
                pass
            await asyncio.sleep(0.005)


async def test_two_processes_on_one_source_neither_double_nor_reorder(redis_url: str, tmp_path: Path) -> None:
    prefix = f"t{secrets.token_hex(6)}"
    store = SqliteRelational(tmp_path / "one.db")
    await store.open()
    consumers = [Numbers(), Numbers()]
    processes = [RedisEvents(redis_url, {"one": store}, limits=QUICK, prefix=prefix) for _ in consumers]
    for process, consumer in zip(processes, consumers, strict=True):
        process.consume("group", ["thing.changed"], consumer)
        await process.open()
    for number in range(50):
        await publish(processes[number % 2], store, number)
    await until_done(processes[0], "group")
    assert sorted(map(len, (c.seen for c in consumers))) == [0, 50]  # one at a time delivers
    assert consumers[0].seen + consumers[1].seen == list(range(50))
    busy = 0 if consumers[0].seen else 1
    await processes[busy].close()
    await publish(processes[1 - busy], store, 50)
    await until_done(processes[1 - busy], "group")
    assert consumers[1 - busy].seen == [50]  # the other has taken over
    await processes[1 - busy].close()
    await store.close()


async def until_seen(numbers: Numbers, last: int) -> None:
    """What is not fed yet is no lag yet: wait for the event itself."""
    async with asyncio.timeout(20):
        while last not in numbers.seen:
            await asyncio.sleep(0.005)


async def test_a_killed_redis_loses_no_event_and_doubles_no_order(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    store = SqliteRelational(tmp_path / "one.db")
    await store.open()
    numbers = Numbers()
    events = RedisEvents(own_redis.url, {"one": store}, limits=QUICK, redis_limits=IMPATIENT)
    events.consume("group", ["thing.changed"], numbers)
    await events.open()
    await publish(events, store, 0, 1)
    await until_done(events, "group")
    own_redis.stop(kill=True)
    with pytest.raises(Unavailable):
        await events.ready()
    await publish(events, store, 2, 3)  # publishing needs no Redis
    own_redis.start()
    await publish(events, store, 4)
    await until_seen(numbers, 4)
    assert list(dict.fromkeys(numbers.seen)) == [0, 1, 2, 3, 4]
    await events.ready()
    await events.close()
    await store.close()


async def test_a_redis_that_answers_too_late_loses_no_event_and_none_is_in_the_stream_twice(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    store, numbers = SqliteRelational(tmp_path / "one.db"), Numbers()
    await store.open()
    async with cut_off(own_redis.port) as between:
        url = own_redis.url.replace(f":{own_redis.port}/", f":{between.port}/")
        events = RedisEvents(url, {"one": store}, limits=QUICK, redis_limits=IMPATIENT)
        events.consume("group", ["thing.changed"], numbers)
        await events.open()
        await publish(events, store, 0, 1)
        await until_seen(numbers, 1)
        between.answers.clear()
        await publish(events, store, 2, 3)
        await between.held.wait()
        with pytest.raises(Unavailable):
            await events.ready()
        between.answers.set()
        await publish(events, store, 4)
        await until_seen(numbers, 4)
        await until_done(events, "group")
        assert list(dict.fromkeys(numbers.seen)) == [0, 1, 2, 3, 4]
        client = redis_client(own_redis.url, IMPATIENT)
        assert await client.xlen("{stadion}:events") == 5
        await client.aclose()
        await events.close()
    await store.close()


async def test_a_source_that_went_back_to_a_backup_is_fed_on(redis_url: str, tmp_path: Path) -> None:
    prefix, numbers = f"t{secrets.token_hex(6)}", Numbers()
    for name, published in (("before.db", (1, 2, 3)), ("restored.db", (4,))):
        store = SqliteRelational(tmp_path / name)
        await store.open()
        events = RedisEvents(redis_url, {"one": store}, limits=QUICK, prefix=prefix)
        events.consume("group", ["thing.changed"], numbers)
        await events.open()
        await publish(events, store, *published)
        await until_seen(numbers, published[-1])
        await until_done(events, "group")
        await events.close()
        await store.close()
    assert numbers.seen == [1, 2, 3, 4]


async def test_old_entries_go_once_every_group_is_done_with_them(redis_url: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    store = SqliteRelational(tmp_path / "one.db")
    await store.open()
    prefix = f"t{secrets.token_hex(6)}"
    events = RedisEvents(
        redis_url, {"one": store}, limits=QUICK, prefix=prefix, clock=lambda: now + timedelta(days=8)
    )
    gate = asyncio.Event()

    async def waits(_event: Event) -> None:
        await gate.wait()

    events.consume("slow", ["thing.changed"], waits)
    await events.open()
    await publish(events, store, 1, 2, 3)

    async def in_stream(count: int) -> None:
        async with asyncio.timeout(5):
            while await events.lag("slow") != count:
                await asyncio.sleep(0.005)

    await in_stream(3)
    await events.prune()
    assert await events.lag("slow") == 3
    gate.set()
    await in_stream(0)
    assert await events.prune() >= 2
    await events.close()
    await store.close()


async def test_right_after_a_replay_a_group_lags_by_all_that_it_will_be_given_again(
    redis_url: str, tmp_path: Path
) -> None:
    prefix, numbers = f"t{secrets.token_hex(6)}", Numbers()
    store = SqliteRelational(tmp_path / "one.db")
    await store.open()
    events = RedisEvents(redis_url, {"one": store}, limits=QUICK, prefix=prefix)
    events.consume("group", ["thing.changed"], numbers)
    await events.open()
    client, entries = redis_client(redis_url, RedisLimits()), [(b"0-0", {})]
    while len({entry.split(b"-")[0] for entry, _ in entries}) < 4:  # of so many milliseconds
        await publish(events, store, len(numbers.seen))
        await until_done(events, "group")
        entries = await client.xrange(f"{{{prefix}}}:events")
    await events.close()
    # Nobody delivers now: what lags stays so.
    onlooker = RedisEvents(redis_url, {"one": store}, limits=QUICK, prefix=prefix)
    await onlooker.open()
    assert await onlooker.lag("group") == 0
    for place in (1, 0, 2):
        milliseconds = int(entries[place][0].split(b"-")[0])
        behind = [entry for entry, _ in entries if int(entry.split(b"-")[0]) >= milliseconds]
        since_utc = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)
        await onlooker.replay("group", since_utc=since_utc)
        assert await onlooker.lag("group") == len(behind) > 1
    await client.aclose()
    await onlooker.close()
    await store.close()
