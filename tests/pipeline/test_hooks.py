"""Hooks: what each sees and changes, in which order, and that the README's example does what it says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from websockets.asyncio.client import connect

from authz.identity.subject import ANONYMOUS, Subject
from deploy.cli import every_command
from router.config import RouterConfig
from router.errors import ClientError
from router.execution import IncrementalFormat
from router.execution.transport import SentData, SubgraphRequest, SubgraphResponse
from router.execution.transports.in_process import InProcessTransport
from router.hooks import HookedRouter, Hooks
from router.pipeline import GraphQLRequest, Router
from router.snapshot import snapshot_of
from tests.kit_edge import running as kit_edge_running
from tests.kit_edge.running import running
from tests.kit_edge.subgraph import SDL as HALL
from tests.kit_edge.subgraph import Hall
from tests.kit_edge.supergraphs import supergraph_of

PROTOCOL = "graphql-transport-ws"
README = Path(__file__).parents[2] / "router" / "README.md"
SDL = """
type Query { a: Int b: Int secret: Int @authenticated }
type Subscription { n: Int }
"""


class Calls:
    """A transport that keeps what it was asked, and answers 1."""

    def __init__(self) -> None:
        self.asked: list[SubgraphRequest] = []
        self.closed = False

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        self.asked.append(request)
        if request.whole and "b" not in request.query:
            return SubgraphResponse(None, sent=SentData.of(b'{"a":1}'))
        return SubgraphResponse({"a": 1, "b": 1})

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        self.asked.append(request)
        for number in (1, 2):
            yield SubgraphResponse({"n": number})

    async def close(self) -> None:
        self.closed = True


def hooked(calls: Calls, **hooks: Any) -> HookedRouter:
    config = RouterConfig()
    return HookedRouter(snapshot_of(supergraph_of(SDL), config), calls, config=config, hooks=Hooks(**hooks))


async def ask(router: Router, text: str, name: str | None = None) -> dict[str, Any]:
    return (await router.handle(GraphQLRequest(text=text, operation_name=name), ANONYMOUS)).body()


async def test_each_stage_is_called_once_in_order_with_what_it_names() -> None:
    seen: list[tuple[str, object]] = []

    async def on_request(request, caller):
        seen.append(("request", request.text))
        return replace(request, text="{ b secret }")

    async def on_parsed(request, document, caller):
        seen.append(("parsed", document.kind.value))

    async def on_authorised(allowed, caller):
        seen.append(("authorised", [one.coordinate for one in allowed.denials]))

    async def on_planned(plan, caller):
        seen.append(("planned", type(plan).__name__))

    async def on_call(call):
        seen.append(("call", call.service))
        return replace(call, headers={"x-a": "1"})

    async def on_response(request, response, caller):
        seen.append(("response", response.data))
        return replace(response, extensions={"hooked": True})

    calls = Calls()
    router = hooked(
        calls,
        request=(on_request,), parsed=(on_parsed,), authorised=(on_authorised,), planned=(on_planned,),
        subgraph_request=(on_call,), response=(on_response,),
    )  # fmt: skip
    for _ in range(2):
        body = await ask(router, "{ a }")
    await router.close()
    assert body["data"] == {"b": 1, "secret": None}
    assert body["extensions"] == {"hooked": True}
    assert seen[6:] == [
        ("request", "{ a }"),
        ("parsed", "query"),
        ("authorised", ["Query.secret"]),
        ("planned", "QueryPlan"),
        ("call", "only"),
        ("response", {"b": 1, "secret": None}),
    ]
    assert seen[:6] == seen[6:]
    assert [one.headers for one in calls.asked] == [{"x-a": "1"}] * 2
    assert calls.closed


@pytest.mark.parametrize("at", ["request", "parsed", "authorised", "planned"])
async def test_a_refusal_by_a_hook_asks_no_subgraph(at: str) -> None:
    async def refuse(*_: object) -> Any:
        raise ClientError("not today", code="FORBIDDEN")

    calls = Calls()
    with pytest.raises(ClientError, match="not today"):
        await ask(hooked(calls, **{at: (refuse,)}), "{ a }")
    assert calls.asked == []


async def test_hooks_of_a_stage_see_each_others_changes() -> None:
    def adding(number: int):
        async def add(request, response, caller):
            told = [*response.extensions.get("told", []), number]
            return replace(response, extensions={"told": told})

        return add

    body = await ask(hooked(Calls(), response=(adding(1), adding(2))), "{ a }")
    assert body["extensions"] == {"told": [1, 2]}


async def test_each_event_and_each_deferred_part_is_a_response() -> None:
    seen: list[Mapping[str, Any]] = []

    async def see(request, response, caller):
        seen.append(response.body())
        return response

    router = hooked(Calls(), response=(see,))
    graph = router.snapshot
    for text in ("subscription { n }", "{ a ... @defer { b } }"):
        request = GraphQLRequest(text=text)
        document = await router.read(request, graph)
        if document.defers:
            found = await router.parts(request, document, ANONYMOUS, graph, IncrementalFormat.PENDING)
        else:
            found = await router.events(request, document, ANONYMOUS, graph)
        assert [one.body() async for one in found] == seen
        assert len(seen) == 2
        seen.clear()


async def test_an_answer_that_is_passed_on_as_text_is_values_to_a_hook() -> None:
    async def double(request, response, caller):
        return replace(response, data={"a": response.data["a"] * 2})

    calls = Calls()
    router = hooked(calls, response=(double,))
    for _ in range(50):
        assert await ask(router, "{ a }") == {"data": {"a": 2}}
    assert calls.asked[-1].whole


async def test_a_plain_router_has_no_hook_to_look_at() -> None:
    assert Router.on_request is None
    assert hooked(Calls()).on_request is None


def example() -> Hooks:
    """What the README shows."""
    [text] = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(text, str(README), "exec"), names)
    return names["HOOKS"]


async def test_the_readmes_example_does_what_it_says() -> None:
    calls = Calls()
    config = RouterConfig()
    router = HookedRouter(snapshot_of(supergraph_of(SDL), config), calls, config=config, hooks=example())
    with pytest.raises(ClientError, match="name the operation"):
        await ask(router, "{ a }")
    assert await ask(router, "query Q { a }", "Q") == {"data": {"a": 1}, "extensions": {"operation": "Q"}}
    assert calls.asked[0].headers["x-tenant"] == "none"


async def test_the_edge_calls_the_request_hooks_first_over_http_and_socket() -> None:
    async def other(request: GraphQLRequest, _: Subject) -> GraphQLRequest:
        return replace(request, text='{ hello(name: "hook") }')

    async with running() as router:
        router.router.on_request = other
        assert (await router.post({"query": "{ nothing }"}))[1] == {"data": {"hello": "hello hook"}}
        async with router.http.ws_connect(router.socket_url, protocols=["graphql-transport-ws"]) as socket:
            await socket.send_json({"type": "connection_init"})
            await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": "{ nothing }"}})
            await socket.receive_json()
            assert (await socket.receive_json())["payload"] == {"data": {"hello": "hello hook"}}


@pytest.mark.parametrize("named", ["nowhere_at_all:HOOKS", "json:dumps", "json", ":x"])
def test_hooks_that_are_none_are_refused_in_one_line(tmp_path: Path, named: str) -> None:
    graph = tmp_path / "supergraph.graphql"
    graph.write_text(supergraph_of(SDL))
    outcome = CliRunner().invoke(every_command(), ["router", "--supergraph", str(graph), "--hooks", named])
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith(f"stadion: `--hooks {named}`")
    assert outcome.stderr.count("\n") == 1


STAGES = ("request", "parsed", "authorised", "planned", "subgraph_request", "response")
SERVED = [("{ hello }", "application/json"), ("subscription { count(to: 1) }", "text/event-stream")]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("fault", [RuntimeError("s3cret"), asyncio.CancelledError()], ids=["raises", "ends"])
async def test_a_hook_that_fails_costs_its_operation_alone_and_tells_nothing(
    stage: str, fault: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = True

    async def hook(first: Any, *_: Any) -> Any:
        if failing:
            raise fault
        return _[0] if stage == "response" else first

    def router_of(hall: Hall, config: RouterConfig, *_: object) -> HookedRouter:
        hooks = Hooks(**{stage: (hook,)})
        transport = InProcessTransport({"only": hall})
        return HookedRouter(snapshot_of(supergraph_of(HALL), config), transport, config=config, hooks=hooks)

    monkeypatch.setattr(kit_edge_running, "router_of", router_of)
    async with running() as router, connect(router.socket_url, subprotocols=[PROTOCOL]) as socket:
        for text, accept in SERVED:
            async with router.http.post(router.url, json={"query": text}, headers={"accept": accept}) as it:
                told = await it.text()
            assert "internal error" in told
            assert "s3cret" not in told
        await socket.send(json.dumps({"type": "connection_init"}))
        await socket.recv()
        for id_ in ("1", "2"):
            failing = id_ == "1"
            payload = {"query": "{ hello }"}
            await socket.send(json.dumps({"id": id_, "type": "subscribe", "payload": payload}))
            told = await asyncio.wait_for(socket.recv(), 10)
            assert ("internal error" in told, "s3cret" in told) == (failing, False)
            if json.loads(told)["type"] == "next":
                await socket.recv()  # complete
