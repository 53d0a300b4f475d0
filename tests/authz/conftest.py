"""Fixtures of the authorization tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from authz.facts import MemoryFacts
from authz.facts.relational import RelationalFacts
from datastores.relational.sqlite import SqliteRelational
from tests.kit_authz.people import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def facts(request: pytest.FixtureRequest, tmp_path: Path):
    """Every adapter of the facts port, empty."""
    if request.param == "memory":
        yield MemoryFacts()
        return
    relational = SqliteRelational(tmp_path / "facts.db")
    await relational.open()
    adapter = RelationalFacts(relational)
    await adapter.open()
    yield adapter
    await relational.close()
