"""What `stadion up` serves in one process: the platform, or the platforms of all regions, at one socket."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deploy.up_command import DEMO_MARK

if TYPE_CHECKING:
    from socket import socket

    from starlette.applications import Starlette

    from deploy.assemble import Platform
    from deploy.settings import Settings
    from deploy.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What the command line asks for. `demo`: whether people are seeded where there are none."""

    settings: Settings
    demo: bool
    persisted: Path | None

    @property
    def shows_demo(self) -> bool:
        """Whether demo people are there, or will be."""
        return not self.settings.regions and (self.demo or _is_seeded(self.settings))


def serve_alone(serving: Serving, listening: socket) -> None:
    """Serve in this process until it is asked to stop.  Errors: StoreError, AddressUnusable."""
    address = address_of(serving.settings, listening)
    run_serving(serving, listening, ready=lambda: announce(serving, address))
    typer.echo("Stopped.")


def run_serving(
    serving: Serving,
    listening: socket,
    *,
    ready: Callable[[], None],
    around: Surroundings | None = None,
    shared: bool = False,
) -> None:
    """Serve on a loop of its own; `shared` where the socket is another process's, too.

    Errors: StoreError, AddressUnusable.
    """
    import uvloop

    def settled() -> None:
        gc.freeze()
        gc.enable()
        ready()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(serving, listening, settled, around, shared=shared))


async def _serve(
    serving: Serving,
    listening: socket,
    ready: Callable[[], None],
    around: Surroundings | None,
    *,
    shared: bool,
) -> None:
    from deploy.endpoint import config_of
    from router.edge.serve import draining_server

    async with _app(serving, around) as app:
        following = _following(serving.persisted, app)
        server = draining_server(app, config_of(serving.settings), ready=ready, shared=shared)
        await server.serve(sockets=[listening])
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


@asynccontextmanager
async def _app(serving: Serving, around: Surroundings | None) -> AsyncIterator[Starlette]:
    """The endpoint, its stores open inside the block."""
    settings = serving.settings
    if settings.regions:
        from deploy.endpoint import config_of
        from deploy.regions import regional_endpoint, regional_platform
        from deploy.surroundings import surroundings

        async with regional_platform(settings) as regions:
            around = around or surroundings(config_of(settings), settings)
            yield regional_endpoint(regions, around=around)
        return
    from deploy.endpoint import endpoint
    from deploy.manifests import registered_in

    async with _seeded(serving) as running:
        registered = registered_in(serving.persisted) if serving.persisted else None
        yield endpoint(running, registered=registered, around=around)


@asynccontextmanager
async def _seeded(serving: Serving) -> AsyncIterator[Platform]:
    """The platform of one region; demo people are seeded once."""
    from deploy.assemble import platform
    from deploy.demo.seed import seed_demo

    settings = serving.settings
    async with platform(settings) as running:
        if serving.demo and not _is_seeded(settings):
            await seed_demo(running, mark=settings.data_folder / DEMO_MARK)
        yield running


async def prepare(serving: Serving) -> None:
    """Bring stores to what this program knows, make keys, seed demo people; serve nobody."""
    if not serving.settings.regions:
        async with _seeded(serving):
            return
    from deploy.regions import regional_platform

    async with regional_platform(serving.settings):
        return


def _is_seeded(settings: Settings) -> bool:
    return (settings.data_folder / DEMO_MARK).exists()


def _following(persisted: Path | None, app: Starlette) -> list[asyncio.Task[None]]:
    """What takes a changed manifest while the platform runs."""
    if persisted is None:
        return []
    from deploy.manifests import follow_manifest

    return [asyncio.create_task(follow_manifest(persisted, app.state.persisted))]


def address_of(settings: Settings, listening: socket) -> str:
    """Where clients reach the socket."""
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{shown}:{listening.getsockname()[1]}"


def announce(serving: Serving, address: str) -> None:
    """What to open, and how to log in."""
    settings = serving.settings
    if settings.regions:
        told = f"{', '.join(settings.regions)}; at home here: {settings.home_region}"
        typer.echo(f"Stadion is up: open {address}/graphql ({told})")
        return
    typer.echo(f"Stadion is up: open {address}/graphql")
    if not serving.shows_demo:
        return
    from deploy.demo.people import ATHLETE, PEOPLE

    typer.echo(f"Demo logins (what each sees of {ATHLETE.display_name}, id `{ATHLETE.id}`):")
    for person in PEOPLE:
        factor = f"  + `{sys.argv[0]} otp {person.handle}`" if person.totp_secret else ""
        typer.echo(f"  {person.handle:<8} {person.password:<22} {person.shows}{factor}")
