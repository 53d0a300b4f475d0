"""The straight way beside the app's: whatever a subgraph, a client or another request does, they agree."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from router.config import HttpLimits, PersistedConfig, RouterConfig, Safelist
from router.edge.answers import Answer
from router.edge.express import Express
from router.pipeline import Router
from router.telemetry import operations_count, requests_duration_s
from tests.kit_edge.straight import (
    CONFIG,
    GOOD,
    NAMED,
    QUERY,
    TRAFFIC,
    Client,
    Scripted,
    http,
    serving,
    ways_taken,
)

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which requests went straight, by how they did."""
    return ways_taken(monkeypatch)


SAID: dict[str, list[bytes | None]] = {
    "good": [],
    "long": [http(b'{"data":{"hello":"%b"}}' % (b"a" * 100_000))],
    "long, and no JSON": [http(b'{"data":{"hello":"%b}}' % (b"a" * 100_000))],
    "very long": [http(b'{"data":{"hello":"%b"}}' % (b"a" * 2_000_000))],
    "very long, and no JSON": [http(b'{"data":{"hello":"%b}}' % (b"a" * 2_000_000))],
    "very long, with errors": [
        http(b'{"data":{"hello":"%b"},"errors":[{"message":"no"}]}' % (b"a" * 2_000_000))
    ],
    "errors beside data": [http(b'{"data":{"hello":null},"errors":[{"message":"no","path":["hello"]}]}')],
    "errors alone": [http(b'{"errors":[{"message":"no"}]}')],
    "null data": [http(b'{"data":null}')],
    "no data": [http(b"{}")],
    "wrong kind of value": [http(b'{"data":{"hello":{"a":1}}}')],
    "field missing": [http(b'{"data":{}}')],
    "more than was asked": [http(b'{"data":{"hello":"a","other":1},"extensions":{"x":1}}')],
    "no JSON": [http(b"oops")],
    "a list": [http(b"[]")],
    "broken UTF-8": [http(b'{"data":{"hello":"\xff"}}')],
    "HTML": [http(b"<html>", type_=b"text/html")],
    "500 with data": [http(GOOD, b"500 Internal Server Error")],
    "500 without": [http(b"", b"500 Internal Server Error", type_=b"text/plain")],
    "503, then well": [http(b"", b"503 Service Unavailable", b"retry-after: 0")],
    "503 twice": [http(b"", b"503 Service Unavailable")] * 2,
    "lost, then well": [None],
    "lost twice": [None, None],
    "no HTTP": [b"nonsense\r\n\r\n"],
    "chunked": [
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        b"1a\r\n" + GOOD + b"\r\n0\r\n\r\n"
    ],
    "closed after": [http(GOOD, b"200 OK", b"connection: close")],
    "redirect": [http(b"", b"302 Found", b"location: http://127.0.0.1:1/")],
}


@pytest.mark.parametrize("case", SAID)
@pytest.mark.parametrize("request_", [QUERY, NAMED], ids=["plain", "variables"])
async def test_whatever_the_subgraph_says_both_ways_answer_alike(
    case: str, request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch, taken: list[str]
) -> None:
    answers, calls = [], []
    for straight in (True, False):
        async with serving(monkeypatch, straight=straight) as (router, subgraph):
            client = await Client.of(router)
            await client.warm(request_)
            assert bool(taken) is straight, taken
            taken.clear()
            subgraph.script[:] = SAID[case]
            subgraph.asked.clear()
            answers.append([await client.ask(request_) for _ in range(3)])
            calls.append([body.partition(b"\r\n\r\n")[2] for body in subgraph.asked])
            if straight:
                assert taken[0] == "Fetching"
                assert set(taken) <= {"Fetching", "Running"}  # a task, where no connection is open
                taken.clear()
    assert answers[0] == answers[1]
    assert calls[0] == calls[1]
    assert answers[0][2][2] == {"data": {"hello": "world"}}


