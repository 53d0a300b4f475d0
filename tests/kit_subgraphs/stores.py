"""Relational stores for domain tests: a fresh SQLite file, or a fresh schema on a PostgreSQL server."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from datastores.relational.opening import open_relational
from datastores.relational.port import Relational
from tests.servers.postgresql import NoPostgresql, running_postgresql


@contextmanager
def postgresql_server() -> Iterator[str]:
    """A server's URL: the one that is named, else a throw-away one, else the test is skipped."""
    named = os.environ.get("STADION_TEST_POSTGRESQL_URL")
    if named:
        yield named
        return
    try:
        with running_postgresql() as server:
            yield server.url
    except NoPostgresql as absent:
        pytest.skip(str(absent))


@asynccontextmanager
async def open_sqlite(folder: Path, name: str) -> AsyncIterator[Relational]:
    """An empty, open store in `folder`."""
    store = open_relational(f"sqlite:///{folder}/{name}.db")
    await store.open()
    yield store
    await store.close()


@asynccontextmanager
async def open_postgresql(url: str) -> AsyncIterator[Relational]:
    """An empty, open store in a schema of its own, dropped afterwards."""
    schema = f"t{secrets.token_hex(6)}"
    server = open_relational(url)
    await server.open()
    await server.write(lambda c: c.execute(text(f"CREATE SCHEMA {schema}")))
    store = open_relational(url, search_path=schema)
    await store.open()
    yield store
    await store.close()
    await server.write(lambda c: c.execute(text(f"DROP SCHEMA {schema} CASCADE")))
    await server.close()
