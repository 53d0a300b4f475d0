"""MongoDB's protocol in a test: a fixture that a conftest imports by name."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.absent import absent
from tests.servers.ferretdb import running_ferretdb
from tests.servers.mongo_java import running_mongo_java
from tests.servers.programs import ServerAbsent


@pytest.fixture(scope="session")
def mongodb_url() -> Iterator[str]:
    """A server without a database name: the one that is named, else a throw-away one, else a skip."""
    named = os.environ.get("STADION_TEST_MONGODB_URL")
    if named:
        yield named.rstrip("/")
        return
    try:
        with running_ferretdb() as server:
            yield server.url
    except ServerAbsent as why:
        absent(why)


@pytest.fixture(scope="session")
def mongo_java_url() -> Iterator[str]:
    """A throw-away server that changes a document in one step, without a database name; else a skip."""
    try:
        with running_mongo_java() as server:
            yield server.url
    except ServerAbsent as why:
        absent(why)
