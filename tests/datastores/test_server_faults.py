"""Every store on a server when the server dies, is cut off or slow: no acknowledged write is lost or doubled.

One table of adapters, one test a fault. The cache's are in `test_cache_faults.py`, the events' in
`test_events_on_redis.py`, a key service's in `test_vault_keys.py`.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from datastores.blobs.s3 import S3Blobs, S3Limits
from datastores.documents.mongodb import MongodbDocuments, MongodbLimits
from datastores.documents.port import Document
from datastores.errors import Unavailable
from datastores.graph.neo4j import Neo4jGraph, Neo4jLimits
from datastores.relational.postgresql import PostgresqlRelational
from datastores.relational.postgresql_limits import PostgresqlLimits
from datastores.series.port import AT_MS_MAX, Sample
from datastores.series.relational import RelationalSeries
from datastores.vault.keys import FileKeyProvider
from datastores.vault.sealed import SealedVault
from tests.kit_datastores.between import Between, cut_off
from tests.servers.absent import absent
from tests.servers.ferretdb import running_ferretdb
from tests.servers.postgresql import NoPostgresql, running_postgresql
from tests.servers.programs import ServerAbsent
from tests.servers.s3 import running_s3

TABLE = "CREATE TABLE n (value INT)"  # without a key: a doubled write shows


class Server(Protocol):
    url: str
    port: int

    def start(self) -> None: ...
    def stop(self, *, kill: bool = False) -> None: ...


@dataclass
class Driven:
    """A store, a write of one number, and all numbers that are kept."""

    store: Any
    write: Callable[[int], Awaitable[object]]
    kept: Callable[[], Awaitable[list[int]]]

    async def acknowledged(self, number: int) -> int:
        await self.write(number)
        return number


def postgresql(url: str, quick: bool, _: Any) -> Driven:
    limits = PostgresqlLimits(read_timeout_s=0.4, write_timeout_s=0.4) if quick else None
    rows = PostgresqlRelational(make_url(url), limits=limits)

    async def write(number: int) -> None:
        await rows.write(lambda c: c.execute(sa.text("INSERT INTO n VALUES (:v)"), {"v": number}))

    async def kept() -> list[int]:
        return list(await rows.read(lambda c: c.execute(sa.text("SELECT value FROM n")).scalars().all()))

    return Driven(rows, write, kept)


def vault(url: str, quick: bool, folder: Any) -> Driven:
    limits = PostgresqlLimits(read_timeout_s=0.4, write_timeout_s=0.4) if quick else None
    sealed = SealedVault(
        PostgresqlRelational(make_url(url), limits=limits), FileKeyProvider(folder / "keys.json")
    )

    async def write(number: int) -> None:
        [value] = await sealed.seal("ann", [("n", str(number).encode())])
        insert = sa.text("INSERT INTO sealed_n VALUES (:v)")
        await sealed.write(lambda c: c.execute(insert, {"v": value}))

    async def kept() -> list[int]:
        found = await sealed.read(lambda c: c.execute(sa.text("SELECT value FROM sealed_n")).scalars().all())
        return [int(text) for text in await sealed.unseal("ann", [("n", value) for value in found])]

    return Driven(sealed, write, kept)


def series(url: str, quick: bool, _: Any) -> Driven:
    limits = PostgresqlLimits(read_timeout_s=0.4, write_timeout_s=0.4) if quick else None
    kept_series = RelationalSeries(PostgresqlRelational(make_url(url), limits=limits))

    async def write(number: int) -> None:
        await kept_series.append([Sample("n", 1_800_000_000_000 + number, float(number))])

    async def kept() -> list[int]:
        found = (await kept_series.read(["n"], start_ms=0, end_ms=AT_MS_MAX))["n"]
        [day] = (await kept_series.buckets(["n"], start_ms=0, end_ms=AT_MS_MAX, step_ms=86_400_000_000))["n"]
        assert day.samples == len(found)  # rollups lose nothing either
        return [int(point.value) for point in found]

    return Driven(kept_series, write, kept)


def mongodb(url: str, quick: bool, _: Any) -> Driven:
    limits = MongodbLimits(connect_timeout_s=1.0, call_timeout_s=0.4 if quick else 10.0)
    documents = MongodbDocuments(f"{url}/faults", limits=limits)

    async def write(number: int) -> None:
        await documents.insert("n", [Document(secrets.token_hex(8), {"n": number})])

    async def kept() -> list[int]:
        return [each.content["n"] for each in await documents.find("n", limit=1000)]

    return Driven(documents, write, kept)


def neo4j(url: str, quick: bool, _: Any) -> Driven:
    limits = Neo4jLimits(
        retry_time_s=0.5 if quick else 10.0, call_timeout_s=1.0 if quick else 20.0, connect_timeout_s=1.0
    )
    # A plain address, for a server tells of its own one, around whatever is in between.
    graph = Neo4jGraph(re.sub("^neo4j:", "bolt:", url), limits=limits)

    async def write(number: int) -> None:
        await graph.befriend([("hub", str(number))])

    async def kept() -> list[int]:
        return [int(name) for name in (await graph.friends(["hub"]))["hub"]]

    return Driven(graph, write, kept)


def s3(url: str, quick: bool, _: Any) -> Driven:
    limits = S3Limits(
        connect_timeout_s=1.0,
        request_timeout_s=0.4 if quick else 10.0,
        retries_max=2,
        retry_time_s=1.0,
        ready_timeout_s=1.0,
    )
    blobs = S3Blobs(url, limits=limits)

    async def content(number: int) -> AsyncIterator[bytes]:
        yield str(number).encode()

    async def write(number: int) -> None:
        await blobs.put(f"n/{secrets.token_hex(8)}", content(number), size_bytes_max=9)

    async def kept() -> list[int]:
        keys = [key async for key in blobs.list_keys()]
        return [int(b"".join([chunk async for chunk in blobs.get(key)])) for key in keys]

    return Driven(blobs, write, kept)


ADAPTERS: dict[str, tuple[Callable[..., Driven], Any]] = {
    "postgresql": (postgresql, running_postgresql),
    "vault": (vault, running_postgresql),
    "series": (series, running_postgresql),
    "mongodb": (mongodb, running_ferretdb),
    "neo4j": (neo4j, None),
    "s3": (s3, running_s3),
}


@pytest.fixture(scope="module", params=["postgresql", "mongodb", "neo4j", "s3"])
def program(request: pytest.FixtureRequest) -> Any:
    """One server of a kind for all tests of it, for some take long to start."""
    if request.param == "neo4j":
        yield request.param, request.getfixturevalue("neo4j_server")
        return
    try:
        with ADAPTERS[request.param][1]() as server:
            yield request.param, server
    except (ServerAbsent, NoPostgresql) as why:
        absent(why)


KINDS = {"postgresql": ["postgresql", "vault", "series"]}


@asynccontextmanager
async def opened(name: str, server: Server, between: Between | None, quick: bool, folder: Any) -> Any:
    url = server.url
    if between is not None:
        url = url.replace(f"127.0.0.1:{server.port}", f"127.0.0.1:{between.port}")
    driven = ADAPTERS[name][0](url, quick, folder)
    await driven.store.open()
    try:
        yield driven
    finally:
        await driven.store.close()


async def prepared(name: str, server: Server) -> None:
    """Room for the numbers, empty."""
    if name in ("postgresql", "vault", "series"):
        rows = PostgresqlRelational(make_url(server.url))
        await rows.open()
        for text in (
            "DROP SCHEMA public CASCADE",
            "CREATE SCHEMA public",
            TABLE,
            "CREATE TABLE sealed_n (value BYTEA)",
        ):
            await rows.write(lambda c, t=text: c.execute(sa.text(t)))  # type: ignore[misc]
        await rows.close()
        return
    async with opened(name, server, None, False, None) as driven:
        if name == "mongodb":
            found = await driven.store.find("n", limit=1000)
            await driven.store.delete("n", [each.id for each in found])
        elif name == "neo4j":
            await driven.store.forget(["hub"])
        else:
            async for key in driven.store.list_keys():
                await driven.store.delete(key)


def check(answers: list[int | BaseException], kept: list[int]) -> list[BaseException]:
    """What was acknowledged is kept, nothing twice, and every failure is Unavailable."""
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    assert {type(failure) for failure in failures} <= {Unavailable}
    assert {answer for answer in answers if isinstance(answer, int)} <= set(kept)
    assert len(kept) == len(set(kept))
    return failures


async def test_a_server_killed_during_writes_loses_nothing_acknowledged_and_comes_back(
    program: tuple[str, Server], tmp_path: Any
) -> None:
    kind, server = program
    if kind == "s3":
        pytest.skip("moto keeps objects in memory: name a server by STADION_TEST_S3_URL and kill it by hand")
    for name in KINDS.get(kind, [kind]):
        await prepared(name, server)
        async with opened(name, server, None, False, tmp_path) as driven:
            answers: list[Any] = await asyncio.gather(*(driven.acknowledged(n) for n in range(10)))
            writes = [asyncio.ensure_future(driven.acknowledged(n)) for n in range(10, 70)]
            await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.to_thread(server.stop, kill=True)
            try:
                if kind != "neo4j":  # its driver goes on trying for ten seconds, so it comes back first
                    answers += await asyncio.gather(*writes, return_exceptions=True)
                    with pytest.raises(Unavailable):
                        await driven.store.ready()
            finally:
                await asyncio.to_thread(server.start)
            if kind == "neo4j":
                answers += await asyncio.gather(*writes, return_exceptions=True)
            await until_ready(driven.store)
            check(answers, await driven.kept())
            await driven.write(1_000)
            assert 1_000 in await driven.kept()


async def until_ready(store: Any) -> None:
    """Until the store has noticed that its server is back: without a restart of ours, in some seconds."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await store.ready()
            except Unavailable:
                await asyncio.sleep(0.01)


