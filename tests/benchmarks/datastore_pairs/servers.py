# ruff: noqa: E501  # a pair a line reads as the table that it becomes
"""Documents beside motor, a graph beside Neo4j's driver, blobs beside obstore."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import obstore
from motor.motor_asyncio import AsyncIOMotorClient
from neo4j import AsyncGraphDatabase

from datastores.blobs.s3 import S3Blobs
from datastores.documents.mongodb import MongodbDocuments
from datastores.documents.port import Document
from datastores.graph import cypher
from datastores.graph.neo4j import Neo4jGraph
from tests.benchmarks.datastore_pairs.pair import MEAL, MEAL_IDS, Pair, times
from tests.servers.ferretdb import running_ferretdb
from tests.servers.neo4j import running_neo4j
from tests.servers.s3 import running_s3


@asynccontextmanager
async def mongodb(folder: Path) -> AsyncIterator[list[Pair]]:
    """MongoDB's protocol (FerretDB): the same finds."""
    with running_ferretdb() as server:
        documents = MongodbDocuments(f"{server.url}/bench")
        await documents.open()
        client: Any = AsyncIOMotorClient(server.url)
        kept = client["bench"]["meals"]
        await documents.insert("meals", [Document(each, MEAL) for each in MEAL_IDS])
        one = MEAL_IDS[:1]
        yield [
            Pair("documents", "mongodb", "get one", 50, times(50, lambda n: documents.get("meals", one)),
                 times(50, lambda n: kept.find({"_id": {"$in": one}}).to_list(None))),
            Pair("documents", "mongodb", "get 100", 10, times(10, lambda n: documents.get("meals", MEAL_IDS)),
                 times(10, lambda n: kept.find({"_id": {"$in": MEAL_IDS}}).to_list(None))),
        ]  # fmt: skip
        await documents.close()
        client.close()


@asynccontextmanager
async def neo4j(folder: Path) -> AsyncIterator[list[Pair]]:
    """Neo4j: the same Cypher in a managed transaction."""
    with running_neo4j() as server:
        graph = Neo4jGraph(server.url, space="bench")
        await graph.open()
        await graph.befriend([("hub", f"f{n}") for n in range(100)])
        auth = ("neo4j", server.url.split(":")[2].split("@")[0])
        driver: Any = AsyncGraphDatabase.driver(f"neo4j://127.0.0.1:{server.port}", auth=auth)

        async def bare(_: int) -> Any:
            async def work(transaction: Any) -> Any:
                answer = await transaction.run(cypher.FRIENDS, ids=["hub"], space="bench")
                return [record async for record in answer]

            async with driver.session() as session:
                return await session.execute_read(work)

        yield [
            Pair("graph", "neo4j", "friends of one", 30, times(30, lambda n: graph.friends(["hub"])), times(30, bare)),
        ]  # fmt: skip
        await graph.close()
        await driver.close()


@asynccontextmanager
async def s3(folder: Path) -> AsyncIterator[list[Pair]]:
    """S3 (moto): obstore by a client with the same checksums and limits."""
    with running_s3() as server:
        blobs = S3Blobs(server.url)
        await blobs.open()
        content = os.urandom(1_000_000)
        turn = {"ours": 0, "bare": 0}

        async def whole() -> AsyncIterator[bytes]:
            yield content

        async def put(_: int) -> None:
            turn["ours"] += 1
            await blobs.put(f"a/{turn['ours']}", whole(), size_bytes_max=1_000_000)

        async def bare_put(_: int) -> None:
            turn["bare"] += 1
            hashlib.sha256(content).hexdigest()
            await obstore.put_async(blobs._store, f"bare/{turn['bare']}", content, mode="create")

        async def get(_: int) -> None:
            async for _chunk in blobs.get("a/1"):
                pass

        async def bare_get(_: int) -> None:
            async for _chunk in (await obstore.get_async(blobs._store, "kept/a/1")).stream(256 * 1024):
                pass

        yield [
            Pair("blobs", "s3", "put 1 MB, hashed", 5, times(5, put), times(5, bare_put)),
            Pair("blobs", "s3", "get 1 MB", 5, times(5, get), times(5, bare_get)),
        ]  # fmt: skip
        await blobs.close()
