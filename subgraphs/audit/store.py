"""Audit's rows: the chain is appended to and read, in bulk; synchronous, against a connection."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Row

from datastores.relational.columns import insert
from subgraphs.audit import tables
from subgraphs.audit.model import (
    FIRST_PREV_HASH,
    RECORDS_PER_CHECKPOINT,
    TIME_FORMAT,
    AuditRecord,
    ChainCheck,
    Checkpoint,
    Damage,
    Seal,
    linked,
)

_EQUAL = ("target", "actor", "data_class", "decision", "purpose", "action", "rule", "outcome", "subgraph")
ROWS_PER_READ = 1_000
DAMAGES_MAX = 100
_CHAIN = 1


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records; what is None does not narrow. People by pseudonym."""

    target: str | None = None
    actor: str | None = None
    data_class: str | None = None
    decision: str | None = None
    purpose: str | None = None
    action: str | None = None
    rule: str | None = None
    outcome: str | None = None
    subgraph: str | None = None
    since_utc: datetime | None = None
    until_utc: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChainReport:
    """How a check of the whole chain went. At most `DAMAGES_MAX` damages are told, the first ones."""

    records: int
    checkpoints: int
    last_hash: str | None
    damages: tuple[Damage, ...]


def append(connection: Connection, new: Sequence[AuditRecord], *, seal: Seal, at_utc: datetime) -> int:
    """Link those that are not there yet to the chain; how many they were. One that comes again adds none."""
    if connection.dialect.name == "postgresql":
        # Writers are serialisable; the lock spares them from failing and starting again.
        connection.execute(sa.text("LOCK TABLE audit_head IN EXCLUSIVE MODE"))
    known = _known(connection, {each.event_id for each in new})
    fresh = [each for each in new if (each.event_id, each.entry) not in known]
    if not fresh:
        return 0
    last = read_head(connection)
    number, prev_hash = (last.number, last.hash) if last else (0, FIRST_PREV_HASH)
    chained: list[AuditRecord] = []
    for each in fresh:
        number += 1
        chained.append(linked(each, number=number, prev_hash=prev_hash))
        prev_hash = chained[-1].hash
    connection.execute(sa.insert(tables.records), [_values(each) for each in chained])
    _sign(connection, chained, seal=seal, at=_text(at_utc))
    return len(chained)


def know_subjects(connection: Connection, user_ids: Mapping[str, str]) -> None:
    """Remember which user each pseudonym stands for; one that was erased stands for nobody again."""
    query = sa.select(tables.erased.c.pseudonym).where(tables.erased.c.pseudonym.in_(sorted(user_ids)))
    gone = set(connection.execute(query).scalars())
    rows = [{"pseudonym": name, "user_id": user_id} for name, user_id in user_ids.items() if name not in gone]
    if rows:
        connection.execute(insert(connection, tables.subjects).values(rows).on_conflict_do_nothing())


def forget_subject(connection: Connection, pseudonym: str) -> None:
    """Erase whom a pseudonym stands for; the chain stays as it is, and verifies."""
    connection.execute(sa.delete(tables.subjects).where(tables.subjects.c.pseudonym == pseudonym))
    connection.execute(insert(connection, tables.erased).values(pseudonym=pseudonym).on_conflict_do_nothing())


def user_ids(connection: Connection, pseudonyms: Sequence[str]) -> dict[str, str]:
    """The users behind those pseudonyms that were not erased."""
    rows = connection.execute(sa.select(tables.subjects).where(tables.subjects.c.pseudonym.in_(pseudonyms)))
    return {row.pseudonym: row.user_id for row in rows}


def records_by_id(connection: Connection, ids: Sequence[str]) -> dict[str, AuditRecord]:
    """Records by their ids."""
    rows = connection.execute(sa.select(tables.records).where(tables.records.c.id.in_(ids)))
    return {row.id: _record(row) for row in rows}


def list_records(
    connection: Connection,
    wanted: RecordFilter,
    *,
    limit: int,
    before_number: int | None = None,
    after_number: int | None = None,
    oldest: bool = False,
) -> list[AuditRecord]:
    """The newest first: of those between the two numbers the newest `limit`, or the `oldest`."""
    number = tables.records.c.number
    query = sa.select(tables.records).where(_matches(wanted))
    if before_number is not None:
        query = query.where(number < before_number)
    if after_number is not None:
        query = query.where(number > after_number)
    found = [
        _record(row)
        for row in connection.execute(query.order_by(number if oldest else number.desc()).limit(limit))
    ]
    return found[::-1] if oldest else found


