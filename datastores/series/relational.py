"""The series in rows, on SQLite or PostgreSQL: samples, and rollups that each append keeps right."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from datastores.errors import Unavailable
from datastores.relational.columns import insert
from datastores.relational.migrate import migrate
from datastores.relational.port import Relational
from datastores.series import postgresql, sqlite
from datastores.series.port import (
    DAY_MS,
    OF_PERSON,
    SERIES_MAX,
    WIDTHS_MS,
    Appended,
    Bucket,
    Point,
    Points,
    Sample,
    check_ids,
    check_range,
    columns_of,
    first_step_ms,
    width_for,
)
from datastores.series.tables import SAMPLES, SCHEMA, SeriesSql, Span, horizon, names, rollups, samples

T = TypeVar("T")
_NAMES_PER_STATEMENT = 500
_APPENDS_AT_ONCE = 3
_TURN_TIMEOUT_S = 30.0


class RelationalSeries:
    """`Series` on a relational store of its own, which it opens and closes."""

    def __init__(self, rows: Relational) -> None:
        self._rows = rows
        self._sql: SeriesSql = sqlite if rows.dialect == "sqlite" else postgresql
        self._appending = asyncio.Semaphore(_APPENDS_AT_ONCE)
        self._partitioned = False
        self._months: set[postgresql.Month] = set()

    async def open(self) -> None:
        """Open the store and bring its tables up to date."""
        await self._rows.open()
        await migrate(self._rows, SCHEMA.scripts, SCHEMA.version_table)
        if self._rows.dialect == "postgresql":
            self._partitioned = await self._rows.read(postgresql.is_partitioned)

    async def ready(self) -> None:
        """Raise Unavailable where the store cannot serve."""
        await self._rows.ready()

    async def close(self) -> None:
        """Close the store."""
        await self._rows.close()

    async def append(self, samples: Sequence[Sample] | Mapping[str, Points]) -> Appended:
        """Keep `samples` and what they change in the rollups, in one transaction."""
        if not samples:
            return Appended(0, 0)
        columns = columns_of(samples)
        async with self._turn():
            if self._partitioned:
                await self._make_room(columns)
            from_ms = await self._rows.write(lambda c: self._append(c, columns))
        return _counted(samples, from_ms)

    async def read(
        self, series_ids: Sequence[str], *, start_ms: int, end_ms: int, limit: int = 10_000
    ) -> Mapping[str, Points]:
        """The first `limit` samples of each series in the range."""
        check_range(start_ms, end_ms, limit=limit)
        check_ids(series_ids)
        wanted = list(dict.fromkeys(series_ids))

        def work(connection: Connection) -> Mapping[str, Points]:
            return self._sql.first_points(connection, wanted, start_ms, end_ms, limit)

        found = await self._rows.read(work)
        return {series_id: found.get(series_id) or Points() for series_id in wanted}

    async def buckets(
        self, series_ids: Sequence[str], *, start_ms: int, end_ms: int, step_ms: int, offset_ms: int = 0
    ) -> Mapping[str, tuple[Bucket, ...]]:
        """What each series comes to in each step that has samples."""
        first_ms = first_step_ms(start_ms, end_ms, step_ms=step_ms, offset_ms=offset_ms)
        steps = max(0, -(-(end_ms - first_ms) // step_ms))
        parts = _parts(width_for(step_ms, offset_ms), first_ms, first_ms + steps * step_ms, step_ms)

        def work(connection: Connection, keys: Sequence[int]) -> Mapping[int, tuple[Bucket, ...]]:
            found: dict[int, list[Bucket]] = {}
            inner = parts(keys).subquery()
            columns = (
                inner.c.key,
                inner.c.step,
                sa.func.sum(inner.c.count),
                sa.func.sum(inner.c.total),
                sa.func.min(inner.c.low),
                sa.func.max(inner.c.high),
            )
            query = (
                sa.select(*columns).group_by(inner.c.key, inner.c.step).order_by(inner.c.key, inner.c.step)
            )
            for key, start, count, total, low, high in connection.execute(query):
                found.setdefault(key, []).append(Bucket(start, int(count), total, low, high))
            return {key: tuple(each) for key, each in found.items()}

        return await self._by_name(series_ids, work, ())

    async def latest(self, series_ids: Sequence[str]) -> Mapping[str, Point]:
        """The last sample of each series that has one."""
        check_ids(series_ids)

        def work(connection: Connection) -> dict[str, Point]:
            found = {}
            others = samples.alias()
            last = sa.select(sa.func.max(others.c.at_ms)).where(others.c.key == names.c.key)
            is_last = (samples.c.key == names.c.key) & (
                samples.c.at_ms == last.correlate(names).scalar_subquery()
            )
            query = sa.select(names.c.name, samples.c.at_ms, samples.c.value).join_from(
                names, samples, is_last
            )
            for some in _portions(series_ids):
                for name, at_ms, value in connection.execute(query.where(names.c.name.in_(some))):
                    found[name] = Point(at_ms, value)
            return found

        return await self._rows.read(work)

    async def forget(self, series_ids: Sequence[str]) -> None:
        """Remove series with everything that was kept of them."""
        check_ids(series_ids)

        def work(connection: Connection) -> None:
            self._sql.take_turns(connection, series_ids)
            keys = list(_keys(connection, series_ids).values())
            for table in (samples, rollups, names):
                connection.execute(sa.delete(table).where(table.c.key.in_(keys)))

        await self._rows.write(work)

    async def forget_people(self, ids: Sequence[str]) -> None:
        """Remove every series of these people."""

        for person in ids:
            prefix = f"{person}{OF_PERSON}"
            # Not LIKE, to which `ann` and `Ann` are the same on SQLite.
            of_person = sa.func.substr(names.c.name, 1, len(prefix)) == prefix
            query = sa.select(names.c.name).where(of_person).limit(SERIES_MAX)
            while found := await self._rows.read(lambda c, q=query: c.execute(q).scalars().all()):  # type: ignore[misc]
                await self.forget(found)

    async def retain(self, *, samples_from_ms: int, rollups_from_ms: Mapping[int, int] | None = None) -> None:
        """Let samples and rollups before their times go; both times move forward only."""
        check_range(samples_from_ms, samples_from_ms)
        wanted = rollups_from_ms or {}
        if unknown := wanted.keys() - set(WIDTHS_MS):
            raise ValueError(f"no rollups of {min(unknown)} ms are kept: widths are {WIDTHS_MS}")

        def work(connection: Connection) -> None:
            self._sql.retain_alone(connection)
            from_ms = _move_horizon(connection, SAMPLES, samples_from_ms)
            self._sql.drop_samples(connection, from_ms)
            for width_ms, at_ms in wanted.items():
                before_ms = _move_horizon(connection, str(width_ms), min(at_ms, from_ms))
                old = (rollups.c.width_ms == width_ms) & (rollups.c.start_ms < before_ms)
                connection.execute(sa.delete(rollups).where(old))

        await self._rows.write(work)

    def _append(self, connection: Connection, columns: Mapping[str, Points]) -> int:
        """Put the samples and sum up what they touch; from when on samples are kept."""
        series_ids = sorted(columns)
        self._sql.take_turns(connection, series_ids)
        from_ms, keys = self._sql.known(connection, series_ids)
        if new := [{"name": name} for name in series_ids if name not in keys]:
            connection.execute(insert(connection, names).on_conflict_do_nothing(), new)
            _, keys = self._sql.known(connection, series_ids)
        kept = {keys[name]: _from(points, from_ms) for name, points in columns.items()}
        if any(map(len, kept.values())):
            self._sql.insert(connection, kept)
            self._sql.roll_up(connection, _spans_by_width(kept))
        return from_ms

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One of the few appends at once: a burst of them must not take every connection from the readers."""
        try:
            async with asyncio.timeout(_TURN_TIMEOUT_S):
                await self._appending.acquire()
        except TimeoutError:
            raise Unavailable(f"appends to the series have a queue of {_TURN_TIMEOUT_S:g} s") from None
        try:
            yield
        finally:
            self._appending.release()

    async def _make_room(self, columns: Mapping[str, Points]) -> None:
        """Partitions for the months of `columns`, in a transaction of their own before the samples."""
        days = {at_ms for points in columns.values() for at_ms in _starts(points, DAY_MS)}
        months = set(map(postgresql.month_of, days))
        missing = months - self._months
        if missing:
            from_ms = await self._rows.read(lambda c: _horizon(c, SAMPLES))
            wanted = {month for month in missing if month >= postgresql.month_of(from_ms)}
            await self._rows.write(lambda c: postgresql.make_partitions(c, wanted))
            self._months |= wanted

    async def _by_name(
        self,
        series_ids: Sequence[str],
        work: Callable[[Connection, Sequence[int]], Mapping[int, T]],
        nothing: T,
    ) -> dict[str, T]:
        """What `work` finds by key, by the id that was asked for; `nothing` for a series without."""
        check_ids(series_ids)

        def read(connection: Connection) -> dict[str, T]:
            keys = _keys(connection, series_ids)
            found = work(connection, list(keys.values())) if keys else {}
            by_name = {name: found.get(key, nothing) for name, key in keys.items()}
            return {series_id: by_name.get(series_id, nothing) for series_id in series_ids}

        return await self._rows.read(read)


