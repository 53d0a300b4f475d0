"""What the series promise, in SQLite, in PostgreSQL's partitions and, where there is one, in TimescaleDB."""

from __future__ import annotations

import asyncio
import math
import random
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from datastores.config import StoreUrlProblem
from datastores.errors import Unavailable
from datastores.relational.opening import open_relational
from datastores.series.opening import open_series
from datastores.series.port import (
    AT_MS_MAX,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    SAMPLES_MAX,
    Appended,
    Bucket,
    Point,
    Points,
    Sample,
    Series,
    columns_of,
    step_for,
    width_for,
    with_gaps,
)
from datastores.series.relational import RelationalSeries

pytestmark = pytest.mark.port("series")
# 2026-03-01, a Sunday; months of different lengths lie around it.
START_MS = 1_772_323_200_000


@pytest.fixture(params=["sqlite", "postgresql", "timescaledb"])
async def series(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RelationalSeries]:
    if request.param == "sqlite":
        made = open_series(f"sqlite:///{tmp_path}/series.db")
    else:
        url = request.getfixturevalue(f"{request.param}_url")
        made = open_series(url, search_path=f"s{secrets.token_hex(6)}")
    assert isinstance(made, RelationalSeries)
    await made.open()
    yield made
    await made.close()


def seconds(series_id: str, values: Sequence[float], *, start_ms: int = START_MS) -> list[Sample]:
    """One sample a second."""
    return [Sample(series_id, start_ms + 1_000 * at, value) for at, value in enumerate(values)]


async def points(series: Series, series_id: str, start_ms: int = 0, end_ms: int = AT_MS_MAX) -> list[Point]:
    return list((await series.read([series_id], start_ms=start_ms, end_ms=end_ms))[series_id])


async def whole(series: Series, series_id: str, step_ms: int, days: int = 1) -> tuple[Bucket, ...]:
    end_ms = START_MS + days * DAY_MS
    return (await series.buckets([series_id], start_ms=START_MS, end_ms=end_ms, step_ms=step_ms))[series_id]


async def test_samples_come_back_by_time_however_they_came(series: Series) -> None:
    samples = [*seconds("hr", [60.0, 61.5, -3.25]), Sample("other", START_MS, 1e300)]
    random.Random(1).shuffle(samples)
    assert await series.append(samples) == Appended(4, 0)
    found = await series.read(["hr", "other", "none"], start_ms=START_MS, end_ms=START_MS + 2_000)
    assert found == {
        "hr": (Point(START_MS, 60.0), Point(START_MS + 1_000, 61.5)),
        "other": (Point(START_MS, 1e300),),
        "none": (),
    }


async def test_points_as_they_were_read_can_be_appended_as_they_are(series: Series) -> None:
    unordered = Points([START_MS + 2_000, START_MS, START_MS + 2_000], [9.0, 1.0, 2.0])
    dense = Points(range(START_MS, START_MS + 250_000, 1_000), [float(n) for n in range(250)])
    assert await series.append({"a": unordered, "b": dense, "none": Points()}) == Appended(253, 0)
    whole_day = {"start_ms": START_MS, "end_ms": START_MS + DAY_MS}
    found = await series.read(["a", "b", "none"], **whole_day)
    assert found == {"a": (Point(START_MS, 1.0), Point(START_MS + 2_000, 2.0)), "b": dense, "none": ()}
    assert await series.append(found) == Appended(252, 0)
    assert await series.read(["a", "b", "none"], **whole_day) == found
    assert [b.samples for b in await whole(series, "b", MINUTE_MS)] == [60, 60, 60, 60, 10]
    assert await whole(series, "b", DAY_MS) == (Bucket(START_MS, 250, sum(dense.values), 0.0, 249.0),)
    for wrong in (
        Points([START_MS], []),
        Points([-1], [1.0]),
        Points([AT_MS_MAX], [1.0]),
        Points([START_MS, START_MS + 1], [1.0, float("nan")]),
        Points([START_MS, START_MS + 1], [float("inf"), float("-inf")]),
        Points(range(SAMPLES_MAX + 1), [0.0] * (SAMPLES_MAX + 1)),
    ):
        with pytest.raises(ValueError):
            await series.append({"a": wrong})
    huge = Points([START_MS, START_MS + 1], [1.7e308, 1.7e308])  # finite, though their sum is not
    assert columns_of({"huge": huge}) == {"huge": huge}


