"""A glance reads on the thread of whoever asks, waits for nobody, and says so where it cannot."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from datastores.relational.sqlite import SqliteRelational


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteRelational]:
    """One with a table of one number."""
    opened = SqliteRelational(tmp_path / "numbers.db")
    await opened.open()
    await opened.write(lambda c: c.exec_driver_sql("CREATE TABLE numbers (number INTEGER)") and None)
    await opened.write(lambda c: c.exec_driver_sql("INSERT INTO numbers VALUES (1)") and None)
    yield opened
    await opened.close()


def number(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT number FROM numbers").scalar_one())


def counted(up_to: int) -> str:
    numbers = f"SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {up_to}"
    return f"WITH RECURSIVE n(i) AS ({numbers}) SELECT max(i) FROM n"


async def test_a_glance_runs_here_and_sees_each_commit(store: SqliteRelational) -> None:
    assert store.glance(lambda c: (threading.get_ident(), number(c))) == (threading.get_ident(), 1)
    for expected in range(2, 5):
        await store.write(lambda c: c.exec_driver_sql("UPDATE numbers SET number = number + 1") and None)
        assert store.glance(number) == expected


async def test_a_glance_sees_one_snapshot(store: SqliteRelational) -> None:
    outside = sqlite3.connect(store.path)

    def twice(connection: Connection) -> tuple[int, int]:
        before = number(connection)
        outside.execute("UPDATE numbers SET number = 7")
        outside.commit()
        return before, number(connection)

    assert store.glance(twice) == (1, 1)
    assert store.glance(number) == 7
    outside.close()


async def test_a_glance_does_not_wait_for_a_writer(store: SqliteRelational) -> None:
    def while_writing(connection: Connection) -> int | None:
        connection.exec_driver_sql("UPDATE numbers SET number = 2")
        return store.glance(number)

    assert await store.write(while_writing) == 1


async def test_what_takes_long_is_left_however_often_it_is_tried(store: SqliteRelational) -> None:
    for _ in range(5):
        assert store.glance(lambda c: c.exec_driver_sql(counted(100_000)).scalar()) is None
        assert store.glance(number) == 1
    # Many short runs of one text are no long one.
    for _ in range(200):
        assert store.glance(lambda c: c.exec_driver_sql(counted(500)).scalar()) == 500


async def test_a_glance_changes_nothing(store: SqliteRelational) -> None:
    assert store.glance(lambda c: c.exec_driver_sql("UPDATE numbers SET number = 9").rowcount) is None
    assert await store.read(number) == 1


async def test_who_is_glancing_keeps_others_from_it_and_not_from_reading(store: SqliteRelational) -> None:
    assert store.glance(lambda c: (number(c), store.glance(number))) == (1, None)
    assert await store.read(number) == 1


async def test_an_error_of_the_work_is_told_and_leaves_no_transaction(store: SqliteRelational) -> None:
    def broken(connection: Connection) -> int:
        raise LookupError(number(connection))

    with pytest.raises(LookupError, match="1"):
        store.glance(broken)
    assert store.glance(number) == 1


async def test_a_closed_store_is_not_glanced_at(tmp_path: Path) -> None:
    store = SqliteRelational(tmp_path / "closed.db")
    assert store.glance(lambda c: 1) is None
    await store.open()
    assert store.glance(lambda c: 1) == 1
    await store.close()
    assert store.glance(lambda c: 1) is None
