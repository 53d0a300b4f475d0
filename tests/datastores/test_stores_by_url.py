"""The composition root picks the adapter of the events by its URL."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydantic import SecretStr

from datastores.events.embedded import EmbeddedEvents
from datastores.events.outbox import new_event
from datastores.events.redis import RedisEvents
from datastores.lifecycle import opened
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
