"""Metrics, traces and the log: the names that are promised, joined across services, and nobody's secrets."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from authz.errors import InvalidToken
from authz.identity.subject import Subject
from deploy.telemetry import JsonLines, metrics_server, send_traces
from router import telemetry
from router.admission import ClientClass, Demand, DemandControl, Proxies, TelemetryConfig
from router.config import RouterConfig
from router.edge.credentials import Credentials
from router.edge.serve import listen
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.http import HttpTransport
from router.execution.transports.in_process import InProcessTransport
from router.execution.transports.traced import TracedTransport
from router.instruments import OTHER, SERIES_MAX, Counter, Distribution, Instruments
from router.pipeline import GraphQLRequest
from router.telemetry import TRACING, request_trace_id
from tests.kit_edge.running import Running, running
from tests.kit_edge.subgraph import Hall

pytestmark = pytest.mark.timeout(60)
CANARIES = (
    "canary-token",
    "canary-variable",
    "canary-literal",
    "canary-person",
    "192.0.2.77",
    "canary-answer",
)
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collector:
    """A trace collector: decodes what it is sent."""

    def __init__(self) -> None:
        self.bytes = b""
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("content-encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        assert request.headers["content-type"] == "application/x-protobuf"
        self.bytes += body
        exported = ExportTraceServiceRequest.FromString(body)
        for one in exported.resource_spans:
            self.resources.append({it.key: it.value.string_value for it in one.resource.attributes})
            for scope in one.scope_spans:
                self.spans += scope.spans
        return web.Response(body=b"")

    def named(self, name: str) -> list[Any]:
        return [one for one in self.spans if one.name == name]


class Subgraph:
    """A subgraph over HTTP that keeps the headers of its calls."""

    def __init__(self) -> None:
        self.headers: list[Any] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.headers.append(request.headers)
        asked = await request.json()
        if "broken" in asked["query"]:
            return web.json_response({"data": None, "errors": [{"message": "canary-answer"}]})
        return web.json_response({"data": {"hello": "canary-answer", "me": "canary-person"}})


@asynccontextmanager
async def served(handler: Any, path: str) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post(path, handler)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def authenticate(token: str) -> Subject:
    if token != "canary-token":
        raise InvalidToken
    return Subject("canary-person", client_id="canary-client")


async def ask_all(router: Running) -> None:
    """Every way to be answered, with canaries wherever a client may put something."""
    told = {"authorization": "Bearer canary-token", "x-forwarded-for": "192.0.2.77"}
    named = "query Greeting($n: String) { hello(name: $n) me }"
    await router.post({"query": named, "variables": {"n": "canary-variable"}}, traceparent=CALLER, **told)
    await router.post({"query": '{ hello(name: "canary-literal") broken }'}, **told)
    await router.post({"query": '{ canary_literal(name: "canary-literal") }'}, **told)
    await router.post({"query": "query($n: Int) { hello }", "variables": {"n": "canary-variable"}}, **told)
    await router.post({"query": "{ me }"}, authorization="Bearer canary-tokens")


@asynccontextmanager
async def traced_router(collector: Collector, subgraph: Subgraph) -> AsyncIterator[Running]:
    config = RouterConfig(
        proxies=Proxies(trusted=("127.0.0.0/8",)),
        demand=DemandControl(mode=Demand.MEASURE),
        client_classes={"partner": ClientClass(client_ids=("canary-client",))},
    )
    async with served(collector.take, "/v1/traces") as sink, served(subgraph.answer, "/graphql") as called:
        telemetry = TelemetryConfig(otlp_endpoint=sink, traced_percent=100)
        async with running(
            config,
            Credentials(authenticate=authenticate),
            transport=TracedTransport(HttpTransport({"only": f"{called}/graphql"})),
            background=(lambda: send_traces(telemetry, service="stadion-router"),),
        ) as router:
            await asyncio.sleep(0)
            assert TRACING.tracer is not None
            yield router


async def test_a_trace_joins_the_caller_the_router_and_its_subgraphs() -> None:
    collector, subgraph = Collector(), Subgraph()
    async with traced_router(collector, subgraph) as router:
        _, _, response = await router.post({"query": "query Greeting { hello }"}, traceparent=CALLER)
    assert response.headers["stadion-trace-id"] == CALLER.split("-")[1]
    assert TRACING.tracer is None
    assert collector.resources[0]["service.name"] == "stadion-router"
    (root,) = collector.named("router")
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == tuple(CALLER.split("-")[1:3])
    attributes = {it.key: it.value.string_value for it in root.attributes}
    assert attributes["graphql.operation.name"] == "Greeting"
    assert attributes["graphql.operation.type"] == "query"
    assert attributes["http.request.method"] == "POST"
    for name in ("query_parsing", "query_validation", "query_planning", "execution"):
        (span,) = collector.named(name)
        assert span.trace_id == root.trace_id
    (fetch,) = collector.named("fetch")
    assert fetch.parent_span_id == collector.named("execution")[0].span_id
    assert {it.key: it.value.string_value for it in fetch.attributes} == {"subgraph.name": "only"}
    assert subgraph.headers[0]["traceparent"] == f"00-{fetch.trace_id.hex()}-{fetch.span_id.hex()}-01"


async def test_a_call_that_fails_is_a_span_that_says_so() -> None:
    collector = Collector()
    async with traced_router(collector, Subgraph()) as router:
        transport = router.router._transport
        transport._inner.readdress({"only": "http://127.0.0.1:1/graphql"})  # type: ignore[attr-defined]
        status, body, _ = await router.post({"query": "{ hello }"})
    assert (status, body["errors"][0]["extensions"]["code"]) == (200, SubgraphCallFailed.code)
    (fetch,) = collector.named("fetch")
    assert fetch.status.code == 2
    assert {it.key: it.value.string_value for it in fetch.attributes}["error.type"] == SubgraphCallFailed.code


async def test_what_is_not_traced_is_told_to_subgraphs_all_the_same() -> None:
    subgraph = Subgraph()
    async with (
        served(subgraph.answer, "/graphql") as called,
        running(transport=HttpTransport({"only": f"{called}/graphql"})) as router,
    ):
        _, _, response = await router.post({"query": "{ hello }"}, traceparent=CALLER)
        _, _, fresh = await router.post({"query": "{ hello }"})
    ids = [headers["traceparent"].split("-")[1] for headers in subgraph.headers]
    assert ids == [CALLER.split("-")[1], fresh.headers["stadion-trace-id"]]
    assert response.headers["stadion-trace-id"] == ids[0]
    assert all(re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", it["traceparent"]) for it in subgraph.headers)


async def test_no_secret_is_in_any_span_metric_or_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    collector = Collector()
    with caplog.at_level(logging.DEBUG):
        async with traced_router(collector, Subgraph()) as router:
            await ask_all(router)
            metrics = await scraped()
    assert len(collector.named("router")) == 5
    logged = "\n".join(
        f"{it.name} {it.getMessage()}" for it in caplog.records if it.name.startswith("stadion")
    )
    for canary in CANARIES:
        assert canary.encode() not in collector.bytes, canary
        assert canary not in metrics, canary
        assert canary.lower() not in metrics.lower(), canary
        # a subgraph's own error is logged whole: without it nobody could find the fault
        assert canary not in logged or canary == "canary-answer", canary


async def scraped() -> str:
    listening = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/metrics"
    async with metrics_server(listening), aiohttp.ClientSession() as http, http.get(url) as response:
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/plain")
        async with http.get(url.replace("metrics", "graphql")) as other:
            assert other.status == 404
        return await response.text()


async def test_a_scrape_has_what_was_counted_in_the_form_of_prometheus() -> None:
    async with running() as router:
        before = families(await scraped())
        await router.post({"query": "{ hello }"})
        await router.post({"query": "{ no }"})
        after = families(await scraped())
        async with router.http.get(router.url.replace("graphql", "metrics")) as public:
            assert public.status == 404
    label = {"http_route": "/graphql", "http_request_method": "POST", "http_response_status_code": "200"}

    def grown(name: str, **labels: str) -> float:
        return value_of(after, name, labels) - value_of(before, name, labels)

    assert grown("http_server_request_duration_seconds_count", **label) == 2
    assert grown("http_server_request_duration_seconds_bucket", **label, le="+Inf") == 2
    assert 0 < grown("http_server_request_duration_seconds_sum", **label) < 60
    assert grown("stadion_router_graphql_error_total", code="GRAPHQL_VALIDATION_FAILED") == 1
    assert grown("stadion_router_operations_total", kind="query", client="none") == 1
    assert grown("stadion_router_query_planning_plan_duration_seconds_count") == 1
    assert value_of(after, "process_resident_memory_bytes", {}) > 1_000_000


class Clock:
    """Time that stands still until somebody works."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def perf_counter(self) -> float:
        return self.now_s


