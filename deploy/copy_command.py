"""`stadion copy --from URL --to URL`: a laptop's data folder onto servers, resumable, every row compared."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.router_command import fail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deploy.copying_stores import Copied


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="copy")(copy_command)


def copy_command(
    source: Annotated[
        str,
        typer.Option("--from", help="a data folder, `file:///folder`, or one store, `sqlite:///graph.db`"),
    ],
    target: Annotated[
        str | None,
        typer.Option("--to", help="where rows go: `postgresql+asyncpg://…`; or the one store's place"),
    ] = None,
    *,
    vault: Annotated[
        str | None, typer.Option("--vault-to", help="where medical goes: a PostgreSQL of its own")
    ] = None,
    blobs: Annotated[str | None, typer.Option("--blobs-to", help="where files go: `s3://…`")] = None,
    series: Annotated[
        str | None, typer.Option("--series-to", help="where series go: `postgresql+asyncpg://…`")
    ] = None,
    graph: Annotated[str | None, typer.Option("--graph-to", help="where the graph goes: `neo4j://…`")] = None,
    documents: Annotated[
        str | None, typer.Option("--documents-to", help="where documents go: `mongodb://…`")
    ] = None,
    events: Annotated[
        str | None, typer.Option("--events-to", help="where events go, with the rows: `redis://…`")
    ] = None,
) -> None:
    """Copy a data folder onto empty servers while its platform is stopped; what is not named stays.

    Killed half way, the same command goes on. Nothing is deleted at the source. The folder's `keys` are
    needed where the platform runs from then on. Series, a graph or documents alone are copied by their URLs.
    """
    from datastores.errors import StoreError

    try:
        places = {
            "relational": target,
            "vault": vault,
            "blobs": blobs,
            "series": series,
            "graph": graph,
            "documents": documents,
            "events": events,
        }
        copied = asyncio.run(_copy(source, {name: url for name, url in places.items() if url is not None}))
    except StoreError as error:
        fail(str(error))
    parts = asdict(copied)
    told = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
    typer.echo(f"copied {told or 'nothing: there was nothing'}; source and target are equal")


async def _copy(source: str, urls: Mapping[str, str]) -> Copied:
    from datastores.config import parse_store_url
    from deploy.copying import copy_folder
    from deploy.copying_stores import copy_store
    from deploy.progress import shown_progress

    with shown_progress("copying") as advance:
        if source.startswith("sqlite:"):
            if set(urls) != {"relational"}:
                fail("one store is copied to `--to` alone")
            return await copy_store(source, urls["relational"], advance=advance)
        folder = parse_store_url(source, schemes=("file", "sqlite")).path
        if folder is None or not (folder / "accounts.db").is_file():
            fail(f"`{source}` is no data folder of Stadion")
        if not urls:
            fail("say where to: `--to`, `--vault-to`, `--blobs-to`, `--graph-to`, …")
        return await copy_folder(folder, urls, advance=advance)
