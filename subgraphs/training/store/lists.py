"""Lists of an athlete: activities by page, days of load, records. Rights come in as a row filter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from datastores.relational.prepared import PreparedRead, listed
from subgraphs.training.model import Activity, BestEffort, EffortKind, Sport, VisibleRows
from subgraphs.training.store.activities import activity_of
from subgraphs.training.store.tables import activities, efforts


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """Which activities of an athlete. Bounds include; `until` is a day on the athlete's wall clock."""

    sports: tuple[Sport, ...] = ()
    since: date | None = None
    until: date | None = None
    distance_m_min: float | None = None
    distance_m_max: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place in the list: newest first, ids break ties."""

    started_at_utc: datetime
    id: str


_BOUNDS: Mapping[str, ColumnElement[bool]] = {
    "sports": activities.c.sport.in_(listed("sports")),
    "since": activities.c.local_day >= sa.bindparam("since"),
    "until": activities.c.local_day <= sa.bindparam("until"),
    "distance_m_min": activities.c.distance_m >= sa.bindparam("distance_m_min"),
    "distance_m_max": activities.c.distance_m <= sa.bindparam("distance_m_max"),
}
_AT = activities.c.started_at_utc
_PLACE = sa.tuple_(_AT, activities.c.id)
_AFTER = sa.tuple_(sa.bindparam("after_at", type_=_AT.type), sa.bindparam("after_id")) > _PLACE
_BEFORE = sa.tuple_(sa.bindparam("before_at", type_=_AT.type), sa.bindparam("before_id")) < _PLACE


def _asked(visible: VisibleRows, chosen: ActivityFilter) -> dict[str, Any]:
    """The values that a list is told by; what is not asked for is not among them."""
    bounds = {
        "sports": [sport.value for sport in chosen.sports] or None,
        "since": chosen.since,
        "until": chosen.until,
        "distance_m_min": chosen.distance_m_min,
        "distance_m_max": chosen.distance_m_max,
    }
    return {
        "athlete_id": visible.athlete_id,
        "visibilities": [each.value for each in sorted(visible.visibilities)],
        **{name: value for name, value in bounds.items() if value is not None},
    }


def _listed(names: Iterable[str]) -> list[ColumnElement[bool]]:
    return [
        activities.c.athlete_id == sa.bindparam("athlete_id"),
        activities.c.visibility.in_(listed("visibilities")),
        *(_BOUNDS[name] for name in sorted(names) if name in _BOUNDS),
    ]


@cache
def _page_of(names: frozenset[str], *, backward: bool) -> PreparedRead:
    """The pages for which these values are told: a few dozen kinds at most."""
    query = sa.select(activities).where(*_listed(names))
    if "after_at" in names:
        query = query.where(_AFTER)
    if "before_at" in names:
        query = query.where(_BEFORE)
    order = (_AT.asc(), activities.c.id.asc()) if backward else (_AT.desc(), activities.c.id.desc())
    return PreparedRead(query.order_by(*order).limit(sa.bindparam("limit")))


@cache
def _count_of(names: frozenset[str]) -> PreparedRead:
    return PreparedRead(sa.select(sa.func.count()).select_from(activities).where(*_listed(names)))


def page(
    connection: Connection,
    visible: VisibleRows,
    chosen: ActivityFilter,
    *,
    limit: int,
    after: Place | None = None,
    before: Place | None = None,
    backward: bool = False,
) -> list[Activity]:
    """Up to `limit` activities, newest first; `backward` gives the last ones before `before`."""
    values = _asked(visible, chosen)
    if after is not None:
        values |= {"after_at": after.started_at_utc, "after_id": after.id}
    if before is not None:
        values |= {"before_at": before.started_at_utc, "before_id": before.id}
    read = _page_of(frozenset(values), backward=backward)
    rows = [activity_of(row) for row in read.rows(connection, limit=limit, **values)]
    return rows[::-1] if backward else rows


def count(connection: Connection, visible: VisibleRows, chosen: ActivityFilter) -> int:
    """How many activities the list has in all."""
    values = _asked(visible, chosen)
    return _count_of(frozenset(values)).scalar(connection, **values) or 0


def loads_by_day(connection: Connection, athlete_id: str, *, until: date) -> dict[date, tuple[float, int]]:
    """Each day's summed load and how many of its activities have none, from the first day to `until`."""
    day = activities.c.local_day
    query = (
        sa.select(
            day,
            sa.func.coalesce(sa.func.sum(activities.c.load), 0.0).label("load"),
            sa.func.sum(sa.case((activities.c.load.is_(None), 1), else_=0)).label("unknown"),
        )
        .where(activities.c.athlete_id == athlete_id, day <= until)
        .group_by(day)
    )
    return {row.local_day: (float(row.load), int(row.unknown)) for row in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class Record:
    """The best effort of an athlete in a sport, and the activity that holds it."""

    sport: Sport
    activity_id: str
    started_at_utc: datetime
    effort: BestEffort


def records(connection: Connection, athlete_id: str, sports: Sequence[Sport] = ()) -> list[Record]:
    """The best of each kind and size, per sport. The earlier activity keeps a tie.

    Nothing is stored of it: a deleted or edited holder leaves its place to the next best at once.
    """
    best = sa.case((efforts.c.kind == EffortKind.POWER.value, -efforts.c.value), else_=efforts.c.value)
    rank = sa.func.row_number().over(
        partition_by=(activities.c.sport, efforts.c.kind, efforts.c.size),
        order_by=(best, activities.c.started_at_utc, activities.c.id),
    )
    ranked = sa.select(activities.c.sport, activities.c.started_at_utc, efforts, rank.label("place")).join(
        activities, activities.c.id == efforts.c.activity_id
    )
    ranked = ranked.where(activities.c.athlete_id == athlete_id)
    if sports:
        ranked = ranked.where(activities.c.sport.in_([sport.value for sport in sports]))
    inner = ranked.subquery()
    query = sa.select(inner).where(inner.c.place == 1).order_by(inner.c.sport, inner.c.kind, inner.c.size)
    return [
        Record(
            sport=Sport(row.sport),
            activity_id=row.activity_id,
            started_at_utc=row.started_at_utc,
            effort=BestEffort(EffortKind(row.kind), row.size, row.value, row.start_s),
        )
        for row in connection.execute(query)
    ]
