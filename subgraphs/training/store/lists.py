"""Lists of an athlete: activities by page, days of load, records. Rights come in as a row filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

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


def _conditions(visible: VisibleRows, chosen: ActivityFilter) -> list[ColumnElement[bool]]:
    made: list[ColumnElement[bool]] = [
        activities.c.athlete_id == visible.athlete_id,
        activities.c.visibility.in_([each.value for each in sorted(visible.visibilities)]),
    ]
    if chosen.sports:
        made.append(activities.c.sport.in_([sport.value for sport in chosen.sports]))
    if chosen.since is not None:
        made.append(activities.c.local_day >= chosen.since)
    if chosen.until is not None:
        made.append(activities.c.local_day <= chosen.until)
    if chosen.distance_m_min is not None:
        made.append(activities.c.distance_m >= chosen.distance_m_min)
    if chosen.distance_m_max is not None:
        made.append(activities.c.distance_m <= chosen.distance_m_max)
    return made


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
    place = sa.tuple_(activities.c.started_at_utc, activities.c.id)
    query = sa.select(activities).where(*_conditions(visible, chosen))
    if after is not None:
        query = query.where(place < _bound(after))
    if before is not None:
        query = query.where(place > _bound(before))
    order = (activities.c.started_at_utc, activities.c.id)
    query = query.order_by(*(column.asc() if backward else column.desc() for column in order)).limit(limit)
    rows = [activity_of(row) for row in connection.execute(query)]
    return rows[::-1] if backward else rows


def _bound(place: Place) -> Any:
    return sa.tuple_(sa.literal(place.started_at_utc, activities.c.started_at_utc.type), sa.literal(place.id))


def count(connection: Connection, visible: VisibleRows, chosen: ActivityFilter) -> int:
    """How many activities the list has in all."""
    query = sa.select(sa.func.count()).select_from(activities).where(*_conditions(visible, chosen))
    return connection.execute(query).scalar() or 0


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
