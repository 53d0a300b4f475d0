"""Headers from subgraphs to clients: by rule alone, merged as it says, and never another caller's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict

from authz.identity.subject import ANONYMOUS, Subject
from datastores.cache.opening import open_cache
from router.config import ConfigError, RouterConfig, read_config
from router.edge.app import build_app
from router.edge.drain import Drain
from router.edge.serve import draining_server, listen
from router.execution.answer_cache.cached import AnswerCache, CachedTransport
from router.execution.answer_cache.freshness import collecting
from router.execution.returned import BYTES_MAX, returning
from router.execution.transport import SubgraphRequest, SubgraphTransport
from router.execution.transports.http import HttpTransport
from router.execution.transports.in_process import InProcessTransport
from router.header_settings import Merging
from router.operation.model import OperationKind
from router.pipeline import Router
from router.snapshot import snapshot_of
from schema.composition import compose
from schema.sources import SubgraphSource
from subgraphs.kit.answer_headers import HeadedAnswer

pytestmark = pytest.mark.timeout(30)
SDLS = {
    "left": """
        type Query { left: String slowLeft: String } type Mutation { bump: String }
        type Subscription { ticks: Int }
    """,
    "right": "type Query { right: String }",
}


@dataclass
class Served:
    """A router before two subgraphs. `says` is what each puts into its answers' heads."""

    url: str
    http: aiohttp.ClientSession
    drain: Drain | None = None
    says: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    waited: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, query: str, **headers: str) -> CIMultiDict[str]:
        """The head of the answer to one query."""
        async with self.http.post(self.url, json={"query": query}, headers=headers) as answer:
            assert answer.status == 200
            await answer.read()
            return CIMultiDict(answer.headers)


def config_of(*rules: dict[str, Any], by_name: dict[str, Any] | None = None, **more: Any) -> RouterConfig:
    traffic = {"all": {"response_headers": list(rules), **more}, "by_name": by_name or {}}
    return read_config({"subgraphs": traffic, "http": {"batch_operations_max": 10}})


def propagate(named: str, **more: str) -> dict[str, Any]:
    return {"propagate": {"named": named, **more}}


