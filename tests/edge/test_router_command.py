"""`stadion router` and `stadion plan` as programs: start, ready, drain, reload, clear refusals."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from typer.testing import CliRunner

from deploy.cli import every_command
from tests.kit_edge.supergraphs import supergraph_of

pytestmark = pytest.mark.timeout(60)
STADION = (sys.executable, "-m", "deploy")
START_S_MAX = 60.0
"""The goal is 2 s on a quiet machine; a busy one gets more, so that this test tells of hangs only."""


@asynccontextmanager
async def subgraph() -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event, list[dict]]]:
    """A subgraph on a socket: its URL, `asked`, the `gate` that `slow` waits for, the headers it saw."""
    import uvicorn

    from router.edge.serve import listen

    asked, gate, seen = asyncio.Event(), asyncio.Event(), []

    async def answer(request: Request) -> JSONResponse:
        seen.append(dict(request.headers))
        if "slow" in (await request.json())["query"]:
            asked.set()
            await gate.wait()
            return JSONResponse({"data": {"slow": "at last"}})
        if "broken" in (await request.json())["query"]:
            told = {"message": "kaput", "extensions": {"code": "KAPUT", "stack": "x.py"}}
            return JSONResponse({"data": {"broken": None}, "errors": [told]})
        return JSONResponse({"data": {"hello": "there"}})

    answering = Starlette(routes=[Route("/graphql", answer, methods=["POST"])])
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(answering, log_config=None, lifespan="off"))
    server.install_signal_handlers = lambda: None
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/graphql", asked, gate, seen
    finally:
        gate.set()
        server.should_exit = True
        await serving
        listening.close()


@asynccontextmanager
async def started(file: Path, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *STADION, "router", "--supergraph", str(file), "--port", "0", *options, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(START_S_MAX):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("Stadion's router answers at http://127.0.0.1:")
        yield process, line.split()[-1]
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def ask(http: aiohttp.ClientSession, url: str, text: str, **headers: str) -> dict:
    async with http.post(url, json={"query": text}, headers=headers) as response:
        return await response.json()


async def test_a_supergraph_file_is_served_over_http(tmp_path: Path) -> None:
    file = tmp_path / "supergraph.graphql"
    async with subgraph() as (url, _, _, seen), aiohttp.ClientSession() as http:
        file.write_text(supergraph_of("type Query { hello: String }", url=url))
        began = time.monotonic()
        async with started(file, "--forward-header", "X-Tenant") as (_, router):
            assert time.monotonic() - began < START_S_MAX
            async with http.get(router.replace("/graphql", "/health/ready")) as ready:
                assert ready.status == 200
            answer = await ask(http, router, "{ hello }", **{"x-tenant": "blue", "x-other": "red"})
            assert answer == {"data": {"hello": "there"}}
            assert seen[-1]["x-tenant"] == "blue"
            assert "x-other" not in seen[-1]


async def test_in_development_the_schema_subgraphs_errors_and_plans_are_told(tmp_path: Path) -> None:
    file, settings = tmp_path / "supergraph.graphql", tmp_path / "router.yaml"
    async with subgraph() as (url, _, _, _), aiohttp.ClientSession() as http:
        file.write_text(supergraph_of("type Query { hello: String broken: String }", url=url))
        async with started(file, "--dev") as (_, router):
            told = await ask(http, router, '{ __type(name: "Query") { name } }')
            assert told == {"data": {"__type": {"name": "Query"}}}
            (error,) = (await ask(http, router, "{ broken }"))["errors"]
            assert error["message"] == "kaput"
            plan = await ask(http, router, "{ hello }", **{"apollo-expose-query-plan": "true"})
            assert plan["extensions"]
        settings.write_text("exposed_error_codes: [KAPUT]\n")
        async with started(file, "--config", str(settings)) as (_, router):
            refused = await ask(http, router, '{ __type(name: "Query") { name } }')
            assert refused["errors"][0]["extensions"]["code"] == "INTROSPECTION_DISABLED"
            (error,) = (await ask(http, router, "{ broken }"))["errors"]
            assert error["message"] == "kaput"
            assert error["extensions"] == {"code": "KAPUT", "service": "only"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_router_asked_to_stop_answers_what_is_under_way(tmp_path: Path, number) -> None:
    file = tmp_path / "supergraph.graphql"
    async with subgraph() as (url, asked, gate, _), aiohttp.ClientSession() as http:
        file.write_text(supergraph_of("type Query { slow: String }", url=url))
        async with started(file) as (process, router):
            under_way = asyncio.create_task(ask(http, router, "{ slow }"))
            await asked.wait()
            process.send_signal(number)
            while True:  # until the listening socket is closed
                try:
                    _, writer = await asyncio.open_connection(
                        "127.0.0.1", int(router.split(":")[2].split("/")[0])
                    )
                except ConnectionError:  # refused, or reset where it waited to be accepted
                    break
                writer.close()
                await asyncio.sleep(0)
            gate.set()
            assert await under_way == {"data": {"slow": "at last"}}
            assert await process.wait() == 0


async def test_a_changed_file_is_served_without_a_restart_and_a_broken_one_is_not(tmp_path: Path) -> None:
    from deploy.router_command import follow
    from deploy.subgraph_side import urls_of
    from router.config import RouterConfig
    from router.execution.transports.http import HttpTransport
    from router.pipeline import Router
    from router.snapshot import snapshot_of

    file = tmp_path / "supergraph.graphql"
    file.write_text(supergraph_of("type Query { hello: String }"))
    config = RouterConfig()
    transport = HttpTransport({})
    router = Router(snapshot_of(file.read_text(), config), transport, config=config)
    following = asyncio.create_task(
        follow(file, router, lambda it: transport.readdress(urls_of(it)), every_s=0.001)
    )
    first = router.snapshot
    file.write_text("type Query {")
    file.write_text(supergraph_of("type Query { hello: String more: Int }"))
    while router.snapshot is first:
        await asyncio.sleep(0.001)
    assert "more" in router.snapshot.api_schema.query_type.fields
    second = router.snapshot
    file.write_text("nonsense")
    await asyncio.sleep(0.05)
    assert router.snapshot is second
    assert not following.done()
    following.cancel()
    await router.close()


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and error output of a command that ends by itself."""
    result = CliRunner().invoke(every_command(), list(arguments))
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="connections are spread by the kernel on Linux alone")
async def test_workers_share_a_port_and_end_together(tmp_path: Path) -> None:
    file = tmp_path / "supergraph.graphql"
    async with subgraph() as (url, _, _, _):
        file.write_text(supergraph_of("type Query { hello: String }", url=url))
        async with started(file, "--workers", "2") as (process, router):
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            assert len(children.read_text().split()) == 2
            for _ in range(8):  # each on a connection of its own
                async with aiohttp.ClientSession() as http:
                    assert await ask(http, router, "{ hello }") == {"data": {"hello": "there"}}
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 20) == 0


