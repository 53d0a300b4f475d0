"""Profiles on SQLite and, where a server can be had, on PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from subgraphs.profiles.subgraph import prepare
from tests.kit_subgraphs.profiles import Club, open_club
from tests.kit_subgraphs.stores import migrated_sqlite, open_postgresql, open_sqlite, postgresql_server


@pytest.fixture(scope="session")
def profiles_postgresql_url() -> Iterator[str]:
    with postgresql_server() as url:
        yield url


@pytest.fixture(scope="session")
def profiles_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated_sqlite(tmp_path_factory.mktemp("profiles"), prepare)


@pytest.fixture
async def club(tmp_path: Path, profiles_template: Path) -> AsyncIterator[Club]:
    async with open_sqlite(tmp_path, "profiles", template=profiles_template) as relational:
        yield await open_club(relational, prepared=True)


@pytest.fixture(params=["sqlite", "postgresql"])
async def any_club(
    request: pytest.FixtureRequest, tmp_path: Path, profiles_template: Path
) -> AsyncIterator[Club]:
    """For what depends on the store's own transactions."""
    if request.param == "sqlite":
        opening = open_sqlite(tmp_path, "profiles", template=profiles_template)
    else:
        opening = open_postgresql(request.getfixturevalue("profiles_postgresql_url"))
    async with opening as relational:
        yield await open_club(relational, prepared=request.param == "sqlite")
