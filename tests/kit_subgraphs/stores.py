"""Relational stores for domain tests: a fresh SQLite file, or a fresh schema on a PostgreSQL server."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import text

from datastores.relational.opening import open_relational
from datastores.relational.port import Relational
from tests.servers.absent import absent
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
    except NoPostgresql as why:
        absent(why)


def migrated_sqlite(folder: Path, prepare: Callable[[Relational], Awaitable[None]]) -> Path:
    """A closed SQLite file with a domain's empty tables, to be copied: migrating outlasts most tests."""

    async def make() -> None:
        async with open_sqlite(folder, "template") as store:
            await prepare(store)

    asyncio.run(make())
    return folder / "template.db"


@asynccontextmanager
async def open_sqlite(folder: Path, name: str, *, template: Path | None = None) -> AsyncIterator[Relational]:
    """An open store in `folder`: empty, or a copy of `template`."""
    if template is not None:
        shutil.copy(template, folder / f"{name}.db")
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
