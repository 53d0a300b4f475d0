"""The outbox: events written beside the rows that they tell of, in the same transaction.

Its three tables live in each publishing domain's own database; their migrations are in this package.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from datastores.events.port import Event
from datastores.relational.after_commit import after_commit
from datastores.relational.columns import UtcDateTime, insert
from datastores.relational.migrate import migrate
from datastores.relational.port import Relational
from datastores.relational.prepared import PreparedRead, listed
from datastores.relational.schemas import Schema

# Any fixed number: the lock that makes the order of positions the order of commits on PostgreSQL.
_APPEND_LOCK = 0x57AD10

_metadata = sa.MetaData()
_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
outbox = sa.Table(
    "outbox",
    _metadata,
    sa.Column("position", _POSITION, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(36)),
    sa.Column("topic", sa.String(100)),
    sa.Column("key", sa.String(200)),
    sa.Column("payload", sa.JSON()),
    sa.Column("at_utc", UtcDateTime()),
)
consumers = sa.Table(
    "outbox_consumers",
    _metadata,
    sa.Column("consumer", sa.String(100), primary_key=True),
    sa.Column("position", _POSITION),
)
dead_letters = sa.Table(
    "outbox_dead_letters",
    _metadata,
    sa.Column("consumer", sa.String(100), primary_key=True),
    sa.Column("event_id", sa.String(36), primary_key=True),
    sa.Column("topic", sa.String(100)),
    sa.Column("key", sa.String(200)),
    sa.Column("payload", sa.JSON()),
    sa.Column("at_utc", UtcDateTime()),
    sa.Column("failure", sa.String(200)),
    sa.Column("buried_at_utc", UtcDateTime()),
)


SCHEMA = Schema(
    "outbox", Path(__file__).parent / "migrations", "outbox_version", (outbox, consumers, dead_letters)
)


_NEWEST = PreparedRead(sa.select(sa.func.max(outbox.c.position)))
_NEXT = (
    sa.select(outbox)
    .where(outbox.c.position > sa.bindparam("position"))
    .order_by(outbox.c.position)
    .limit(sa.bindparam("limit"))
)
_AFTER = PreparedRead(_NEXT)
_AFTER_OF_TOPICS = PreparedRead(_NEXT.where(outbox.c.topic.in_(listed("topics"))))


async def prepare_outbox(relational: Relational) -> None:
    """Make or upgrade the outbox tables in a domain's database; call it where the domain migrates."""
    await migrate(relational, SCHEMA.scripts, SCHEMA.version_table)


def new_event(topic: str, *, key: str, payload: Mapping[str, Any], at_utc: datetime | None = None) -> Event:
    """An event with a fresh id. `payload` is JSON: text, numbers, booleans, null, lists, objects."""
    at_utc = at_utc or datetime.now(UTC)
    return Event(id=time_ordered_id(at_utc), topic=topic, key=key, payload=payload, at_utc=at_utc)


def time_ordered_id(at_utc: datetime) -> str:
    """A UUIDv7 as text: 48 bits of milliseconds, the rest random.  Source: RFC 9562, 5.7."""
    milliseconds = int(at_utc.timestamp() * 1000) & ((1 << 48) - 1)
    noise = int.from_bytes(os.urandom(10), "big")
    value = milliseconds << 80 | 0x7 << 76 | (noise >> 68) << 64 | 0b10 << 62 | noise & ((1 << 62) - 1)
    return str(uuid.UUID(int=value))


class RelationalOutbox:
    """`Outbox` on the three tables. `on_commit` is called with the store once an append is committed."""

    def __init__(self, on_commit: Callable[[Relational], None] | None = None) -> None:
        self._on_commit = on_commit

    def append(self, connection: Connection, events: Sequence[Event]) -> None:
        """Write `events` beside the change that they tell of; they are relayed after the commit."""
        if not events:
            return
        if connection.dialect.name == "postgresql":
            # INVARIANT: held until the commit, so that no lower position appears after a higher one was read.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _APPEND_LOCK})
        rows = [
            {"id": e.id, "topic": e.topic, "key": e.key, "payload": dict(e.payload), "at_utc": e.at_utc}
            for e in events
        ]
        connection.execute(sa.insert(outbox), rows)
        if self._on_commit is not None:
            after_commit(connection, self._on_commit)


