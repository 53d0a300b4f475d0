"""What the events promise, over one store and over several."""

from __future__ import annotations

import asyncio
import gc
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

import pytest

from datastores.errors import Conflict, Unavailable
from datastores.events import outbox as rows
from datastores.events.embedded import EmbeddedEvents
from datastores.events.live import QUEUE_EVENTS_MAX
from datastores.events.outbox import RelationalOutbox, new_event, prepare_outbox, time_ordered_id
from datastores.events.port import Event
from datastores.events.redis import RedisEvents
from datastores.events.relay import EventsLimits
from datastores.relational.port import Relational
from datastores.relational.sqlite import SqliteRelational
from datastores.vault.sealed import SealedVault

pytestmark = pytest.mark.port("events")

AnyEvents = EmbeddedEvents | RedisEvents
QUICK = EventsLimits(retry_first_s=0.001, retry_max_s=0.002)


def event(number: int = 0, *, topic: str = "thing.changed", key: str = "k") -> Event:
    return new_event(topic, key=key, payload={"number": number, "text": "ø"})


async def publish(events: AnyEvents, store: Relational, *published: Event) -> None:
    await store.write(lambda c: events.outbox.append(c, published))


async def take(stream: AsyncIterator[Event], count: int) -> list[int]:
    async with asyncio.timeout(5):
        return [(await anext(stream)).payload["number"] for _ in range(count)]


class Seen:
    """A consumer that notes what it saw and fails as told."""

    def __init__(self, fails: Callable[[Event, int], Exception | None] = lambda _e, _n: None) -> None:
        self.numbers: list[int] = []
        self.calls = 0
        self._fails = fails
        self._changed = asyncio.Event()

    async def __call__(self, event: Event) -> None:
        self.calls += 1
        error = self._fails(event, self.calls)
        if error is not None:
            raise error
        self.numbers.append(event.payload["number"])
        self._changed.set()

    async def until(self, count: int) -> list[int]:
        async with asyncio.timeout(5):
            while len(self.numbers) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.numbers


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await condition():
            await asyncio.sleep(0.005)


class MakeEvents(Protocol):
    def __call__(self, sources: Sequence[Relational], *, limits: EventsLimits = QUICK) -> AnyEvents: ...


@pytest.fixture(params=["embedded", "redis"])
def make_events(request: pytest.FixtureRequest) -> MakeEvents:
    """Makes the events of one deployment; called twice, a later process of the same one."""
    if request.param == "embedded":
        return lambda sources, *, limits=QUICK: EmbeddedEvents(sources, limits=limits)
    url, prefix = request.getfixturevalue("redis_url"), f"t{secrets.token_hex(6)}"

    def make(sources: Sequence[Relational], *, limits: EventsLimits = QUICK) -> AnyEvents:
        named = {f"source {number}": source for number, source in enumerate(sources)}
        return RedisEvents(url, named, limits=limits, prefix=prefix)

    return make


@pytest.fixture
async def events(store: Relational, make_events: MakeEvents) -> AsyncIterator[AnyEvents]:
    events = make_events([store])
    await events.open()
    yield events
    await events.close()


async def test_a_subscriber_gets_what_is_committed_from_now_on(events: AnyEvents, store: Relational) -> None:
    early = events.subscribe(["thing.changed"])
    await publish(events, store, event(0))
    assert await take(early, 1) == [0]
    late = events.subscribe(["thing.changed"])
    sent = event(1)
    await publish(events, store, sent)
    received = await anext(late)
    assert (received.id, received.payload, received.at_utc) == (sent.id, sent.payload, sent.at_utc)


async def test_a_rolled_back_event_is_never_told(events: AnyEvents, store: Relational) -> None:
    stream = events.subscribe(["thing.changed"])

    def fails(connection: object) -> None:
        events.outbox.append(connection, [event(13)])  # type: ignore[arg-type]
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(fails)
    await publish(events, store, event(1))
    assert await take(stream, 1) == [1]


