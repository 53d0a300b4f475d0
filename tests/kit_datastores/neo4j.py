"""Neo4j in a test: a fixture that a conftest imports by name."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.absent import absent
from tests.servers.neo4j import running_neo4j
from tests.servers.programs import ServerAbsent


@pytest.fixture(scope="session")
def neo4j_url() -> Iterator[str]:
    """A server for this run: the one that is named, else a throw-away one, else the tests are skipped."""
    named = os.environ.get("STADION_TEST_NEO4J_URL")
    if named:
        yield named
        return
    try:
        with running_neo4j() as server:
            yield server.url
    except ServerAbsent as why:
        absent(why)
