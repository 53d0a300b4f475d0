"""The router as the clients of others see it: graphql-ws, graphql-sse and Apollo Client, as npm has them."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest

from tests.kit_edge.running import Running, running
from tests.servers.absent import absent
from tests.servers.npm_clients import PACKAGE, npm_clients
from tests.servers.programs import ServerAbsent

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def router():
    async with running() as it:
        yield it


async def asked(client: str, router: Running) -> Any:
    try:
        folder = npm_clients()
    except ServerAbsent as why:
        absent(why)
    process = await asyncio.create_subprocess_exec(
        "node",
        str(PACKAGE / "ask.mjs"),
        client,
        router.url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "STADION_NPM_CLIENTS": str(folder)},
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


def data(*values: Any) -> dict[str, Any]:
    return {"seen": [{"data": value} for value in values], "error": None}


async def test_graphql_ws_queries_changes_and_subscribes_on_one_socket(router: Running) -> None:
    found = await asked("graphql-ws", router)
    assert found["query"] == data({"hello": "hello ws"})
    assert found["mutation"] == data({"bump": 1})
    assert found["subscription"] == data({"count": 1}, {"count": 2}, {"count": 3})
    assert found["invalid"] == {"seen": [], "error": ["GRAPHQL_VALIDATION_FAILED"]}
    (failing,) = found["failing"]["seen"]
    assert failing["data"] == {"hello": "hello world", "broken": None}
    assert [error["path"] for error in failing["errors"]] == [["broken"]]
    assert [len(one["seen"]) for one in found["together"]] == [1, 2, 3]


async def test_graphql_sse_gets_answers_and_events(router: Running) -> None:
    found = await asked("graphql-sse", router)
    assert found["query"] == data({"hello": "hello world"})
    assert found["subscription"] == data({"count": 1}, {"count": 2}, {"count": 3})
    (invalid,) = found["invalid"]["seen"]
    assert invalid["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_apollo_client_does_all_that_it_can(router: Running) -> None:
    found = await asked("apollo", router)
    nested = {"__typename": "Nested", "hello": "deep"}
    assert found["query"] == {"hello": "hello apollo", "nested": nested}
    assert found["mutation"] == {"bump": 1}
    assert found["partial"] == {"data": {"hello": "hello world", "broken": None}, "paths": [["broken"]]}
    assert found["invalid"] == ["GRAPHQL_VALIDATION_FAILED"]
    assert found["multipart"] == data({"count": 1}, {"count": 2}, {"count": 3})
    assert found["socket"] == data({"count": 1}, {"count": 2})
    assert found["deferred"]["last"] == {"__typename": "Query", "hello": "hello world", "nested": nested}
    # the hash alone; then hash and text, for it was not known; then the hash alone is enough
    hash_alone, whole = "extensions,operationName,variables", "extensions,operationName,query,variables"
    alone = [one for one in found["persisted"] if one in {hash_alone, "extensions,variables"}]
    with_text = [one for one in found["persisted"] if one in {whole, "extensions,query,variables"}]
    assert (len(alone), len(with_text)) == (2, 1)
    assert len(found["persisted"]) == 3
