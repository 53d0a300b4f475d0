"""Kept answers from outside: the client's `Cache-Control`, `/invalidation`, and two viewers of one URL."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import typer
from aiohttp import web

from authz.classes import Role
from authz.errors import InvalidToken
from authz.identity.subject import Subject
from datastores.cache.opening import open_cache
from datastores.events.outbox import new_event
from datastores.events.redis import RedisEvents
from datastores.relational.sqlite import SqliteRelational
from deploy.settings import Settings
from deploy.subgraph_side import subgraph_side
from router.config import read_config
from router.edge.app import build_app
from router.edge.credentials import Credentials
from router.edge.invalidation import NoInvalidation, invalidation_route, tags_of
from router.edge.serve import draining_server, listen
from router.execution.answer_cache.cached import AnswerCache
from router.pipeline import Router
from router.snapshot import snapshot_of
from tests.kit_edge.supergraphs import supergraph_of

pytestmark = pytest.mark.timeout(60)
KEY = "a key that nobody guesses"
SETTINGS: dict[str, Any] = {
    "forward_headers": ["x-viewer"],
    "subgraphs": {"by_name": {"only": {"cache": {"enabled": True}}}},
}


@dataclass
class Running:
    """A router that keeps answers, and what its subgraph was asked."""

    url: str
    http: aiohttp.ClientSession
    asked: list[str] = field(default_factory=list)
    cache_control: str = "public, max-age=60"
    extensions: dict[str, Any] = field(default_factory=dict)

    async def ask(self, query: str = "{ hello }", **headers: str) -> tuple[Any, str]:
        async with self.http.post(self.url, json={"query": query}, headers=headers) as answer:
            return (await answer.json())["data"], answer.headers["cache-control"]

    async def forget(self, body: Any, authorization: str | None = KEY) -> int:
        headers = {"authorization": authorization} if authorization is not None else {}
        url = self.url.replace("/graphql", "/invalidation")
        async with self.http.post(url, json=body, headers=headers) as answer:
            return answer.status


async def authenticate(token: str) -> Subject:
    if token not in {"mira", "tomas"}:
        raise InvalidToken
    return Subject(token, roles=frozenset({Role.ATHLETE}))


@asynccontextmanager
async def running(
    settings: Mapping[str, Any] = SETTINGS, *, events_url: str | None = None
) -> AsyncIterator[Running]:
    found = Running("", aiohttp.ClientSession())

    async def answer(request: web.Request) -> web.StreamResponse:
        text = (await request.json())["query"]
        found.asked.append(text)
        viewer = request.headers.get("x-viewer")
        data = {"hello": f"answer {len(found.asked)} for {viewer}"}
        body = {"data": data, "extensions": found.extensions}
        return web.json_response(body, headers={"cache-control": found.cache_control})

    app = web.Application()
    app.router.add_post("/graphql", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = read_config(settings)
    text = supergraph_of(
        "type Query { hello: String } type Mutation { hello: String }",
        url=f"http://127.0.0.1:{runner.addresses[0][1]}/graphql",
    )
    snapshot = snapshot_of(text, config)
    given: Any = {"cache_invalidation_key": KEY, "events_url": events_url}
    side = subgraph_side(snapshot, config, Settings(**given))
    serving_app = build_app(
        Router(snapshot, side.transport, config=config),
        credentials=Credentials(authenticate=authenticate),
        routes=side.routes,
        background=side.background,
    )
    listening, ready = listen("127.0.0.1", 0), asyncio.Event()
    server = draining_server(serving_app, config, ready=ready.set)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await ready.wait()
    found.url = f"http://127.0.0.1:{listening.getsockname()[1]}/graphql"
    try:
        yield found
    finally:
        await found.http.close()
        server.should_exit = True
        await serving
        listening.close()
        await runner.cleanup()


async def test_a_kept_answer_says_how_long_it_is_good() -> None:
    async with running() as router:
        first, said = await router.ask()
        assert said == "max-age=60, public"
        second, said = await router.ask()
        assert second == first
        assert said in {"max-age=60, public", "max-age=59, public"}
        _, said = await router.ask(authorization="Bearer mira")
        assert said.endswith(", private")  # what a caller sees depends on that caller's rights
        _, said = await router.ask("mutation { hello }")
        assert said == "no-store"
        async with router.http.post(router.url, json={"query": "{ none }"}) as refused:
            assert refused.headers["cache-control"] == "no-store"
    assert len(router.asked) == 2


async def test_two_viewers_of_a_private_answer_never_meet() -> None:
    async with running() as router:
        router.cache_control = "private, max-age=60"
        seen: dict[str, Any] = {}
        for _ in range(2):
            for who in ("mira", "tomas"):
                headers = {"authorization": f"Bearer {who}", "x-viewer": who}
                data, said = await router.ask(**headers)
                assert data["hello"].endswith(f"for {who}")
                assert said.endswith("private")
                assert seen.setdefault(who, data) == data
    assert len(router.asked) == 2


async def test_the_endpoint_forgets_for_those_who_hold_the_key() -> None:
    subgraph = [{"kind": "subgraph", "subgraph": "only"}]
    async with running() as router:
        await router.ask()
        for authorization in (None, "", "guess", "Bearer guess", f"Basic {KEY}"):
            assert await router.forget(subgraph, authorization) == 401
        await router.ask()
        assert len(router.asked) == 1
        assert await router.forget([{"kind": "subgraph", "subgraph": "other"}]) == 202
        await router.ask()
        assert len(router.asked) == 1
        for number, authorization in enumerate((KEY, f"Bearer {KEY}"), start=2):
            assert await router.forget(subgraph, authorization) == 202
            await router.ask()
            assert len(router.asked) == number
        assert await router.forget([{"kind": "type", "subgraph": "only", "type": "Query"}]) == 202
        await router.ask()
        assert len(router.asked) == 4


@pytest.mark.parametrize(
    "body",
    [
        None, {}, [], [1], [{}], [{"kind": "subgraph"}], [{"kind": "all"}],
        [{"kind": "type", "subgraph": "a"}],
        [{"kind": "cache_tag", "subgraphs": [], "cache_tag": "x"}],
        [{"kind": "cache_tag", "subgraphs": [1], "cache_tag": "x"}],
        [{"kind": "cache_tag", "subgraphs": ["a"], "cache_tag": str(n)} for n in range(10_001)],
    ],
)  # fmt: skip
def test_what_names_nothing_to_forget_is_refused(body: Any) -> None:
    with pytest.raises(NoInvalidation):
        tags_of(body)


def test_a_key_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        invalidation_route(AnswerCache(open_cache("memory://")), key="short")


async def test_an_event_of_the_bus_forgets_what_it_has_changed(redis_url: str, tmp_path: Path) -> None:
    """Through Redis: told in a domain's own transaction, heard by the router."""
    rule = {"topic": "kept.changed", "subgraphs": ["only"], "cache_tag": "hello-{$event.id}"}
    settings = {**SETTINGS, "subgraphs": {**SETTINGS["subgraphs"], "forget_on": [rule]}}
    store = SqliteRelational(tmp_path / "domain.db")
    await store.open()
    domain = RedisEvents(redis_url, {f"kept {tmp_path.name}": store})
    await domain.open()

    async def told(id_: str) -> None:
        change = new_event("kept.changed", key="k", payload={"id": id_})
        await store.write(lambda connection: domain.outbox.append(connection, [change]))

    try:
        async with running(settings, events_url=redis_url) as router:
            router.extensions = {"apolloCacheTags": ["hello-7"]}
            await router.ask()
            await router.ask()
            assert len(router.asked) == 1
            async with asyncio.timeout(20):
                while len(router.asked) == 1:  # the router may not listen yet: what was told before is lost
                    await told("7")
                    await asyncio.sleep(0.02)
                    await router.ask()
    finally:
        await domain.close()
        await store.close()