async def test_topic_and_key_choose(events: AnyEvents, store: Relational) -> None:
    stream = events.subscribe(["a", "b"], key="mine")
    wanted = [event(1, topic="a", key="mine"), event(2, topic="b", key="mine")]
    others = [event(7, topic="a", key="theirs"), event(8, topic="c", key="mine")]
    await publish(events, store, others[0], wanted[0], others[1], wanted[1])
    assert await take(stream, 2) == [1, 2]


async def test_events_of_a_hundred_writers_come_once_each_in_the_order_of_their_commits(
    events: AnyEvents, store: Relational
) -> None:
    stream = events.subscribe(["thing.changed"])
    committed: list[int] = []

    async def one(number: int) -> None:
        await publish(events, store, event(number))
        committed.append(number)

    await asyncio.gather(*(one(number) for number in range(100)))
    received = await take(stream, 100)
    assert sorted(received) == list(range(100))
    in_store = await store.read(lambda c: rows.events_after(c, 0, limit=200))
    assert received == [e.payload["number"] for _, e in in_store]


async def test_an_event_reaches_a_subscriber_within_50_ms(events: AnyEvents, store: Relational) -> None:
    stream = events.subscribe(["thing.changed"])
    waits_s = []
    for number in range(20):
        await publish(events, store, event(number))
        started_s = time.perf_counter()
        await take(stream, 1)
        waits_s.append(time.perf_counter() - started_s)
    assert sorted(waits_s)[10] < 0.05


async def test_an_event_of_a_vault_is_told_at_once_too(vault: SealedVault, make_events: MakeEvents) -> None:
    events = make_events([vault], limits=EventsLimits(poll_s=60.0))
    await events.open()
    stream = events.subscribe(["thing.changed"])
    await publish(events, vault, event(1))
    assert await take(stream, 1) == [1]
    await events.close()


async def test_what_another_process_appends_is_found_by_looking(
    store: Relational, make_events: MakeEvents
) -> None:
    events = make_events([store], limits=EventsLimits(poll_s=0.01))
    await events.open()
    stream = events.subscribe(["thing.changed"])
    await store.write(lambda c: RelationalOutbox().append(c, [event(5)]))
    assert await take(stream, 1) == [5]
    await events.close()


async def test_a_slow_subscriber_loses_the_oldest_and_the_loss_is_counted(
    events: AnyEvents, store: Relational
) -> None:
    slow, quick = events.subscribe(["thing.changed"]), events.subscribe(["thing.changed"])
    many = QUEUE_EVENTS_MAX + 10
    for number in range(many):
        await publish(events, store, event(number))
        assert await take(quick, 1) == [number]
    assert events.lost_count == 10
    assert await take(slow, QUEUE_EVENTS_MAX) == list(range(10, many))


async def test_a_closed_stream_ends_its_reader(events: AnyEvents) -> None:
    stream = events.subscribe(["thing.changed"])
    reader = asyncio.ensure_future(anext(stream, None))
    await asyncio.sleep(0)
    await stream.aclose()
    assert await reader is None


async def test_closing_the_events_ends_every_stream(store: Relational, make_events: MakeEvents) -> None:
    events = make_events([store])
    await events.open()
    stream = events.subscribe(["thing.changed"])
    reader = asyncio.ensure_future(anext(stream, None))
    await events.close()
    assert await reader is None
    with pytest.raises(Unavailable):
        await events.ready()


async def test_a_dropped_stream_is_forgotten(events: AnyEvents, store: Relational) -> None:
    events.subscribe(["thing.changed"])
    gc.collect()
    kept = events.subscribe(["thing.changed"])
    for number in range(QUEUE_EVENTS_MAX + 1):
        await publish(events, store, event(number))
        await take(kept, 1)
    assert events.lost_count == 0


async def test_a_durable_consumer_sees_what_was_published_while_it_was_away(
    store: Relational, make_events: MakeEvents
) -> None:
    await prepare_outbox(store)
    await store.write(lambda c: RelationalOutbox().append(c, [event(1), event(2, topic="other")]))
    for expected in ([1], []):
        seen = Seen()
        events = make_events([store])
        events.consume("group", ["thing.changed"], seen)
        await events.open()
        marker = Seen()
        await publish(events, store, event(99))
        assert await seen.until(len(expected) + 1) == [*expected, 99]
        await until(partial(_is_done, events, "group"))
        await events.close()
        assert marker.numbers == []


