"""Subscriptions by callback where several workers share the port: whichever gets a post, its reader does."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from router.execution.transports.callbacks import Callbacks
from router.execution.transports.neighbours import Neighbours
from tests.kit_edge.supergraphs import supergraph_of

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="connections are spread by the kernel on Linux alone"),
]
SDL = "type Query { a: Int } type Subscription { tick(of: Int!): Int }"
CLIENTS, EVENTS = 6, 5


class Emitter:
    """A subgraph that takes subscriptions by callback and posts, each time on a new connection."""

    def __init__(self) -> None:
        self.terms: dict[int, dict[str, Any]] = {}

    async def handle(self, request: web.Request) -> web.Response:
        asked = await request.json()
        terms = asked["extensions"]["subscription"]
        assert await self.post(terms, "check") == 204
        (number,) = asked["variables"].values()
        self.terms[number] = terms
        return web.json_response({"data": None})

    async def post(self, terms: dict[str, Any], action: str, **more: Any) -> int:
        message = {
            "kind": "subscription", "action": action, "id": terms["subscriptionId"],
            "verifier": terms["verifier"], **more,
        }  # fmt: skip
        async with aiohttp.ClientSession() as http, http.post(terms["callbackUrl"], json=message) as answer:
            return answer.status


async def events_of(http: aiohttp.ClientSession, url: str, number: int) -> list[Any]:
    """All events that a client gets until its stream completes."""
    query = {"query": "subscription ($of: Int!) { tick(of: $of) }", "variables": {"of": number}}
    async with http.post(url, json=query, headers={"accept": "text/event-stream"}) as answer:
        told = (await answer.text()).splitlines()
    events = [json.loads(line.removeprefix("data: ")) for line in told if line.startswith("data: {")]
    return [event["data"]["tick"] for event in events]


async def test_each_reader_gets_its_events_whichever_worker_they_are_posted_to(tmp_path: Path) -> None:
    emitter = Emitter()
    app = web.Application(handler_args={"access_log": None})
    app.router.add_post("/graphql", emitter.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    held = socket.socket()  # takes a port without listening: the callback URL is written before the start
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]
    file, settings = tmp_path / "supergraph.graphql", tmp_path / "router.yaml"
    file.write_text(supergraph_of(SDL, url=f"http://127.0.0.1:{runner.addresses[0][1]}/graphql"))
    settings.write_text(
        f"subgraphs:\n  callback_url: http://127.0.0.1:{port}/callback\n"
        "  all: {subscriptions: {protocol: callback}}\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy", "router", "--supergraph", str(file), "--config", str(settings),
        "--port", str(port), "--workers", "2", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().split()[-1]
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as http:
            clients = [asyncio.create_task(events_of(http, url, number)) for number in range(CLIENTS)]
            while len(emitter.terms) < CLIENTS:
                assert not any(client.done() for client in clients)
                await asyncio.sleep(0.01)
            places = {terms["callbackUrl"].split("/")[-1].split(".")[0] for terms in emitter.terms.values()}
            assert places <= {"0", "1"}
            for event in range(EVENTS):
                for number, terms in emitter.terms.items():
                    payload = {"data": {"tick": number * 100 + event}}
                    assert await emitter.post(terms, "next", payload=payload) == 200
            forged = {**emitter.terms[0], "verifier": "guessed"}
            assert {await emitter.post(forged, "next", payload={"data": {"tick": 0}}) for _ in range(4)} == {
                401
            }
            for terms in emitter.terms.values():
                assert await emitter.post(terms, "complete") == 202
            found = await asyncio.gather(*clients)
            assert await emitter.post(emitter.terms[0], "check") == 404
        assert found == [[number * 100 + event for event in range(EVENTS)] for number in range(CLIENTS)]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        held.close()
        await runner.cleanup()


async def test_a_post_for_another_worker_is_answered_by_that_one(tmp_path: Path) -> None:
    """Both in this process, so that it is sure which of them gets the post."""
    both = [Callbacks("http://router.invalid/callback") for _ in range(2)]
    serving = [
        asyncio.create_task(one.share(Neighbours(tmp_path, number, bytes_max=10_000)))
        for number, one in enumerate(both)
    ]
    await asyncio.sleep(0)
    told: dict[str, Any] = {}

    async def ask(extensions: Any) -> None:
        told.update(extensions["subscription"])
        place = told["callbackUrl"].rsplit("/", 1)[1]
        assert place == f"1.{told['subscriptionId']}"
        message = {"kind": "subscription", "id": told["subscriptionId"], "verifier": told["verifier"]}
        for one in both:
            assert (await one.answer(place, {**message, "action": "check"})).status == 204
        assert (
            await both[0].answer(place, {**message, "action": "next", "payload": {"data": 1}})
        ).status == 200
        assert (
            await both[0].answer(place, {**message, "verifier": "guessed", "action": "check"})
        ).status == 401
        assert (await both[0].answer("1.none", {**message, "action": "check"})).status == 404
        assert (await both[0].answer("7." + told["subscriptionId"], message)).status == 503
        assert (await both[0].answer("../1." + told["subscriptionId"], message)).status == 404
        assert (await both[0].answer(place, {**message, "pad": "x" * 20_000})).status == 503

    events = both[1].payloads("a", ask, heartbeat_ms=0)
    assert await anext(events) == {"data": 1}
    await events.aclose()  # type: ignore[attr-defined]
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)
    assert (await both[0].answer("1." + told["subscriptionId"], {})).status == 503
