"""The pages over a real accounts subgraph."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from authz.identity.subject import Subject
from deploy.consent_pages import consent_pages
from router.admission import Proxies
from router.edge.credentials import Credentials
from subgraphs.accounts.subgraph import prepare
from tests.kit_clients.scene import Browser, Scene
from tests.kit_subgraphs.accounts import open_world
from tests.kit_subgraphs.programs import administrators, partner
from tests.kit_subgraphs.stores import migrated_sqlite, open_sqlite


@pytest.fixture(scope="session")
def accounts_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated_sqlite(tmp_path_factory.mktemp("accounts"), prepare)


@pytest.fixture
async def scene(tmp_path: Path, accounts_rows: Path) -> AsyncIterator[Scene]:
    async with open_sqlite(tmp_path, "accounts", template=accounts_rows) as relational:
        world = await open_world(relational, prepared=True)
        ada, _ = await administrators(world)
        await world.person("mira")
        program = await partner(world, ada, name="Coach's <b>eye</b>")

        async def authenticate(token: str) -> Subject:
            await world.deliver_revocations()
            return world.verifier.verify(token)

        pages = consent_pages(world.subgraph, Credentials(authenticate=authenticate), Proxies())
        app = Starlette(routes=list(pages))
        found = Scene(world, program, ada, app, Browser.of(app))
        yield found
        await found.browser.http.aclose()
        world.passwords.close()
