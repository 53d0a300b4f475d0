"""SQLite when things go wrong: killed processes, full disks, locks, damaged and read-only files."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from datastores.errors import Conflict, StoreError, Unavailable
from datastores.relational.sqlite import SqliteLimits, SqliteRelational

WRITER = """
import asyncio, sys
from pathlib import Path
from sqlalchemy import text
from datastores.relational.sqlite import SqliteRelational
from datastores.events.outbox import RelationalOutbox, new_event, prepare_outbox

async def main():
    store = SqliteRelational(Path(sys.argv[1]))
    await store.open()
    await prepare_outbox(store)
    await store.write(lambda c: c.execute(text("CREATE TABLE IF NOT EXISTS n (value INTEGER PRIMARY KEY)")))
    async def one(value):
        def work(c):
            c.execute(text("INSERT INTO n VALUES (:value)"), {"value": value})
            RelationalOutbox().append(c, [new_event("n", key=str(value), payload={"value": value})])
        await store.write(work)
        print(value, flush=True)
    for start in range(0, 10**9, 8):
        await asyncio.gather(*(one(start + k) for k in range(8)))

asyncio.run(main())
"""


def killed_after(acknowledged: int, path: Path) -> set[int]:
    """Run the writer, kill -9 it in the middle of its writes; what it had acknowledged."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=root, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        seen = {int(next(process.stdout)) for _ in range(acknowledged)}
        os.kill(process.pid, signal.SIGKILL)
        seen |= {int(line) for line in process.stdout if line.endswith("\n")}
    assert process.returncode == -signal.SIGKILL
    return seen


async def test_kill_9_during_writes_loses_no_acknowledged_write_and_halves_none(tmp_path: Path) -> None:
    path = tmp_path / "n.db"
    acknowledged = await asyncio.to_thread(killed_after, 150, path)
    store = SqliteRelational(path)
    await store.open()
    kept = set(await store.read(lambda c: c.execute(sa.text("SELECT value FROM n")).scalars().all()))
    told = set(await store.read(lambda c: c.execute(sa.text("SELECT key FROM outbox")).scalars().all()))
    assert acknowledged <= kept
    assert len(kept - acknowledged) <= 8  # committed, killed before it could say so
    assert {int(key) for key in told} == kept
    check = await store.read(lambda c: c.execute(sa.text("PRAGMA integrity_check")).scalar())
    assert check == "ok"
    await store.close()


def make_table(connection: Connection) -> None:
    connection.execute(sa.text("CREATE TABLE t (body BLOB)"))


def insert_megabyte(connection: Connection) -> None:
    connection.execute(sa.text("INSERT INTO t VALUES (zeroblob(1000000))"))


def count(connection: Connection) -> int:
    return int(connection.execute(sa.text("SELECT count(*) FROM t")).scalar_one())


@pytest.fixture
async def store(tmp_path: Path) -> SqliteRelational:
    limits = SqliteLimits(busy_timeout_s=0.05, read_timeout_s=0.3, write_timeout_s=0.5)
    store = SqliteRelational(tmp_path / "t.db", limits=limits)
    await store.open()
    await store.write(make_table)
    return store


async def test_a_full_disk_is_unavailable_and_passes(store: SqliteRelational) -> None:
    # SQLite's own page limit gives the same SQLITE_FULL as a full disk does.
    def tight(connection: Connection) -> None:
        connection.execute(sa.text("PRAGMA max_page_count = 100"))

    await store.write(tight)
    with pytest.raises(Unavailable, match="the disk is full"):
        await store.write(insert_megabyte)
    assert await store.read(count) == 0
    await store.write(lambda c: c.execute(sa.text("PRAGMA max_page_count = 100000")))
    await store.write(insert_megabyte)
    assert await store.read(count) == 1
    await store.close()


async def test_another_process_that_holds_the_lock_makes_us_unavailable_then_passes(
    store: SqliteRelational,
) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="holds its lock"):
        await store.write(insert_megabyte)
    assert await store.read(count) == 0
    other.execute("ROLLBACK")
    other.close()
    await store.write(insert_megabyte)
    assert await store.read(count) == 1
    await store.close()


ENDLESS = "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n) SELECT max(v) FROM n"


