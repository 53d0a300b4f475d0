"""The library subgraph, fresh for each test."""

import pytest

from tests.kit_subgraphs.library import Library, open_library


@pytest.fixture
async def library() -> Library:
    return open_library()
