"""Two regions on two PostgreSQL clusters: who works across them leaves nothing of anybody's elsewhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from authz.classes import Role
from datastores.backup.safe import Safe
from deploy.backup import back_up, opened_repository
from deploy.regional.calls import REGION_UNAVAILABLE
from deploy.regions import regional_platform
from deploy.restore import chosen, restore
from deploy.settings import Region, Settings
from tests.kit_regions.across import CARE, FOLLOW, work_across
from tests.kit_regions.people import (
    ME,
    Door,
    Person,
    arrive,
    become,
    doors_of,
    log_in,
    somebody,
    treat,
    until,
)
from tests.servers.absent import absent
from tests.servers.postgresql import NoPostgresql, PostgresqlServer, running_postgresql


@pytest.fixture(scope="module")
def clusters() -> Iterator[Mapping[str, PostgresqlServer]]:
    """Two servers that log every statement with its values."""
    with ExitStack() as stack:
        try:
            found = {name: stack.enter_context(running_postgresql()) for name in ("eu", "us")}
        except NoPostgresql as why:
            absent(why)
        for server in found.values():
            asyncio.run(log_everything(server.url))
        yield found


async def log_everything(url: str) -> None:
    engine = create_async_engine(make_url(url), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for setting in ("log_statement = 'all'", "log_parameter_max_length = -1"):
            await connection.execute(sa.text(f"ALTER SYSTEM SET {setting}"))
        await connection.execute(sa.text("SELECT pg_reload_conf()"))
    await engine.dispose()


def statements(server: PostgresqlServer) -> str:
    return (server.folder / "server.log").read_text(errors="replace")


async def rows(url: str) -> str:
    """Every row of every table, as text: outboxes, audit records and dead letters too."""
    engine = create_async_engine(make_url(url))
    found: list[str] = []
    async with engine.connect() as connection:
        tables = await connection.execute(
            sa.text("SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information)'")
        )
        for schema, table in tables.all():
            quoted = f'"{schema}"."{table}"'
            found += (await connection.execute(sa.text(f"SELECT t::text FROM {quoted} AS t"))).scalars()
    await engine.dispose()
    return "\n".join(found)


def files(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def found_of(words: list[str], text: str | bytes) -> list[str]:
    if isinstance(text, bytes):
        return [word for word in words if word.encode() in text]
    return [word for word in words if word in text]


@pytest.fixture(scope="module")
def settings(clusters: Mapping[str, PostgresqlServer], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One platform of two regions; its keys stay as long as its clusters."""
    return Settings(
        data_folder=tmp_path_factory.mktemp("regions") / "data",
        regions={
            name: Region(relational_url=SecretStr(server.url), vault_url=SecretStr(server.url))
            for name, server in clusters.items()
        },
        home_region="eu",
    )


async def test_nothing_of_an_athlete_reaches_the_region_of_trainer_and_physician(
    settings: Settings,
    clusters: Mapping[str, PostgresqlServer],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with regional_platform(settings) as regions, doors_of(regions) as doors:
        mira, tomas, lind = await work_across(regions, doors)
        await look_in_other_ways(doors, mira, tomas)
        blobs = {name: platform.stores.blobs for name, platform in regions.platforms.items()}
        assert len([key async for key in blobs["eu"].list_keys()]) == 1
        assert [key async for key in blobs["us"].list_keys()] == []

    us, eu = clusters["us"], clusters["eu"]
    for who, server in ((mira, eu), (tomas, us)):  # the hunt can find something
        told = [who.handle, who.email, who.id]
        assert found_of(told, statements(server)) == told
    # Not even the athlete's id was ever asked for in the other region.
    assert found_of([*mira.secrets, mira.id], statements(us)) == []
    assert found_of([*mira.secrets, mira.id], await rows(us.url)) == []
    # Of the trainer and the physician the athlete's region knows ids, and what they did; nothing else.
    for who in (tomas, lind):
        assert found_of(who.secrets, statements(eu)) == []
        assert found_of([who.id], await rows(eu.url)) == [who.id]

    data = settings.data_folder
    everybody = [word for who in (mira, tomas, lind) for word in (*who.secrets, who.id)]
    assert found_of(everybody, files(data / "regions")) == []
    assert found_of(everybody, b"\n".join(p.read_bytes() for p in data.glob("directory.db*"))) == []
    assert found_of([word for who in (mira, tomas, lind) for word in who.secrets], caplog.text) == []
    restored = {name: await backed_up(settings.of_region(name), tmp_path / name) for name in ("eu", "us")}
    assert found_of([mira.handle, tomas.id], restored["eu"]) == [mira.handle, tomas.id]
    assert found_of([*tomas.secrets, *lind.secrets], restored["eu"]) == []
    assert found_of([tomas.handle], restored["us"]) == [tomas.handle]
    assert found_of([*mira.secrets, mira.id], restored["us"]) == []


async def look_in_other_ways(doors: Mapping[str, Door], mira: Person, tomas: Person) -> None:
    """By a literal, without the right to, and each at the door of the other's region."""
    literal = FOLLOW.replace("($id: ID!)", "").replace("$id", f'"{mira.id}"')
    assert mira.ride in str(await doors["us"].data(literal, tomas))
    refused = await doors["us"].ask(CARE, tomas, id=mira.id)
    assert mira.condition not in str(refused)
    await log_in(doors["us"], mira)
    me = (await doors["us"].data(ME, mira))["me"]
    assert me["medicalRecord"]["conditions"]["nodes"] == [{"text": mira.condition}]
    shown = (await doors["eu"].data(FOLLOW, tomas, id=mira.id))["me"]["athletes"]["nodes"]
    assert [each["athleteName"] for each in shown] == [mira.name]


async def backed_up(settings: Settings, folder: Path) -> bytes:
    """All that a backup of these stores holds, restored into files."""
    url, safe = f"file:///{folder}/backups", Safe(folder / "safe")
    async with opened_repository(url, safe, create=True) as repository:
        await back_up(settings, repository, safe)
        entry = chosen(await repository.backups(), None)
        await restore(Settings(data_folder=folder / "data"), repository, safe, entry)
    return files(folder / "data")


async def test_a_region_that_is_down_takes_only_its_own_people_along(
    settings: Settings, clusters: Mapping[str, PostgresqlServer]
) -> None:
    async with regional_platform(settings) as regions, doors_of(regions) as doors:
        mira, lind = somebody("mira"), somebody("lind")
        await arrive(regions, doors["eu"], mira)
        await arrive(regions, doors["us"], lind)
        await become(regions.platforms["us"], doors["us"], lind, Role.MEDICAL_SPECIALIST)
        await treat(doors["eu"], mira, lind)
        clusters["eu"].stop(kill=True)
        try:
            answer = await doors["us"].ask(CARE, lind, id=mira.id)
            assert answer["data"]["me"] == {"handle": lind.handle}
            assert answer["data"]["user"] is None
            assert answer["data"]["patientsInMyCare"] == []
            found = {(tuple(e["path"]), e["extensions"]["code"]) for e in answer["errors"]}
            assert found == {(("patientsInMyCare",), REGION_UNAVAILABLE), (("user",), REGION_UNAVAILABLE)}
        finally:
            clusters["eu"].start()

        async def back() -> bool:
            again = await doors["us"].ask(CARE, lind, id=mira.id)
            return "errors" not in again

        await until(back)
