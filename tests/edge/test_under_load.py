"""Reloads, restarts and the router's own stop while clients ask: no request fails."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import pytest

from router.config import RouterConfig
from router.edge.app import build_app
from router.edge.persisted import Registered
from router.edge.serve import draining_server, listen
from router.snapshot import snapshot_of
from tests.kit_edge.running import Running, router_of, running
from tests.kit_edge.subgraph import SDL, Hall
from tests.kit_edge.supergraphs import supergraph_of

pytestmark = pytest.mark.timeout(120)
CLIENTS = 8
TEXTS = ("{ hello }", '{ hello(name: "a") me }', "{ nested { nested { hello } } }", "mutation { bump }")


class Load:
    """Clients that ask without a pause; `outcomes` counts what came, by status and content."""

    def __init__(self, url: str) -> None:
        self.outcomes: Counter[str] = Counter()
        self.stop = asyncio.Event()
        self._url = url
        self.asked = asyncio.Condition()

    async def run(self, http: aiohttp.ClientSession, number: int) -> None:
        turn = number
        while not self.stop.is_set():
            turn += 1
            text = TEXTS[turn % len(TEXTS)]
            try:
                async with http.post(self._url, json={"query": text}) as response:
                    body = await response.json()
                    good = response.status == 200 and "errors" not in body
                    self.outcomes["good" if good else f"{response.status} {body}"] += 1
            except aiohttp.ClientConnectorError:
                self.outcomes["refused at the door"] += 1
                return
            except aiohttp.ClientError as failure:
                self.outcomes[type(failure).__name__] += 1
            async with self.asked:
                self.asked.notify_all()

    async def more(self, count: int) -> None:
        """Return once `count` more requests have come back."""
        aim = self.outcomes.total() + count
        async with self.asked:
            await self.asked.wait_for(lambda: self.outcomes.total() >= aim)


async def test_reloads_of_supergraph_and_manifest_lose_no_request() -> None:
    async with running() as router:
        load = Load(router.url)
        clients = [asyncio.create_task(load.run(router.http, number)) for number in range(CLIENTS)]
        taken = []
        for number in range(6):
            await load.more(20)
            sdl = supergraph_of(SDL.replace("counted: Int", f"counted: Int extra{number}: Int"))
            graph = await asyncio.to_thread(snapshot_of, sdl, router.router.config)
            await router.router.take(graph)
            router.app.state.persisted.take(Registered({str(number): "{ hello }"}))
            taken.append(graph)
        await load.more(20)
        load.stop.set()
        await asyncio.gather(*clients)
    assert set(load.outcomes) == {"good"}
    assert router.router.snapshot is taken[-1]
    # the hottest were planned before the new graph served
    assert len(taken[-1].plans) >= 3


async def test_a_stop_under_load_answers_all_that_was_accepted() -> None:
    hall, config = Hall(), RouterConfig()
    listening, ready = listen("127.0.0.1", 0), asyncio.Event()
    app = build_app(router_of(hall, config))
    server = draining_server(app, config, ready=ready.set)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await ready.wait()
    load = Load(f"http://127.0.0.1:{listening.getsockname()[1]}/graphql")
    # each request on a connection of its own: one that is kept may be closed just as it is used again
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        clients = [asyncio.create_task(load.run(http, number)) for number in range(CLIENTS)]
        await load.more(50)
        slow = asyncio.create_task(http.post(load._url, json={"query": "{ slow }"}))
        await hall.started.wait()
        server.should_exit = True
        while not app.state.drain.stopping:
            await asyncio.sleep(0)
        hall.gate.set()
        async with await slow as response:
            assert (await response.json())["data"] == {"slow": "at last"}
        load.stop.set()
        await asyncio.gather(*clients)
        await serving
    listening.close()
    assert load.outcomes["good"] >= 50
    assert set(load.outcomes) <= {"good", "refused at the door", "ServerDisconnectedError", "ClientOSError"}
    # what a closing listener had not accepted yet never reached the router
    accepted = load.outcomes["ServerDisconnectedError"] + load.outcomes["ClientOSError"]
    assert accepted <= CLIENTS


async def test_streams_go_on_through_reloads_under_load() -> None:
    async with running() as router:
        load = Load(router.url)
        clients = [asyncio.create_task(load.run(router.http, number)) for number in range(2)]
        reading = asyncio.create_task(_read(router))
        await router.hall.started.wait()
        for number in range(5):
            graph = await asyncio.to_thread(snapshot_of, supergraph_of(SDL), router.router.config)
            await router.router.take(graph)
            await router.hall.ticks.put(number)
            await load.more(5)
        await router.hall.ticks.put(None)
        text = (await reading).decode()
        load.stop.set()
        await asyncio.gather(*clients)
    assert set(load.outcomes) == {"good"}
    assert [f'{{"data":{{"ticks":{number}}}}}' in text for number in range(5)] == [True] * 5
    assert "event: complete" in text


async def _read(router: Running) -> bytes:
    headers = {"accept": "text/event-stream"}
    body = {"query": "subscription { ticks }"}
    async with router.http.post(router.url, json=body, headers=headers) as response:
        return await response.read()