def newest_position(connection: Connection) -> int:
    """The position of the last event; 0 where there is none."""
    return _NEWEST.scalar(connection) or 0


def events_after(
    connection: Connection, position: int, *, limit: int, topics: Sequence[str] | None = None
) -> list[tuple[int, Event]]:
    """The next events with their positions, in order."""
    if topics is None:
        found = _AFTER.rows(connection, position=position, limit=limit)
    else:
        found = _AFTER_OF_TOPICS.rows(connection, position=position, limit=limit, topics=[*topics])
    return [(row.position, _event(row)) for row in found]


def consumer_position(connection: Connection, consumer: str) -> int:
    """How far `consumer` has read; 0 for a new one."""
    query = sa.select(consumers.c.position).where(consumers.c.consumer == consumer)
    return connection.execute(query).scalar() or 0


def move_consumer(connection: Connection, consumer: str, position: int) -> None:
    """Note that `consumer` is done with everything up to `position`; it never goes back."""
    statement = insert(connection, consumers).values(consumer=consumer, position=position)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[consumers.c.consumer],
            set_={"position": statement.excluded.position},
            where=consumers.c.position < statement.excluded.position,
        )
    )


def rewind_consumer(connection: Connection, consumer: str, position: int) -> None:
    """Set `consumer` back (or forward) to `position`."""
    statement = insert(connection, consumers).values(consumer=consumer, position=position)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[consumers.c.consumer], set_={"position": statement.excluded.position}
        )
    )


def position_before(connection: Connection, since_utc: datetime) -> int:
    """The last position before the first event that is not older than `since_utc`."""
    first = sa.select(sa.func.min(outbox.c.position)).where(outbox.c.at_utc >= since_utc)
    position = connection.execute(first).scalar()
    return newest_position(connection) if position is None else position - 1


def waiting_count(connection: Connection, consumer: str, topics: Sequence[str]) -> int:
    """How many events of `topics` `consumer` is not done with."""
    position = consumer_position(connection, consumer)
    query = sa.select(sa.func.count()).where(outbox.c.position > position, outbox.c.topic.in_(topics))
    return connection.execute(query).scalar_one()


def unbury(connection: Connection, consumer: str, event_id: str) -> None:
    """Take an event out of the dead letters of `consumer`."""
    condition = (dead_letters.c.consumer == consumer) & (dead_letters.c.event_id == event_id)
    connection.execute(sa.delete(dead_letters).where(condition))


def bury(connection: Connection, consumer: str, event: Event, *, failure: str, at_utc: datetime) -> None:
    """Put `event` to the dead letters of `consumer`. `failure` names the kind of error, no values."""
    values = {
        "consumer": consumer,
        "event_id": event.id,
        "topic": event.topic,
        "key": event.key,
        "payload": dict(event.payload),
        "at_utc": event.at_utc,
        "failure": failure[:200],
        "buried_at_utc": at_utc,
    }
    connection.execute(insert(connection, dead_letters).values(values).on_conflict_do_nothing())


def read_dead_letters(connection: Connection, consumer: str) -> list[tuple[Event, str]]:
    """What `consumer` gave up on, in that order, each with the kind of its last failure."""
    query = (
        sa.select(dead_letters)
        .where(dead_letters.c.consumer == consumer)
        .order_by(dead_letters.c.buried_at_utc, dead_letters.c.event_id)
    )
    return [
        (Event(row.event_id, row.topic, row.key, row.payload, row.at_utc), row.failure)
        for row in connection.execute(query)
    ]


def prune(connection: Connection, *, now_utc: datetime, keep: timedelta) -> int:
    """Delete events older than `keep` that every consumer is done with; how many they were."""
    done = connection.execute(sa.select(sa.func.min(consumers.c.position))).scalar()
    condition = outbox.c.at_utc < now_utc - keep
    if done is not None:
        condition &= outbox.c.position <= done
    return connection.execute(sa.delete(outbox).where(condition)).rowcount


def _event(row: Row[Any]) -> Event:
    return Event(id=row.id, topic=row.topic, key=row.key, payload=row.payload, at_utc=row.at_utc)
