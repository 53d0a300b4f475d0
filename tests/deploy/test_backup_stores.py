"""Backups of every store beside the rows: series, graph, documents, events, files, on their real servers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from datastores.backup.graphs import CarriedGraph
from datastores.backup.lines import KeptStore
from datastores.backup.repository import Entry
from datastores.backup.safe import Safe
from datastores.blobs.opening import open_blobs
from datastores.config import StoreUrlProblem
from datastores.documents.opening import open_documents
from datastores.graph.opening import open_graph
from datastores.graph.port import Graph
from datastores.lifecycle import opened
from datastores.relational.copying import TargetNotEmpty
from deploy.backup import back_up, opened_repository
from deploy.carried import carried_names, carried_stores
from deploy.drill import Finding, drill
from deploy.drill_servers import drill_target
from deploy.restore import chosen, restore
from deploy.settings import Settings
from deploy.stores import stores_of
from tests.kit_datastores.fresh import new_bucket, new_databases
from tests.kit_deploy.stores import (
    TOPIC,
    Numbers,
    events_on,
    fill,
    goes_on,
    publish,
    three,
    told,
    until,
    url_of,
)


class Place:
    """Settings of a deployment, its backups and its safe."""

    def __init__(self, folder: Path, settings: Settings, backups: str = "") -> None:
        self.settings = settings
        self.safe = Safe(folder / "safe")
        self.url = backups or f"file:///{folder}/backups"

    async def back_up(self) -> Entry:
        async with opened_repository(self.url, self.safe, create=True) as repository:
            return await back_up(self.settings, repository, self.safe)

    async def restore(self, to: Settings) -> None:
        async with opened_repository(self.url, self.safe, create=False) as repository:
            await restore(to, repository, self.safe, chosen(await repository.backups(), None))

    async def drill(self, *servers: str) -> list[Finding]:
        async with opened_repository(self.url, self.safe, create=False) as repository:
            entry = chosen(await repository.backups(), None)
            return await drill(self.settings, repository, self.safe, entry, servers=servers)


async def test_a_folder_with_every_store_comes_back_and_a_second_backup_costs_nothing(
    tmp_path: Path, seeded_copy: Path
) -> None:
    place = Place(tmp_path, Settings(data_folder=seeded_copy))
    await fill(place.settings)
    assert carried_names(place.settings) == ["series", "graph", "documents"]
    first, second = await place.back_up(), await place.back_up()
    assert (second.rows, second.bytes_added) == (first.rows, 0)
    assert first.rows > 1_700
    new = Settings(data_folder=tmp_path / "new")
    await place.restore(new)
    assert await told(new) == await told(place.settings)
    await goes_on(new)
    findings = {each.what: each for each in await place.drill()}
    assert all(each.ok for each in findings.values())
    assert findings["graph"].told == "563 rows, counted and hashed"
    assert findings["documents"].told == "561 rows, counted and hashed"
    assert findings["series"].ok


async def kept_while(source: Graph, place: Place, happens: Callable[[int], Awaitable[None]]) -> KeptStore:
    """What a backup of `source` holds; `happens` is called as each of its pages is read."""
    reading, turns = type(source).edges, itertools.count()

    async def edges(self: Any, kind: Any, **page: Any) -> Any:
        found = await reading(self, kind, **page)
        await happens(next(turns))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(source), "edges", edges)
        async with opened_repository(place.url, place.safe, create=True) as repository:
            return await CarriedGraph(source).keep(repository, advance=lambda _name, _count: None)


async def test_a_graph_that_is_written_to_while_it_is_read_is_kept_as_it_was_at_one_moment(
    tmp_path: Path, seeded_copy: Path
) -> None:
    place = Place(tmp_path, Settings(data_folder=seeded_copy))
    source = open_graph(url_of(place.settings, "graph"))
    async with opened({"graph": source}):
        await source.befriend([("a", "b"), ("a", "c")])

        async def happens(turn: int) -> None:
            await source.befriend([("x", f"y{turn}")])
            await source.block([("b", "a")])

        kept = await kept_while(source, place, happens)
        assert [table.rows for table in kept.tables] == [2, 0]
        assert await source.blocked_by(["b"]) == {"b": ("a",)}


async def test_a_graph_without_snapshots_is_read_until_two_passes_agree(
    tmp_path: Path, seeded_copy: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on Neo4j: pages of a busy graph are no one moment."""
    place = Place(tmp_path, Settings(data_folder=seeded_copy))
    source = open_graph(url_of(place.settings, "graph"))
    monkeypatch.setattr(type(source), "one_moment", lambda _self: contextlib.nullcontext())
    async with opened({"graph": source}):
        await source.befriend([("a", "b"), ("a", "c")])

        async def happens(turn: int) -> None:
            if turn == 0:  # behind the first page of friends: the block alone would be kept
                await source.block([("b", "a")])

        kept = await kept_while(source, place, happens)
        assert [table.rows for table in kept.tables] == [1, 1]
        assert not caplog.records

        async def always(turn: int) -> None:
            await source.befriend([("x", f"y{turn}")])

        await kept_while(source, place, always)
        assert "not of one moment" in caplog.text