async def _is_done(events: AnyEvents, group: str) -> bool:
    return await events.lag(group) == 0


async def test_each_group_gets_every_event_in_order(store: Relational, make_events: MakeEvents) -> None:
    events = make_events([store])
    first, second = Seen(), Seen()
    events.consume("first", ["thing.changed"], first)
    events.consume("second", ["thing.changed", "other"], second)
    await events.open()
    for number in range(30):
        await publish(events, store, event(number, topic="other" if number % 3 == 0 else "thing.changed"))
    assert await second.until(30) == list(range(30))
    assert await first.until(20) == [n for n in range(30) if n % 3]
    await events.close()


async def test_a_consumer_that_fails_is_asked_again_and_the_order_holds(
    store: Relational, make_events: MakeEvents
) -> None:
    seen = Seen(lambda _event, call: ValueError("no") if call in (1, 2, 3, 4) else None)
    events = make_events([store])
    events.consume("group", ["thing.changed"], seen)
    await events.open()
    await publish(events, store, event(1), event(2))
    assert await seen.until(2) == [1, 2]
    assert seen.calls == 6
    await events.close()


async def test_after_five_failures_an_event_goes_to_the_dead_letters(
    store: Relational, make_events: MakeEvents
) -> None:
    def poison(event: Event, _call: int) -> Exception | None:
        return Conflict("patient Jansen is not there") if event.payload["number"] == 1 else None

    seen = Seen(poison)
    events = make_events([store])
    events.consume("group", ["thing.changed"], seen)
    await events.open()
    poisoned = event(1)
    await publish(events, store, poisoned, event(2))
    assert await seen.until(1) == [2]
    assert seen.calls == 6
    [(buried, failure)] = await events.dead_letters("group")
    assert (buried.id, buried.payload["number"]) == (poisoned.id, 1)
    assert failure == "Conflict"  # the kind alone: an error's text may hold values
    await events.close()


async def test_a_store_that_is_away_is_no_failure_of_the_event(
    store: Relational, make_events: MakeEvents
) -> None:
    seen = Seen(lambda _event, call: Unavailable("away") if call <= 12 else None)
    events = make_events([store])
    events.consume("group", ["thing.changed"], seen)
    await events.open()
    await publish(events, store, event(1))
    assert await seen.until(1) == [1]
    assert await events.dead_letters("group") == []
    await events.close()


async def test_an_event_whose_consumer_was_interrupted_comes_again(
    store: Relational, make_events: MakeEvents
) -> None:
    started = asyncio.Event()

    async def hangs(_event: Event) -> None:
        started.set()
        await asyncio.Event().wait()

    events = make_events([store])
    events.consume("group", ["thing.changed"], hangs)
    await events.open()
    await publish(events, store, event(1))
    await started.wait()
    await events.close()
    again, seen = make_events([store]), Seen()
    again.consume("group", ["thing.changed"], seen)
    await again.open()
    assert await seen.until(1) == [1]
    await again.close()


async def test_several_stores_are_relayed_together(
    store: Relational, tmp_path: object, make_events: MakeEvents
) -> None:
    second = SqliteRelational(tmp_path / "second.db")  # type: ignore[operator]
    await second.open()
    events, seen = make_events([store, second]), Seen()
    events.consume("group", ["thing.changed"], seen)
    await events.open()
    stream = events.subscribe(["thing.changed"])
    await publish(events, store, event(1))
    assert await take(stream, 1) == [1]
    await publish(events, second, event(2))
    assert await take(stream, 1) == [2]
    assert sorted(await seen.until(2)) == [1, 2]
    await events.ready()
    await events.close()
    await second.close()