def test_a_file_that_is_no_supergraph_is_refused_in_one_line(tmp_path: Path) -> None:
    for text in (None, "", "type Query { a: Int }", "{{{", "\xff"):
        file = tmp_path / "it.graphql"
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_bytes(text.encode("latin1"))
        code, _, said = run("router", "--supergraph", str(file), "--port", "0")
        assert code == 1
        assert said.startswith("stadion: ")
        assert said.count("\n") == 1
        assert str(file) in said


async def test_a_busy_port_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "it.graphql"
    file.write_text(supergraph_of("type Query { a: Int }"))
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = str(taken.sockets[0].getsockname()[1])
    code, _, said = run("router", "--supergraph", str(file), "--port", port)
    taken.close()
    assert code == 1
    assert (
        said == f"stadion: cannot listen on `127.0.0.1:{port}`: Address already in use; choose another port\n"
    )


def test_an_unknown_setting_is_refused_with_advice(tmp_path: Path) -> None:
    file, settings = tmp_path / "it.graphql", tmp_path / "router.yaml"
    file.write_text(supergraph_of("type Query { a: Int }"))
    settings.write_text("http:\n  body_byte_max: 3\n")
    code, _, said = run("router", "--supergraph", str(file), "--port", "0", "--config", str(settings))
    assert code == 1
    assert "unknown setting `http.body_byte_max`; did you mean `http.body_bytes_max`?" in said


async def test_a_manifest_says_which_documents_may_run(tmp_path: Path) -> None:
    file, manifest, settings = tmp_path / "it.graphql", tmp_path / "manifest.json", tmp_path / "router.yaml"
    settings.write_text("persisted:\n  safelist: ids_only\n")
    manifest.write_text('{"hello": "{ hello }"}')
    async with subgraph() as (url, _, _, _), aiohttp.ClientSession() as http:
        file.write_text(supergraph_of("type Query { hello: String }", url=url))
        options = ("--persisted", str(manifest), "--config", str(settings))
        async with started(file, *options) as (_, router):
            async with http.post(router, json={"documentId": "hello"}) as answer:
                assert await answer.json() == {"data": {"hello": "there"}}
            refused = await ask(http, router, "{ hello }")
            assert refused["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_ID_REQUIRED"
    manifest.write_text("[]")
    code, _, said = run("router", "--supergraph", str(file), "--persisted", str(manifest))
    assert (code, said.count("\n")) == (1, 1)


def test_settings_are_shown_as_a_file_that_is_good(tmp_path: Path) -> None:
    code, shown, _ = run("config", "show")
    assert code == 0
    settings = tmp_path / "router.yaml"
    settings.write_text(shown.replace("body_bytes_max: 2000000", "body_bytes_max: 7"))
    assert run("config", "check", str(settings))[:2] == (0, f"`{settings}` is good\n")
    assert "body_bytes_max: 7\n" in run("config", "show", str(settings))[1]
    settings.write_text("persisted: {safelist: all}")
    code, _, said = run("config", "check", str(settings))
    assert code == 1
    assert "must be one of off, log_unknown, known_texts, ids_only, not `all`" in said


def test_plan_prints_every_stage(tmp_path: Path) -> None:
    file, operation = tmp_path / "it.graphql", tmp_path / "operation.graphql"
    file.write_text(supergraph_of("type Query { a: T } type T { b: Int }"))
    operation.write_text("query Q { x: a { b } }")
    shown = {}
    for stage in ("parse", "normal", "paths", "groups", "plan"):
        code, shown[stage], _ = run("plan", "--supergraph", str(file), "--stage", stage, str(operation))
        assert code == 0
    assert "query Q" in shown["parse"]
    assert shown["normal"] == "query Q(){x: a{b}}\n"
    assert "ONLY" in shown["paths"]
    assert shown["plan"].startswith("QueryPlan {")
    code, text, _ = run("plan", "--supergraph", str(file), "--format", "json", str(operation))
    assert json.loads(text)["node"]["serviceName"] == "only"
    operation.write_text("{ none }")
    code, _, said = run("plan", "--supergraph", str(file), str(operation))
    assert (code, said.startswith("stadion: ")) == (1, True)