async def test_connections_cut_during_writes_lose_nothing_acknowledged_and_are_made_anew(
    program: tuple[str, Server], tmp_path: Any
) -> None:
    kind, server = program
    for name in KINDS.get(kind, [kind]):
        await prepared(name, server)
        async with cut_off(server.port) as between, opened(name, server, between, False, tmp_path) as driven:
            answers: list[int | BaseException] = []
            for turn in range(3):
                some = range(turn * 20, turn * 20 + 20)
                writes = [asyncio.ensure_future(driven.acknowledged(n)) for n in some]
                await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
                between.cut()
                answers += await asyncio.gather(*writes, return_exceptions=True)
            await until_ready(driven.store)
            check(answers, await driven.kept())
            await driven.write(1_000)
            assert 1_000 in await driven.kept()


async def test_a_server_that_answers_too_late_is_unavailable_in_time_and_then_goes_on(
    program: tuple[str, Server], tmp_path: Any
) -> None:
    kind, server = program
    for name in KINDS.get(kind, [kind]):
        await prepared(name, server)
        async with cut_off(server.port) as between:
            async with opened(name, server, between, False, tmp_path) as driven:
                await driven.write(1)
            async with opened(name, server, between, True, tmp_path) as driven:
                between.answers.clear()
                async with asyncio.timeout(20):
                    with pytest.raises(Unavailable):
                        await driven.write(2)
                between.answers.set()
                await until_ready(driven.store)
            async with opened(name, server, between, False, tmp_path) as driven:
                await driven.write(3)
                kept = await driven.kept()
                assert {1, 3} <= set(kept) <= {1, 2, 3}
                assert len(kept) == len(set(kept))