@pytest.mark.parametrize("levels", [250, 400])
async def test_what_a_subgraph_nests_deeply_costs_no_connection(
    levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deeper than is written quickly: still told, whichever way the query went."""
    config = replace(CONFIG, expose_subgraph_errors=True)
    nested = b"[" * levels + b"]" * levels
    said = http(b'{"data":{"hello":null},"errors":[{"message":"no","extensions":{"deep":%b}}]}' % nested)
    for straight in (True, False):
        async with serving(monkeypatch, straight=straight, config=config) as (router, subgraph):
            client = await Client.of(router)
            await client.warm(QUERY)
            subgraph.script[:] = [said, said]
            for _ in range(2):
                status, _, body = await client.ask(QUERY)
                assert status == "HTTP/1.1 200 OK"
                assert body["errors"][0]["extensions"]["deep"] == json.loads(nested)


async def test_an_answer_that_cannot_be_written_is_masked_and_its_connection_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def text(answer: Answer) -> bytes:
        if "data" in answer.body:
            raise RecursionError
        return orjson.dumps(answer.body)

    async with serving(monkeypatch, straight=True) as (router, _):
        client = await Client.of(router)
        await client.warm(QUERY)
        with monkeypatch.context() as patch:
            patch.setattr(Answer, "text", text)
            status, _, body = await client.ask(QUERY)
        assert status == "HTTP/1.1 500 Internal Server Error"
        assert body["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
        assert (await client.ask(QUERY))[0] == "HTTP/1.1 200 OK"


async def test_each_caller_s_own_headers_reach_the_subgraph(
    monkeypatch: pytest.MonkeyPatch, taken: list[str]
) -> None:
    async with serving(monkeypatch, straight=True) as (router, subgraph):
        client = await Client.of(router)
        await client.warm(QUERY)
        subgraph.asked.clear()
        for caller in (b"a", b"b", b"a"):
            await client.ask(QUERY, b"authorization: Bearer " + caller)
        await client.ask(QUERY)
    tokens = [one.partition(b"authorization: Bearer ")[2][:1] for one in subgraph.asked]
    assert tokens == [b"a", b"b", b"a", b""]
    traces = {one.partition(b"traceparent: ")[2].partition(b"\r")[0] for one in subgraph.asked}
    assert len(traces) == 4
    assert taken.count("Fetching") >= 4


async def asked(subgraph: Scripted, times: int) -> None:
    while len(subgraph.asked) < times:
        await asyncio.sleep(0.005)


async def test_equal_queries_under_way_are_answered_by_one_fetch(
    monkeypatch: pytest.MonkeyPatch, taken: list[str]
) -> None:
    async with serving(monkeypatch, straight=True) as (router, subgraph):
        clients = [await Client.of(router) for _ in range(5)]
        await clients[0].warm(QUERY)
        subgraph.asked.clear()
        taken.clear()
        subgraph.gate.clear()
        for client in clients[:4]:
            client.send(QUERY)
        clients[4].send(QUERY, b"authorization: Bearer other")
        await asked(subgraph, 2)
        while len(taken) < 5:
            await asyncio.sleep(0.005)
        subgraph.gate.set()
        assert {(await client.answer())[2]["data"]["hello"] for client in clients} == {"world"}
        assert len(subgraph.asked) == 2
        assert taken.count("Following") == 3
        assert router.app.state.drain.in_flight == 0


@pytest.mark.parametrize("said", [http(GOOD), http(b"oops"), None], ids=["well", "ill", "lost"])
async def test_who_shares_a_query_is_answered_although_the_first_one_leaves(
    said: bytes | None, monkeypatch: pytest.MonkeyPatch, taken: list[str]
) -> None:
    async with serving(monkeypatch, straight=True) as (router, subgraph):
        first, second = [await Client.of(router) for _ in range(2)]
        await first.warm(QUERY)
        subgraph.asked.clear()
        subgraph.gate.clear()
        subgraph.script[:] = [http(b"never"), said]
        first.send(QUERY)
        await asked(subgraph, 1)
        taken.clear()
        second.send(QUERY)
        while not taken:
            await asyncio.sleep(0.005)
        first.writer.close()
        await asked(subgraph, 2)
        subgraph.gate.set()
        answer = (await second.answer())[2]
        assert answer == {"data": {"hello": "world"}} or answer["data"] == {"hello": None}
        assert (await second.ask(QUERY))[2] == {"data": {"hello": "world"}}
        assert router.app.state.drain.in_flight == 0


async def test_a_client_that_leaves_ends_its_fetch(monkeypatch: pytest.MonkeyPatch, taken: list[str]) -> None:
    async with serving(monkeypatch, straight=True) as (router, subgraph):
        client = await Client.of(router)
        await client.warm(QUERY)
        subgraph.asked.clear()
        subgraph.gate.clear()
        client.send(QUERY)
        await asked(subgraph, 1)
        client.writer.close()
        while router.app.state.drain.in_flight:
            await asyncio.sleep(0.005)
        subgraph.gate.set()
        again = await Client.of(router)
        assert (await again.ask(QUERY))[2] == {"data": {"hello": "world"}}


async def test_a_fetch_that_takes_too_long_is_told_as_ever(
    monkeypatch: pytest.MonkeyPatch, taken: list[str]
) -> None:
    answers = []
    for straight in (True, False):
        config = RouterConfig(subgraphs=TRAFFIC, subgraph_timeout_ms_max=300)
        async with serving(monkeypatch, straight=straight, config=config) as (router, subgraph):
            client = await Client.of(router)
            await client.warm(QUERY)
            subgraph.gate.clear()
            answers.append(await client.ask(QUERY))
            subgraph.gate.set()
            assert router.app.state.drain.in_flight == 0
    assert answers[0] == answers[1]
    assert answers[0][2]["data"] == {"hello": None}
    assert answers[0][2]["errors"][0]["message"].endswith("timed out")


async def test_both_ways_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    for straight in (True, False):
        async with serving(monkeypatch, straight=straight) as (router, subgraph):
            client = await Client.of(router)
            await client.warm(QUERY)
            before = _numbers()
            subgraph.script[:] = [http(b"oops"), http(GOOD)]
            for _ in range(3):
                await client.ask(QUERY)
            counted.append([after - one for one, after in zip(before, _numbers(), strict=True)])
    assert counted[0] == counted[1] == [3, 3]


def _numbers() -> list[float]:
    operations = operations_count.values.get(("query", "none"), 0)
    requests = requests_duration_s.values.get(("/graphql", "POST", "200"))
    return [operations, sum(requests.counts) if requests else 0]


LEFT_TO_THE_APP: dict[str, tuple[Any, tuple[bytes, ...]]] = {
    "mutation": ({"query": "mutation { bump }"}, ()),
    "batch": ([QUERY], ()),
    "invalid": ({"query": "{ nothing }"}, ()),
    "no JSON": (b"{", ()),
    "wrong variables": ({**NAMED, "variables": {"name": {}}}, ()),
    "form": (b"x", (b"content-encoding: gzip",)),
    "not accepted": (QUERY, (b"accept: image/png",)),
    "events": (QUERY, (b"accept: text/event-stream",)),
    "cookie": (QUERY, (b"cookie: a=b",)),
}


@pytest.mark.parametrize("case", LEFT_TO_THE_APP)
async def test_what_is_out_of_the_ordinary_is_left_to_the_app(
    case: str, monkeypatch: pytest.MonkeyPatch, taken: list[str]
) -> None:
    request, lines = LEFT_TO_THE_APP[case]
    async with serving(monkeypatch, straight=True) as (router, _):
        client = await Client.of(router)
        await client.warm(QUERY)
        await client.warm(NAMED)
        taken.clear()
        client.send(request, *lines)
        head = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 ")
    assert not taken or (case, taken[-1]) == ("wrong variables", "Running")  # the pipeline refuses them


CLOSED: dict[str, Callable[[], RouterConfig]] = {
    "plans": lambda: RouterConfig(expose_query_plan=True),
    "unregistered documents are logged": lambda: RouterConfig(
        persisted=PersistedConfig(safelist=Safelist.LOG_UNKNOWN)
    ),
}


@pytest.mark.parametrize("case", CLOSED)
async def test_settings_that_every_request_has_to_be_looked_at_for_close_the_straight_way(
    case: str, monkeypatch: pytest.MonkeyPatch, taken: list[str]
) -> None:
    async with serving(monkeypatch, straight=True, config=CLOSED[case]()) as (router, _):
        client = await Client.of(router)
        await client.warm({"query": "query Q { hello }"})
    assert taken == []


async def test_requests_past_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch, taken: list[str]) -> None:
    config = RouterConfig(subgraphs=TRAFFIC, http=HttpLimits(in_flight_max=1))
    async with serving(monkeypatch, straight=True, config=config) as (router, subgraph):
        first, second = [await Client.of(router) for _ in range(2)]
        await first.warm(QUERY)
        subgraph.asked.clear()
        subgraph.gate.clear()
        first.send(QUERY)
        await asked(subgraph, 1)
        status, headers, _ = await second.ask(QUERY)
        assert (status, headers["retry-after"]) == ("HTTP/1.1 503 Service Unavailable", "1")
        subgraph.gate.set()
        assert (await first.answer())[2] == {"data": {"hello": "world"}}


async def test_a_fault_of_the_router_is_masked_and_others_are_told(
    monkeypatch: pytest.MonkeyPatch, taken: list[str]
) -> None:
    async with serving(monkeypatch, straight=True) as (router, _):
        client = await Client.of(router)
        await client.warm(QUERY)

        async def broken(*_: Any) -> None:
            raise RuntimeError("secret")

        monkeypatch.setattr(Router, "_known_plan", lambda *_: None)
        monkeypatch.setattr(Router, "answer", broken)
        status, _, body = await client.ask(QUERY)
        assert status == "HTTP/1.1 500 Internal Server Error"
        assert body["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
        assert "secret" not in str(body)
        assert router.app.state.drain.in_flight == 0


async def test_variables_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, straight=True) as (router, _):
        client = await Client.of(router)
        await client.warm(NAMED)
        await client.warm(QUERY)
        kept: Express = router.app.express  # type: ignore[attr-defined]
        assert list(kept._asked) == [json.dumps(QUERY).encode()]
