"""Fixtures of audit: its subgraph over a fresh store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from subgraphs.audit.subgraph import prepare
from tests.kit_subgraphs.audit import Office, open_office
from tests.kit_subgraphs.stores import migrated_sqlite, open_sqlite


@pytest.fixture(scope="session")
def audit_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty file to copy."""
    return migrated_sqlite(tmp_path_factory.mktemp("audit"), prepare)


@pytest.fixture
async def office(tmp_path: Path, audit_template: Path) -> AsyncIterator[Office]:
    async with open_sqlite(tmp_path, "audit", template=audit_template) as relational:
        yield await open_office(relational, prepared=True)