def _counted(samples: Sequence[Sample] | Mapping[str, Points], from_ms: int) -> Appended:
    columns = samples.values() if isinstance(samples, Mapping) else (samples,)
    count = sum(map(len, columns))
    if not from_ms:
        return Appended(count, 0)
    too_old = sum(1 for points in columns for point in points if point.at_ms < from_ms)
    return Appended(count - too_old, too_old)


def _from(points: Points, from_ms: int) -> Points:
    return points[bisect_left(points.times_ms, from_ms) :] if from_ms else points


def _starts(points: Points, width_ms: int) -> Iterator[int]:
    """Where the steps of `width_ms` begin that have points."""
    times_ms, at = points.times_ms, 0
    while at < len(times_ms):
        start_ms = times_ms[at] - times_ms[at] % width_ms
        yield start_ms
        at = bisect_left(times_ms, start_ms + width_ms, at)


def _parts(
    width_ms: int | None, first_ms: int, end_ms: int, step_ms: int
) -> Callable[[Sequence[int]], sa.Select[Any]]:
    """What the steps are put together from: rollups of `width_ms`, or samples."""
    at: ColumnElement[int] = samples.c.at_ms if width_ms is None else rollups.c.start_ms
    step = ((at - first_ms) // step_ms * step_ms + first_ms).label("step")
    inside = (at >= first_ms) & (at < end_ms)

    def of_samples(keys: Sequence[int]) -> sa.Select[Any]:
        one, value = sa.literal_column("1", sa.Integer).label("count"), samples.c.value
        columns = (one, value.label("total"), value.label("low"), value.label("high"))
        return sa.select(samples.c.key, step, *columns).where(samples.c.key.in_(keys), inside)

    def of_rollups(keys: Sequence[int]) -> sa.Select[Any]:
        wide = rollups.c.width_ms == width_ms
        columns = (rollups.c.count, rollups.c.total, rollups.c.low, rollups.c.high)
        return sa.select(rollups.c.key, step, *columns).where(wide, rollups.c.key.in_(keys), inside)

    return of_samples if width_ms is None else of_rollups


def _spans_by_width(columns: Mapping[int, Points]) -> dict[int, list[Span]]:
    """What is to be summed up anew, the smallest rollups first."""
    touched = {(key, at_ms) for key, points in columns.items() for at_ms in _starts(points, WIDTHS_MS[0])}
    spans = {}
    for width_ms in WIDTHS_MS:
        touched = {(key, at_ms - at_ms % width_ms) for key, at_ms in touched}
        spans[width_ms] = _spans(touched, width_ms)
    return spans


def _spans(touched: Iterable[tuple[int, int]], width_ms: int) -> list[Span]:
    """The touched buckets, neighbours joined: an hour of seconds is one span, not sixty."""
    spans: list[Span] = []
    for key, start_ms in sorted(touched):
        if spans and spans[-1][0] == key and spans[-1][2] == start_ms:
            spans[-1] = (key, spans[-1][1], start_ms + width_ms)
        else:
            spans.append((key, start_ms, start_ms + width_ms))
    return spans


def _keys(connection: Connection, series_ids: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in _portions(series_ids):
        rows = connection.execute(sa.select(names.c.name, names.c.key).where(names.c.name.in_(some)))
        found.update((name, key) for name, key in rows)
    return found


def _horizon(connection: Connection, kept: str) -> int:
    query = sa.select(horizon.c.from_ms).where(horizon.c.kept == kept)
    return int(connection.execute(query).scalar() or 0)


def _move_horizon(connection: Connection, kept: str, at_ms: int) -> int:
    """The later of the old time and the day of `at_ms`, which is written down."""
    from_ms = max(_horizon(connection, kept), at_ms - at_ms % DAY_MS)
    row = insert(connection, horizon).values(kept=kept, from_ms=from_ms)
    connection.execute(row.on_conflict_do_update(index_elements=["kept"], set_={"from_ms": from_ms}))
    return from_ms


def _portions(series_ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (
        series_ids[at : at + _NAMES_PER_STATEMENT] for at in range(0, len(series_ids), _NAMES_PER_STATEMENT)
    )
