"""TimescaleDB in a test: a fixture that a conftest imports by name."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.absent import absent
from tests.servers.programs import ServerAbsent
from tests.servers.timescaledb import running_timescaledb


@pytest.fixture(scope="session")
def timescaledb_url() -> Iterator[str]:
    """A database with the extension: the one that is named, else a throw-away one, else a skip."""
    named = os.environ.get("STADION_TEST_TIMESCALEDB_URL")
    if named:
        yield named
        return
    try:
        with running_timescaledb() as server:
            yield server.url
    except ServerAbsent as why:
        absent(why)
