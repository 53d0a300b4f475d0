"""Fixtures of the authorization tests."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from authz.facts import Facts, MemoryFacts
from authz.facts.relational import RelationalFacts
from datastores.relational.opening import open_relational
from datastores.relational.port import Relational
from tests.kit_authz.people import Clock
from tests.servers.absent import absent
from tests.servers.postgresql import NoPostgresql, running_postgresql


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """The server that is named, else a throw-away one, else its tests are skipped."""
    named = os.environ.get("STADION_TEST_POSTGRESQL_URL")
    if named:
        yield named
        return
    try:
        with running_postgresql() as server:
            yield server.url
    except NoPostgresql as why:
        absent(why)


@pytest.fixture
async def postgresql_schema(postgresql_url: str) -> AsyncIterator[str]:
    """A fresh schema on the server, dropped afterwards."""
    schema = f"authz{secrets.token_hex(6)}"
    server = open_relational(postgresql_url)
    await server.open()
    await server.write(lambda c: c.execute(text(f"CREATE SCHEMA {schema}")))
    yield schema
    await server.write(lambda c: c.execute(text(f"DROP SCHEMA {schema} CASCADE")))
    await server.close()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def unopened_facts(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryFacts | Relational:
    """What the adapter stands on."""
    if request.param == "memory":
        return MemoryFacts()
    if request.param == "sqlite":
        return open_relational(f"sqlite:///{tmp_path}/facts.db")
    url = request.getfixturevalue("postgresql_url")
    return open_relational(url, search_path=request.getfixturevalue("postgresql_schema"))


@pytest.fixture
async def facts(unopened_facts: MemoryFacts | Relational) -> AsyncIterator[Facts]:
    """Every adapter of the facts port, empty."""
    if isinstance(unopened_facts, MemoryFacts):
        yield unopened_facts
        return
    await unopened_facts.open()
    adapter = RelationalFacts(unopened_facts)
    await adapter.open()
    yield adapter
    await unopened_facts.close()