async def test_old_events_go_once_every_consumer_is_done_with_them(store: Relational) -> None:
    now = datetime.now(UTC)
    events = EmbeddedEvents([store], limits=QUICK, clock=lambda: now + timedelta(days=8))
    events.consume("idle", ["never"], Seen())
    await events.open()
    await publish(events, store, event(1))
    await prepare_outbox(store)
    await store.write(lambda c: rows.move_consumer(c, "away", 0))
    assert await events.prune() == 0
    await store.write(lambda c: rows.move_consumer(c, "away", rows.newest_position(c)))

    async def idle_has_passed() -> bool:
        await events.prune()
        return await store.read(lambda c: rows.events_after(c, 0, limit=1)) == []

    await until(idle_has_passed)
    await publish(events, store, event(2))
    left = await store.read(lambda c: rows.events_after(c, 0, limit=9))
    assert [position for position, _ in left] == [2]  # positions are never used twice
    await events.close()


async def test_the_same_event_twice_is_a_conflict(events: AnyEvents, store: Relational) -> None:
    twice = event(1)
    with pytest.raises(Conflict):
        await publish(events, store, twice, twice)


def test_ids_are_uuids_of_version_7_that_sort_by_time() -> None:
    import uuid

    start = datetime(2026, 11, 1, tzinfo=UTC)
    ids = [time_ordered_id(start + timedelta(milliseconds=n)) for n in range(100)]
    assert ids == sorted(ids)
    assert {(uuid.UUID(i).version, uuid.UUID(i).variant) for i in ids} == {(7, uuid.RFC_4122)}


async def test_registering_late_or_twice_is_refused(
    events: AnyEvents, store: Relational, make_events: MakeEvents
) -> None:
    with pytest.raises(RuntimeError):
        events.consume("late", ["thing.changed"], Seen())
    twice = make_events([store])
    twice.consume("group", ["a"], Seen())
    with pytest.raises(ValueError, match="group"):
        twice.consume("group", ["b"], Seen())


async def test_dead_letters_that_are_taken_at_last_are_gone(
    store: Relational, make_events: MakeEvents
) -> None:
    broken = [True]
    seen = Seen(lambda e, _call: ValueError("no") if broken[0] and e.payload["number"] < 3 else None)
    events = make_events([store])
    events.consume("group", ["thing.changed"], seen)
    await events.open()
    await publish(events, store, event(1), event(2), event(3))
    assert await seen.until(1) == [3]
    assert await events.retry_dead_letters("group") == 0
    assert [letter.payload["number"] for letter, _ in await events.dead_letters("group")] == [1, 2]
    broken[0] = False
    assert await events.retry_dead_letters("group") == 2
    assert (seen.numbers, await events.dead_letters("group")) == ([3, 1, 2], [])
    await events.close()


async def test_a_replay_delivers_what_is_kept_again_in_order(
    store: Relational, make_events: MakeEvents
) -> None:
    start_utc = datetime.now(UTC) - timedelta(minutes=1)
    events, seen, other = make_events([store]), Seen(), Seen()
    events.consume("group", ["thing.changed"], seen)
    events.consume("other", ["thing.changed"], other)
    await events.open()
    await publish(events, store, event(1), event(2), event(3, topic="foreign"))
    await seen.until(2)
    await until(lambda: _is_done(events, "group"))
    await events.replay("group", since_utc=start_utc)
    assert await seen.until(4) == [1, 2, 1, 2]
    await publish(events, store, event(4))
    assert await seen.until(5) == [1, 2, 1, 2, 4]
    assert await other.until(3) == [1, 2, 4]
    await events.close()


async def test_the_lag_counts_what_is_not_done(store: Relational, make_events: MakeEvents) -> None:
    gate = asyncio.Event()

    async def waits(_event: Event) -> None:
        await gate.wait()

    events = make_events([store])
    events.consume("group", ["thing.changed"], waits)
    await events.open()
    await publish(events, store, event(1), event(2))

    async def both_wait() -> bool:
        return await events.lag("group") == 2

    await until(both_wait)
    gate.set()
    await until(lambda: _is_done(events, "group"))
    await events.close()