def test_events_by_which_is_forgotten_need_a_bus(capsys: pytest.CaptureFixture[str]) -> None:
    rule = {"topic": "kept.changed", "subgraphs": ["only"]}
    config = read_config({**SETTINGS, "subgraphs": {**SETTINGS["subgraphs"], "forget_on": [rule]}})
    snapshot = snapshot_of(supergraph_of("type Query { hello: String }"), config)
    with pytest.raises(typer.Exit):
        subgraph_side(snapshot, config, Settings())
    assert "`STADION_EVENTS_URL`" in capsys.readouterr().err


async def test_routers_of_one_bus_forget_what_one_of_them_is_asked_to(redis_url: str) -> None:
    """Each keeps in a memory of its own: the endpoint of one reaches the other by the bus alone."""
    async with (
        running(events_url=redis_url) as asked,
        running(events_url=redis_url) as other,
        asyncio.timeout(20),
    ):
        first, _ = await other.ask()
        while len(other.asked) == 1:  # either may not be on the bus yet: it refuses then, or hears nothing
            await asked.forget([{"kind": "subgraph", "subgraph": "only"}])
            await asyncio.sleep(0.02)
            again, _ = await other.ask()
        assert again != first


async def test_a_router_that_cannot_tell_the_others_says_so() -> None:
    async with running(events_url="redis://127.0.0.1:1") as router:
        await router.ask()
        assert await router.forget([{"kind": "subgraph", "subgraph": "only"}]) == 503
        await router.ask()
        assert len(router.asked) == 2  # its own store has forgotten


async def test_all_workers_forget_what_one_of_them_is_asked_to(tmp_path: Path) -> None:
    asked: list[str] = []

    async def answer(_: web.Request) -> web.Response:
        asked.append("left")
        head = {"cache-control": "public, max-age=600"}
        return web.json_response({"data": {"hello": f"answer {len(asked)}"}}, headers=head)

    app = web.Application(handler_args={"access_log": None})
    app.router.add_post("/graphql", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    file, settings = tmp_path / "supergraph.graphql", tmp_path / "router.json"
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/graphql"
    file.write_text(supergraph_of("type Query { hello: String }", url=url))
    settings.write_text(json.dumps({"subgraphs": {"all": {"cache": {"enabled": True}}}}))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy", "router", "--supergraph", str(file), "--config", str(settings),
        "--port", "0", "--workers", "2", stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "STADION_CACHE_INVALIDATION_KEY": KEY},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().split()[-1]
        connector = aiohttp.TCPConnector(force_close=True)  # the kernel spreads connections, not requests
        async with aiohttp.ClientSession(connector=connector) as http:
            router = Running(address, http)
            async with asyncio.timeout(25):
                while len(asked) < 2:
                    await router.ask()
            old = {"answer 1", "answer 2"}
            assert (await router.ask())[0]["hello"] in old
            assert await router.forget([{"kind": "subgraph", "subgraph": "only"}]) == 202
            for _ in range(24):
                assert (await router.ask())[0]["hello"] not in old
    finally:
        process.terminate()
        await process.wait()
        await runner.cleanup()
