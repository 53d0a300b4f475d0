"""The straight way of plans with several fetches: whatever goes wrong at any hop, it answers as the app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import orjson
import pytest

from deploy.transports import http_transport
from router.config import RouterConfig
from router.edge.app import RouterApp
from schema.composition import compose
from schema.sources import SubgraphSource
from tests.kit_edge.running import Running, running
from tests.kit_edge.straight import TRAFFIC, Client, Scripted, http, scripted, ways_taken

pytestmark = pytest.mark.timeout(60)

LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@requires", "@external"])\n'  # noqa: E501
SDLS = {
    "items": 'type Query { items: [Item] } type Item @key(fields: "id") { id: ID! }',
    "names": 'type Item @key(fields: "id") { id: ID! name: String }',
    "prices": 'type Item @key(fields: "id") { id: ID! price: Int }',
    "taxes": (
        'type Item @key(fields: "id") { id: ID! price: Int @external tax: Int @requires(fields: "price") }'
    ),
}
QUERY = {"query": "{ items { id name tax } }"}
LITERAL = '{ items { id name tax } a: __typename b: __type(name: "%s") { name } }'
CONFIG = RouterConfig(subgraphs=TRAFFIC, subgraph_timeout_ms_max=2_000, expose_subgraph_errors=True)
Hops = dict[str, Scripted]


def of_items(_: bytes) -> bytes:
    return b'{"data":{"items":[{"__typename":"Item","id":"1"},null,{"__typename":"Item","id":"2"}]}}'


def of_entities(field: str, value: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def answer(body: bytes) -> bytes:
        asked = orjson.loads(body)["variables"]["representations"]
        return orjson.dumps(
            {"data": {"_entities": [{"__typename": "Item", field: value(one)} for one in asked]}}
        )

    return answer


GOOD: dict[str, Callable[[bytes], bytes]] = {
    "items": of_items,
    "names": of_entities("name", lambda it: f"n{it['id']}"),
    "prices": of_entities("price", lambda it: int(it["id"]) * 10),
    "taxes": of_entities("tax", lambda it: it["price"] + 1 if isinstance(it["price"], int) else 0),
}
ANSWER = {"items": [{"id": "1", "name": "n1", "tax": 11}, None, {"id": "2", "name": "n2", "tax": 21}]}

FIELDS = {"items": b'"id":"3"', "names": b'"name":"x"', "prices": b'"price":1', "taxes": b'"tax":2'}


def said_at(hop: str) -> dict[str, list[bytes | None]]:
    """What may be said there; no more fields than were asked for, whose order would be anybody's."""
    wrong = FIELDS[hop].partition(b":")[0] + b":{}"
    return {
        "errors alone": [http(b'{"errors":[{"message":"no"}]}')],
        "null data": [http(b'{"data":null}')],
        "null entities": [http(b'{"data":{"_entities":null,"items":null}}')],
        "an entity less": [http(b'{"data":{"_entities":[{"__typename":"Item"}],"items":[]}}')],
        "one null, with its error": [
            http(
                b'{"data":{"_entities":[null,{"__typename":"Item",%b}],"items":[null]},'
                b'"errors":[{"message":"gone","path":["_entities",0]}]}' % FIELDS[hop]
            )
        ],
        "wrong kinds of values": [http(b'{"data":{"_entities":[{%b},3],"items":[{"id":{}},[]]}}' % wrong)],
        "no JSON": [http(b"oops")],
        "HTML": [http(b"<html>", type_=b"text/html")],
        "500": [http(b"", b"500 Internal Server Error", type_=b"text/plain")],
        "503, then well": [http(b"", b"503 Service Unavailable", b"retry-after: 0")],
        "503 twice": [http(b"", b"503 Service Unavailable")] * 2,
        "lost, then well": [None],
        "lost twice": [None, None],
        "no HTTP": [b"nonsense\r\n\r\n"],
        "two answers for one": [http(b'{"data":null}') * 2],
        "an answer by the parser, and more": [
            http(b'{"data":null}', b"200 OK", b"X-Two:  spaces") + http(b'{"data":{"items":[]}}')
        ],
    }


def supergraph_at(urls: dict[str, str]) -> str:
    composed = compose([SubgraphSource(name, urls[name], LINK + sdl) for name, sdl in SDLS.items()])
    assert composed.supergraph_sdl is not None, composed.problems
    return composed.supergraph_sdl


@asynccontextmanager
async def hopping(
    monkeypatch: pytest.MonkeyPatch, *, straight: bool, config: RouterConfig = CONFIG
) -> AsyncIterator[tuple[Running, Hops]]:
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(monkeypatch.context())
        if not straight:
            patch.setattr(RouterApp, "express", None)
        hops = {name: await stack.enter_async_context(scripted(good)) for name, good in GOOD.items()}
        urls = {name: hop.url for name, hop in hops.items()}
        router = await stack.enter_async_context(
            running(config, transport=http_transport(urls, None, config), supergraph=supergraph_at(urls))
        )
        stack.push_async_callback(Client.close_all)
        yield router, hops


async def warm(router: Running, hops: Hops) -> Client:
    client = await Client.of(router)
    await client.warm(QUERY)
    for hop in hops.values():
        hop.asked.clear()
    return client


