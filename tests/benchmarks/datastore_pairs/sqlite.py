# ruff: noqa: E501  # a pair a line reads as the table that it becomes
"""SQLite beside the standard library's driver: rows, documents and friends by SQLAlchemy Core in a thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from datastores.documents.opening import open_documents
from datastores.documents.port import Document
from datastores.graph.opening import open_graph
from datastores.relational.sqlite import SqliteRelational
from tests.benchmarks.datastore_pairs.pair import (
    ALL_ROWS,
    MEAL,
    MEAL_IDS,
    ONE_ROW,
    ROWS,
    TABLE,
    UPDATE,
    Pair,
    times,
)


def driver_of(path: Path) -> sqlite3.Connection:
    """A connection that keeps what it is given as safely as ours do."""
    driver = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "foreign_keys=ON"):
        driver.execute(f"PRAGMA {pragma}")
    return driver


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[list[Pair]]:
    """Rows: one hop to a thread a call on both sides, a read in one transaction, a write committed."""
    store = SqliteRelational(folder / "a.db")
    await store.open()
    await store.write(TABLE.metadata.create_all)
    await store.write(lambda c: c.execute(sa.insert(TABLE), ROWS))
    executor, loop = ThreadPoolExecutor(1), asyncio.get_running_loop()
    driver = driver_of(folder / "b.db")
    driver.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    driver.executemany("INSERT INTO t VALUES (:id, :v)", ROWS)
    engine = sa.create_engine("sqlite://", creator=lambda: driver, poolclass=sa.pool.StaticPool)

    def bare(work: Any, begin: str) -> Any:
        with engine.connect() as connection:
            connection.exec_driver_sql(begin)
            found = work(connection)
            connection.exec_driver_sql("COMMIT")
            return found

    def hop(work: Any, begin: str = "BEGIN") -> Any:
        return loop.run_in_executor(executor, bare, work, begin)

    yield [
        Pair("relational", "sqlite", "row by key, beside SQLAlchemy Core in a thread", 100,
             times(100, lambda n: store.read(lambda c: c.execute(ONE_ROW, {"id": n}).one())),
             times(100, lambda n: hop(lambda c: c.execute(ONE_ROW, {"id": n}).one()))),
        Pair("relational", "sqlite", "1000 rows, beside SQLAlchemy Core in a thread", 10,
             times(10, lambda n: store.read(lambda c: c.execute(ALL_ROWS).all())),
             times(10, lambda n: hop(lambda c: c.execute(ALL_ROWS).all()))),
        Pair("relational", "sqlite", "committed write, beside SQLAlchemy Core in a thread", 50,
             times(50, lambda n: store.write(lambda c: c.exec_driver_sql(UPDATE))),
             times(50, lambda n: hop(lambda c: c.exec_driver_sql(UPDATE), "BEGIN IMMEDIATE"))),
    ]  # fmt: skip
    await store.close()
    executor.shutdown()
    engine.dispose()


@asynccontextmanager
async def sqlite_documents(folder: Path) -> AsyncIterator[list[Pair]]:
    """Documents: the same JSON in the same table."""
    documents = open_documents(f"sqlite:///{folder}/d.db")
    await documents.open()
    await documents.insert("meals", [Document(each, MEAL) for each in MEAL_IDS])
    engine = sa.create_engine(f"sqlite:///{folder}/d.db")
    table = sa.Table(
        "documents", sa.MetaData(), *(sa.Column(n) for n in ("collection", "id", "version", "content"))
    )

    def bare() -> Any:
        with engine.connect() as connection:
            query = sa.select(table).where(table.c.collection == "meals", table.c.id.in_(MEAL_IDS))
            return {row.id: (row.version, orjson.loads(row.content)) for row in connection.execute(query)}

    yield [
        Pair("documents", "sqlite", "get 100, beside SQLAlchemy Core in a thread", 20,
             times(20, lambda n: documents.get("meals", MEAL_IDS)), times(20, lambda n: asyncio.to_thread(bare))),
    ]  # fmt: skip
    await documents.close()
    engine.dispose()


@asynccontextmanager
async def sqlite_graph(folder: Path) -> AsyncIterator[list[Pair]]:
    """A graph: the same query on the same table."""
    graph = open_graph(f"sqlite:///{folder}/g.db")
    await graph.open()
    await graph.befriend([("hub", f"f{n}") for n in range(100)])
    engine = sa.create_engine(f"sqlite:///{folder}/g.db")
    table = sa.Table("graph_friends", sa.MetaData(), sa.Column("person"), sa.Column("friend"))

    def bare() -> Any:
        with engine.connect() as connection:
            query = sa.select(table).where(table.c.person.in_(["hub"])).order_by(table.c.friend)
            return {"hub": tuple(row.friend for row in connection.execute(query))}

    yield [
        Pair("graph", "sqlite", "friends of one, beside SQLAlchemy Core in a thread", 50,
             times(50, lambda n: graph.friends(["hub"])), times(50, lambda n: asyncio.to_thread(bare))),
    ]  # fmt: skip
    await graph.close()
    engine.dispose()
