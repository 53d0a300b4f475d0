"""Guardianships' rows; synchronous, against a connection, read in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Row

from subgraphs.profiles.guardianship import (
    REQUEST_MAX,
    GuardianKind,
    Guardianship,
    GuardianshipState,
)
from subgraphs.profiles.tables import guardianships

LISTED_MAX = 100
_ACTIVE, _REQUESTED = GuardianshipState.ACTIVE.value, GuardianshipState.REQUESTED.value


def add(connection: Connection, asked: Guardianship) -> None:
    """A new one.  Errors: Conflict where the two have one that is asked for or stands."""
    connection.execute(sa.insert(guardianships).values(**_values(asked)))


def replace(connection: Connection, changed: Guardianship) -> bool:
    """Store the next version; False where somebody was first."""
    columns = guardianships.c
    statement = sa.update(guardianships).where(
        columns.id == changed.id, columns.version == changed.version - 1
    )
    return connection.execute(statement.values(**_values(changed))).rowcount == 1


def by_id(connection: Connection, ids: Sequence[str]) -> dict[str, Guardianship]:
    """Those of `ids` that there are, whoever they belong to."""
    rows = connection.execute(sa.select(guardianships).where(guardianships.c.id.in_(ids)))
    return {row.id: _guardianship(row) for row in rows}


def latest_between(connection: Connection, minor_id: str, guardian_id: str) -> Guardianship | None:
    """The newest between two people, ended or not."""
    columns = guardianships.c
    query = sa.select(guardianships).where(columns.minor_id == minor_id, columns.guardian_id == guardian_id)
    row = connection.execute(query.order_by(columns.version.desc()).limit(1)).first()
    return None if row is None else _guardianship(row)


def of_minors(connection: Connection, minor_ids: Sequence[str]) -> dict[str, list[Guardianship]]:
    """Each minor's, newest first, at most 100 each, those that are over too."""
    return _grouped(connection, guardianships.c.minor_id, minor_ids)


def of_guardians(connection: Connection, guardian_ids: Sequence[str]) -> dict[str, list[Guardianship]]:
    """Each guardian's, newest first, at most 100 each, those that are over too."""
    return _grouped(connection, guardianships.c.guardian_id, guardian_ids)


def of_person(connection: Connection, user_id: str) -> list[Guardianship]:
    """Every one that somebody is an end of."""
    ends = sa.or_(guardianships.c.minor_id == user_id, guardianships.c.guardian_id == user_id)
    return [_guardianship(row) for row in connection.execute(sa.select(guardianships).where(ends))]


def delete_person(connection: Connection, user_id: str) -> None:
    """Somebody's guardianships, with the proofs in them."""
    ends = sa.or_(guardianships.c.minor_id == user_id, guardianships.c.guardian_id == user_id)
    connection.execute(sa.delete(guardianships).where(ends))


def count_requests(connection: Connection, guardian_id: str, *, now: datetime) -> int:
    """How many requests of somebody wait to be confirmed."""
    columns = guardianships.c
    waiting = (columns.state == _REQUESTED) & (columns.created_at_utc > now - REQUEST_MAX)
    return _count(connection, (columns.guardian_id == guardian_id) & waiting)


def count_guardians(connection: Connection, minor_id: str, *, now: datetime) -> int:
    """How many guardians somebody has."""
    return _count(connection, (guardianships.c.minor_id == minor_id) & _standing(now))


def guards(connection: Connection, guardian_id: str, minor_id: str, *, now: datetime) -> bool:
    """Whether the one is the other's guardian now."""
    columns = guardianships.c
    both = (columns.minor_id == minor_id) & (columns.guardian_id == guardian_id)
    return _count(connection, both & _standing(now)) > 0


def to_decide(visible: ColumnElement[bool], *, now: datetime) -> ColumnElement[bool]:
    """The condition of those that wait for somebody's word, of the visible ones."""
    columns = guardianships.c
    asked = (columns.state == _REQUESTED) & (columns.created_at_utc > now - REQUEST_MAX)
    return visible & sa.or_(asked, columns.contested & _standing(now))


def page(
    connection: Connection, chosen: ColumnElement[bool], *, after_id: str | None, limit: int
) -> tuple[list[Guardianship], int]:
    """Those that are chosen, oldest first from after an id on, and how many there are in all."""
    query = sa.select(guardianships).where(chosen).order_by(guardianships.c.id)
    if after_id is not None:
        query = query.where(guardianships.c.id > after_id)
    rows = connection.execute(query.limit(limit))
    return [_guardianship(row) for row in rows], _count(connection, chosen)


def lapsed(connection: Connection, *, now: datetime, limit: int) -> list[Guardianship]:
    """ACTIVE ones whose time has come, the longest over first."""
    columns = guardianships.c
    query = sa.select(guardianships).where(columns.state == _ACTIVE, columns.valid_until_utc <= now)
    rows = connection.execute(query.order_by(columns.valid_until_utc).limit(limit))
    return [_guardianship(row) for row in rows]


def _standing(now: datetime) -> ColumnElement[bool]:
    columns = guardianships.c
    return (columns.state == _ACTIVE) & (columns.valid_until_utc > now)


def _count(connection: Connection, condition: ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(guardianships).where(condition)
    return int(connection.execute(query).scalar_one())


def _grouped(
    connection: Connection, column: ColumnElement[str], ids: Sequence[str]
) -> dict[str, list[Guardianship]]:
    query = sa.select(guardianships, column.label("whose")).where(column.in_(ids))
    found: dict[str, list[Guardianship]] = {each: [] for each in ids}
    newest_first = query.order_by(guardianships.c.created_at_utc.desc(), guardianships.c.id)
    for row in connection.execute(newest_first):
        if len(found[row.whose]) < LISTED_MAX:
            found[row.whose].append(_guardianship(row))
    return found


def _values(guardianship: Guardianship) -> dict[str, Any]:
    return {**asdict(guardianship), "kind": guardianship.kind.value, "state": guardianship.state.value}


def _guardianship(row: Row[Any]) -> Guardianship:
    values = {column.name: getattr(row, column.name) for column in guardianships.columns}
    kind, state = GuardianKind(values["kind"]), GuardianshipState(values["state"])
    return Guardianship(**{**values, "kind": kind, "state": state})
