"""The app: every route of the router as one ASGI application, to serve alone or to mount."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from router.edge.credentials import Credentials
from router.edge.drain import Drain
from router.edge.explorer import explorer_files
from router.edge.express import Express
from router.edge.http import GraphQLEndpoint
from router.edge.parts import parts_of
from router.edge.persisted import Registered
from router.edge.quick_http import REPLY
from router.edge.rate import SharedRates
from router.edge.websocket import SocketEndpoint
from router.pipeline import Router
from router.telemetry import cache_size, connections_open, in_flight, instruments

Background: TypeAlias = Callable[[], Awaitable[None]]
GRAPHQL_PATH = "/graphql"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


class RouterApp(Starlette):
    """Starlette, with the one hot path going straight to its endpoints.

    Middleware and the table of routes cost a third of a small request, and 3 KiB of an open WebSocket;
    with cross-origin rules on, or any other middleware added, every request takes the whole way.
    """

    def __init__(
        self, endpoint: GraphQLEndpoint, sockets: SocketEndpoint, express: Express, **options: Any
    ) -> None:
        super().__init__(**options)
        self.heads = express.heads
        self._straight = express if express.is_open else None
        self._endpoint = endpoint
        self._sockets = sockets

    @property
    def express(self) -> Express | None:
        """The straight way of known queries; None where something has to see every request."""
        return None if self.user_middleware else self._straight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's request, socket or lifespan."""
        if self.user_middleware:
            scope.pop(REPLY, None)  # whose answers go past `send`, and with it past middleware
            await super().__call__(scope, receive, send)
        elif scope["type"] == "lifespan" or scope["path"] != GRAPHQL_PATH:
            await super().__call__(scope, receive, send)
        elif scope["type"] == "http":
            await self._endpoint(scope, receive, send)
        else:
            await self._sockets(scope, receive, send)


def build_app(
    router: Router,
    *,
    credentials: Credentials | None = None,
    drain: Drain | None = None,
    routes: tuple[BaseRoute, ...] = (),
    background: tuple[Background, ...] = (),
    registered: Registered | Mapping[str, str] | None = None,
    rates: SharedRates | None = None,
) -> Starlette:
    """The router as an app: `/graphql`, `/health/` (live, startup, ready), the explorer and `routes`.

    `registered` are persisted documents by id. `rates` count for several routers together. `background`
    runs as long as the app does. The app closes `router` when it shuts down. `app.state.drain` is its Drain,
    `app.state.persisted` its PersistedDocuments.
    """
    parts = parts_of(router, credentials, drain, registered or {}, rates)
    drain, endpoint, sockets = parts.drain, GraphQLEndpoint(parts), SocketEndpoint(parts)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(begin()) for begin in background]

        def levels() -> None:
            tell_levels(router, drain)

        instruments.before_reading(levels)
        try:
            yield
        finally:
            instruments.not_before_reading(levels)
            drain.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await router.close()

    app = RouterApp(
        endpoint,
        sockets,
        Express(parts),
        routes=[
            Route(GRAPHQL_PATH, endpoint, methods=METHODS),
            WebSocketRoute(GRAPHQL_PATH, sockets),
            *health_routes(drain),
            *explorer_routes(explorer=router.config.explorer),
            *routes,
        ],
        middleware=cors_of(router),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # to the host that a request names, whoever that is
    app.state.drain, app.state.persisted = drain, parts.persisted
    return app


def tell_levels(router: Router, drain: Drain) -> None:
    """Bring what goes up and down to what it is now; done when somebody reads it."""
    graph = router.snapshot
    in_flight.set(drain.in_flight)
    connections_open.set(drain.streams)
    for name, size in (
        ("documents", len(graph.documents)),
        ("forms", len(graph.forms)),
        ("plans", len(graph.plans)),
    ):
        cache_size.set(size, {"cache": name})


def health_routes(drain: Drain) -> list[Route]:
    """Liveness: the process answers. Startup: it has begun to. Readiness: it takes new work; not while it
    drains, nor while it is at its limit: new work then goes to others, and this one is not restarted."""

    async def live(_: Request) -> JSONResponse:
        return JSONResponse({"status": "UP"})

    async def ready(_: Request) -> JSONResponse:
        if drain.stopping or drain.full:
            return JSONResponse({"status": "DOWN"}, status_code=503)
        return JSONResponse({"status": "UP"})

    return [
        Route("/health/live", live),
        Route("/health/startup", live),  # the port is open only after the start
        Route("/health/ready", ready),
    ]


def explorer_routes(*, explorer: bool) -> list[Mount]:
    """The explorer's files, where the explorer is on."""
    return [explorer_files()] if explorer else []


def cors_of(router: Router) -> list[Middleware]:
    """Cross-origin rules; none are needed where no other origin may call."""
    cors = router.config.cors
    if not cors.origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(cors.origins),
            allow_methods=["GET", "POST"],
            allow_headers=list(cors.headers),
            allow_credentials=cors.credentials,
            expose_headers=["stadion-trace-id", "dpop-nonce", *cors.exposed_headers],
            max_age=cors.max_age_s,
        )
    ]
