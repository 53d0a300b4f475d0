"""Events that change their place: an outbox made to fit Redis or this process, after a copy or a restore."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.errors import StoreError
from datastores.events import outbox as rows
from datastores.events import redis_streams as streams
from datastores.events.outbox import consumers, dead_letters
from datastores.events.port import Event
from datastores.events.redis_relay import FEEDER
from datastores.events.redis_streams import StreamKeys
from datastores.relational.port import Relational
from datastores.relational.rows import RowsSum

_BATCH_EVENTS = 200


def fit_to_redis(connection: Connection, fed_position: int) -> None:
    """An outbox of which Redis has the events up to `fed_position`: it is fed on from there, and positions of
    consumers in this process no longer hold old events back."""
    connection.execute(sa.delete(consumers).where(consumers.c.consumer != FEEDER))
    rows.rewind_consumer(connection, FEEDER, fed_position)


def fit_to_rows(connection: Connection) -> None:
    """An outbox whose events no Redis takes: a feeder no longer holds old ones back."""
    connection.execute(sa.delete(consumers).where(consumers.c.consumer == FEEDER))


def bury_again(connection: Connection, buried: Sequence[tuple[str, str, str]]) -> None:
    """Put dead letters, each a group, a packed event and a failure, beside an outbox."""
    for group, event, failure in buried:
        unpacked = streams.unpacked({b"event": event.encode()})
        rows.bury(connection, group, unpacked, failure=failure, at_utc=datetime.now(UTC))


async def move_to_redis(
    client: Any,
    keys: StreamKeys,
    sources: Mapping[str, Relational],
    *,
    advance: Callable[[str, int], None] = lambda _name, _count: None,
) -> int:
    """Every event of the outboxes into the stream, with a group for each consumer and its dead letters; how
    many events there are, compared. What every consumer is done with comes first, so that no group is given
    it again; of the rest a group may be given some again. Begun again after a kill, it goes on.

    Errors: StoreError where the stream ends up with others.
    """
    done = {name: await source.read(_done_by_all) for name, source in sources.items()}
    for name, source in sources.items():
        advance("events", await _feed(client, keys, name, source, until=done[name]))
    groups = sorted({group for source in sources.values() for group in await source.read(_groups)})
    for group in groups:
        await _make_group(client, keys, group)
    for name, source in sources.items():
        advance("events", await _feed(client, keys, name, source, after=done[name]))
        for group, entry in await source.read(_buried):
            await _bury_once(client, keys, group, entry)
    return await _check_equal(client, keys, sources)


async def _feed(
    client: Any,
    keys: StreamKeys,
    name: str,
    source: Relational,
    *,
    after: int = 0,
    until: int | None = None,
) -> int:
    count = 0
    while batch := await source.read(_batch_behind(after)):
        some = [each for each in batch if until is None or each[0] <= until]
        if some:
            await streams.feed(client, keys, name, some)
        count += len(some)
        if len(some) < len(batch):
            break
        after = batch[-1][0]
    return count


def _batch_behind(after: int) -> Any:
    return lambda connection: rows.events_after(connection, after, limit=_BATCH_EVENTS)


async def _make_group(client: Any, keys: StreamKeys, group: str) -> None:
    """Behind what is in the stream now; one that is there already stays."""
    if await client.exists(keys.stream):
        there = [told["name"] for told in await client.xinfo_groups(keys.stream)]
        if group.encode() in there or group in there:
            return
    read = await client.xlen(keys.stream)
    await client.xgroup_create(keys.stream, group, id="$", mkstream=True, entries_read=read)


async def _bury_once(client: Any, keys: StreamKeys, group: str, letter: tuple[Event, str]) -> None:
    event, failure = letter
    there = [streams.unpacked(fields).id for _, fields in await client.xrange(keys.dead(group))]
    if event.id not in there:
        await client.xadd(keys.dead(group), {"event": streams.packed(event), "failure": failure})


def _done_by_all(connection: Connection) -> int:
    found = connection.execute(sa.select(sa.func.min(consumers.c.position))).scalar()
    return int(found or 0)


def _groups(connection: Connection) -> list[str]:
    query = sa.select(consumers.c.consumer).where(consumers.c.consumer != FEEDER)
    return list(connection.execute(query).scalars())


def _buried(connection: Connection) -> list[tuple[str, tuple[Event, str]]]:
    groups = connection.execute(sa.select(dead_letters.c.consumer).distinct()).scalars().all()
    return [(group, letter) for group in groups for letter in rows.read_dead_letters(connection, group)]


async def _check_equal(client: Any, keys: StreamKeys, sources: Mapping[str, Relational]) -> int:
    """How many events there are, the same in the stream as in the outboxes.  Errors: StoreError."""
    wanted, found = RowsSum(), RowsSum()
    for source in sources.values():
        after = 0
        while batch := await source.read(_batch_behind(after)):
            for after, event in batch:  # noqa: B007  # the last one is where the next batch begins
                wanted.add(streams.packed(event))
    behind = "-"
    while page := await client.xrange(keys.stream, min=behind, count=_BATCH_EVENTS):
        for _, fields in page:
            found.add(fields[b"event"])
        behind = "(" + page[-1][0].decode()
    if wanted != found:
        raise StoreError(
            f"Redis has {found.rows} events and the outboxes {wanted.rows}, or others: empty it, begin again"
        )
    return found.rows
