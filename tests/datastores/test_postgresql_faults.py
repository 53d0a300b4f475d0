"""PostgreSQL when things go wrong: absent, killed and restarted, too slow, out of connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from datastores.config import StoreUrlProblem
from datastores.errors import Unavailable
from datastores.relational.postgresql import PostgresqlRelational
from datastores.relational.postgresql_limits import PostgresqlLimits
from tests.servers.absent import absent
from tests.servers.postgresql import NoPostgresql, PostgresqlServer, running_postgresql


@pytest.fixture
async def server() -> AsyncIterator[PostgresqlServer]:
    try:
        with running_postgresql() as running:
            yield running
    except NoPostgresql as why:
        absent(why)


async def insert(store: PostgresqlRelational, value: int) -> int:
    await store.write(lambda c: c.execute(sa.text("INSERT INTO n VALUES (:v)"), {"v": value}))
    return value


async def test_a_server_killed_during_writes_loses_no_acknowledged_write_and_comes_back(
    server: PostgresqlServer,
) -> None:
    store = PostgresqlRelational(make_url(server.url))
    await store.open()
    await store.write(lambda c: c.execute(sa.text("CREATE TABLE n (value INT PRIMARY KEY)")))
    await asyncio.gather(*(insert(store, value) for value in range(20)))
    writes = [asyncio.ensure_future(insert(store, value)) for value in range(20, 400)]
    await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.to_thread(server.stop, kill=True)
    answers = await asyncio.gather(*writes, return_exceptions=True)
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    assert failures
    assert {type(failure) for failure in failures} == {Unavailable}
    with pytest.raises(Unavailable):
        await store.ready()
    await asyncio.to_thread(server.start)
    await store.ready()
    kept = set(await store.read(lambda c: c.execute(sa.text("SELECT value FROM n")).scalars().all()))
    assert set(range(20)) | {answer for answer in answers if isinstance(answer, int)} <= kept
    await insert(store, 1_000)
    await store.close()


async def test_no_server_is_unavailable_and_the_password_is_not_told() -> None:
    url = make_url("postgresql+asyncpg://someone:hunter2@127.0.0.1:1/stadion")
    with pytest.raises(Unavailable, match=r"`127.0.0.1:1/stadion`") as caught:
        await PostgresqlRelational(url).open()
    assert "hunter2" not in str(caught.value)


async def test_a_wrong_password_or_database_is_unavailable(postgresql_url: str) -> None:
    right = make_url(postgresql_url)
    for wrong in (right.set(password="wrong"), right.set(database="absent")):
        with pytest.raises(Unavailable, match="unavailable"):
            await PostgresqlRelational(wrong).open()


async def test_a_work_past_its_time_is_stopped_and_undone(
    postgresql_url: str, postgresql_schema: str
) -> None:
    limits = PostgresqlLimits(read_timeout_s=0.2, write_timeout_s=0.3)
    store = PostgresqlRelational(make_url(postgresql_url), limits=limits, search_path=postgresql_schema)
    await store.open()
    await store.write(lambda c: c.execute(sa.text("CREATE TABLE n (value INT PRIMARY KEY)")))

    def slow(connection: sa.Connection) -> None:
        connection.execute(sa.text("INSERT INTO n VALUES (1)"))
        connection.execute(sa.text("SELECT pg_sleep(30)"))

    with pytest.raises(Unavailable, match=r"did not answer within 0.3 s"):
        await store.write(slow)
    with pytest.raises(Unavailable, match=r"did not answer within 0.2 s"):
        await store.read(lambda c: c.execute(sa.text("SELECT pg_sleep(30)")))
    assert await store.read(lambda c: c.execute(sa.text("SELECT count(*) FROM n")).scalar()) == 0
    await store.close()


async def test_a_pool_without_a_free_connection_is_unavailable(
    postgresql_url: str, postgresql_schema: str
) -> None:
    limits = PostgresqlLimits(connections_max=1, pool_timeout_s=0.1)
    store = PostgresqlRelational(make_url(postgresql_url), limits=limits, search_path=postgresql_schema)
    await store.open()
    holding = asyncio.ensure_future(store.read(lambda c: c.execute(sa.text("SELECT pg_sleep(0.6)"))))
    await asyncio.sleep(0.1)
    with pytest.raises(Unavailable, match="no free connection"):
        await store.ready()
    await holding
    await store.ready()
    await store.close()


async def test_a_missing_schema_is_made_once_by_all_that_open_together(
    postgresql_url: str, postgresql_schema: str
) -> None:
    name = f"{postgresql_schema}_new"
    stores = [PostgresqlRelational(make_url(postgresql_url), search_path=name) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    await stores[0].write(lambda c: c.execute(sa.text("CREATE TABLE n (value INT)")))
    found = sa.text("SELECT schemaname FROM pg_tables WHERE tablename = 'n' AND schemaname = :name")
    assert await stores[1].read(lambda c: c.execute(found, {"name": name}).scalar()) == name
    await stores[0].write(lambda c: c.execute(sa.text(f"DROP SCHEMA {name} CASCADE")))
    for store in stores:
        await store.close()


def test_a_schema_name_is_a_name() -> None:
    with pytest.raises(StoreUrlProblem):
        PostgresqlRelational(make_url("postgresql://h/d"), search_path="a; DROP SCHEMA public")