async def test_a_work_past_its_time_is_stopped_and_undone(store: SqliteRelational) -> None:
    def slow(connection: Connection) -> None:
        insert_megabyte(connection)
        connection.execute(sa.text(ENDLESS)).scalar()

    with pytest.raises(Unavailable, match="time limit"):
        await store.write(slow)
    with pytest.raises(Unavailable, match="time limit"):
        await store.read(lambda c: c.execute(sa.text(ENDLESS)).scalar())
    assert await store.read(count) == 0
    await store.close()


async def test_works_that_waited_too_long_in_the_queue_are_not_started(store: SqliteRelational) -> None:
    def hold(_: Connection) -> None:
        threading.Event().wait(0.7)  # longer than the time limit of the two behind it

    answers = await asyncio.gather(
        store.write(hold), store.write(insert_megabyte), store.write(insert_megabyte), return_exceptions=True
    )
    assert [type(answer) for answer in answers[1:]] == [Unavailable] * 2
    assert "in its queue" in str(answers[1])
    assert await store.read(count) == 0
    await store.close()


async def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database at all" * 400)
    with pytest.raises(StoreError, match=r"`x.db` is damaged or no SQLite file: restore it from a backup"):
        await SqliteRelational(path).open()
    assert path.read_bytes().startswith(b"not a database")


async def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot make the folder"):
        await SqliteRelational(tmp_path / "file" / "store" / "x.db").open()
    with pytest.raises(Unavailable, match="unavailable: the file cannot be opened"):
        (tmp_path / "folder.db").mkdir()
        await SqliteRelational(tmp_path / "folder.db").open()


async def test_closing_folds_the_log_into_the_file(store: SqliteRelational) -> None:
    await store.write(insert_megabyte)
    await store.close()
    assert [path.name for path in store.path.parent.iterdir()] == ["t.db"]


async def test_every_connection_is_durable_checked_and_overwrites_what_it_deletes(
    store: SqliteRelational,
) -> None:
    def settings(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "trusted_schema")
        return [connection.execute(sa.text(f"PRAGMA {name}")).scalar() for name in names]

    assert await store.write(settings) == ["wal", 2, 1, 1, 0]
    assert await store.read(settings) == ["wal", 2, 1, 1, 0]
    await store.close()


async def test_deleted_text_is_in_no_file_once_the_log_is_truncated(store: SqliteRelational) -> None:
    canary = "CANARY-to-be-deleted"
    await store.write(lambda c: c.execute(sa.text("INSERT INTO t VALUES (:body)"), {"body": canary}))
    await store.write(lambda c: c.execute(sa.text("DELETE FROM t")))
    await store.truncate_log()
    assert all(canary.encode() not in path.read_bytes() for path in store.path.parent.iterdir())
    await store.close()


async def test_a_work_that_leaves_a_savepoint_open_harms_no_later_one(store: SqliteRelational) -> None:
    await store.write(lambda c: c.execute(sa.text("CREATE TABLE kept (value INTEGER PRIMARY KEY)")))

    def left_open(connection: Connection, value: int, *, fails: bool) -> None:
        connection.begin_nested()
        connection.execute(sa.text("INSERT INTO kept VALUES (:value)"), {"value": value})
        if fails:
            raise ZeroDivisionError

    for number in range(12):  # more than there are connections
        fails = number % 2 == 1
        try:
            await store.write(lambda c, n=number, f=fails: left_open(c, n, fails=f))
        except ZeroDivisionError:
            assert fails
        with pytest.raises(ZeroDivisionError):
            await store.read(lambda c: c.begin_nested() and 1 / 0)

    kept = await store.read(lambda c: c.execute(sa.text("SELECT value FROM kept")).scalars().all())
    assert sorted(kept) == [0, 2, 4, 6, 8, 10]


async def test_a_work_that_fails_undoes_all_and_the_next_begins_anew(store: SqliteRelational) -> None:
    await store.write(lambda c: c.execute(sa.text("CREATE TABLE kept (value INTEGER PRIMARY KEY)")))

    def fails(connection: Connection) -> None:
        connection.execute(sa.text("INSERT INTO kept VALUES (1)"))
        connection.execute(sa.text("INSERT INTO kept VALUES (1)"))

    with pytest.raises(Conflict):
        await store.write(fails)
    assert await store.read(lambda c: c.execute(sa.text("SELECT count(*) FROM kept")).scalar_one()) == 0
    await store.write(lambda c: c.execute(sa.text("INSERT INTO kept VALUES (1)")))
    assert await store.read(lambda c: c.execute(sa.text("SELECT count(*) FROM kept")).scalar_one()) == 1
