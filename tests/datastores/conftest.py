"""Every adapter of a port as one parametrised fixture: the contract suites run against each."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from datastores.relational.opening import open_relational
from datastores.relational.port import Relational
from datastores.vault.keys import FileKeyProvider
from datastores.vault.sealed import SealedVault
from tests.servers.postgresql import NoPostgresql, running_postgresql

ADAPTERS = ["sqlite", "postgresql"]


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A server for this run: the one that is named, else a throw-away one, else the tests are skipped."""
    named = os.environ.get("STADION_TEST_POSTGRESQL_URL")
    if named:
        yield named
        return
    try:
        with running_postgresql() as server:
            yield server.url
    except NoPostgresql as absent:
        pytest.skip(str(absent))


@pytest.fixture
async def postgresql_schema(postgresql_url: str) -> AsyncIterator[str]:
    """A fresh schema on the server, dropped afterwards."""
    schema = f"t{secrets.token_hex(6)}"
    server = open_relational(postgresql_url)
    await server.open()
    await server.write(lambda c: c.execute(text(f"CREATE SCHEMA {schema}")))
    yield schema
    await server.write(lambda c: c.execute(text(f"DROP SCHEMA {schema} CASCADE")))
    await server.close()


@pytest.fixture(params=ADAPTERS)
def fresh_store(request: pytest.FixtureRequest, tmp_path: Path) -> Relational:
    """An empty relational store, not yet open."""
    if request.param == "sqlite":
        return open_relational(f"sqlite:///{tmp_path}/store.db")
    url = request.getfixturevalue("postgresql_url")
    return open_relational(url, search_path=request.getfixturevalue("postgresql_schema"))


@pytest.fixture
async def store(fresh_store: Relational) -> AsyncIterator[Relational]:
    """An empty, open relational store."""
    await fresh_store.open()
    yield fresh_store
    await fresh_store.close()


@pytest.fixture
async def vault(fresh_store: Relational, tmp_path: Path) -> AsyncIterator[SealedVault]:
    """An empty, open vault."""
    vault = SealedVault(fresh_store, FileKeyProvider(tmp_path / "keys" / "vault.json"))
    await vault.open()
    yield vault
    await vault.close()
