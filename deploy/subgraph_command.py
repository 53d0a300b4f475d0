"""`stadion subgraph NAME --port N`: one domain alone, for callers that the router signed."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.router_command import fail

if TYPE_CHECKING:
    import socket

    from deploy.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="subgraph")(subgraph_command)


def subgraph_command(
    name: Annotated[str, typer.Argument(help="accounts, profiles, training, medical or audit")],
    port: Annotated[int, typer.Option(help="port to listen on; 0 takes a free one")],
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    data: Annotated[Path | None, typer.Option(help="folder of the embedded stores [.stadion]")] = None,
) -> None:
    """Serve one subgraph; all of a data folder may run side by side. Ctrl-C drains and stops.

    Router and subgraphs share the key in `STADION_INTERNAL_KEY`, 32 bytes or more.
    """
    from datastores.errors import StoreError
    from deploy.settings import settings_with
    from router.edge.serve import AddressUnusable, listen

    settings = settings_with(data_folder=data)
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(_serve(name, listen(host, port), settings))
    except (StoreError, AddressUnusable) as error:
        fail(str(error))


async def _serve(name: str, listening: socket.socket, settings: Settings) -> None:
    from authz.identity.internal import call_key
    from authz.identity.kept_revocations import KeptRevocations
    from authz.identity.revocation import RevokedSessions
    from deploy.consent_pages import consent_pages
    from deploy.endpoint import config_of, credentials_of, jwks_route
    from deploy.file_links import file_routes
    from deploy.oauth_routes import answers_of, oauth_routes
    from deploy.offline import claimed_platform
    from deploy.revocations import revocations_route
    from deploy.stores import SUBGRAPHS
    from deploy.transports import internal_secret
    from router.edge.drain import Drain
    from router.edge.serve import draining_server
    from subgraphs.kit.app import subgraph_app

    if name not in SUBGRAPHS:
        fail(f"there is no subgraph `{name}`: choose one of {', '.join(SUBGRAPHS)}")
    async with claimed_platform(settings, serving=name) as running:
        app = subgraph_app(
            running.subgraphs[name],
            keys=[call_key(internal_secret(running))],
            ready=running.stores.rows()[name].ready,
        )
        if name == "accounts":
            kept = KeptRevocations(running.stores.facts_rows, RevokedSessions())
            key = call_key(internal_secret(running))
            proxies = config_of(settings).proxies
            app.router.routes += [jwks_route(running), revocations_route(kept, key)]
            app.router.routes += oauth_routes(settings, answers_of(running), proxies)
            own = running.subgraphs[name]
            app.router.routes += consent_pages(own, credentials_of(running), proxies)
        if name == "training":
            app.router.routes += file_routes(running)
        config = config_of(settings)
        app.state.drain = Drain(
            in_flight_max=config.http.in_flight_max, streams_max=config.streams.connections_max
        )
        port = listening.getsockname()[1]
        says = f"Subgraph {name} answers signed calls on port {port}"
        server = draining_server(app, config, ready=lambda: typer.echo(says))
        await server.serve(sockets=[listening])
