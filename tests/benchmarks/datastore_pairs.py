# ruff: noqa: E501  # a pair a line reads as the table that it becomes
"""The pairs of `bench_datastores`: a call of a port, and the same work by the driver that is below it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiomcache
import asyncpg
import obstore
import orjson
import sqlalchemy as sa
from motor.motor_asyncio import AsyncIOMotorClient
from neo4j import AsyncGraphDatabase
from redis.asyncio import Redis
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from datastores.blobs.files import FileBlobs
from datastores.blobs.s3 import S3Blobs
from datastores.cache.memcached import MemcachedEntries
from datastores.cache.redis import RedisEntries
from datastores.cache.single_flight import SharedCache
from datastores.documents.mongodb import MongodbDocuments
from datastores.documents.port import Document
from datastores.graph.neo4j import Neo4jGraph
from datastores.relational.postgresql import PostgresqlRelational
from datastores.relational.sqlite import SqliteRelational
from datastores.series.opening import open_series
from datastores.series.port import DAY_MS, Sample
from datastores.vault.keys import FileKeyProvider
from datastores.vault.sealed import SealedVault
from tests.servers.ferretdb import running_ferretdb
from tests.servers.memcached import running_memcached
from tests.servers.neo4j import running_neo4j
from tests.servers.postgresql import NoPostgresql, running_postgresql
from tests.servers.programs import ServerAbsent
from tests.servers.redis import running_redis
from tests.servers.s3 import running_s3

ABSENT = (ServerAbsent, NoPostgresql)
Work = Callable[[], Awaitable[object]]
Row = tuple[str, str, str, int, Work, Work]
Opening = Callable[[Path], AbstractAsyncContextManager[list[Row]]]

rows = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.Text))
ONE = sa.select(rows.c.id, rows.c.v).where(rows.c.id == sa.bindparam("id"))
ADD = "UPDATE t SET v = v WHERE id = 7"


def times(count: int, work: Callable[[int], Awaitable[object]]) -> Work:
    """`count` calls, one after the other."""

    async def run() -> None:
        for number in range(count):
            await work(number)

    return run


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[list[Row]]:
    """SQLite: beside the standard library's driver on an executor thread, one hop a call."""
    store = SqliteRelational(folder / "a.db")
    await store.open()
    await store.write(rows.metadata.create_all)
    await store.write(lambda c: c.execute(sa.insert(rows), [{"id": n, "v": "x"} for n in range(1_000)]))
    executor = ThreadPoolExecutor(1)
    loop = asyncio.get_running_loop()
    driver = sqlite3.connect(folder / "b.db", check_same_thread=False, isolation_level=None)
    for text in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "PRAGMA secure_delete=ON",
        "PRAGMA foreign_keys=ON",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
    ):
        driver.execute(text)
    driver.executemany("INSERT INTO t VALUES (?, ?)", [(n, "x") for n in range(1_000)])
    engine = sa.create_engine("sqlite://", creator=lambda: driver, poolclass=sa.pool.StaticPool)

    def bare_core(number: int) -> Any:
        with engine.connect() as connection:
            return connection.execute(ONE, {"id": number}).one()

    def bare_page() -> Any:
        with engine.connect() as connection:
            return connection.execute(sa.select(rows)).all()

    def bare_write() -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.exec_driver_sql(ADD)
            connection.exec_driver_sql("COMMIT")

    yield [
        (
            "relational", "sqlite", "row by key, beside SQLAlchemy Core in a thread", 300,
            times(300, lambda n: store.read(lambda c: c.execute(ONE, {"id": n}).one())),
            times(300, lambda n: loop.run_in_executor(executor, bare_core, n)),
        ),
        (
            "relational", "sqlite", "1000 rows, beside SQLAlchemy Core in a thread", 20,
            times(20, lambda n: store.read(lambda c: c.execute(sa.select(rows)).all())),
            times(20, lambda n: loop.run_in_executor(executor, bare_page)),
        ),
        (
            "relational", "sqlite", "committed write, beside SQLAlchemy Core in a thread", 100,
            times(100, lambda n: store.write(lambda c: c.exec_driver_sql(ADD))),
            times(100, lambda n: loop.run_in_executor(executor, bare_write)),
        ),
        *await sealing(folder),
        *await samples(folder, driver, executor),
        *await files(folder),
    ]  # fmt: skip
    await store.close()
    executor.shutdown()
    engine.dispose()


