"""A running medical subgraph, empty."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit_datastores import postgresql_schema, postgresql_url
from tests.kit_medical import Medical, running_medical

__all__ = ["postgresql_schema", "postgresql_url"]


@pytest.fixture
async def medical(tmp_path: Path) -> AsyncIterator[Medical]:
    async with running_medical(tmp_path) as running:
        yield running
