"""Redis in a test: fixtures that a conftest imports by name."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.absent import absent
from tests.servers.programs import ServerAbsent
from tests.servers.redis import RedisServer, running_redis, running_redis_cluster


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A server for this run: the one that is named, else a throw-away one, else the tests are skipped."""
    named = os.environ.get("STADION_TEST_REDIS_URL")
    if named:
        yield named
        return
    try:
        with running_redis() as server:
            yield server.url
    except ServerAbsent as why:
        absent(why)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that the test may kill."""
    try:
        with running_redis() as server:
            yield server
    except ServerAbsent as why:
        absent(why)


@pytest.fixture(scope="session")
def redis_cluster_url() -> Iterator[str]:
    """A cluster of six processes."""
    try:
        with running_redis_cluster() as url:
            yield url
    except ServerAbsent as why:
        absent(why)