async def sealing(folder: Path) -> list[Row]:
    """The vault beside AES-GCM used bare."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    vault = SealedVault(SqliteRelational(folder / "v.db"), FileKeyProvider(folder / "keys" / "v.json"))
    await vault.open()
    cipher = AESGCM(os.urandom(32))
    values = [(f"notes:body:{n}", os.urandom(1_000)) for n in range(100)]
    sealed = await vault.seal("ann", values)
    opened = [(context, value) for (context, _), value in zip(values, sealed, strict=True)]
    bare = [
        (context, nonce := os.urandom(12), cipher.encrypt(nonce, value, context.encode()))
        for context, value in values
    ]

    async def seal(_: int) -> None:
        for context, value in values:
            nonce = os.urandom(12)
            _ = nonce + cipher.encrypt(nonce, value, context.encode())  # type: ignore[assignment]

    async def unseal(_: int) -> None:
        for context, nonce, value in bare:
            cipher.decrypt(nonce, value, context.encode())

    return [
        ("vault", "sqlite", "seal 100 values of 1 kB, beside AES-GCM", 50,
         times(50, lambda n: vault.seal("ann", values)), times(50, seal)),
        ("vault", "sqlite", "open 100 values of 1 kB, beside AES-GCM", 50,
         times(50, lambda n: vault.unseal("ann", opened)), times(50, unseal)),
    ]  # fmt: skip


async def samples(folder: Path, driver: sqlite3.Connection, executor: ThreadPoolExecutor) -> list[Row]:
    """Series beside the same statements, samples and rollups, by the driver."""
    from datastores.series import sqlite as statements

    loop = asyncio.get_running_loop()
    series = open_series(f"sqlite:///{folder}/s.db")
    await series.open()
    driver.executescript(
        "CREATE TABLE series_samples (key INT, at_ms INT, value REAL, PRIMARY KEY (key, at_ms)) WITHOUT ROWID;"
        "CREATE TABLE series_rollups (width_ms INT, key INT, start_ms INT, count INT, total REAL, low REAL,"
        " high REAL, PRIMARY KEY (width_ms, key, start_ms)) WITHOUT ROWID"
    )
    hour = [(at * 1_000, 100.0 + at % 60) for at in range(3_600)]
    turn = {"ours": 0, "bare": 0}

    async def append(_: int) -> None:
        turn["ours"] += 1
        start_ms = turn["ours"] * 3_600_000
        await series.append([Sample("p", start_ms + at, value) for at, value in hour])

    def bare_append() -> None:
        turn["bare"] += 1
        start_ms = turn["bare"] * 3_600_000
        day_ms = start_ms - start_ms % DAY_MS
        driver.execute("BEGIN IMMEDIATE")
        driver.executemany(statements._INSERT, [(1, start_ms + at, value) for at, value in hour])
        driver.execute(statements._FROM_SAMPLES, (60_000, 1, start_ms, start_ms + 3_600_000))
        driver.execute(statements._FROM_ROLLUPS, (3_600_000, 1, start_ms, start_ms + 3_600_000, 60_000))
        driver.execute(statements._FROM_ROLLUPS, (DAY_MS, 1, day_ms, day_ms + DAY_MS, 3_600_000))
        driver.execute("COMMIT")

    def bare_read() -> Any:
        query = "SELECT at_ms, value FROM series_samples WHERE key = 1 AND at_ms >= ? AND at_ms < ? ORDER BY at_ms"
        return driver.execute(query, (3_600_000, 7_200_000)).fetchall()

    return [
        ("series", "sqlite", "append an hour of seconds, with rollups", 5,
         times(5, append), times(5, lambda n: loop.run_in_executor(executor, bare_append))),
        ("series", "sqlite", "read an hour of seconds", 20,
         times(20, lambda n: series.read(["p"], start_ms=3_600_000, end_ms=7_200_000)),
         times(20, lambda n: loop.run_in_executor(executor, bare_read))),
    ]  # fmt: skip


async def files(folder: Path) -> list[Row]:
    """Files beside the same system calls."""
    blobs = FileBlobs(folder / "blobs")
    await blobs.open()
    content = os.urandom(1_000_000)
    turn = {"ours": 0, "bare": 0}

    async def whole() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 250_000):
            yield content[at : at + 250_000]

    async def put(_: int) -> None:
        turn["ours"] += 1
        await blobs.put(f"a/{turn['ours']}", whole(), size_bytes_max=1_000_000)

    def bare_put() -> None:
        turn["bare"] += 1
        place = folder / f"bare{turn['bare']}"
        with place.with_suffix(".new").open("wb") as file:
            hashlib.sha256(content)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        place.with_suffix(".new").rename(place)
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    return [
        ("blobs", "files", "put 1 MB, hashed and on disk", 20, times(20, put),
         times(20, lambda n: asyncio.to_thread(bare_put))),
    ]  # fmt: skip


@asynccontextmanager
async def postgresql(folder: Path) -> AsyncIterator[list[Row]]:
    """PostgreSQL: beside SQLAlchemy's async engine used bare, in SERIALIZABLE too; and asyncpg for the series."""
    with running_postgresql() as server:
        store = PostgresqlRelational(make_url(server.url))
        await store.open()
        await store.write(rows.metadata.create_all)
        await store.write(lambda c: c.execute(sa.insert(rows), [{"id": n, "v": "x"} for n in range(1_000)]))
        engine = create_async_engine(server.url, isolation_level="SERIALIZABLE", pool_pre_ping=True)

        async def bare_read(number: int) -> Any:
            async with engine.connect() as connection, connection.begin():
                return (await connection.execute(ONE, {"id": number})).one()

        async def bare_page(_: int) -> Any:
            async with engine.connect() as connection, connection.begin():
                return (await connection.execute(sa.select(rows))).all()

        async def bare_write(_: int) -> None:
            async with engine.connect() as connection, connection.begin():
                await connection.exec_driver_sql(ADD)

        series = open_series(server.url)
        await series.open()
        pool = await asyncpg.create_pool(server.url.replace("+asyncpg", ""))
        await series.append([Sample("p", at * 1_000, float(at)) for at in range(3_600)])
        query = "SELECT at_ms, value FROM series.series_samples WHERE key = 1 AND at_ms < $1 ORDER BY at_ms"
        yield [
            ("relational", "postgresql", "row by key, beside the async engine", 200,
             times(200, lambda n: store.read(lambda c: c.execute(ONE, {"id": n}).one())), times(200, bare_read)),
            ("relational", "postgresql", "1000 rows, beside the async engine", 20,
             times(20, lambda n: store.read(lambda c: c.execute(sa.select(rows)).all())), times(20, bare_page)),
            ("relational", "postgresql", "committed write, beside the async engine", 100,
             times(100, lambda n: store.write(lambda c: c.exec_driver_sql(ADD))), times(100, bare_write)),
            ("series", "postgresql", "read an hour of seconds, beside asyncpg", 20,
             times(20, lambda n: series.read(["p"], start_ms=0, end_ms=3_600_000)),
             times(20, lambda n: pool.fetch(query, 3_600_000))),
        ]  # fmt: skip
        await pool.close()
        await series.close()
        await engine.dispose()
        await store.close()


