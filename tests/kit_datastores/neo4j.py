"""Neo4j in a test: a fixture that a conftest imports by name."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.absent import absent
from tests.servers.neo4j import Neo4jServer, running_neo4j
from tests.servers.programs import ServerAbsent


@pytest.fixture(scope="session")
def neo4j_server() -> Iterator[Neo4jServer]:
    """One throw-away server for all tests of this run, for it takes long to start; else a skip."""
    try:
        with running_neo4j() as server:
            yield server
    except ServerAbsent as why:
        absent(why)


@pytest.fixture(scope="session")
def neo4j_url(request: pytest.FixtureRequest) -> str:
    """A server for this run: the one that is named, else a throw-away one, else the tests are skipped."""
    named = os.environ.get("STADION_TEST_NEO4J_URL")
    return named or str(request.getfixturevalue("neo4j_server").url)
