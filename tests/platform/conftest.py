"""One seeded platform in this process, with its router over both transports and a record of its calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvicorn

from authz.identity.internal import call_key
from authz.identity.subject import ANONYMOUS, Subject
from deploy.assemble import Platform, platform
from deploy.demo.people import PEOPLE
from deploy.demo.seed import seed_demo
from deploy.endpoint import router_of
from deploy.settings import Settings
from deploy.transports import http_transport, internal_secret
from router.edge.serve import listen
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.in_process import InProcessTransport
from router.pipeline import GraphQLRequest, Router
from subgraphs.kit.app import subgraph_app

T = TypeVar("T")


@dataclass
class Recorded:
    """A transport that remembers what it was asked."""

    inner: Any
    calls: list[SubgraphRequest] = field(default_factory=list)

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        self.calls.append(request)
        return await self.inner.fetch(request)

    def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        self.calls.append(request)
        return self.inner.subscribe(request)

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class Seeded:
    """The demo, reachable from synchronous tests; everything runs in one loop of its own thread."""

    loop: asyncio.AbstractEventLoop
    platform: Platform
    urls: Mapping[str, str]
    transports: Mapping[str, Recorded]
    routers: Mapping[str, Router]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def ask(
        self, query: str, subject: Subject, *, over: str = "in-process", **variables: Any
    ) -> dict[str, Any]:
        """The answer, and in `calls` the subgraph calls that it took."""
        self.transports[over].calls.clear()
        request = GraphQLRequest(text=query, variables=variables)
        response = self.run(self.routers[over].handle(request, subject))
        return {"data": response.data, "errors": sorted_by_path(response.errors)}


def sorted_by_path(errors: Any) -> list[dict[str, Any]]:
    """Errors in one order, whichever fetch ended first."""
    return sorted((dict(error) for error in errors), key=lambda error: str(error.get("path")))


def subject_of(handle: str) -> Subject:
    """A demo person as their token would prove them."""
    who = next(each for each in PEOPLE if each.handle == handle)
    return Subject(
        id=who.id,
        roles=frozenset({who.role}),
        session_id=f"session-{handle}",
        acr=2 if who.totp_secret else 1,
    )


@asynccontextmanager
async def subgraphs_over_http(running: Platform) -> AsyncIterator[dict[str, str]]:
    """Each subgraph on a port of its own, for signed callers only."""
    keys = [call_key(internal_secret(running))]
    async with AsyncExitStack() as stack:
        urls = {}
        for name, subgraph in running.subgraphs.items():
            listening = listen("127.0.0.1", 0)
            config = uvicorn.Config(subgraph_app(subgraph, keys=keys), log_config=None, lifespan="off")
            server = uvicorn.Server(config)
            server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
            task = asyncio.create_task(server._serve([listening]))
            urls[name] = f"http://127.0.0.1:{listening.getsockname()[1]}/graphql"

            async def stop(server: uvicorn.Server = server, task: asyncio.Task[None] = task) -> None:
                server.should_exit = True
                await task

            stack.push_async_callback(stop)
        yield urls


@asynccontextmanager
async def seeded_platform(
    folder: Path, loop: asyncio.AbstractEventLoop, settings: Settings | None = None
) -> AsyncIterator[Seeded]:
    """Everything open and seeded."""
    async with platform(settings or Settings(data_folder=folder)) as running:
        await seed_demo(running, mark=folder / "DEMO")
        async with subgraphs_over_http(running) as urls:
            transports = {
                "in-process": Recorded(InProcessTransport(running.subgraphs)),
                "http": Recorded(http_transport(urls, internal_secret(running))),
            }
            routers = {name: router_of(running, transport) for name, transport in transports.items()}
            yield Seeded(loop, running, urls, transports, routers)
            for router in routers.values():
                await router.close()


@contextmanager
def seeded_in_thread(folder: Path, settings: Settings | None = None) -> Iterator[Seeded]:
    """A seeded platform in a loop of a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    manager = seeded_platform(folder, loop, settings)
    try:
        yield asyncio.run_coroutine_threadsafe(manager.__aenter__(), loop).result(90)
        asyncio.run_coroutine_threadsafe(manager.__aexit__(None, None, None), loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    """One for the session: no test here changes what another reads."""
    with seeded_in_thread(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    """One for a module whose tests take rights away, and give them back."""
    with seeded_in_thread(tmp_path_factory.mktemp("changing")) as running:
        yield running


@pytest.fixture
def anonymous() -> Subject:
    return ANONYMOUS