async def test_a_friendship_that_a_block_ended_while_it_was_read_is_not_restored(
    tmp_path: Path, seeded_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no two passes agree the later block wins, as it does in the graph."""
    place = Place(tmp_path, Settings(data_folder=seeded_copy))
    source, target = open_graph(url_of(place.settings, "graph")), open_graph(f"sqlite:///{tmp_path}/t.db")
    monkeypatch.setattr(type(source), "one_moment", lambda _self: contextlib.nullcontext())
    monkeypatch.setattr("datastores.backup.lines.PASSES_MAX", 1)
    async with opened({"graph": source, "target": target}):
        await source.befriend([("a", "b"), ("a", "c")])

        async def happens(turn: int) -> None:
            if turn == 0:
                await source.block([("b", "a")])

        kept = await kept_while(source, place, happens)
        assert [table.rows for table in kept.tables] == [2, 1]
        async with opened_repository(place.url, place.safe, create=False) as repository:
            await CarriedGraph(target).restore(kept, repository, advance=lambda _name, _count: None)
        assert await target.friends(["a"]) == {"a": ("c",)}
        assert await target.blocked_by(["b"]) == {"b": ("a",)}


async def publish_some(settings: Settings) -> None:
    """Twelve events: one group is done, refused the fourth; the other stands before the eighth."""
    done, slow = Numbers(refusing=3), Numbers(waiting_at=7)
    events, stores = events_on(settings, {"done": done, "slow": slow})
    async with opened(stores.rows_in_order()), opened({"events": events}):
        await publish(events, stores, *range(12))
        await until(lambda: 11 in done.seen and slow.waits.is_set())
        assert slow.seen == list(range(7))


async def events_go_on(settings: Settings) -> None:
    """After a restore; what came into the outboxes while the backup ran is fed then."""
    done, slow = Numbers(), Numbers()
    events, stores = events_on(settings, {"done": done, "slow": slow})
    async with opened(stores.rows_in_order()), opened({"events": events}):
        await publish(events, stores, 12)
        await until(lambda: 12 in done.seen and 12 in slow.seen)
        assert done.seen == [12]
        assert slow.seen == list(range(7, 13))
        [(letter, failure)] = await events.dead_letters("done")
        assert (letter.payload["number"], failure) == (3, "ValueError")
        assert await events.retry_dead_letters("done") == 1
        assert await events.lag("slow") == 0


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Any:
    """URLs on all the servers: four databases, four with TimescaleDB, and who makes the rest."""
    postgresql, timescaledb = (
        request.getfixturevalue(f"{name}_url") for name in ("postgresql", "timescaledb")
    )
    with (
        new_databases(postgresql) as databases,
        new_databases(timescaledb, extension="timescaledb") as hypertables,
    ):
        yield databases, hypertables


def on_servers(
    folder: Path, number: int, servers: Any, request: pytest.FixtureRequest, redis: str, bucket: str
) -> Settings:
    """A deployment with a server behind each port."""
    databases, hypertables = servers
    mongodb = f"{request.getfixturevalue('mongodb_url')}/backup{os.getpid()}x{number}"
    urls = {
        "relational_url": databases[2 * number],
        "vault_url": databases[2 * number + 1],
        "series_url": hypertables[number],
        "graph_url": request.getfixturevalue("neo4j_url"),
        "documents_url": mongodb,
        "events_url": redis,
        "blobs_url": bucket,
    }
    secrets = {name: SecretStr(url) for name, url in urls.items()}
    return Settings(data_folder=folder).model_copy(update=secrets)


@pytest.mark.timeout(300)
def test_every_server_is_backed_up_restored_and_counted_in_the_drill(
    tmp_path: Path, seeded_copy: Path, servers: Any, own_redis: Any, request: pytest.FixtureRequest
) -> None:
    """A folder onto servers, from there (its backups in S3) onto other servers, and back into a folder."""
    s3_url = request.getfixturevalue("s3_url")
    redis = [own_redis.url.replace("/0", f"/{number}") for number in range(3)]
    buckets = [new_bucket(s3_url) for _ in range(4)]
    laptop = Place(tmp_path, Settings(data_folder=seeded_copy))
    first = on_servers(tmp_path / "first", 0, servers, request, redis[0], buckets[0])
    place = Place(tmp_path / "second", first, buckets[3])
    second = on_servers(tmp_path / "again", 1, servers, request, redis[1], buckets[1])

    async def run() -> None:
        await fill(laptop.settings)
        kept = await laptop.back_up()
        await laptop.restore(first)
        assert await told(first) == await told(laptop.settings)
        await publish_some(first)
        entry = await place.back_up()
        assert entry.rows > kept.rows
        assert (await place.back_up()).bytes_added == 0
        wanted = await told(first)
        drilled = [servers[0][3], servers[1][3], redis[2], buckets[2]]
        await drill_on_servers(place, [*drilled, url_of(second, "graph"), url_of(second, "documents")])
        async with carried_stores(first, ["graph"]) as lost:
            await lost["graph"].clear()
        await place.restore(second)
        assert await told(second) == wanted
        await goes_on(second)
        await events_go_on(second)
        assert await keys_of(buckets[1]) == await keys_of(buckets[0]) != set()
        with pytest.raises(TargetNotEmpty):
            await place.restore(second.model_copy(update={"data_folder": tmp_path / "third"}))
        back = Settings(data_folder=tmp_path / "back")
        await place.restore(back)
        assert await told(back) == wanted
        await dead_letters_came_along(back)

    asyncio.run(run())


async def drill_on_servers(place: Place, servers: list[str]) -> None:
    """Counted on each server, of which nothing is left that was not there before."""
    target = drill_target(place.settings, servers, Path("unused"))
    in_a_folder = {each.what: each for each in await place.drill()}
    assert [each for each in in_a_folder.values() if not each.ok] == []
    assert "`--server redis://…` restores and counts them" in in_a_folder["events"].told
    findings = await place.drill(*servers)
    assert [each for each in findings if not each.ok] == []
    assert {"series", "graph", "documents", "events"} <= {each.what for each in findings}
    assert all("counted" in each.told for each in findings if each.what in carried_names(target))
    async with three(place.settings) as (_, graph, __):
        assert await graph.friends(["p000"]) == {"p000": ("p001",)}
    assert await keys_of(url_of(target, "blobs")) == set()
    documents = open_documents(url_of(target, "documents"))
    async with opened({"documents": documents}):
        assert await documents.collections() == ()


async def keys_of(bucket: str) -> set[str]:
    blobs = open_blobs(bucket)
    async with opened({"files": blobs}):
        return {key async for key in blobs.list_keys()}


async def dead_letters_came_along(settings: Settings) -> None:
    """From Redis into rows, where a platform without Redis finds them."""
    stores = stores_of(settings)
    stores.events.consume("done", [TOPIC], Numbers())
    async with opened(stores.rows_in_order()), opened({"events": stores.events}):
        [(letter, failure)] = await stores.events.dead_letters("done")
        assert (letter.payload["number"], failure) == (3, "ValueError")


def test_a_drill_takes_no_server_that_no_store_can_be_on(tmp_path: Path) -> None:
    with pytest.raises(StoreUrlProblem, match="restores nothing on `mysql://`"):
        drill_target(Settings(data_folder=tmp_path), ["mysql://h/d"], tmp_path)
