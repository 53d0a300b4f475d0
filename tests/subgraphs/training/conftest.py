"""Fixtures of the training tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit_training.world import World, world_in


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A fresh training domain."""
    async with world_in(tmp_path) as made:
        yield made
