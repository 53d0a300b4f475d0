"""Two regions, embedded for what they do, on two PostgreSQL clusters for what they keep."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.regions import Regions, regional_platform
from deploy.settings import Region, Settings
from tests.kit_regions.people import Door, doors_of


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def embedded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Regions]:
    """Two regions over embedded stores, one pair for a module: each test brings people of its own."""
    folder = tmp_path_factory.mktemp("regions") / "data"
    settings = Settings(data_folder=folder, regions={"eu": Region(), "us": Region()}, home_region="eu")
    async with regional_platform(settings) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(embedded: Regions) -> AsyncIterator[dict[str, Door]]:
    """The doors of both."""
    async with doors_of(embedded) as found:
        yield found