def count_records(connection: Connection, wanted: RecordFilter) -> int:
    """How many match."""
    query = sa.select(sa.func.count()).select_from(tables.records).where(_matches(wanted))
    return connection.execute(query).scalar_one()


def read_head(connection: Connection) -> Checkpoint | None:
    """The signed word about the last record."""
    row = connection.execute(sa.select(tables.head)).one_or_none()
    return None if row is None else Checkpoint(row.number, row.hash, row.at, row.signature)


def read_checkpoints(connection: Connection) -> list[Checkpoint]:
    """All checkpoints, in order."""
    rows = connection.execute(sa.select(tables.checkpoints).order_by(tables.checkpoints.c.number))
    return [Checkpoint(row.number, row.hash, row.at, row.signature) for row in rows]


def hash_of(connection: Connection, number: int) -> str | None:
    """The hash of one record, by its number."""
    query = sa.select(tables.records.c.hash).where(tables.records.c.number == number)
    return connection.execute(query).scalar()


def check_chain(connection: Connection, seal: Seal) -> ChainReport:
    """Walk the whole chain. One snapshot, `ROWS_PER_READ` rows in memory at a time."""
    checkpoints = read_checkpoints(connection)
    check = ChainCheck(seal, {each.number: each for each in checkpoints}, read_head(connection))
    damages: list[Damage] = []
    for part in _in_order(connection):
        damages.extend(check.walk(part))
    damages.extend(check.end())
    last_hash = check.prev_hash if check.records else None
    return ChainReport(check.records, len(checkpoints), last_hash, tuple(damages[:DAMAGES_MAX]))


def _in_order(connection: Connection) -> Iterator[list[AuditRecord]]:
    columns, last = tables.records.c, 0
    while True:
        query = sa.select(tables.records).where(columns.number > last).order_by(columns.number)
        part = [_record(row) for row in connection.execute(query.limit(ROWS_PER_READ))]
        if not part:
            return
        yield part
        last = part[-1].number


def _known(connection: Connection, event_ids: set[str]) -> set[tuple[str, int]]:
    columns = tables.records.c
    query = sa.select(columns.event_id, columns.entry).where(columns.event_id.in_(sorted(event_ids)))
    return {(row.event_id, row.entry) for row in connection.execute(query)}


def _sign(connection: Connection, chained: Sequence[AuditRecord], *, seal: Seal, at: str) -> None:
    due = [each for each in chained if each.number % RECORDS_PER_CHECKPOINT == 0]
    for each in due:
        connection.execute(sa.insert(tables.checkpoints), asdict(seal.checkpoint(each.number, each.hash, at)))
    last = chained[-1]
    signed = asdict(seal.checkpoint(last.number, last.hash, at))
    statement = insert(connection, tables.head).values(chain=_CHAIN, **signed)
    connection.execute(statement.on_conflict_do_update(index_elements=[tables.head.c.chain], set_=signed))


def _matches(wanted: RecordFilter) -> ColumnElement[bool]:
    columns = tables.records.c
    conditions: list[ColumnElement[bool]] = [sa.true()]
    for name in _EQUAL:
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(columns[name] == value)
    if wanted.since_utc is not None:
        conditions.append(columns.at >= _text(wanted.since_utc))
    if wanted.until_utc is not None:
        conditions.append(columns.at < _text(wanted.until_utc))
    return sa.and_(*conditions)


def _text(at_utc: datetime) -> str:
    return at_utc.astimezone(UTC).strftime(TIME_FORMAT)


def _values(record: AuditRecord) -> dict[str, Any]:
    return {**asdict(record), "fields": json.dumps(list(record.fields), separators=(",", ":"))}


def _record(row: Row[Any]) -> AuditRecord:
    values: dict[str, Any] = dict(row._mapping)
    return AuditRecord(**{**values, "fields": _fields(values["fields"])})


def _fields(text: str) -> tuple[str, ...]:
    """The fields as they were hashed; what is no list any more was edited, and its hash shows it."""
    try:
        found = json.loads(text)
    except ValueError:
        return (text,)
    return tuple(found) if isinstance(found, list) else (text,)