async def test_the_first_of_a_range_are_read_and_the_rest_from_there(series: Series) -> None:
    await series.append([*seconds("a", [float(n) for n in range(10)]), *seconds("b", [5.0])])
    first = await series.read(["a", "b"], start_ms=0, end_ms=AT_MS_MAX, limit=4)
    assert [point.value for point in first["a"]] == [0.0, 1.0, 2.0, 3.0]
    assert len(first["b"]) == 1
    rest = await points(series, "a", start_ms=first["a"][-1].at_ms + 1)
    assert [point.value for point in rest] == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]


async def test_the_same_again_changes_nothing_and_another_value_takes_its_place(series: Series) -> None:
    samples = seconds("hr", [60.0, 70.0])
    await series.append(samples)
    assert await series.append(samples) == Appended(2, 0)
    assert [point.value for point in await points(series, "hr")] == [60.0, 70.0]
    assert await whole(series, "hr", DAY_MS) == (Bucket(START_MS, 2, 130.0, 60.0, 70.0),)
    corrected = Sample("hr", START_MS, 50.0)
    await series.append([corrected._replace(value=99.0), corrected])
    assert [point.value for point in await points(series, "hr")] == [50.0, 70.0]
    for step_ms in (MINUTE_MS, HOUR_MS, DAY_MS):
        assert await whole(series, "hr", step_ms) == (Bucket(START_MS, 2, 120.0, 50.0, 70.0),)


async def test_late_samples_are_in_every_rollup_at_once(series: Series) -> None:
    await series.append([Sample("w", START_MS + 5 * HOUR_MS, 4.0)])
    await series.append([Sample("w", START_MS + 5 * HOUR_MS - 1, 8.0), Sample("w", START_MS - 1, 100.0)])
    assert await whole(series, "w", DAY_MS) == (Bucket(START_MS, 2, 12.0, 4.0, 8.0),)
    hours = await whole(series, "w", HOUR_MS)
    assert [(b.start_ms, b.samples) for b in hours] == [(START_MS + n * HOUR_MS, 1) for n in (4, 5)]
    assert hours[0].mean == 8.0


async def test_every_resolution_agrees_with_a_plain_sum(series: Series) -> None:
    chance = random.Random(5)
    kept: dict[tuple[str, int], float] = {}
    for _ in range(6):
        some = [
            Sample(f"s{chance.randrange(3)}", START_MS + chance.randrange(40 * DAY_MS), chance.uniform(-9, 9))
            for _ in range(300)
        ]
        kept.update({(one.series_id, one.at_ms): one.value for one in some})
        await series.append(some)
    for step_ms, offset_ms in [
        (HOUR_MS, 0),
        (6 * HOUR_MS, 0),
        (DAY_MS, 0),
        (7 * DAY_MS, 0),
        (DAY_MS, 2 * HOUR_MS),
        (DAY_MS, -int(4.5 * HOUR_MS)),
        (15 * MINUTE_MS, 0),
        (90_000_000, 1_234),
    ]:
        start_ms, end_ms = START_MS + 3 * DAY_MS + 77, START_MS + 31 * DAY_MS
        found = await series.buckets(
            ["s0", "s1", "s2"], start_ms=start_ms, end_ms=end_ms, step_ms=step_ms, offset_ms=offset_ms
        )
        for name, buckets in found.items():
            expected = _plain(kept, name, start_ms, end_ms, step_ms, offset_ms)
            assert [b[:2] for b in buckets] == [b[:2] for b in expected]
            assert [b[2:] for b in buckets] == [pytest.approx(b[2:]) for b in expected]


def _plain(
    kept: dict[tuple[str, int], float], name: str, start_ms: int, end_ms: int, step_ms: int, offset_ms: int
) -> list[Bucket]:
    steps: dict[int, list[float]] = defaultdict(list)
    for (series_id, at_ms), value in kept.items():
        step = at_ms - (at_ms - offset_ms) % step_ms
        if series_id == name and start_ms <= step < end_ms:
            steps[step].append(value)
    return [Bucket(at, len(v), math.fsum(v), min(v), max(v)) for at, v in sorted(steps.items())]


