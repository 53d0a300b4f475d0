"""Memcached in a test: fixtures that a conftest imports by name."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.absent import absent
from tests.servers.memcached import MemcachedServer, running_memcached
from tests.servers.programs import ServerAbsent


@pytest.fixture(scope="session")
def memcached_url() -> Iterator[str]:
    """A server for this run: the one that is named, else a throw-away one, else the tests are skipped."""
    named = os.environ.get("STADION_TEST_MEMCACHED_URL")
    if named:
        yield named
        return
    try:
        with running_memcached() as server:
            yield server.url
    except ServerAbsent as why:
        absent(why)


@pytest.fixture
def own_memcached() -> Iterator[MemcachedServer]:
    """A server that the test may kill."""
    try:
        with running_memcached() as server:
            yield server
    except ServerAbsent as why:
        absent(why)
