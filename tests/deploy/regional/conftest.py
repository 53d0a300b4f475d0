"""Two regions, embedded for what they do, on two PostgreSQL clusters for what they keep."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.regions import Regions, regional_platform
from deploy.settings import Region, Settings
from tests.kit_regions.people import Door, doors_of


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Regions]:
    """Two regions over embedded stores."""
    settings = Settings(
        data_folder=tmp_path / "data", regions={"eu": Region(), "us": Region()}, home_region="eu"
    )
    async with regional_platform(settings) as running:
        yield running


@pytest.fixture
async def doors(embedded: Regions) -> AsyncIterator[dict[str, Door]]:
    """The doors of both."""
    async with doors_of(embedded) as found:
        yield found