@asynccontextmanager
async def redis(folder: Path) -> AsyncIterator[list[Row]]:
    """Redis: beside redis-py."""
    with running_redis() as server:
        cache, bare = SharedCache(RedisEntries(server.url)), Redis.from_url(server.url)
        await cache.open()
        values = {f"k{n}": b"x" * 1_000 for n in range(100)}
        keys = list(values)

        async def bare_get(_: int) -> None:
            pipeline = bare.pipeline(transaction=False)
            for key in keys:
                pipeline.get(key)
            await pipeline.execute()

        async def bare_set(_: int) -> None:
            pipeline = bare.pipeline(transaction=False)
            for key, value in values.items():
                pipeline.set(key, value, px=60_000)
            await pipeline.execute()

        await bare_set(0)
        await cache.set_many(values, ttl_s=60)
        yield [
            ("cache", "redis", "get one", 300, times(300, lambda n: cache.get_many(["k1"])),
             times(300, lambda n: bare.get("k1"))),
            ("cache", "redis", "get 100", 50, times(50, lambda n: cache.get_many(keys)), times(50, bare_get)),
            ("cache", "redis", "set 100", 50, times(50, lambda n: cache.set_many(values, ttl_s=60)),
             times(50, bare_set)),
        ]  # fmt: skip
        await cache.close()
        await bare.aclose()


@asynccontextmanager
async def memcached(folder: Path) -> AsyncIterator[list[Row]]:
    """Memcached: beside aiomcache."""
    with running_memcached() as server:
        cache, bare = SharedCache(MemcachedEntries(server.url)), aiomcache.Client("127.0.0.1", server.port)
        await cache.open()
        values = {f"k{n}": b"x" * 1_000 for n in range(100)}
        keys = [key.encode() for key in values]
        await cache.set_many(values, ttl_s=60)
        for key, value in values.items():
            await bare.set(key.encode(), value, exptime=60)

        async def bare_set(_: int) -> None:
            for key, value in values.items():
                await bare.set(key.encode(), value, exptime=60)

        yield [
            ("cache", "memcached", "get one", 300, times(300, lambda n: cache.get_many(["k1"])),
             times(300, lambda n: bare.get(b"k1"))),
            ("cache", "memcached", "get 100", 50, times(50, lambda n: cache.get_many(list(values))),
             times(50, lambda n: bare.multi_get(*keys))),
            ("cache", "memcached", "set 100", 20, times(20, lambda n: cache.set_many(values, ttl_s=60)),
             times(20, bare_set)),
        ]  # fmt: skip
        await cache.close()
        await bare.close()


