"""Series in SQLite: a row a sample, clustered by series and time; statements run by the driver in bulk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.series.port import Points
from datastores.series.tables import SAMPLES, Span, names, samples

_INTO = "INSERT INTO series_samples (key, at_ms, value) VALUES "
_UPSERT = " ON CONFLICT (key, at_ms) DO UPDATE SET value = excluded.value WHERE value <> excluded.value"
_INSERT = f"{_INTO}(?, ?, ?){_UPSERT}"
# A statement for each sample costs three times as much as a hundred samples in one.
_AT_ONCE = 100
_INSERT_MANY = f"{_INTO}{', '.join(f'(?1, ?{2 * n}, ?{2 * n + 1})' for n in range(1, _AT_ONCE + 1))}{_UPSERT}"
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
_FROM_MS = "SELECT coalesce(max(from_ms), 0) FROM series_horizon WHERE kept = ?"
_KEY = "SELECT key FROM series_names WHERE name = ?"
_READ = (
    "SELECT at_ms, value FROM series_samples WHERE key = (SELECT key FROM series_names WHERE name = ?)"
    " AND at_ms >= ? AND at_ms < ? ORDER BY at_ms LIMIT ?"
)


def take_turns(connection: Connection, series_names: Iterable[str]) -> None:
    """Nothing to do: SQLite has one writer at a time."""


def retain_alone(connection: Connection) -> None:
    """Nothing to do: SQLite has one writer at a time."""


def insert(connection: Connection, columns: Mapping[int, Points]) -> None:
    """Put samples by key; at a moment that has one already the new value stays."""
    cursor = _cursor(connection)
    left: list[tuple[int, int, float]] = []
    for key, points in columns.items():
        whole = len(points) - len(points) % _AT_ONCE
        pairs: list[Any] = list(chain.from_iterable(zip(points.times_ms, points.values, strict=True)))
        for at in range(0, 2 * whole, 2 * _AT_ONCE):
            cursor.execute(_INSERT_MANY, (key, *pairs[at : at + 2 * _AT_ONCE]))
        left += zip(repeat(key), pairs[2 * whole :: 2], pairs[2 * whole + 1 :: 2])
    cursor.executemany(_INSERT, left)
    cursor.close()


def known(connection: Connection, series_ids: Sequence[str]) -> tuple[int, dict[str, int]]:
    """From when on samples are kept, and the keys of those series that have one."""
    cursor = _cursor(connection)
    [[from_ms]] = cursor.execute(_FROM_MS, (SAMPLES,)).fetchall()
    rows = (cursor.execute(_KEY, (series_id,)).fetchone() for series_id in series_ids)
    keys = {series_id: row[0] for series_id, row in zip(series_ids, rows, strict=True) if row is not None}
    cursor.close()
    return from_ms, keys


def roll_up(connection: Connection, spans: Mapping[int, Sequence[Span]]) -> None:
    """Sum up anew: out of samples, and each wider one out of those before it."""
    cursor, from_ms = _cursor(connection), None
    for width_ms, of_width in spans.items():
        if from_ms is None:
            cursor.executemany(_FROM_SAMPLES, [(width_ms, *span) for span in of_width])
        else:
            cursor.executemany(_FROM_ROLLUPS, [(width_ms, *span, from_ms) for span in of_width])
        from_ms = width_ms
    cursor.close()


def first_points(
    connection: Connection, series_ids: Sequence[str], start_ms: int, end_ms: int, limit: int
) -> Mapping[str, Points]:
    """The first `limit` samples in a range of each series."""
    cursor, found = _cursor(connection), {}
    for series_id in series_ids:
        # Streamed into one flat list: a row kept for each sample would be looked at by the garbage collector.
        rows = cursor.execute(_READ, (series_id, start_ms, end_ms, limit))
        flat = list(chain.from_iterable(rows))
        found[series_id] = Points(flat[::2], flat[1::2])
    cursor.close()
    return found


def drop_samples(connection: Connection, before_ms: int) -> None:
    """Remove all samples before a time: series by series, which is how they lie in the file."""
    known = samples.c.key.in_(sa.select(names.c.key))
    connection.execute(sa.delete(samples).where(known, samples.c.at_ms < before_ms))


def _cursor(connection: Connection) -> sqlite3.Cursor:
    """The driver's own: SQLAlchemy's object for a row or a statement costs more than the row."""
    driver: Any = connection.connection.driver_connection
    cursor: sqlite3.Cursor = driver.cursor()
    return cursor
