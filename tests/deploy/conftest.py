"""A seeded data folder, made once, and databases of their own on one server."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.assemble import platform
from deploy.demo.seed import seed_demo
from deploy.settings import Settings
from tests.kit_datastores import postgresql_url
from tests.kit_datastores.mongodb import mongodb_url
from tests.kit_datastores.neo4j import neo4j_server, neo4j_url
from tests.kit_datastores.redis import own_redis
from tests.kit_datastores.s3 import s3_url
from tests.kit_datastores.timescaledb import timescaledb_url

__all__ = [
    "mongodb_url",
    "neo4j_server",
    "neo4j_url",
    "own_redis",
    "postgresql_url",
    "s3_url",
    "timescaledb_url",
]


async def _seed(folder: Path) -> None:
    async with platform(Settings(data_folder=folder)) as running:
        await seed_demo(running, mark=folder / "DEMO")


@pytest.fixture(scope="session")
def seeded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's data folder, of a platform that is stopped. Copy it; do not change it."""
    folder = tmp_path_factory.mktemp("seeded") / "data"
    asyncio.run(_seed(folder))
    return folder


@pytest.fixture
def seeded_copy(tmp_path: Path, seeded_folder: Path) -> Path:
    """The demo's data folder, to be changed."""
    return Path(shutil.copytree(seeded_folder, tmp_path / "data"))


@pytest.fixture
def new_database(postgresql_url: str) -> Iterator[Callable[[], str]]:
    """Makes a database, and gives its URL; dropped afterwards."""
    made: list[str] = []

    def execute(statement: str) -> None:
        async def run() -> None:
            engine = create_async_engine(make_url(postgresql_url), isolation_level="AUTOCOMMIT")
            async with engine.connect() as connection:
                await connection.execute(sa.text(statement))
            await engine.dispose()

        asyncio.run(run())

    def make() -> str:
        name = f"d{secrets.token_hex(6)}"
        execute(f"CREATE DATABASE {name}")
        made.append(name)
        return make_url(postgresql_url).set(database=name).render_as_string(hide_password=False)

    yield make
    for name in made:
        execute(f"DROP DATABASE {name} WITH (FORCE)")