@asynccontextmanager
async def mongodb(folder: Path) -> AsyncIterator[list[Row]]:
    """MongoDB's protocol (FerretDB): beside motor."""
    with running_ferretdb() as server:
        documents = MongodbDocuments(f"{server.url}/bench")
        await documents.open()
        client: Any = AsyncIOMotorClient(server.url)
        kept = client["bench"]["meals"]
        content = {"name": "oats", "kcal": 380, "tags": ["a", "b"], "by": {"id": "ann"}}
        await documents.insert("meals", [Document(f"d{n:03}", content) for n in range(100)])
        ids = [f"d{n:03}" for n in range(100)]
        yield [
            ("documents", "mongodb", "get one", 100, times(100, lambda n: documents.get("meals", ["d001"])),
             times(100, lambda n: kept.find({"_id": {"$in": ["d001"]}}).to_list(None))),
            ("documents", "mongodb", "get 100", 20, times(20, lambda n: documents.get("meals", ids)),
             times(20, lambda n: kept.find({"_id": {"$in": ids}}).to_list(None))),
        ]  # fmt: skip
        await documents.close()
        client.close()


@asynccontextmanager
async def neo4j(folder: Path) -> AsyncIterator[list[Row]]:
    """Neo4j: beside its driver, in a managed transaction too."""
    from datastores.graph import cypher

    with running_neo4j() as server:
        graph = Neo4jGraph(server.url, space="bench")
        await graph.open()
        await graph.befriend([("hub", f"f{n}") for n in range(100)])
        auth = ("neo4j", server.url.split(":")[2].split("@")[0])
        driver: Any = AsyncGraphDatabase.driver(f"neo4j://127.0.0.1:{server.port}", auth=auth)

        async def bare(_: int) -> Any:
            async def work(transaction: Any) -> Any:
                answer = await transaction.run(cypher.FRIENDS, ids=["hub"], space="bench")
                return [record async for record in answer]

            async with driver.session() as session:
                return await session.execute_read(work)

        yield [
            ("graph", "neo4j", "friends of one", 60, times(60, lambda n: graph.friends(["hub"])), times(60, bare)),
        ]  # fmt: skip
        await graph.close()
        await driver.close()


@asynccontextmanager
async def s3(folder: Path) -> AsyncIterator[list[Row]]:
    """S3 (moto): beside obstore."""
    with running_s3() as server:
        blobs = S3Blobs(server.url)
        await blobs.open()
        content = os.urandom(1_000_000)
        turn = {"ours": 0, "bare": 0}

        async def whole() -> AsyncIterator[bytes]:
            yield content

        async def put(_: int) -> None:
            turn["ours"] += 1
            await blobs.put(f"a/{turn['ours']}", whole(), size_bytes_max=1_000_000)

        async def bare_put(_: int) -> None:
            turn["bare"] += 1
            hashlib.sha256(content)
            await obstore.put_async(blobs._store, f"bare/{turn['bare']}", content, mode="create")

        async def get(_: int) -> None:
            async for _chunk in blobs.get("a/1"):
                pass

        async def bare_get(_: int) -> None:
            async for _chunk in (await obstore.get_async(blobs._store, "kept/a/1")).stream(256 * 1024):
                pass

        yield [
            ("blobs", "s3", "put 1 MB, hashed", 10, times(10, put), times(10, bare_put)),
            ("blobs", "s3", "get 1 MB", 10, times(10, get), times(10, bare_get)),
        ]  # fmt: skip
        await blobs.close()


@asynccontextmanager
async def sqlite_documents(folder: Path) -> AsyncIterator[list[Row]]:
    """Documents in SQLite: beside the same JSON in the same table through SQLAlchemy Core in a thread."""
    from datastores.documents.opening import open_documents

    documents = open_documents(f"sqlite:///{folder}/d.db")
    await documents.open()
    content = {"name": "oats", "kcal": 380, "tags": ["a", "b"], "by": {"id": "ann"}}
    await documents.insert("meals", [Document(f"d{n:03}", content) for n in range(100)])
    ids = [f"d{n:03}" for n in range(100)]
    engine = sa.create_engine(f"sqlite:///{folder}/d.db")
    table = sa.Table(
        "documents", sa.MetaData(), *(sa.Column(n) for n in ("collection", "id", "version", "content"))
    )

    def bare() -> Any:
        with engine.connect() as connection:
            query = sa.select(table).where(table.c.collection == "meals", table.c.id.in_(ids))
            return [orjson.loads(row.content) for row in connection.execute(query)]

    yield [
        ("documents", "sqlite", "get 100", 50, times(50, lambda n: documents.get("meals", ids)),
         times(50, lambda n: asyncio.to_thread(bare))),
    ]  # fmt: skip
    await documents.close()
    engine.dispose()


ALL: tuple[Opening, ...] = (sqlite, sqlite_documents, postgresql, redis, memcached, mongodb, neo4j, s3)
