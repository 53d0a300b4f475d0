"""`stadion up`: router and all subgraphs in one process, embedded stores under one folder."""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.router_command import fail

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from deploy.settings import Settings

log = logging.getLogger("stadion.up")
DEMO_MARK = "DEMO"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="up")(up_command)


def up_command(
    port: Annotated[int | None, typer.Option(help="port to listen on; 0 takes a free one [4000]")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the embedded stores [.stadion]")] = None,
    host: Annotated[str | None, typer.Option(help="address to listen on [127.0.0.1]")] = None,
    *,
    demo: Annotated[
        bool, typer.Option("--demo/--no-demo", help="seed demo people on the first start")
    ] = True,
    reset_demo: Annotated[
        bool, typer.Option("--reset-demo", help="delete a demo data folder and seed it anew")
    ] = False,
    persisted: Annotated[
        Path | None,
        typer.Option(help="manifest of registered documents (JSON), followed: partners run no others"),
    ] = None,
) -> None:
    """Start the whole platform. Ctrl-C drains and stops."""
    # What a start loads stays: looking for garbage in it again and again takes an eighth of the start.
    gc.disable()
    from datastores.errors import StoreError
    from datastores.folder import DataFolder
    from deploy.settings import settings_with
    from router.edge.serve import AddressUnusable, listen

    settings = settings_with(every_region=True, port=port, data_folder=data, host=host)
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s %(message)s")
    folder = DataFolder(settings.data_folder)
    try:
        listening = listen(settings.host, settings.port)
        folder.claim()
        try:
            if reset_demo:
                _empty(settings.data_folder)
            _run(settings, listening, demo=demo, persisted=persisted)
        finally:
            folder.release()
    except (StoreError, AddressUnusable) as error:
        fail(str(error))


def _empty(folder: Path) -> None:
    """Delete what is in a demo's folder. Errors: one line, exit 1, where it is no demo's: nothing is lost."""
    kept = {"LOCK", "VERSION"}
    found = [entry for entry in folder.iterdir() if entry.name not in kept]
    if found and not (folder / DEMO_MARK).exists():
        fail(f"`{folder}` was not made by the demo: `--reset-demo` deletes demo folders only")
    # The mark goes last: a reset that was cut short can be begun again.
    for entry in sorted(found, key=lambda each: each.name == DEMO_MARK):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _run(settings: Settings, listening: socket.socket, *, demo: bool, persisted: Path | None) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if settings.regions:
            runner.run(_serve_regions(settings, listening))
        else:
            runner.run(_serve(settings, listening, demo=demo, persisted=persisted))


async def _serve(settings: Settings, listening: socket.socket, *, demo: bool, persisted: Path | None) -> None:
    from deploy.assemble import platform
    from deploy.demo.seed import seed_demo
    from deploy.endpoint import config_of, endpoint
    from deploy.manifests import registered_in
    from router.edge.serve import draining_server

    async with platform(settings) as running:
        seeded = (settings.data_folder / DEMO_MARK).exists()
        if demo and not seeded:
            await seed_demo(running, mark=settings.data_folder / DEMO_MARK)
        app = endpoint(running, registered=registered_in(persisted) if persisted else None)
        following = _following(persisted, app)
        address = _address(settings.host, listening)

        def ready() -> None:
            gc.freeze()
            gc.enable()
            _announce(address, demo=demo or seeded)

        server = draining_server(app, config_of(settings), ready=ready)
        await server.serve(sockets=[listening])
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        typer.echo("Stopped.")


def _following(persisted: Path | None, app: Starlette) -> list[asyncio.Task[None]]:
    """What takes a changed manifest while the platform runs."""
    if persisted is None:
        return []
    from deploy.manifests import follow_manifest

    return [asyncio.create_task(follow_manifest(persisted, app.state.persisted))]


async def _serve_regions(settings: Settings, listening: socket.socket) -> None:
    """People of every region, each over their own region's stores; without demo people."""
    from deploy.endpoint import config_of
    from deploy.regions import regional_endpoint, regional_platform
    from router.edge.serve import draining_server

    async with regional_platform(settings) as regions:
        address = _address(settings.host, listening)
        app = regional_endpoint(regions)
        told = f"{', '.join(regions.platforms)}; at home here: {settings.home_region}"
        server = draining_server(
            app,
            config_of(settings),
            ready=lambda: typer.echo(f"Stadion is up: open {address}/graphql ({told})"),
        )
        await server.serve(sockets=[listening])
        typer.echo("Stopped.")


def _address(host: str, listening: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}"


def _announce(address: str, *, demo: bool) -> None:
    """What to open, and how to log in."""
    typer.echo(f"Stadion is up: open {address}/graphql")
    if not demo:
        return
    from deploy.demo.people import ATHLETE, PEOPLE

    typer.echo(f"Demo logins (what each sees of {ATHLETE.display_name}, id `{ATHLETE.id}`):")
    for person in PEOPLE:
        factor = f"  + `{sys.argv[0]} otp {person.handle}`" if person.totp_secret else ""
        typer.echo(f"  {person.handle:<8} {person.password:<22} {person.shows}{factor}")
