"""What changes while requests come: subgraphs restart, supergraphs, certificates and workers are replaced.

Each time, of all requests that are sent meanwhile, none fails.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from deploy.router_command import follow
from deploy.subgraph_side import urls_of
from deploy.transports import http_transport
from router.admission import ServerTls
from router.config import RouterConfig
from router.edge.app import build_app
from router.edge.listener_tls import CertificateUnusable, ListenerTls
from router.edge.serve import draining_server, listen
from router.pipeline import Router
from router.snapshot import snapshot_of
from router.traffic import RetryPolicy, SubgraphTraffic, Traffic
from tests.kit_edge.certificates import Authority
from tests.kit_edge.load import Load
from tests.kit_edge.supergraphs import supergraph_of

pytestmark = pytest.mark.timeout(60)
PATIENT = RetryPolicy(unreachable_wait_ms_max=20_000)
SDL = "type Query { hello(n: Int): String }"


@asynccontextmanager
async def subgraph(port: int = 0, says: str = "there") -> AsyncIterator[str]:
    """A subgraph that answers after a moment; when it ends, what is under way is cut off."""

    async def answer(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.002)
        return web.json_response({"data": {"hello": says}})

    app = web.Application()
    app.router.add_post("/graphql", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/graphql"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def router(text: str, config: RouterConfig) -> AsyncIterator[tuple[str, Router, Any]]:
    """A router over real HTTP: its URL, itself, its transport."""
    snapshot = snapshot_of(text, config)
    transport = http_transport(urls_of(snapshot), None, config)
    serving_router = Router(snapshot, transport, config=config)
    app = build_app(serving_router)
    listening, ready = listen("127.0.0.1", 0), asyncio.Event()
    server = draining_server(app, config, ready=ready.set)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await ready.wait()
    scheme = "https" if config.tls.certificate_file else "http"
    try:
        yield f"{scheme}://127.0.0.1:{listening.getsockname()[1]}/graphql", serving_router, transport
    finally:
        server.should_exit = True
        await serving
        listening.close()


@asynccontextmanager
async def killable(port: int, says: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A subgraph of its own process, and its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.kit_edge.subgraph_process", str(port), says,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, int(await process.stdout.readline())
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_subgraph_that_is_killed_and_started_again_costs_no_query() -> None:
    config = RouterConfig(subgraphs=Traffic(all=SubgraphTraffic(retry=PATIENT)))
    async with killable(0, "first") as (process, port):
        text = supergraph_of(SDL, url=f"http://127.0.0.1:{port}/graphql")
        async with router(text, config) as (url, _, _), Load(url).running() as load:
            await load.until(50)
            process.kill()  # with calls under way, and nobody listens until the next one has started
            await process.wait()
            async with killable(port, "again"):
                await load.until(50, lambda it: it == "again")
                await load.end()
    assert load.failures == []


async def test_a_supergraph_that_is_loaded_anew_costs_no_request(tmp_path: Path) -> None:
    file = tmp_path / "supergraph.graphql"
    async with subgraph(says="old") as old, subgraph(says="new") as new:
        file.write_text(supergraph_of(SDL, url=old))
        async with router(file.read_text(), RouterConfig()) as (url, serving, transport):
            take = lambda snapshot: transport.readdress(urls_of(snapshot))  # noqa: E731
            following = asyncio.create_task(follow(file, serving, take, every_s=0.01))
            async with Load(url).running() as load:
                for address, says in ((new, "new"), (old, "old"), (new, "new")):
                    await load.until(20)
                    file.write_text(supergraph_of(SDL, url=address))
                    await load.until(20, lambda it, says=says: it == says)
            following.cancel()
    assert load.failures == []


def seen_certificate(url: str, authority: Authority) -> Callable[[], Any]:
    host, port = "127.0.0.1", int(url.split(":")[2].split("/")[0])

    async def look() -> bytes | None:
        _, writer = await asyncio.open_connection(host, port, ssl=authority.client_context())
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
        return found

    return look


async def test_a_certificate_that_changes_costs_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.edge.listener_tls.EVERY_S", 0.01)
    monkeypatch.setattr(ListenerTls.follow, "__kwdefaults__", {"every_s": 0.01})
    authority = Authority(tmp_path)
    certificate, key = authority.certificate("router")
    config = RouterConfig(tls=ServerTls(certificate_file=str(certificate), key_file=str(key)))
    async with subgraph() as at, router(supergraph_of(SDL, url=at), config) as (url, _, _):
        look, seen = seen_certificate(url, authority), set()
        kept = Load(url, tls=authority.client_context())
        fresh = Load(url, tls=authority.client_context(), keep=False)
        async with kept.running(3), fresh.running(3):
            for _ in range(3):
                while (found := await look()) in seen:
                    await asyncio.sleep(0.01)
                seen.add(found)
                await fresh.until(10)
                authority.certificate("router")
            certificate.write_text("nonsense")  # it cannot be used: the one before stays in force
            await asyncio.sleep(0.05)
            await fresh.until(10)
            await kept.until(10)
    assert kept.failures == fresh.failures == []


async def test_clients_need_a_certificate_where_an_authority_is_named(tmp_path: Path) -> None:
    servers, clients, others = (Authority(tmp_path, one) for one in ("servers", "clients", "others"))
    certificate, key = servers.certificate("router")
    files = ServerTls(
        certificate_file=str(certificate), key_file=str(key), client_ca_file=str(clients.ca_file)
    )
    async with subgraph() as at, router(supergraph_of(SDL, url=at), RouterConfig(tls=files)) as (url, _, _):
        outcomes = {}
        for name, authority in (("known", clients), ("unknown", others), ("none", None)):
            tls = servers.client_context()
            if authority is not None:
                tls.load_cert_chain(*authority.certificate(name))
            async with aiohttp.ClientSession() as http:
                try:
                    async with http.post(url, json={"query": "{ hello }"}, ssl=tls) as answer:
                        outcomes[name] = (await answer.json())["data"]["hello"]
                except aiohttp.ClientError:
                    outcomes[name] = None
    assert outcomes == {"known": "there", "unknown": None, "none": None}


def test_a_certificate_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).certificate("router")
    key.write_text("nonsense")
    for files in (
        ServerTls(certificate_file=str(certificate), key_file=str(key)),
        ServerTls(certificate_file=str(tmp_path / "none"), key_file=str(key)),
    ):
        with pytest.raises(CertificateUnusable, match="`tls` cannot be used"):
            ListenerTls(files)


@pytest.mark.skipif(sys.platform != "linux", reason="connections are spread by the kernel on Linux alone")
async def test_workers_that_restart_one_by_one_cost_no_request_and_read_their_files_anew(
    tmp_path: Path,
) -> None:
    file = tmp_path / "supergraph.graphql"
    async with subgraph(says="old") as old, subgraph(says="new") as new:
        file.write_text(supergraph_of(SDL, url=old))
        async with several_workers(file) as (process, url, workers, said):
            first = workers()
            fresh, kept = Load(url, keep=False), Load(url)
            async with fresh.running(4), kept.running(2):
                await fresh.until(20)
                file.write_text("type Query {")
                process.send_signal(signal.SIGHUP)  # a file that cannot be served: the workers of before stay
                await said("a new worker did not get ready")
                await fresh.until(20)
                assert first <= workers()
                file.write_text(supergraph_of(SDL, url=new))
                process.send_signal(signal.SIGHUP)
                await said("all workers were restarted")
                while first & workers():
                    await asyncio.sleep(0.02)
                await fresh.until(20, lambda it: it == "new")
                await kept.until(20, lambda it: it == "new")
            assert fresh.failures == kept.failures == []
            assert len(workers()) == 2
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 20) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of a parent's death")
async def test_workers_whose_watcher_is_killed_end_by_themselves(tmp_path: Path) -> None:
    file = tmp_path / "supergraph.graphql"
    file.write_text(supergraph_of(SDL))
    async with several_workers(file) as (process, url, workers, _):
        left = workers()
        assert len(left) == 2
        process.kill()
        assert (
            await asyncio.wait_for(process.wait(), 30) == -signal.SIGKILL
        )  # nobody holds its output any more
        assert not any(Path(f"/proc/{one}/exe").exists() for one in left)
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientConnectorError):
                await http.post(url, json={"query": "{ hello }"})


@asynccontextmanager
async def several_workers(
    file: Path,
) -> AsyncIterator[
    tuple[asyncio.subprocess.Process, str, Callable[[], set[str]], Callable[[str], Awaitable[None]]]
]:
    """A router of two workers: its process, URL, workers' ids, and how to wait for a line of its log."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy", "router", "--supergraph", str(file), "--port", "0",
        "--workers", "2", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    log = process.stderr

    async def said(text: str) -> None:
        while text not in (line := (await log.readline()).decode()):
            assert line, "the log has ended"

    def workers() -> set[str]:
        return set(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())

    try:
        line = (await process.stdout.readline()).decode()
        assert line, (await log.read()).decode()
        yield process, line.split()[-1], workers, said
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
