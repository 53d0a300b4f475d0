"""The straight way beside the app's: whatever a subgraph, a client or another request does, they agree."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

import orjson
import pytest

from deploy.transports import http_transport
from router.config import HttpLimits, RateLimits, RouterConfig
from router.edge import express
from router.edge.answers import Answer
from router.edge.app import RouterApp
from router.edge.express import Express
from router.pipeline import Router
from router.telemetry import operations_count, requests_duration_s
from router.traffic import BreakerPolicy, RetryPolicy, SubgraphTraffic, Traffic
from tests.kit_edge.running import Running, running

pytestmark = pytest.mark.timeout(60)

QUERY = {"query": "{ hello }"}
NAMED = {"query": "query Q($name: String) { hello(name: $name) }", "variables": {"name": "a"}}
GOOD = b'{"data":{"hello":"world"}}'
TRAFFIC = Traffic(
    all=SubgraphTraffic(
        retry=RetryPolicy(attempts_max=2, pause_ms_base=1, unreachable_wait_ms_max=0),
        breaker=BreakerPolicy(failures_percent_max=0),
    )
)
CONFIG = RouterConfig(subgraphs=TRAFFIC, subgraph_timeout_ms_max=2_000, forward_headers=("authorization",))


def http(body: bytes, status: bytes = b"200 OK", *more: bytes, type_: bytes = b"application/json") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"content-type: " + type_, b"content-length: %d" % len(body), *more]
    return b"\r\n".join([*lines, b"", b""]) + body


@dataclass(slots=True)
class Scripted:
    """A subgraph that answers what it is told to, then `GOOD`. None: it closes the connection unasked."""

    url: str = ""
    script: list[bytes | None] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    left: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                self.asked.append(head + await reader.readexactly(length))
                said = self.script.pop(0) if self.script else http(GOOD)
                await self.gate.wait()
                if said is None:
                    return
                writer.write(said)
                if b"connection: close" in said:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left += 1
        finally:
            writer.close()


@asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    subgraph = Scripted()
    subgraph.gate.set()
    async with await asyncio.start_server(subgraph.answer, "127.0.0.1", 0) as server:
        subgraph.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        yield subgraph
        subgraph.gate.set()


@asynccontextmanager
async def serving(
    monkeypatch: pytest.MonkeyPatch, *, straight: bool, config: RouterConfig = CONFIG
) -> AsyncIterator[tuple[Running, Scripted]]:
    with monkeypatch.context() as patch:
        if not straight:
            patch.setattr(RouterApp, "express", None)
        async with scripted() as subgraph:
            transport = http_transport({"only": subgraph.url}, None, config)
            async with running(config, transport=transport) as router:
                try:
                    yield router, subgraph
                finally:
                    while Client.opened:
                        await Client.opened.pop().close()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which requests went straight, by how they did."""
    found: list[str] = []
    began = express._Express.__init__

    def begin(self: Any, *arguments: Any) -> None:
        began(self, *arguments)
        found.append(type(self).__name__)

    monkeypatch.setattr(express._Express, "__init__", begin)
    return found


class Client:
    """One kept connection, raw: the straight way is for requests that come in one piece."""

    opened: ClassVar[list[Client]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.opened.append(self)

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    @classmethod
    async def of(cls, router: Running) -> Client:
        at = urlsplit(router.url)
        return cls(*await asyncio.open_connection(at.hostname, at.port))

    def send(self, request: object, *lines: bytes) -> None:
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        head = [b"POST /graphql HTTP/1.1", b"host: x", b"content-type: application/json", *lines]
        self.writer.write(b"\r\n".join([*head, b"content-length: %d" % len(body), b"", b""]) + body)

    async def answer(self) -> tuple[str, dict[str, str], Any]:
        """Status line, headers, body; the trace id, which is each request's own, as `TRACE`."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        status, *lines = head.split("\r\n")[:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        body = await asyncio.wait_for(self.reader.readexactly(int(headers["content-length"])), 10)
        trace_id = headers.pop("stadion-trace-id")
        assert len(trace_id) == 32
        return status, headers, json.loads(body.replace(trace_id.encode(), b"TRACE"))

    async def ask(self, request: object, *lines: bytes) -> tuple[str, dict[str, str], Any]:
        self.send(request, *lines)
        return await self.answer()

    async def warm(self, request: object, *, times: int = 4) -> None:
        for _ in range(times):
            assert (await self.ask(request))[0] == "HTTP/1.1 200 OK"


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
                assert taken[0] == "_Fetching"
                assert set(taken) <= {"_Fetching", "_Running"}  # a task, where no connection is open
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
    assert taken.count("_Fetching") >= 4


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
        assert taken.count("_Following") == 3
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
    "hash": ({**QUERY, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}}, ()),
    "invalid": ({"query": "{ nothing }"}, ()),
    "no JSON": (b"{", ()),
    "wrong variables": ({**NAMED, "variables": {"name": {}}}, ()),
    "form": (b"x", (b"content-encoding: gzip",)),
    "not accepted": (QUERY, (b"accept: image/png",)),
    "events": (QUERY, (b"accept: text/event-stream",)),
    "traced": (QUERY, (b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01",)),
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
    assert not taken or (case, taken[-1]) == ("wrong variables", "_Running")  # the pipeline refuses them


CLOSED: dict[str, Callable[[], RouterConfig]] = {
    "rate": lambda: RouterConfig(rate=RateLimits(requests_per_minute_max=1_000)),
    "compression": lambda: RouterConfig(compression=True),
    "names": lambda: RouterConfig(require_operation_name=True),
    "plans": lambda: RouterConfig(expose_query_plan=True),
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
