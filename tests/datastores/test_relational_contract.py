"""What every relational adapter promises."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.errors import Conflict, StoreError, Unavailable
from datastores.relational.after_commit import after_commit
from datastores.relational.columns import UtcDateTime, insert
from datastores.relational.port import Relational

pytestmark = pytest.mark.port("relational")

metadata = sa.MetaData()
counters = sa.Table(
    "counters",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Integer, nullable=False),
    sa.Column("at_utc", UtcDateTime()),
    sa.CheckConstraint("value >= 0", name="never_negative"),
)
parts = sa.Table(
    "parts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("counter", sa.ForeignKey("counters.id"), nullable=False),
)


@pytest.fixture
async def counting(store: Relational) -> Relational:
    await store.write(metadata.create_all)
    await store.write(lambda c: c.execute(sa.insert(counters).values(id=1, value=0)))
    return store


def increment(connection: Connection) -> int:
    value = connection.execute(sa.select(counters.c.value).where(counters.c.id == 1)).scalar_one()
    connection.execute(sa.update(counters).where(counters.c.id == 1).values(value=value + 1))
    return int(value) + 1


async def value_of(store: Relational) -> int | None:
    return await store.read(lambda c: c.execute(sa.select(counters.c.value)).scalar())


async def test_a_write_is_seen_by_the_next_read(counting: Relational) -> None:
    assert await counting.write(increment) == 1
    assert await value_of(counting) == 1


async def test_a_hundred_concurrent_writers_on_one_row_count_exactly(counting: Relational) -> None:
    answers = await asyncio.gather(*(counting.write(increment) for _ in range(100)))
    assert sorted(answers) == list(range(1, 101))
    assert await value_of(counting) == 100


async def test_workers_that_skip_what_others_hold_take_each_piece_of_work_once(counting: Relational) -> None:
    """One statement on both: PostgreSQL passes locked rows over, SQLite has one writer at a time."""
    await counting.write(lambda c: c.execute(sa.text("CREATE TABLE jobs (id INTEGER PRIMARY KEY)")))
    jobs = sa.table("jobs", sa.column("id", sa.Integer))
    await counting.write(lambda c: c.execute(sa.insert(jobs), [{"id": number} for number in range(100)]))
    free = sa.select(jobs.c.id).order_by(jobs.c.id).limit(5).with_for_update(skip_locked=True)

    def take(connection: Connection) -> list[int]:
        taken = list(connection.execute(free).scalars())
        connection.execute(sa.delete(jobs).where(jobs.c.id.in_(taken)))
        return taken

    found: list[int] = []
    while len(found) < 100:
        taken = await asyncio.gather(*(counting.write(take) for _ in range(20)))
        assert any(taken)
        found += [number for some in taken for number in some]
    assert sorted(found) == list(range(100))


async def test_who_looks_before_inserting_never_meets_a_conflict(counting: Relational) -> None:
    def insert_if_absent(connection: Connection) -> bool:
        if connection.execute(sa.select(counters.c.id).where(counters.c.id == 7)).scalar() is not None:
            return False
        connection.execute(sa.insert(counters).values(id=7, value=0))
        return True

    for _ in range(5):
        answers = await asyncio.gather(*(counting.write(insert_if_absent) for _ in range(20)))
        assert answers.count(True) == 1
        await counting.write(lambda c: c.execute(sa.delete(counters).where(counters.c.id == 7)))


async def test_a_failing_work_changes_nothing_and_its_own_error_comes_out(counting: Relational) -> None:
    def fails(connection: Connection) -> None:
        increment(connection)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await counting.write(fails)
    assert await value_of(counting) == 0
    assert await counting.write(increment) == 1


async def test_a_broken_rule_is_a_conflict_that_names_no_value(counting: Relational) -> None:
    secret = 987_654_321
    works = {
        "primary key": sa.insert(counters).values(id=1, value=secret),
        "check": sa.insert(counters).values(id=2, value=-secret),
        "not null": sa.insert(counters).values(id=secret, value=None),
        "foreign key": sa.insert(parts).values(id=1, counter=secret),
    }
    for statement in works.values():
        with pytest.raises(Conflict) as caught:
            await counting.write(lambda c, s=statement: c.execute(s))  # type: ignore[misc]
        assert str(secret) not in str(caught.value)
        assert caught.value.__suppress_context__
    assert await value_of(counting) == 0


async def test_a_read_cannot_write(counting: Relational) -> None:
    with pytest.raises(StoreError):
        await counting.read(increment)
    assert await value_of(counting) == 0


async def test_a_wrong_statement_raises_as_the_bug_that_it_is(counting: Relational) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        await counting.read(lambda c: c.execute(sa.text("SELECT nothing FROM nowhere")))


async def test_a_read_sees_one_snapshot_while_a_writer_commits(counting: Relational) -> None:
    import threading

    if counting.dialect == "postgresql":
        pytest.skip("run_sync keeps a PostgreSQL work on the event loop: nothing can commit in between")
    begun, committed = threading.Event(), threading.Event()

    def read_twice(connection: Connection) -> list[int]:
        first = connection.execute(sa.select(counters.c.value)).scalar_one()
        begun.set()
        assert committed.wait(5)
        return [first, connection.execute(sa.select(counters.c.value)).scalar_one()]

    reading = asyncio.ensure_future(counting.read(read_twice))
    await asyncio.to_thread(begun.wait, 5)
    await counting.write(increment)
    committed.set()
    assert await reading == [0, 0]


async def test_readers_do_not_wait_for_each_other_or_for_the_writer(counting: Relational) -> None:
    answers = await asyncio.gather(*(value_of(counting) for _ in range(50)), counting.write(increment))
    assert set(answers) <= {0, 1}


async def test_instants_keep_their_microseconds_and_come_back_in_utc(counting: Relational) -> None:
    at = datetime(2026, 3, 29, 2, 30, 0, 123_456, tzinfo=timezone(timedelta(hours=2)))
    await counting.write(lambda c: c.execute(sa.update(counters).values(at_utc=at)))
    stored = await counting.read(lambda c: c.execute(sa.select(counters.c.at_utc)).scalar())
    assert stored == at
    assert stored.tzinfo is UTC


async def test_instants_sort_and_compare_in_the_store(counting: Relational) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [{"id": i, "value": i, "at_utc": start + timedelta(seconds=i)} for i in range(2, 12)]
    await counting.write(lambda c: c.execute(sa.insert(counters), rows))
    later = sa.select(counters.c.id).where(counters.c.at_utc > start + timedelta(seconds=8))
    found = await counting.read(lambda c: c.execute(later.order_by(counters.c.at_utc.desc())).scalars().all())
    assert found == [11, 10, 9]


async def test_an_instant_without_zone_is_refused(counting: Relational) -> None:
    naive = sa.update(counters).values(at_utc=datetime(2026, 1, 1))
    with pytest.raises(sa.exc.StatementError, match="time zone"):
        await counting.write(lambda c: c.execute(naive))


async def test_an_upsert_reads_the_same_on_every_dialect(counting: Relational) -> None:
    def upsert(connection: Connection) -> None:
        statement = insert(connection, counters).values(id=1, value=7)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["id"], set_={"value": statement.excluded.value})
        )

    await counting.write(upsert)
    assert await value_of(counting) == 7


async def test_a_callback_runs_after_the_commit_and_never_after_a_rollback(counting: Relational) -> None:
    called: list[Relational] = []

    def register(connection: Connection) -> None:
        after_commit(connection, called.append)
        after_commit(connection, called.append)

    def register_and_fail(connection: Connection) -> None:
        register(connection)
        raise LookupError

    with pytest.raises(LookupError):
        await counting.write(register_and_fail)
    await counting.write(increment)
    assert called == []
    await counting.write(register)
    assert called == [counting]


async def test_a_closed_store_is_unavailable_and_can_be_opened_again(counting: Relational) -> None:
    await counting.close()
    with pytest.raises(Unavailable):
        await counting.ready()
    with pytest.raises(Unavailable):
        await counting.write(increment)
    await counting.open()
    await counting.ready()
    assert await counting.write(increment) == 1


async def test_opening_twice_and_closing_twice_is_harmless(fresh_store: Relational) -> None:
    await fresh_store.open()
    await fresh_store.open()
    await fresh_store.ready()
    await fresh_store.close()
    await fresh_store.close()


async def test_close_lets_running_work_finish(counting: Relational) -> None:
    writes = [asyncio.ensure_future(counting.write(increment)) for _ in range(5)]
    await asyncio.gather(*writes)
    await counting.close()
    await counting.open()
    assert await value_of(counting) == 5
