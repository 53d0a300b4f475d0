"""`stadion up`: router and all subgraphs in one process, embedded stores under one folder."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Annotated

import typer

from deploy.router_command import fail

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
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="processes that share the port; needs stores on servers")
    ] = 1,
) -> None:
    """Start the whole platform. Ctrl-C drains and stops; SIGHUP restarts workers one after the other."""
    from datastores.errors import StoreError
    from datastores.folder import DataFolder
    from deploy.settings import settings_with
    from deploy.up_serving import Serving, serve_alone
    from deploy.up_workers import refuse_embedded, serve_together
    from router.edge.serve import AddressUnusable, listen

    settings = settings_with(every_region=True, port=port, data_folder=data, host=host)
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s %(message)s")
    folder = DataFolder(settings.data_folder)
    serving = Serving(settings=settings, demo=demo, persisted=persisted)
    if workers > 1:
        refuse_embedded(settings, workers)
    try:
        listening = listen(settings.host, settings.port, shared=workers > 1)
        folder.claim()
        try:
            if reset_demo:
                _empty(settings.data_folder)
            if workers == 1:
                serve_alone(serving, listening)
            else:
                serve_together(serving, listening, workers)
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
