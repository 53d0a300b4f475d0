"""`stadion router` with metrics and traces asked for in its settings: each worker on a port of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from tests.edge import test_router_command
from tests.edge.test_router_command import started, subgraph
from tests.kit_edge.supergraphs import supergraph_of
from tests.servers.programs import free_port

pytestmark = pytest.mark.timeout(120)


async def test_a_router_of_two_workers_is_scraped_at_each_and_sends_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_router_command, "START_S_MAX", 60.0)  # two processes, and more to import
    received = asyncio.Event()
    bodies: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        received.set()
        return web.Response()

    collector = web.Application()
    collector.router.add_post("/v1/traces", take)
    runner = web.AppRunner(collector, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = free_port(count=2)
    settings = tmp_path / "router.yaml"
    telemetry = {
        "metrics_address": f"127.0.0.1:{port}",
        "otlp_endpoint": f"http://127.0.0.1:{runner.addresses[0][1]}",
        "traced_percent": 100,
    }
    settings.write_text(yaml.safe_dump({"telemetry": telemetry}))
    file = tmp_path / "supergraph.graphql"
    async with subgraph() as (url, _, _, seen), aiohttp.ClientSession() as http:
        file.write_text(supergraph_of("type Query { hello: String }", url=url))
        async with started(file, "--config", str(settings), "--workers", "2") as (process, endpoint):
            async with http.post(endpoint, json={"query": "query Greeting { hello }"}) as response:
                assert (await response.json()) == {"data": {"hello": "there"}}
                trace_id = response.headers["stadion-trace-id"]
            assert seen[0]["traceparent"].split("-")[1] == trace_id
            told = []
            for number in range(2):
                async with http.get(f"http://127.0.0.1:{port + number}/metrics") as scraped:
                    assert scraped.status == 200
                    told.append(await scraped.text())
            counted = [text for text in told if 'stadion_router_operations_total{client="none"' in text]
            assert len(counted) == 1
            process.terminate()
            await process.wait()
        await received.wait()
    await runner.cleanup()
    assert bytes.fromhex(trace_id) in b"".join(bodies)
    assert b"Greeting" in b"".join(bodies)
