"""`@stream` on the wire: multipart in both forms, SSE and a socket carry a list's items in parts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import connect

from router.config import RouterConfig
from router.execution import IncrementalFormat
from router.execution.transports.in_process import InProcessTransport
from router.pipeline import Router
from router.snapshot import snapshot_of
from schema.composition import compose
from schema.sources import SubgraphSource
from tests.kit_edge import running as kit
from tests.kit_edge.running import Running, running
from tests.kit_federation.case_files import case_subgraphs, read_case
from tests.kit_federation.incremental_client import merged

pytestmark = pytest.mark.timeout(30)
QUERY = """query ($first: Int!, $late: Boolean!) {
  products @stream(initialCount: $first, if: $late) { name ... @defer(if: $late) { inStock } } }"""
WHOLE = {"products": [{"name": "one", "inStock": True}, {"name": "two", "inStock": False}]}
FORMS = {
    "multipart/mixed;deferSpec=20220824": IncrementalFormat.MULTIPART_2022,
    "multipart/mixed;incrementalSpec=v0.2": IncrementalFormat.PENDING,
    "text/event-stream": IncrementalFormat.PENDING,
}


@pytest.fixture
async def router(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    subgraphs = case_subgraphs(read_case("everyday_mix"))
    sdl = compose(tuple(SubgraphSource(it.name, f"http://{it.name}/", it.sdl) for it in subgraphs))
    assert sdl.supergraph_sdl is not None
    transport = InProcessTransport({it.name: it for it in subgraphs})

    def router_of(_: object, config: RouterConfig, *others: object) -> Router:
        del others
        return Router(snapshot_of(str(sdl.supergraph_sdl), config), transport, config=config)

    monkeypatch.setattr(kit, "router_of", router_of)
    async with running() as it:
        yield it


def asked(**variables: Any) -> dict[str, Any]:
    return {"query": QUERY, "variables": variables}


def parts_in(text: str) -> list[dict[str, Any]]:
    """The JSON of every part or event."""
    if text.startswith("\r\n--"):
        *found, _ = text.split("\r\n---")[1:]
        return [json.loads(part.split("\r\n\r\n", 1)[1]) for part in found]
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("accept", FORMS)
async def test_items_come_in_parts(router: Running, accept: str) -> None:
    headers = {"accept": f"{accept}, application/json"}
    async with router.http.post(router.url, json=asked(first=1, late=True), headers=headers) as it:
        assert it.status == 200
        assert it.headers["content-type"].startswith(accept.split(";")[0])
        parts = parts_in(await it.text())
    assert parts[0]["data"] == {"products": [{"name": "one"}]}
    assert merged(parts, FORMS[accept]).data == WHOLE


@pytest.mark.parametrize("accept", [*FORMS, "application/json"])
async def test_a_variable_that_says_no_makes_one_answer(router: Running, accept: str) -> None:
    headers = {"accept": f"{accept}, application/json"}
    async with router.http.post(router.url, json=asked(first=1, late=False), headers=headers) as it:
        text = await it.text()
    bodies = [json.loads(text)] if text.startswith("{") else parts_in(text)
    assert bodies == [{"data": WHOLE}]


async def test_a_client_that_takes_no_parts_has_the_whole_list(router: Running) -> None:
    async with router.http.post(router.url, json=asked(first=1, late=True)) as it:
        assert await it.json() == {"data": WHOLE}


@pytest.mark.parametrize("accept", FORMS)
async def test_a_count_below_zero_is_an_ordinary_refusal(router: Running, accept: str) -> None:
    headers = {"accept": f"{accept}, application/json"}
    async with router.http.post(router.url, json=asked(first=-1, late=True), headers=headers) as it:
        text = await it.text()
    (body,) = [json.loads(text)] if text.startswith("{") else parts_in(text)
    assert [one["extensions"]["code"] for one in body["errors"]] == ["VALIDATION_INVALID_TYPE_VARIABLE"]


@pytest.mark.parametrize("init", [{}, {"deferSpec": "20220824"}])
async def test_a_socket_gets_one_next_a_part(router: Running, init: dict[str, str]) -> None:
    async with connect(router.socket_url, subprotocols=["graphql-transport-ws"]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": init}))
        await socket.recv()
        message = {"type": "subscribe", "id": "1", "payload": asked(first=1, late=True)}
        await socket.send(json.dumps(message))
        heard = []
        while (one := json.loads(await socket.recv()))["type"] == "next":
            heard.append(one["payload"])
    assert one == {"type": "complete", "id": "1"}
    format_ = IncrementalFormat.MULTIPART_2022 if init else IncrementalFormat.PENDING
    assert merged(heard, format_).data == WHOLE