async def test_a_gap_is_a_step_left_out_and_shown_as_nothing(series: Series) -> None:
    await series.append([*seconds("hr", [60.0] * 90), *seconds("hr", [80.0], start_ms=START_MS + 300_000)])
    asked = {"start_ms": START_MS, "end_ms": START_MS + 6 * MINUTE_MS, "step_ms": MINUTE_MS}
    found = (await series.buckets(["hr"], **asked))["hr"]
    assert [bucket.samples for bucket in found] == [60, 30, 1]
    shown = with_gaps(found, **asked)
    assert [None if b is None else b.mean for b in shown] == [60.0, 60.0, None, None, None, 80.0]


async def test_the_latest_sample_by_series(series: Series) -> None:
    await series.append([*seconds("a", [1.0, 2.0]), *seconds("b", [3.0])])
    await series.append([Sample("a", START_MS - 40 * DAY_MS, 9.0)])
    assert await series.latest(["b", "a", "none"]) == {
        "a": Point(START_MS + 1_000, 2.0),
        "b": Point(START_MS, 3.0),
    }


async def test_a_forgotten_series_is_gone_and_may_begin_anew(series: Series) -> None:
    await series.append([*seconds("a", [1.0]), *seconds("b", [2.0])])
    await series.forget(["a", "none"])
    assert await points(series, "a") == []
    assert await whole(series, "a", DAY_MS) == ()
    assert await series.latest(["a", "b"]) == {"b": Point(START_MS, 2.0)}
    await series.append(seconds("a", [7.0]))
    assert await whole(series, "a", DAY_MS) == (Bucket(START_MS, 1, 7.0, 7.0, 7.0),)


async def test_samples_that_were_let_go_stay_in_the_rollups_and_none_joins_them(series: Series) -> None:
    days = [Sample("w", START_MS + n * DAY_MS, float(n)) for n in range(-45, 45)]
    await series.append(days)
    from_ms = START_MS + 10 * DAY_MS
    await series.retain(samples_from_ms=from_ms + 12_345)
    assert [point.at_ms for point in await points(series, "w")] == [
        s.at_ms for s in days if s.at_ms >= from_ms
    ]
    range_ms = {"start_ms": days[0].at_ms, "end_ms": days[-1].at_ms + DAY_MS}
    assert len((await series.buckets(["w"], **range_ms, step_ms=DAY_MS))["w"]) == 90
    late = [Sample("w", from_ms - 1, 1e6), Sample("w", from_ms, 0.5), Sample("w", from_ms - 80 * DAY_MS, 1.0)]
    assert await series.append(late) == Appended(1, 2)
    found = (await series.buckets(["w"], **range_ms, step_ms=DAY_MS))["w"]
    assert [b.total for b in found] == [*(float(n) for n in range(-45, 10)), 0.5, *map(float, range(11, 45))]
    await series.retain(samples_from_ms=0)  # a time that has passed does not come back
    assert await series.append(late) == Appended(1, 2)


async def test_rollups_go_by_width_and_never_before_their_samples(series: Series) -> None:
    days = [Sample("w", START_MS + n * DAY_MS, 1.0) for n in range(10)]
    await series.append(days)
    await series.retain(
        samples_from_ms=START_MS + 4 * DAY_MS,
        rollups_from_ms={MINUTE_MS: AT_MS_MAX - 1, HOUR_MS: START_MS + 2 * DAY_MS},
    )
    counts = [len(await whole(series, "w", step, days=10)) for step in (30 * MINUTE_MS, HOUR_MS, DAY_MS)]
    assert counts == [6, 8, 10]
    with pytest.raises(ValueError, match="no rollups of 5 ms"):
        await series.retain(samples_from_ms=0, rollups_from_ms={5: 0})


async def test_a_hundred_writers_on_one_minute_lose_nothing(series: Series) -> None:
    calls = (series.append([Sample("hr", START_MS + 100 * n, float(n))]) for n in range(100))
    assert set(await asyncio.gather(*calls)) == {Appended(1, 0)}
    for step_ms in (MINUTE_MS, HOUR_MS, DAY_MS):
        assert await whole(series, "hr", step_ms) == (Bucket(START_MS, 100, 4950.0, 0.0, 99.0),)