class Slowly(InProcessTransport):
    """A subgraph call takes five seconds of the clock."""

    def __init__(self, clock: Clock, hall: Hall) -> None:
        super().__init__({"only": hall})
        self._clock = clock

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        answer = await super().fetch(request)
        self._clock.now_s += 5
        return answer


def recorded(one: Distribution) -> tuple[int, float]:
    measured = one.values.get(())
    return (sum(measured.counts), measured.total) if measured else (0, 0.0)


async def test_the_routers_own_part_of_a_request_is_told_without_its_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, hall = Clock(), Hall()
    for module in ("router.telemetry", "router.edge.http", "router.edge.websocket"):
        monkeypatch.setattr(f"{module}.time", clock)
    transport = Slowly(clock, hall)
    took_s = telemetry.requests_duration_s.values

    def took() -> float:
        return sum(one.total for one in took_s.values())

    async def read(request: GraphQLRequest, caller: Subject) -> GraphQLRequest:
        clock.now_s += 0.25  # the router's own work
        return request

    async with running(transport=transport) as router:
        router.router.on_request = read
        before, whole = recorded(telemetry.overhead_s), took()
        assert (await router.post({"query": "{ hello }"}))[0] == 200
        after = recorded(telemetry.overhead_s)
        assert after[0] - before[0] == 1
        assert after[1] - before[1] == pytest.approx(0.25)
        assert took() - whole == pytest.approx(5.25)
        # a refusal has a part of the router's, too; a stream has none that could be told from waiting
        await router.post({"query": "{ no }"})
        async with router.http.post(
            router.url, json={"query": "{ hello }"}, headers={"accept": "text/event-stream"}
        ) as it:
            await it.read()
        assert recorded(telemetry.overhead_s)[0] - after[0] == 1
        assert recorded(telemetry.overhead_s)[1] - after[1] == pytest.approx(0.25)
        before = recorded(telemetry.overhead_s)
        async with connect(router.socket_url, subprotocols=["graphql-transport-ws"]) as socket:
            await socket.send('{"type":"connection_init"}')
            for number, text in enumerate(("{ hello }", "subscription { count(to: 2) }")):
                payload = {"query": text}
                await socket.send(json.dumps({"id": str(number), "type": "subscribe", "payload": payload}))
                while json.loads(await socket.recv())["type"] != "complete":
                    pass
        # of a socket's operations those alone that are answered whole
        assert recorded(telemetry.overhead_s)[0] - before[0] == 1
        assert recorded(telemetry.overhead_s)[1] - before[1] == pytest.approx(0.25)


