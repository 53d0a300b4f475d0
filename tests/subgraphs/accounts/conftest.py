"""Accounts on SQLite and, where a server can be had, on PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from subgraphs.accounts.subgraph import prepare
from tests.kit_subgraphs.accounts import World, open_world
from tests.kit_subgraphs.stores import migrated_sqlite, open_postgresql, open_sqlite, postgresql_server


@pytest.fixture(scope="session")
def accounts_postgresql_url() -> Iterator[str]:
    with postgresql_server() as url:
        yield url


@pytest.fixture(scope="session")
def accounts_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated_sqlite(tmp_path_factory.mktemp("accounts"), prepare)


@pytest.fixture
async def world(tmp_path: Path, accounts_template: Path) -> AsyncIterator[World]:
    async with open_sqlite(tmp_path, "accounts", template=accounts_template) as relational:
        world = await open_world(relational, prepared=True)
        yield world
        world.passwords.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def any_world(
    request: pytest.FixtureRequest, tmp_path: Path, accounts_template: Path
) -> AsyncIterator[World]:
    """For what depends on the store's own transactions."""
    if request.param == "sqlite":
        opening = open_sqlite(tmp_path, "accounts", template=accounts_template)
    else:
        opening = open_postgresql(request.getfixturevalue("accounts_postgresql_url"))
    async with opening as relational:
        world = await open_world(relational, prepared=request.param == "sqlite")
        yield world
        world.passwords.close()
