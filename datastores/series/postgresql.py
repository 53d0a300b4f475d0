"""Series in PostgreSQL: native partitions by month, or a hypertable where the database has TimescaleDB."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.series.port import Points
from datastores.series.tables import Span, samples

# Two processes must neither sum up one bucket from different samples nor make one partition twice.
_READ_COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('stadion.series.retain', 0))"
# INVARIANT: first the share, then the series in their order, or two appends and `retain` wait for each other.
# A row of the join is there, and with it the share, before the function above it is called.
_TURN = (
    "WITH share AS MATERIALIZED"
    " (SELECT pg_advisory_xact_lock_shared(hashtextextended('stadion.series.retain', 0)))"
    " SELECT pg_advisory_xact_lock(lock) FROM (SELECT DISTINCT hashtextextended('stadion.series:' || name, 0)"
    " AS lock FROM unnest($1::text[]) AS name ORDER BY lock) AS ordered CROSS JOIN share"
)
_KNOWN = (
    "SELECT NULL AS name, from_ms AS key FROM series_horizon WHERE kept = 'samples' UNION ALL"
    " SELECT name, key FROM series_names WHERE name = ANY($1::text[])"
)
# Arrays as text, which the server reads: the driver looks at each element of a list more than once.
_INSERT = (
    "INSERT INTO series_samples (key, at_ms, value)"
    " SELECT * FROM unnest($1::text::int[], $2::text::bigint[], $3::text::float8[])"
    " ON CONFLICT (key, at_ms) DO UPDATE SET value = excluded.value"
    " WHERE series_samples.value <> excluded.value"
)
_PUT = (
    "INSERT INTO series_rollups (width_ms, key, start_ms, count, total, low, high)"
    " SELECT span.width, span.key, one.{at} / span.width * span.width AS start, {sums}"
    " FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::bigint[]) AS span(width, key, start, till)"
    " JOIN {table} AS one ON one.key = span.key AND one.{at} >= span.start AND one.{at} < span.till{more}"
    " GROUP BY span.width, span.key, 3"
    " ON CONFLICT (width_ms, key, start_ms) DO UPDATE SET count = excluded.count, total = excluded.total,"
    " low = excluded.low, high = excluded.high"
)
_FROM_SAMPLES = _PUT.format(
    at="at_ms",
    table="series_samples",
    sums="count(*), sum(one.value), min(one.value), max(one.value)",
    more="",
)
_FROM_ROLLUPS = _PUT.format(
    at="start_ms",
    table="series_rollups",
    sums="sum(one.count), sum(one.total), min(one.low), max(one.high)",
    more=" AND one.width_ms = $5",
)
# Two columns a series, each as one value in the binary form of its type: a row for each sample costs many
# times more than the sample, and elements of an array are decoded one by one. The inner order holds, for the
# limit keeps the server from aggregating in parallel.
_READ = (
    "SELECT series_names.name, points.times, points.numbers FROM series_names CROSS JOIN LATERAL"
    " (SELECT string_agg(int8send(at_ms), '') AS times, string_agg(float8send(value), '') AS numbers"
    " FROM (SELECT at_ms, value FROM series_samples WHERE key = series_names.key"
    " AND at_ms >= $2 AND at_ms < $3 ORDER BY at_ms LIMIT $4) AS ordered) AS points"
    " WHERE series_names.name = ANY($1::text[]) AND points.times IS NOT NULL"
)
_PARTITIONS = sa.text(
    "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
    " WHERE inhparent = CAST('series_samples' AS regclass) AND relkind = 'r'"
)
_IS_PARTITIONED = sa.text(
    "SELECT EXISTS (SELECT 1 FROM pg_partitioned_table WHERE partrelid = CAST('series_samples' AS regclass))"
)
_TIMESCALEDB = sa.text(
    "SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
    " WHERE extname = 'timescaledb'"
)
_MAKE_ALONE = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('stadion.series.partitions', 0))")
Month = tuple[int, int]


def take_turns(connection: Connection, series_names: Iterable[str]) -> None:
    """Let nobody else append to or forget these series, nor retain, before this transaction ends."""
    # With the locks, each statement must see what the one before us in the queue has committed.
    connection.exec_driver_sql(_READ_COMMITTED)
    connection.exec_driver_sql(_TURN, (list(series_names),))


def retain_alone(connection: Connection) -> None:
    """Let nobody append before this transaction ends."""
    connection.exec_driver_sql(_READ_COMMITTED)
    connection.exec_driver_sql(_ALONE)


def insert(connection: Connection, columns: Mapping[int, Points]) -> None:
    """Put samples by key; at a moment that has one already the new value stays."""
    keys: list[int] = []
    times_ms: list[int] = []
    values: list[float] = []
    for key, points in columns.items():
        keys += repeat(key, len(points))
        times_ms += points.times_ms
        values += points.values
    connection.exec_driver_sql(_INSERT, (_array(keys), _array(times_ms), _array(values)))


def known(connection: Connection, series_ids: Sequence[str]) -> tuple[int, dict[str, int]]:
    """From when on samples are kept, and the keys of those series that have one."""
    found = {row[0]: row[1] for row in connection.exec_driver_sql(_KNOWN, (list(series_ids),))}
    return found.pop(None, 0), found


def roll_up(connection: Connection, spans: Mapping[int, Sequence[Span]]) -> None:
    """Sum up anew: the smallest out of samples, and all others out of the smallest, in one journey."""
    smallest, *wider = spans
    connection.exec_driver_sql(_FROM_SAMPLES, _columns_of_spans(spans, [smallest]))
    connection.exec_driver_sql(_FROM_ROLLUPS, (*_columns_of_spans(spans, wider), smallest))


def _columns_of_spans(spans: Mapping[int, Sequence[Span]], widths_ms: Sequence[int]) -> tuple[Any, ...]:
    """Widths, keys, starts and ends."""
    rows = [(width_ms, *span) for width_ms in widths_ms for span in spans[width_ms]]
    return tuple(zip(*rows, strict=True))


def first_points(
    connection: Connection, series_ids: Sequence[str], start_ms: int, end_ms: int, limit: int
) -> Mapping[str, Points]:
    """The first `limit` samples in a range of each series that has some."""
    asked = (list(series_ids), start_ms, end_ms, limit)
    return {
        name: Points(_column("q", times_ms), _column("d", values))
        for name, times_ms, values in connection.exec_driver_sql(_READ, asked)
    }


def _array(numbers: list[int] | list[float]) -> str:
    """As PostgreSQL writes arrays, each number so that it is read as the same."""
    return f"{{{orjson.dumps(numbers)[1:-1].decode()}}}"


def _column(code: str, sent: bytes) -> array[Any]:
    """The numbers that the server has sent, most significant byte first."""
    column = array(code, sent)
    if sys.byteorder == "little":
        column.byteswap()
    return column


def drop_samples(connection: Connection, before_ms: int) -> None:
    """Remove all samples before a time: whole partitions or chunks, then what is left of the last one."""
    if is_partitioned(connection):
        for name in connection.execute(_PARTITIONS).scalars().all():
            if _months_of_name(name)[1] <= before_ms:
                connection.execute(sa.text(f"DROP TABLE {name}"))
    else:
        schema = connection.execute(_TIMESCALEDB).scalar_one()
        drop = f"SELECT {schema}.drop_chunks('series_samples', older_than => CAST(:before AS bigint))"
        connection.execute(sa.text(drop), {"before": before_ms})
    connection.execute(sa.delete(samples).where(samples.c.at_ms < before_ms))


def is_partitioned(connection: Connection) -> bool:
    """Whether samples lie in native partitions; else in a hypertable, which makes its chunks by itself."""
    return bool(connection.execute(_IS_PARTITIONED).scalar())


def month_of(at_ms: int) -> Month:
    """The year and month, in UTC, of a time: which partition it belongs to."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.year, moment.month


def make_partitions(connection: Connection, months: Iterable[Month]) -> None:
    """Make the partitions of `months` that are not there yet."""
    connection.exec_driver_sql(_READ_COMMITTED)
    connection.execute(_MAKE_ALONE)
    there = set(connection.execute(_PARTITIONS).scalars())
    for year, month in sorted(months):
        name = f"series_samples_{year}_{month:02}"
        if name not in there:
            start_ms, end_ms = _months_of_name(name)
            # Attached, not made in place: appends to other partitions go on meanwhile.
            connection.execute(sa.text(f"CREATE TABLE {name} (LIKE series_samples INCLUDING ALL)"))
            bounds = f"FOR VALUES FROM ({start_ms}) TO ({end_ms})"
            connection.execute(sa.text(f"ALTER TABLE series_samples ATTACH PARTITION {name} {bounds}"))


def _months_of_name(name: str) -> tuple[int, int]:
    """From when and until when a partition goes, by its name."""
    year, month = (int(part) for part in name.split("_")[-2:])
    start, end = (
        datetime(year, month, 1, tzinfo=UTC),
        datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC),
    )
    return int(start.timestamp()) * 1000, int(end.timestamp()) * 1000