async def test_writers_of_several_series_in_any_order_do_not_block_each_other_for_good(
    series: Series,
) -> None:
    names = ["a", "b", "c", "d"]
    orders = [random.Random(n).sample(names, 4) for n in range(24)]
    calls = [
        series.append([Sample(name, START_MS + n, 1.0) for name in order]) for n, order in enumerate(orders)
    ]
    await asyncio.gather(*calls, series.forget(["none"]), series.retain(samples_from_ms=START_MS))
    assert [(await whole(series, name, DAY_MS))[0].samples for name in names] == [24] * 4


async def test_an_append_is_whole_or_nothing(
    series: RelationalSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    await series.append(seconds("hr", [60.0]))

    def breaks(*_: object) -> None:
        raise LookupError("in the middle")

    with monkeypatch.context() as patched:
        patched.setattr(series._sql, "roll_up", breaks)
        with pytest.raises(LookupError):
            await series.append(seconds("hr", [61.0, 62.0]))
    assert [point.value for point in await points(series, "hr")] == [60.0]
    await series.append(seconds("hr", [61.0, 62.0]))
    assert await whole(series, "hr", DAY_MS) == (Bucket(START_MS, 2, 123.0, 61.0, 62.0),)


async def test_a_long_activity_in_one_call(series: Series) -> None:
    values = [100.0 + at % 60 for at in range(4 * 3_600)]
    await series.append(seconds("power", values))
    minutes = await whole(series, "power", MINUTE_MS)
    assert (len(minutes), {b.samples for b in minutes}) == (240, {60})
    assert sum(b.total for b in await whole(series, "power", HOUR_MS)) == sum(values)
    assert len(await points(series, "power", end_ms=START_MS + 3_600_000)) == 3_600


BAD_SAMPLES = {
    "id": Sample("", START_MS, 1.0),
    "characters": Sample("x" * 201, START_MS, 1.0),
    "time": Sample("a", -1, 1.0),
    "before 2100": Sample("a", AT_MS_MAX, 1.0),
    "finite": Sample("a", START_MS, math.nan),
    "finite number": Sample("a", START_MS, math.inf),
}


@pytest.mark.parametrize("why", BAD_SAMPLES)
async def test_a_sample_out_of_bounds_is_refused_with_its_whole_call(series: Series, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        await series.append([Sample("a", START_MS, 1.0), BAD_SAMPLES[why]])
    assert await points(series, "a") == []


async def test_a_call_has_bounds(series: Series) -> None:
    day = {"start_ms": START_MS, "end_ms": START_MS + DAY_MS}
    with pytest.raises(ValueError, match="at most 100000 samples"):
        await series.append(seconds("a", [1.0]) * (SAMPLES_MAX + 1))
    with pytest.raises(ValueError, match="begins"):
        await series.read(["a"], start_ms=5, end_ms=4)
    with pytest.raises(ValueError, match="limit"):
        await series.read(["a"], **day, limit=0)
    with pytest.raises(ValueError, match="at most 1000 series"):
        await series.latest([f"s{n}" for n in range(1_001)])
    for bad in ({"step_ms": 999}, {"step_ms": HOUR_MS, "offset_ms": DAY_MS}):
        with pytest.raises(ValueError, match="a step"):
            await series.buckets(["a"], **day, **bad)
    with pytest.raises(ValueError, match="at most 10000 steps"):
        await series.buckets(["a"], **day, step_ms=5_000)
    assert await series.append([]) == Appended(0, 0)
    assert await series.read([], **day) == {}


async def test_closed_series_are_unavailable_and_keep_what_they_had(series: Series) -> None:
    await series.append(seconds("a", [1.0]))
    await series.ready()
    await series.close()
    for call in (series.ready(), series.append(seconds("a", [2.0])), series.latest(["a"])):
        with pytest.raises(Unavailable):
            await call
    await series.open()
    assert await series.latest(["a"]) == {"a": Point(START_MS, 1.0)}


def test_a_resolution_for_a_chart() -> None:
    spans = (3 * MINUTE_MS, 4 * HOUR_MS, DAY_MS, 30 * DAY_MS, 365 * DAY_MS, 9 * 365 * DAY_MS)
    steps = [step_for(START_MS, START_MS + span, points_max=500) for span in spans]
    assert steps == [1_000, 30_000, 5 * MINUTE_MS, 3 * HOUR_MS, DAY_MS, 7 * DAY_MS]
    assert step_for(0, 100 * 365 * DAY_MS, points_max=100) == 365 * DAY_MS
    assert [width_for(step) for step in steps] == [None, None, MINUTE_MS, HOUR_MS, DAY_MS, DAY_MS]
    assert width_for(DAY_MS, int(5.5 * HOUR_MS)) == MINUTE_MS


async def test_samples_lie_in_partitions_by_month_that_are_dropped_whole(
    postgresql_url: str, postgresql_schema: str
) -> None:
    series = open_series(postgresql_url, search_path=postgresql_schema)
    await series.open()
    rows = open_relational(postgresql_url, search_path=postgresql_schema)
    await rows.open()
    partitions = sa.text(
        "SELECT tableoid::regclass::text, count(*) FROM series_samples GROUP BY 1 ORDER BY 1"
    )
    months = [START_MS - DAY_MS, START_MS, START_MS + 30 * DAY_MS, START_MS + 31 * DAY_MS]
    await asyncio.gather(*(series.append([Sample("w", at_ms, 1.0)]) for at_ms in months * 3))
    found = await rows.read(lambda c: c.execute(partitions).all())
    assert [tuple(row) for row in found] == [
        ("series_samples_2026_02", 1),
        ("series_samples_2026_03", 2),
        ("series_samples_2026_04", 1),
    ]
    await series.retain(samples_from_ms=START_MS + 5 * DAY_MS)
    left = await rows.read(lambda c: c.execute(partitions).all())
    assert [row[0] for row in left] == ["series_samples_2026_03", "series_samples_2026_04"]
    there = sa.text("SELECT to_regclass('series_samples_2026_02')")
    assert await rows.read(lambda c: c.execute(there).scalar()) is None
    assert await series.append([Sample("w", START_MS - DAY_MS, 1.0)]) == Appended(0, 1)
    await rows.close()
    await series.close()


@pytest.mark.parametrize("url", ["redis://h", "sqlite://", "mysql://h/d"])
def test_a_series_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(StoreUrlProblem):
        open_series(url)


async def test_where_the_extension_is_samples_lie_in_a_hypertable(timescaledb_url: str) -> None:
    schema = f"s{secrets.token_hex(6)}"
    series = open_series(timescaledb_url, search_path=schema)
    await series.open()
    rows = open_relational(timescaledb_url, search_path=schema)
    await rows.open()
    chunks = sa.text("SELECT count(*) FROM public.show_chunks('series_samples')")
    await series.append([Sample("w", START_MS + n * 30 * DAY_MS, 1.0) for n in range(5)])
    assert await rows.read(lambda c: c.execute(chunks).scalar()) == 5
    await series.retain(samples_from_ms=START_MS + 89 * DAY_MS)
    assert await rows.read(lambda c: c.execute(chunks).scalar()) == 2
    assert [point.at_ms for point in await points(series, "w")] == [
        START_MS + n * 30 * DAY_MS for n in (3, 4)
    ]
    await rows.close()
    await series.close()


async def test_a_person_who_is_forgotten_leaves_no_series_and_others_keep_theirs(series: Series) -> None:
    theirs = ["ann/hr", "ann/power", "ann/"]
    others = ["anna/hr", "Ann/hr", "a%n/hr", "ann", "x/ann/hr"]
    await series.append([Sample(name, START_MS, 1.0) for name in (*theirs, *others)])
    await series.append([Sample(f"bob/{n}", START_MS, 1.0) for n in range(1_000)])
    await series.append([Sample("bob/last", START_MS, 1.0)])
    await series.forget_people(["ann", "bob", "nobody"])
    assert (await series.latest([*theirs, *others, "bob/last", "bob/7"])).keys() == set(others)
    assert await whole(series, "ann/hr", DAY_MS) == ()
    assert len(await whole(series, "anna/hr", DAY_MS)) == 1
    await series.append([Sample("ann/hr", START_MS + 1_000, 2.0)])  # a new one has nothing of the old
    assert await whole(series, "ann/hr", DAY_MS) == (Bucket(START_MS, 1, 2.0, 2.0, 2.0),)
