"""Who is erased leaves series, graph and documents as well, also those of an older backup."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from datastores.backup.safe import Safe
from datastores.documents.port import Document
from datastores.lifecycle import opened
from datastores.series.port import Sample
from deploy.assemble import platform
from deploy.backup import back_up, keep_keys, opened_repository
from deploy.restore import chosen, restore
from deploy.settings import Settings
from deploy.stores import stores_of
from subgraphs.accounts.events import user_erased
from tests.kit_deploy.stores import START_MS, three

PERSON, OTHER = "demo-athlete", "demo-coach"


def beside(folder: Path) -> Settings:
    """A platform that has all three stores, each in a file of its folder."""
    urls = {f"{name}_url": SecretStr(f"sqlite:///{folder}/{name}.db") for name in NAMES}
    return Settings(data_folder=folder, **urls)


NAMES = ("series", "graph", "documents")


async def fill(settings: Settings) -> None:
    async with three(settings) as (series, graph, documents):
        await series.append([Sample(f"{each}/hr", START_MS, 60.0) for each in (PERSON, OTHER)])
        await graph.befriend([(PERSON, OTHER), (OTHER, "third")])
        kept = [Document(each, {"owner_id": each}) for each in (PERSON, OTHER)]
        await documents.insert("plans", kept)


async def who_is_left(settings: Settings) -> list[set[str]]:
    async with three(settings) as (series, graph, documents):
        of_series = {name.split("/")[0] for name in await series.latest([f"{PERSON}/hr", f"{OTHER}/hr"])}
        of_graph = {person for pair in await graph.edges("friends") for person in pair}
        return [of_series, of_graph, {each.id for each in await documents.find("plans")}]


async def test_who_erases_the_account_leaves_series_graph_and_documents(seeded_copy: Path) -> None:
    settings = beside(seeded_copy)
    await fill(settings)
    async with platform(settings) as running:
        events, accounts = running.stores.events, running.stores.relational["accounts"]
        told = [user_erased(PERSON, at_utc=datetime.now(UTC))]
        await accounts.write(lambda c: events.outbox.append(c, told))
        async with asyncio.timeout(60):
            while await events.lag("erased-stores"):
                await asyncio.sleep(0.01)
    assert await who_is_left(settings) == [{OTHER}, {OTHER, "third"}, {OTHER}]


async def test_an_older_backup_does_not_bring_them_back_into_any_of_the_three(
    tmp_path: Path, seeded_copy: Path
) -> None:
    settings, safe, url = beside(seeded_copy), Safe(tmp_path / "safe"), f"file:///{tmp_path}/backups"
    await fill(settings)
    async with opened_repository(url, safe, create=True) as repository:
        await back_up(settings, repository, safe)
    stores = stores_of(settings)
    async with opened({"the vault": stores.vault}):
        await stores.vault.shred(PERSON)
    await keep_keys(settings, safe)
    new = Settings(data_folder=tmp_path / "new")
    async with opened_repository(url, safe, create=False) as repository:
        await restore(new, repository, safe, chosen(await repository.backups(), None))
    assert await who_is_left(new) == [{OTHER}, {OTHER, "third"}, {OTHER}]
