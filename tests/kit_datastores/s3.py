"""S3 in a test: a fixture that a conftest imports by name."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.absent import absent
from tests.servers.programs import ServerAbsent
from tests.servers.s3 import running_s3


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """A bucket for this run: the one that is named, else one of a throw-away server, else a skip."""
    named = os.environ.get("STADION_TEST_S3_URL")
    if named:
        yield named
        return
    try:
        with running_s3() as server:
            yield server.url
    except ServerAbsent as why:
        absent(why)