@pytest.mark.parametrize("hop", GOOD)
async def test_whatever_is_said_at_a_hop_both_ways_answer_alike(
    hop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = ways_taken(monkeypatch)
    answers: list[list[Any]] = [[], []]
    calls: list[list[Any]] = [[], []]
    for number, straight in enumerate((True, False)):
        async with hopping(monkeypatch, straight=straight) as (router, hops):
            client = await warm(router, hops)
            for case, said in said_at(hop).items():
                taken.clear()
                hops[hop].script[:] = said
                answers[number].append((case, await client.ask(QUERY)))
                hops[hop].script.clear()
                answers[number].append((f"after {case}", await client.ask(QUERY)))
                assert taken == (["Running", "Running"] if straight else [])
                bodies = {name: [_call(one) for one in it.asked] for name, it in hops.items()}
                calls[number].append((case, bodies))
            assert router.app.state.drain.in_flight == 0
    for one, other in zip(*answers, strict=True):
        assert one == other
    assert calls[0] == calls[1]
    assert answers[0][-1][1][2] == {"data": ANSWER}


def _call(asked: bytes) -> tuple[bytes, bool]:
    """What a subgraph was asked, and whether it was told of a trace."""
    head, _, body = asked.partition(b"\r\n\r\n")
    return body, b"\r\ntraceparent: 00-" in head


async def test_every_hop_is_told_of_the_caller_s_own_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = ways_taken(monkeypatch)
    async with hopping(monkeypatch, straight=True) as (router, hops):
        client = await warm(router, hops)
        taken.clear()
        client.send(QUERY, b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"stadion-trace-id: " + b"a" * 32 in head
        for hop in hops.values():
            assert [b"traceparent: 00-" + b"a" * 32 in one for one in hop.asked] == [True]
    assert taken == ["Running"]


@pytest.mark.parametrize("hop", ["names", "prices", "taxes"])
async def test_time_that_runs_out_between_hops_is_told_alike(
    hop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = []
    config = RouterConfig(subgraphs=TRAFFIC, request_timeout_ms_max=700, expose_subgraph_errors=True)
    for straight in (True, False):
        async with hopping(monkeypatch, straight=straight, config=config) as (router, hops):
            client = await warm(router, hops)
            hops[hop].gate.clear()
            answers.append(await client.ask(QUERY))
            hops[hop].gate.set()
            assert (await client.ask(QUERY))[2] == {"data": ANSWER}
            assert router.app.state.drain.in_flight == 0
    assert answers[0] == answers[1]
    assert answers[0][2]["errors"]


@pytest.mark.parametrize("hop", GOOD)
async def test_a_client_that_leaves_at_a_hop_ends_what_is_under_way(
    hop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hopping(monkeypatch, straight=True) as (router, hops):
        client = await warm(router, hops)
        hops[hop].gate.clear()
        client.send(QUERY)
        while not hops[hop].asked:
            await asyncio.sleep(0.005)
        client.writer.close()
        while router.app.state.drain.in_flight:
            await asyncio.sleep(0.005)
        hops[hop].gate.set()
        again = await Client.of(router)
        assert (await again.ask(QUERY))[2] == {"data": ANSWER}


async def test_who_shares_is_answered_although_the_first_one_leaves_at_the_last_hop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = ways_taken(monkeypatch)
    async with hopping(monkeypatch, straight=True) as (router, hops):
        first = await warm(router, hops)
        second = await Client.of(router)
        hops["taxes"].gate.clear()
        first.send(QUERY)
        while not hops["taxes"].asked:
            await asyncio.sleep(0.005)
        taken.clear()
        second.send(QUERY)
        while not taken:
            await asyncio.sleep(0.005)
        first.writer.close()
        hops["taxes"].gate.set()
        assert (await second.answer())[2] == {"data": ANSWER}
        assert router.app.state.drain.in_flight == 0


async def test_equal_fetches_of_different_queries_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"query": "query Other { items { id name } }"}
    async with hopping(monkeypatch, straight=True) as (router, hops):
        first = await warm(router, hops)
        second = await Client.of(router)
        await second.warm(other)
        for hop in hops.values():
            hop.asked.clear()
        hops["names"].gate.clear()
        first.send(QUERY)
        while not hops["names"].asked:
            await asyncio.sleep(0.005)
        second.send(other)
        while len(hops["items"].asked) < 2:
            await asyncio.sleep(0.005)
        hops["names"].gate.set()
        assert (await first.answer())[2] == {"data": ANSWER}
        names = [{"id": it["id"], "name": it["name"]} if it else None for it in ANSWER["items"]]
        assert (await second.answer())[2] == {"data": {"items": names}}


async def test_texts_that_differ_in_literals_go_straight_and_are_answered_as_each_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = ways_taken(monkeypatch)
    answers = []
    for straight in (True, False):
        async with hopping(monkeypatch, straight=straight) as (router, hops):
            client = await warm(router, hops)
            taken.clear()
            names = ["Item", "Query", "None", "Item", 'x\\"', "é"]
            answers.append([await client.ask({"query": LITERAL % name}) for name in names])
            assert router.app.state.drain.in_flight == 0
    assert answers[0] == answers[1]
