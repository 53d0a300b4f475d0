"""The composition root picks each adapter by its URL."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydantic import SecretStr

from datastores.blobs.files import FileBlobs
from datastores.blobs.s3 import S3Blobs
from datastores.events.embedded import EmbeddedEvents
from datastores.events.outbox import new_event
from datastores.events.redis import RedisEvents
from datastores.lifecycle import opened
from datastores.series.relational import RelationalSeries
from datastores.vault.keys import FileKeyProvider
from datastores.vault.kms import KmsKeyProvider
from deploy.settings import Settings
from deploy.stores import stores_of
from tests.servers.redis import RedisServer


def test_without_a_url_events_are_embedded(tmp_path: Path) -> None:
    assert isinstance(stores_of(Settings(data_folder=tmp_path)).events, EmbeddedEvents)


async def test_with_a_url_events_go_through_redis(tmp_path: Path, own_redis: RedisServer) -> None:
    stores = stores_of(Settings(data_folder=tmp_path, events_url=SecretStr(own_redis.url)))
    assert isinstance(stores.events, RedisEvents)
    async with opened(stores.in_order()), opened({"events": stores.events}):
        stream = stores.events.subscribe(["thing.changed"])
        for source in (stores.relational["profiles"], stores.vault):
            sent = new_event("thing.changed", key="k", payload={})
            await source.write(lambda c, sent=sent: stores.events.outbox.append(c, [sent]))  # type: ignore[misc]
            async with asyncio.timeout(5):
                assert (await anext(stream)).id == sent.id


def test_files_keys_and_series_are_chosen_by_url(tmp_path: Path) -> None:
    embedded = stores_of(Settings(data_folder=tmp_path))
    assert isinstance(embedded.blobs, FileBlobs)
    assert isinstance(embedded.vault._keys, FileKeyProvider)
    assert embedded.series is None
    servers = stores_of(
        Settings(
            data_folder=tmp_path,
            blobs_url=SecretStr("s3://bucket?region=eu-central-1"),
            vault_keys_url=SecretStr("kms+https://:token@kms.example/ring"),
            series_url=SecretStr("postgresql+asyncpg://user:password@db.example/stadion"),
        )
    )
    assert isinstance(servers.blobs, S3Blobs)
    assert isinstance(servers.vault._keys, KmsKeyProvider)
    assert isinstance(servers.series, RelationalSeries)
    assert list(servers.in_order())[-2:] == ["the file store", "the series"]
