"""Commands that work on the stores themselves, while the platform is not running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from datastores.folder import DataFolder
from deploy.assemble import Platform, platform
from deploy.router_command import fail
from deploy.settings import Settings
from subgraphs.accounts import store as accounts_store


@asynccontextmanager
async def claimed_platform(settings: Settings, *, serving: str | None = None) -> AsyncIterator[Platform]:
    """The platform on a data folder that no other process uses, or one domain beside the others.

    Errors: StoreError.
    """
    folder = DataFolder(settings.data_folder)
    folder.claim(beside=serving)
    try:
        async with platform(settings, serving=serving) as running:
            folder.prepared()
            yield running
    finally:
        folder.release()


async def person_id(running: Platform, login: str) -> str:
    """The id behind a handle or an e-mail address; one line and exit code 1 where there is none."""
    found = await running.stores.relational["accounts"].read(
        lambda connection: accounts_store.credentials_for(connection, login)
    )
    if found is None:
        fail(f"nobody is called `{login}` here: give a handle or an e-mail address")
    return found.user.id
