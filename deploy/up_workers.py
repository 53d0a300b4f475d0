"""`stadion up --workers N`: the platform in several processes on one port, over stores on servers."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import typer
from pydantic import BaseModel, SecretStr

from datastores.errors import StoreError
from deploy.router_command import fail
from deploy.surroundings import surroundings
from deploy.up_serving import Serving, address_of, announce, prepare, run_serving
from deploy.workers import run_workers
from router.edge.serve import AddressUnusable, listen

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from deploy.settings import Settings

log = logging.getLogger("stadion.up")

_NEEDED: Final = ("relational_url", "vault_url", "events_url")
_WHERE_GIVEN: Final = ("series_url", "graph_url", "documents_url")
_SERVERS: Final[Mapping[str, str]] = {
    "relational_url": "postgresql+asyncpg://…",
    "vault_url": "postgresql+asyncpg://…",
    "directory_url": "postgresql+asyncpg://…",
    "events_url": "redis://…",
    "series_url": "postgresql+asyncpg://…",
    "graph_url": "neo4j://…",
    "documents_url": "mongodb://…",
}
_EMBEDDED: Final = ("sqlite", "memory", "file")


def refuse_embedded(settings: Settings, workers: int) -> None:
    """One line, exit code 1, where a store is embedded: such a store belongs to one process. Files may lie in
    a folder, which all processes of a machine share."""
    found = embedded_stores(settings)
    if found:
        told = ", ".join(f"`{name}` ({_SERVERS[kind]})" for name, kind in found.items())
        fail(
            f"`--workers {workers}` needs stores on servers, for an embedded store belongs to one process: "
            f"set {told}, or leave out `--workers`"
        )


def embedded_stores(settings: Settings) -> dict[str, str]:
    """What names each embedded store of several processes: the setting as it is written, and its kind."""
    if not settings.regions:
        return {f"STADION_{kind.upper()}": kind for kind in _embedded_in(settings)}
    found = {
        f"{kind} of region {name}": kind
        for name, region in settings.regions.items()
        if not region.url
        for kind in _embedded_in(region)
    }
    shared = {} if _is_server(settings.directory_url) else {"STADION_DIRECTORY_URL": "directory_url"}
    return shared | found


def _embedded_in(stores: BaseModel) -> list[str]:
    given: dict[str, Any] = {kind: getattr(stores, kind) for kind in (*_NEEDED, *_WHERE_GIVEN)}
    return [kind for kind, url in given.items() if not _is_server(url) and (url or kind in _NEEDED)]


def _is_server(url: SecretStr | None) -> bool:
    return url is not None and url.get_secret_value().partition(":")[0] not in _EMBEDDED


def serve_together(serving: Serving, first: socket, workers: int) -> None:
    """Serve in so many processes until this one is asked to stop. Ends with the exit code of them all.

    Errors: AddressUnusable where the port, or one of those for metrics, cannot be had.
    """
    from deploy.endpoint import config_of

    settings = serving.settings
    _prepare_apart(serving)
    around = surroundings(config_of(settings), settings, workers=workers)
    port = first.getsockname()[1]
    listening = [first, *(listen(settings.host, port, shared=True) for _ in range(workers - 1))]
    address = address_of(settings, first)
    later = Serving(settings=settings, demo=False, persisted=serving.persisted)

    def serve(own: socket, ready: Callable[[], None]) -> None:
        around.worker = listening.index(own)
        try:
            run_serving(later, own, ready=ready, around=around, shared=True)
        except (StoreError, AddressUnusable) as error:
            typer.echo(f"stadion: {error}", err=True)
            raise SystemExit(1) from None
        except typer.Exit as told:
            raise SystemExit(told.exit_code) from None

    try:
        code = run_workers(listening, serve, ready=lambda: announce(serving, address))
    finally:
        around.forget()
    typer.echo("Stopped.")
    if code:
        raise typer.Exit(code)


def _prepare_apart(serving: Serving) -> None:
    """What is done once, in a process that ends with it: workers are forked from one without threads.

    Ends with exit code 1 where it fails, which it has said.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if status:
            raise typer.Exit(1)
        return
    code = 1
    try:
        asyncio.run(prepare(serving))
        code = 0
    except (StoreError, AddressUnusable) as error:
        typer.echo(f"stadion: {error}", err=True)
    except typer.Exit as told:
        code = told.exit_code
    except Exception:
        log.exception("the platform could not be prepared")
    finally:
        sys.stdout.flush()
        os._exit(code)
