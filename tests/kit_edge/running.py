"""A router on a real socket: uvicorn on an ephemeral port, in the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from starlette.applications import Starlette

from router.config import RouterConfig
from router.edge.app import Background, build_app
from router.edge.credentials import Credentials
from router.edge.persisted import Registered
from router.edge.serve import draining_server, listen
from router.execution.transport import SubgraphTransport
from router.execution.transports.in_process import InProcessTransport
from router.pipeline import Router
from router.snapshot import snapshot_of
from tests.kit_edge.subgraph import SDL, Hall
from tests.kit_edge.supergraphs import supergraph_of


@dataclass(frozen=True, slots=True)
class Running:
    """A router that answers at `url`, over the subgraph `hall`."""

    url: str
    hall: Hall
    app: Starlette
    router: Router
    http: aiohttp.ClientSession
    stop: asyncio.Event

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    async def post(self, body: object, **headers: str) -> tuple[int, object, aiohttp.ClientResponse]:
        """Status, decoded body and response of a JSON POST."""
        async with self.http.post(self.url, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None), response


def router_of(
    hall: Hall,
    config: RouterConfig,
    transport: SubgraphTransport | None = None,
    supergraph: str | None = None,
) -> Router:
    snapshot = snapshot_of(supergraph or supergraph_of(SDL), config)
    return Router(snapshot, transport or InProcessTransport({"only": hall}), config=config)


@asynccontextmanager
async def running(
    config: RouterConfig | None = None,
    credentials: Credentials | None = None,
    registered: Mapping[str, str] | Registered | None = None,
    *,
    transport: SubgraphTransport | None = None,
    background: tuple[Background, ...] = (),
    supergraph: str | None = None,
) -> AsyncIterator[Running]:
    config = config or RouterConfig()
    hall = Hall()
    router = router_of(hall, config, transport, supergraph)
    app = build_app(router, credentials=credentials, registered=registered, background=background)
    listening = listen("127.0.0.1", 0)
    ready = asyncio.Event()
    server = draining_server(app, config, ready=ready.set)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await ready.wait()
    stop = asyncio.Event()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/graphql"
    try:
        async with aiohttp.ClientSession() as http:
            yield Running(url, hall, app, router, http, stop)
    finally:
        hall.gate.set()
        server.should_exit = True
        await serving
        listening.close()
