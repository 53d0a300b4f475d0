"""Server stores in a test: fixtures that a conftest imports by name."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import text

from datastores.relational.opening import open_relational
from tests.servers.absent import absent
from tests.servers.postgresql import NoPostgresql, running_postgresql


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
    except NoPostgresql as why:
        absent(why)


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