def test_calls_side_by_side_are_one_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("router.telemetry.time", clock)
    waiting = telemetry.Waiting()
    with waiting:
        clock.now_s += 1
        with waiting:
            clock.now_s += 2
        clock.now_s += 4
    clock.now_s += 8
    with pytest.raises(ValueError, match="lost"), waiting:
        clock.now_s += 16
        raise ValueError("lost")
    assert waiting.total_s == pytest.approx(23)


async def test_levels_are_those_of_the_moment() -> None:
    async with running() as router:
        slow = asyncio.create_task(router.post({"query": "{ slow }"}))
        await router.hall.started.wait()
        headers = {"accept": "text/event-stream"}
        router.hall.started.clear()
        async with router.http.post(router.url, json={"query": "subscription { ticks }"}, headers=headers):
            await router.hall.started.wait()
            found = families(await scraped())
        router.hall.gate.set()
        await slow
    assert value_of(found, "http_server_active_requests", {}) == 1
    assert value_of(found, "stadion_router_session_count_active", {}) == 1
    assert value_of(found, "stadion_router_opened_subscriptions", {}) >= 1
    assert value_of(found, "stadion_router_cache_size", {"cache": "documents"}) == 2
    assert value_of(found, "stadion_router_cache_size", {"cache": "plans"}) == 2


def test_no_metric_is_promised_that_nothing_counts() -> None:
    made = [name for name, one in vars(telemetry).items() if isinstance(one, Counter | Distribution)]
    package = Path(telemetry.__file__).parents[1]
    sources = [path for folder in ("router", "deploy") for path in (package / folder).rglob("*.py")]
    texts = [path.read_text(encoding="utf-8") for path in sources if path.name != "telemetry.py"]
    uses = [re.compile(rf"\b{name}\.(add|set|record|series)\(") for name in made]
    idle = [name for name, use in zip(made, uses, strict=True) if not any(use.search(text) for text in texts)]
    assert idle == []


def families(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value_of(found: dict[Any, float], name: str, labels: dict[str, str]) -> float:
    return found.get((name, tuple(sorted(labels.items()))), 0.0)


def test_labels_that_clients_choose_cannot_fill_the_memory() -> None:
    counter = Instruments().counter("it", "of the test", labels=("name",))
    for number in range(SERIES_MAX + 50):
        counter.add(1, {"name": str(number)})
    assert len(counter.values) == SERIES_MAX + 1
    assert counter.values[(OTHER,)] == 50


def test_the_log_as_json_has_the_trace_id_of_its_request() -> None:
    record = logging.LogRecord("stadion.x", logging.WARNING, "f", 1, 'said "%s"', ("hi\n",), None)
    token = request_trace_id.set("ab" * 16)
    line = JsonLines().format(record)
    request_trace_id.reset(token)
    assert "\n" not in line
    told = orjson.loads(line)
    assert told.pop("time")
    assert told == {
        "level": "warning",
        "logger": "stadion.x",
        "message": 'said "hi\n"',
        "trace_id": "ab" * 16,
    }
    assert "trace_id" not in json.loads(JsonLines().format(record))
