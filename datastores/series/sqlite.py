"""Series in SQLite: a row a sample, clustered by series and time; statements run by the driver in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.series.port import Points
from datastores.series.tables import Row, Span, names, samples

_INSERT = (
    "INSERT INTO series_samples (key, at_ms, value) VALUES (?, ?, ?)"
    " ON CONFLICT (key, at_ms) DO UPDATE SET value = excluded.value WHERE value <> excluded.value"
)
_PUT = (
    "INSERT INTO series_rollups (width_ms, key, start_ms, count, total, low, high)"
    " SELECT ?1, key, {at} / ?1 * ?1 AS start, {sums} WHERE key = ?2 AND {at} >= ?3 AND {at} < ?4{more}"
    " GROUP BY start ON CONFLICT (width_ms, key, start_ms) DO UPDATE SET count = excluded.count,"
    " total = excluded.total, low = excluded.low, high = excluded.high"
)
_FROM_SAMPLES = _PUT.format(
    at="at_ms", sums="count(*), sum(value), min(value), max(value) FROM series_samples", more=""
)
_FROM_ROLLUPS = _PUT.format(
    at="start_ms",
    sums="sum(count), sum(total), min(low), max(high) FROM series_rollups",
    more=" AND width_ms = ?5",
)
_READ = (
    "SELECT at_ms, value FROM series_samples WHERE key = ? AND at_ms >= ? AND at_ms < ?"
    " ORDER BY at_ms LIMIT ?"
)


def take_turns(connection: Connection, series_names: Iterable[str]) -> None:
    """Nothing to do: SQLite has one writer at a time."""


def retain_alone(connection: Connection) -> None:
    """Nothing to do: SQLite has one writer at a time."""


def insert(connection: Connection, rows: Sequence[Row]) -> None:
    """Put samples; at a moment that has one already the new value stays."""
    connection.exec_driver_sql(_INSERT, rows if isinstance(rows, list) else list(rows))


def roll_up(connection: Connection, width_ms: int, from_ms: int | None, spans: Sequence[Span]) -> None:
    """Sum up anew: the rollups of `width_ms` in `spans`, out of those of `from_ms`, or out of samples."""
    if from_ms is None:
        connection.exec_driver_sql(_FROM_SAMPLES, [(width_ms, *span) for span in spans])
    else:
        connection.exec_driver_sql(_FROM_ROLLUPS, [(width_ms, *span, from_ms) for span in spans])


def first_points(
    connection: Connection, keys: Sequence[int], start_ms: int, end_ms: int, limit: int
) -> Mapping[int, Points]:
    """The first `limit` samples of each series in a range."""
    found = {}
    for key in keys:
        # The driver's own cursor: a row object of SQLAlchemy's for each sample costs more than the query.
        cursor: Any = connection.exec_driver_sql(_READ, (key, start_ms, end_ms, limit)).cursor
        rows = cursor.fetchall()
        found[key] = Points(*zip(*rows, strict=True)) if rows else Points()
    return found


def drop_samples(connection: Connection, before_ms: int) -> None:
    """Remove all samples before a time: series by series, which is how they lie in the file."""
    known = samples.c.key.in_(sa.select(names.c.key))
    connection.execute(sa.delete(samples).where(known, samples.c.at_ms < before_ms))
