"""Moving up for good: a folder with every store onto every server, killed on the way and begun again."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from datastores.blobs.opening import open_blobs
from datastores.documents.opening import open_documents
from datastores.events.outbox import new_event
from datastores.graph.opening import open_graph
from datastores.lifecycle import opened
from datastores.relational.copying import TargetNotEmpty
from deploy.carried import carried_stores
from deploy.copying import copy_folder
from deploy.settings import Settings
from deploy.stores import stores_of
from tests.kit_datastores.fresh import new_bucket, new_databases
from tests.kit_deploy.stores import TOPIC, Numbers, events_on, fill, goes_on, publish, told, until


class Killed(Exception):
    """The process is gone."""


def killing_after(calls: int) -> Callable[[str, int], None]:
    seen: list[str] = []

    def advance(name: str, _count: int) -> None:
        seen.append(name)
        if len(seen) == calls:
            raise Killed(name)

    return advance


async def publish_on_laptop(settings: Settings) -> None:
    """Twelve events, with which one consumer is done but for one that it refused, and another is not."""
    stores, done, slow = stores_of(settings), Numbers(refusing=3), Numbers(waiting_at=7)
    stores.events.consume("done", [TOPIC], done)
    stores.events.consume("slow", [TOPIC], slow)
    async with opened(stores.rows_in_order()), opened({"events": stores.events}):
        made = [new_event(TOPIC, key="k", payload={"number": number}) for number in range(12)]
        await stores.relational["training"].write(lambda c: stores.events.outbox.append(c, made))
        await until(lambda: 11 in done.seen and slow.waits.is_set())
        while await stores.events.lag("done"):
            await asyncio.sleep(0.005)


async def events_go_on(settings: Settings) -> None:
    """Who is done is given nothing again, who is not misses nothing, and nothing old is held back."""
    done, slow = Numbers(), Numbers()
    events, stores = events_on(settings, {"done": done, "slow": slow})
    async with opened(stores.rows_in_order()), opened({"events": events}):
        await publish(events, stores, 12)
        await until(lambda: 12 in done.seen and 12 in slow.seen)
        assert done.seen == [12]
        assert slow.seen == list(range(13))
        [(letter, failure)] = await events.dead_letters("done")
        assert (letter.payload["number"], failure) == (3, "ValueError")
        names = sa.text("SELECT consumer FROM outbox_consumers")
        kept = await stores.relational["training"].read(lambda c: c.execute(names).scalars().all())
        assert kept == ["redis-streams"]


def command(folder: Path, urls: Mapping[str, str]) -> list[str]:
    options = {"relational": "--to"} | {name: f"--{name}-to" for name in urls if name != "relational"}
    words = [word for name, url in urls.items() for word in (options[name], url)]
    return [sys.executable, "-m", "deploy", "copy", "--from", f"file:///{folder}", *words]


async def kill_on_the_way(words: list[str], graph_url: str) -> int:
    """Once the graph has begun to arrive; the exit code."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    graph = open_graph(graph_url)
    async with opened({"graph": graph}):
        while process.poll() is None and not await graph.edges("friends", limit=1):
            await asyncio.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    return await asyncio.to_thread(process.wait)


@pytest.mark.timeout(300)
def test_a_folder_goes_onto_every_server_however_it_is_killed(
    seeded_copy: Path, own_redis: Any, request: pytest.FixtureRequest
) -> None:
    servers = {name: request.getfixturevalue(f"{name}_url") for name in ("postgresql", "timescaledb", "s3")}
    with (
        new_databases(servers["postgresql"], count=2) as databases,
        new_databases(servers["timescaledb"], count=1, extension="timescaledb") as hypertables,
    ):
        urls = {
            "relational": databases[0],
            "vault": databases[1],
            "blobs": new_bucket(servers["s3"]),
            "series": hypertables[0],
            "graph": request.getfixturevalue("neo4j_url"),
            "documents": f"{request.getfixturevalue('mongodb_url')}/copy{os.getpid()}",
            "events": own_redis.url,
        }
        asyncio.run(copied_and_used(seeded_copy, urls))


async def copied_and_used(folder: Path, urls: Mapping[str, str]) -> None:
    laptop = Settings(data_folder=folder)
    secrets = {f"{name}_url": SecretStr(url) for name, url in urls.items()}
    servers = laptop.model_copy(update=secrets)
    await fill(laptop)
    await publish_on_laptop(laptop)
    wanted = await told(laptop)
    async with carried_stores(servers, ["graph", "documents"]) as others:
        for each in others.values():
            await each.clear()  # of tests before this one
        with pytest.raises(Killed):
            await copy_folder(folder, urls, advance=killing_after(30))
        await kill_on_the_way(command(folder, urls), urls["graph"])
        done = await asyncio.to_thread(
            subprocess.run, command(folder, urls), capture_output=True, text=True, check=False
        )
        if done.returncode:  # it was done before it could be killed
            assert "already: copy into an empty one" in done.stderr
        else:
            equal = r"copied \d+ rows, 3 files, 563 edges, 561 documents, \d+ events; source and target are.*"
            assert re.match(equal, done.stdout)
        assert not list(folder.glob("COPY-*"))
        assert await told(servers) == wanted
        with pytest.raises(TargetNotEmpty):
            await copy_folder(folder, urls)
        await files_are_equal(laptop, servers)
        await goes_on(servers)
        await events_go_on(servers)
        for each in others.values():
            await each.clear()


async def files_are_equal(laptop: Settings, servers: Settings) -> None:
    assert servers.blobs_url is not None
    here, there = (
        open_blobs(f"file:///{laptop.data_folder / 'blobs'}"),
        open_blobs(servers.blobs_url.get_secret_value()),
    )
    async with opened({"here": here, "there": there}):
        keys = {key async for key in here.list_keys()}
        assert {key async for key in there.list_keys()} == keys != set()
        for key in keys:
            found = [b"".join([part async for part in blobs.get(key)]) for blobs in (here, there)]
            assert found[0] == found[1]


async def test_a_redis_or_a_database_that_has_something_is_not_mixed_with(
    seeded_copy: Path, own_redis: Any, tmp_path: Path, mongodb_url: str
) -> None:
    laptop, url = Settings(data_folder=seeded_copy), f"{mongodb_url}/full{os.getpid()}"
    await fill(laptop)
    for name in ("documents", "graph"):
        place = {"documents": url, "graph": f"sqlite:///{tmp_path}/graph.db"}[name]
        with pytest.raises(Killed):
            await copy_folder(seeded_copy, {name: place}, advance=killing_after(1))
        for journal in seeded_copy.glob("COPY-*"):
            journal.unlink()  # as if it were another's
        with pytest.raises(TargetNotEmpty, match="copy into an empty one"):
            await copy_folder(seeded_copy, {name: place})
    documents = open_documents(url)
    async with opened({"documents": documents}):
        assert await documents.count("plans") in (0, 560)
