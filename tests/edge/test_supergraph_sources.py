"""A supergraph from a URL: asked with its ETag, believed only whole, never at another address."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from typer.testing import CliRunner

from deploy.cli import every_command
from deploy.router_command import follow
from deploy.subgraph_side import urls_of
from deploy.supergraphs import RemoteSupergraph, SupergraphUnread, source_of, text_of
from router.config import RouterConfig
from router.execution.transports.http import HttpTransport
from router.pipeline import Router
from router.snapshot import snapshot_of
from tests.kit_edge.supergraphs import supergraph_of

pytestmark = pytest.mark.timeout(60)
FIRST = supergraph_of("type Query { hello: String }")
SECOND = supergraph_of("type Query { hello: String more: Int }")


@dataclass
class Registry:
    """A server of one supergraph, with what it was asked."""

    text: str = FIRST
    status: int = 200
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    sent: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.headers.get("if-none-match"), request.headers.get("authorization")))
        if self.status != 200:
            return web.Response(status=self.status, headers={"location": "/other"})
        etag = f'"{hashlib.sha256(self.text.encode()).hexdigest()}"'
        if request.headers.get("if-none-match") == etag:
            return web.Response(status=304)
        self.sent += 1
        return web.Response(text=self.text, headers={"etag": etag})


@asynccontextmanager
async def served(registry: Registry) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/supergraph.graphql", registry.answer)
    app.router.add_get("/other", Registry(SECOND).answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/supergraph.graphql"
    finally:
        await runner.cleanup()


async def test_what_has_not_changed_is_not_sent_again() -> None:
    registry = Registry()
    async with served(registry) as url:
        source = RemoteSupergraph(url)
        for text in (FIRST, FIRST, SECOND, SECOND, FIRST):
            registry.text = text
            assert await asyncio.to_thread(text_of, source) == text
    assert registry.sent == 3
    assert registry.asked[0] == (None, None)
    assert all(etag for etag, _ in registry.asked[1:])


async def test_a_token_is_shown_and_never_told() -> None:
    registry = Registry()
    async with served(registry) as url:
        source = source_of(f"{url}?key=hunter2", token="hunter3")
        await asyncio.to_thread(text_of, source)
    assert registry.asked == [(None, "Bearer hunter3")]
    assert "hunter" not in str(source)
    assert "hunter3" not in repr(source)


@pytest.mark.parametrize("status", [301, 302, 307, 304, 401, 404, 500])
async def test_anything_but_the_text_is_no_supergraph_and_no_redirect_is_followed(status: int) -> None:
    registry = Registry(status=status)
    async with served(registry) as url:
        with pytest.raises(SupergraphUnread, match=str(status)):
            await asyncio.to_thread(text_of, RemoteSupergraph(url, token="t"))
    assert len(registry.asked) == 1


async def test_a_server_that_is_away_or_says_too_much_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SupergraphUnread, match="cannot be asked"):
        await asyncio.to_thread(text_of, RemoteSupergraph("http://127.0.0.1:1/x"))
    monkeypatch.setattr("deploy.supergraphs.BYTES_MAX", 100)
    async with served(Registry()) as url:
        with pytest.raises(SupergraphUnread, match="over 100 bytes"):
            await asyncio.to_thread(text_of, RemoteSupergraph(url))


async def test_a_router_follows_a_url_and_keeps_what_it_has_while_the_url_fails() -> None:
    registry, config, transport = Registry(), RouterConfig(), HttpTransport({})
    router = Router(snapshot_of(FIRST, config), transport, config=config)
    first = router.snapshot
    async with served(registry) as url:
        following = asyncio.create_task(
            follow(RemoteSupergraph(url), router, lambda it: transport.readdress(urls_of(it)), every_s=0.001)
        )
        registry.status = 500
        while len(registry.asked) < 3:
            await asyncio.sleep(0.001)
        assert router.snapshot is first
        registry.status, registry.text = 200, "nonsense"
        while registry.sent < 1:
            await asyncio.sleep(0.001)
        registry.text = SECOND
        while router.snapshot is first:
            await asyncio.sleep(0.001)
        assert router.snapshot.api_schema.query_type is not None
        assert "more" in router.snapshot.api_schema.query_type.fields
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    await router.close()


def test_what_is_no_url_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "graph.graphql"
    file.write_text(FIRST)
    assert source_of(str(file)) == file
    assert text_of(file) == FIRST


@pytest.mark.parametrize("named", ["http://127.0.0.1:1/x?key=hunter2", "ftp://x/y", "nowhere.graphql"])
def test_a_supergraph_that_cannot_be_had_is_one_line(named: str) -> None:
    outcome = CliRunner().invoke(every_command(), ["router", "--supergraph", named])
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("stadion: cannot read the supergraph `")
    assert outcome.stderr.count("\n") == 1
    assert "hunter2" not in outcome.stderr