@asynccontextmanager
async def served(config: RouterConfig) -> AsyncIterator[Served]:
    found = Served("", aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
    apps = web.Application()

    def answering(name: str) -> Any:
        async def answer(request: web.Request) -> web.Response:
            query = (await request.json())["query"]
            found.asked.append(name)
            head = CIMultiDict(found.says.get(name, []))
            if "slowLeft" in query:
                head["x-number"] = str(found.asked.count(name))
                found.waited.set()
                await found.gate.wait()
                return web.json_response({"data": {"slowLeft": "at last"}}, headers=head)
            if query.startswith("subscription"):
                head["content-type"] = "text/event-stream"
                event = b'event: next\ndata: {"data":{"ticks":1}}\n\nevent: complete\ndata:\n\n'
                return web.Response(body=event, headers=head)
            field_name = "bump" if query.startswith("mutation") else name
            return web.json_response({"data": {field_name: name}}, headers=head)

        return answer

    for name in SDLS:
        apps.router.add_post(f"/{name}", answering(name))
    runner = web.AppRunner(apps, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    urls = {name: f"http://127.0.0.1:{port}/{name}" for name in SDLS}
    result = compose([SubgraphSource(name, urls[name], sdl) for name, sdl in SDLS.items()])
    snapshot = snapshot_of(result.supergraph_sdl or "", config)
    transport: SubgraphTransport = HttpTransport(urls, traffic=config.subgraphs)
    if config.subgraphs.keeps_answers:
        store = open_cache("memory://")
        await store.open()
        transport = CachedTransport(transport, AnswerCache(store), snapshot.supergraph, config.subgraphs)
    listening, ready = listen("127.0.0.1", 0), asyncio.Event()
    app = build_app(Router(snapshot, transport, config=config))
    found.drain = app.state.drain
    server = draining_server(app, config, ready=ready.set)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await ready.wait()
    found.url = f"http://127.0.0.1:{listening.getsockname()[1]}/graphql"
    try:
        yield found
    finally:
        found.gate.set()
        await found.http.close()
        server.should_exit = True
        await serving
        listening.close()
        await runner.cleanup()


async def test_nothing_goes_back_without_a_rule() -> None:
    async with served(RouterConfig()) as it:
        it.says["left"] = [("x-cost", "3"), ("set-cookie", "a=b"), ("cache-control", "max-age=60")]
        head = await it.ask("{ left }")
    assert "x-cost" not in head
    assert "set-cookie" not in head
    assert head["cache-control"] == "no-store"


async def test_rules_are_followed_in_their_order_and_for_their_subgraph_alone() -> None:
    rules = (
        {"propagate": {"matching": "x-app-.*"}},
        {"remove": {"named": "X-App-Debug"}},
        propagate("x-old", rename="x-new", default="none"),
        {"insert": {"name": "x-from", "value": "router"}},
    )
    by_name = {"right": {"response_headers": [{"remove": {"matching": ".*"}}, propagate("x-right")]}}
    async with served(config_of(*rules, by_name=by_name)) as it:
        it.says["left"] = [("X-App-Kind", "a"), ("x-app-debug", "1"), ("x-right", "no"), ("x-other", "no")]
        it.says["right"] = [("x-app-kind", "b"), ("x-right", "yes")]
        head = await it.ask("{ left }")
        assert (head["x-app-kind"], head["x-new"], head["x-from"]) == ("a", "none", "router")
        assert not {"x-app-debug", "x-right", "x-other"} & {name.lower() for name in head}
        head = await it.ask("{ right }")
        assert head["x-right"] == "yes"
        assert not {"x-app-kind", "x-new", "x-from"} & {name.lower() for name in head}


@pytest.mark.parametrize(("merging", "values"), [("first", {"l", "r"}), ("append", {"l, r", "r, l"})])
async def test_values_of_several_subgraphs_are_merged_as_the_rule_says(
    merging: str, values: set[str]
) -> None:
    async with served(config_of(propagate("x-part", merging=merging))) as it:
        it.says = {"left": [("x-part", "l")], "right": [("x-part", "r")]}
        head = await it.ask("{ left right }")
        assert head.getall("x-part") == [head["x-part"]]
        assert head["x-part"] in values


async def test_cookies_are_a_line_each_and_how_long_an_answer_is_good_is_the_least_of_all() -> None:
    async with served(config_of(propagate("set-cookie"), propagate("cache-control"))) as it:
        it.says = {
            "left": [
                ("set-cookie", "a=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT"),
                ("set-cookie", "b=2; HttpOnly"),
                ("cache-control", "public, max-age=60"),
            ],
            "right": [("set-cookie", "c=3"), ("cache-control", "public, max-age=30")],
        }
        head = await it.ask("{ left right }")
        cookies = head.getall("set-cookie")
        assert sorted(cookies) == [
            "a=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT", "b=2; HttpOnly", "c=3",
        ]  # fmt: skip
        # no cache between may hand one caller's cookies to another
        assert head["cache-control"] == "max-age=30, private"
        it.says = {"left": [("cache-control", "public, max-age=60")]}
        assert (await it.ask("{ left }"))["cache-control"] == "max-age=60, public"
        assert (await it.ask("{ left right }"))["cache-control"] == "no-store"
        assert (await it.ask("mutation { bump }"))["cache-control"] == "no-store"


async def test_a_subgraph_without_the_rule_says_that_nothing_may_be_kept() -> None:
    by_name = {"left": {"response_headers": [propagate("cache-control")]}}
    async with served(config_of(by_name=by_name)) as it:
        it.says = {one: [("cache-control", "public, max-age=60")] for one in ("left", "right")}
        assert (await it.ask("{ left }"))["cache-control"] == "max-age=60, public"
        assert (await it.ask("{ left right }"))["cache-control"] == "no-store"


@pytest.mark.parametrize("everything", [{"propagate": {"matching": ".*"}}])
async def test_what_belongs_to_the_connection_or_the_router_stays_whatever_matches(
    everything: dict[str, Any],
) -> None:
    kept_back = ("x-accel-redirect", "access-control-allow-origin", "stadion-subject", "keep-alive", "server")
    async with served(config_of(everything)) as it:
        it.says["left"] = [(name, "evil") for name in kept_back] + [("x-fine", "yes"), ("vary", "cookie")]
        head = await it.ask("{ left }")
    assert head["x-fine"] == "yes"
    assert "evil" not in head.values()
    assert head["vary"] == "accept, accept-encoding, authorization"


@pytest.mark.parametrize(
    "rule",
    [
        {"propagate": {"named": "Content-Length"}},
        {"propagate": {"named": "x-a", "rename": "Transfer-Encoding"}},
        {"insert": {"name": "stadion-subject", "value": "admin"}},
        {"propagate": {"named": "a", "matching": "b"}},
        {"propagate": {"matching": "("}},
        {"propagate": {"matching": "a", "rename": "b"}},
        {"propagate": {"named": "a", "merging": "sum"}},
        {"propagate": {"named": "a"}, "remove": {"named": "b"}},
        {},
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        config_of(rule)


async def test_equal_queries_do_not_share_what_a_header_says_of_one_caller() -> None:
    async with served(config_of(propagate("x-number"))) as it:
        asked = [asyncio.create_task(it.ask("{ slowLeft }")) for _ in range(3)]
        while len(it.asked) < 3:
            it.waited.clear()
            await it.waited.wait()
        it.gate.set()
        heads = await asyncio.gather(*asked)
    assert sorted(head["x-number"] for head in heads) == ["1", "2", "3"]


async def test_equal_queries_share_where_no_rule_is_about_callers() -> None:
    rules = ({"insert": {"name": "x-from", "value": "router"}}, propagate("cache-control"))
    async with served(config_of(*rules)) as it:
        first = asyncio.create_task(it.ask("{ slowLeft }"))
        await it.waited.wait()
        second = asyncio.create_task(it.ask("{ slowLeft }"))
        while it.drain is None or it.drain.in_flight < 2:
            await asyncio.sleep(0)
        await it.ask("{ right }")  # by then the second one has joined the first
        it.gate.set()
        heads = await asyncio.gather(first, second)
        assert [head["x-from"] for head in heads] == ["router", "router"]
        assert it.asked.count("left") == 1


async def test_what_was_kept_has_no_header_of_whom_it_was_kept_for() -> None:
    rules = (propagate("set-cookie"), propagate("cache-control"))
    async with served(config_of(*rules, cache={"enabled": True})) as it:
        it.says["left"] = [("cache-control", "public, max-age=60"), ("set-cookie", "session=mine")]
        first = await it.ask("{ left }")
        assert first.getall("set-cookie") == ["session=mine"]
        assert first["cache-control"] == "max-age=60, private"
        second = await it.ask("{ left }")
        assert "set-cookie" not in second
        assert it.asked == ["left"]


async def test_operations_of_one_batch_have_their_headers_together() -> None:
    async with served(config_of(propagate("set-cookie"), propagate("x-part", merging="append"))) as it:
        it.says = {
            "left": [("set-cookie", "a=1"), ("x-part", "l")],
            "right": [("set-cookie", "b=2"), ("x-part", "r")],
        }
        batch = [{"query": "{ left }"}, {"query": "{ right }"}]
        async with it.http.post(it.url, json=batch) as answer:
            assert answer.headers.getall("set-cookie") == ["a=1", "b=2"]
            assert answer.headers["x-part"] == "l, r"


class Local:
    """A subgraph in this process whose answers have heads."""

    async def execute(self, *_: object) -> HeadedAnswer:
        headers = {"x-cost": ["3"], "set-cookie": ["a=1", "b=2"], "x-evil": ["1\r\nx-other: 2"]}
        return HeadedAnswer({"data": {"left": "here"}}, {**headers, "cache-control": ["max-age=5"]})

    def subscribe(self, *_: object) -> AsyncIterator[Any]:
        raise NotImplementedError


async def test_a_subgraph_in_the_same_process_has_headers_too() -> None:
    config = config_of({"propagate": {"matching": ".*"}})
    transport = InProcessTransport({"left": Local()}, traffic=config.subgraphs)
    call = SubgraphRequest("left", OperationKind.QUERY, "{ left }", {}, Subject("mira"))
    with returning() as returned, collecting() as collected:
        assert (await transport.fetch(call)).data == {"left": "here"}
    assert returned.lines() == b"x-cost: 3\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n"
    assert collected.header(shared=True) == "max-age=5, private"
    plain = InProcessTransport({"left": Local()}, traffic=RouterConfig().subgraphs)
    with returning() as returned:
        await plain.fetch(SubgraphRequest("left", OperationKind.QUERY, "{ left }", {}, ANONYMOUS))
    assert returned.lines() == b""


def test_headers_of_one_answer_are_bounded() -> None:
    with returning() as returned:
        for number in range(100):
            returned.add(f"x-{number}", ["v" * 1_000], Merging.APPEND)
    assert 0 < len(returned.lines()) <= BYTES_MAX


SAID = [
    ("set-cookie", "session=mine"),
    ("x-part", "l"),
    ("cache-control", "max-age=60"),
    ("retry-after", "7"),
]
EVERY_HEADER = ({"propagate": {"matching": ".*"}}, propagate("cache-control"), propagate("retry-after"))
SSE = {"subscriptions": {"protocol": "sse"}}


@pytest.mark.parametrize("accept", ["text/event-stream", 'multipart/mixed;subscriptionSpec="1.0"'])
async def test_a_subscriptions_head_is_gone_before_its_subgraph_has_one(accept: str) -> None:
    async with served(config_of(*EVERY_HEADER, **SSE)) as it:
        it.says["left"] = SAID
        plain = await it.ask("{ left }")
        assert (plain["set-cookie"], plain["retry-after"]) == ("session=mine", "7")
        asked = {"query": "subscription { ticks }"}
        async with it.http.post(it.url, json=asked, headers={"accept": accept}) as answer:
            assert '"ticks":1' in await answer.text()
            assert not {"set-cookie", "x-part", "retry-after"} & {name.lower() for name in answer.headers}
            assert answer.headers["cache-control"] == "no-store"


async def test_a_websocket_carries_no_headers_and_none_get_into_its_messages() -> None:
    async with served(config_of(*EVERY_HEADER, **SSE)) as it:
        it.says["left"] = SAID
        async with it.http.ws_connect(it.url, protocols=("graphql-transport-ws",)) as socket:
            await socket.send_json({"type": "connection_init"})
            assert await socket.receive_json() == {"type": "connection_ack"}
            for query, data in (
                ("{ left }", {"left": "left"}),
                ("mutation { bump }", {"bump": "left"}),
                ("subscription { ticks }", {"ticks": 1}),
            ):
                await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": query}})
                assert await socket.receive_json() == {"id": "1", "type": "next", "payload": {"data": data}}
                assert await socket.receive_json() == {"id": "1", "type": "complete"}


async def test_what_the_router_says_as_well_goes_on_by_name_alone() -> None:
    async with served(config_of({"propagate": {"matching": ".*"}})) as it:
        it.says["left"] = SAID
        assert "retry-after" not in await it.ask("{ left }")
    async with served(config_of(propagate("Retry-After"))) as it:
        it.says["left"] = SAID
        assert (await it.ask("{ left }")).getall("retry-after") == ["7"]
