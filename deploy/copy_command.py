"""`stadion copy --from URL --to URL`: a laptop's data folder onto servers, resumable, every row compared."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.router_command import fail

if TYPE_CHECKING:
    from deploy.copying import Copied


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
    vault: Annotated[
        str | None, typer.Option("--vault-to", help="where medical goes: a PostgreSQL of its own")
    ] = None,
    blobs: Annotated[str | None, typer.Option("--blobs-to", help="where files go: `s3://…`")] = None,
) -> None:
    """Copy a data folder onto empty servers while its platform is stopped; what is not named stays.

    Killed half way, the same command goes on. Nothing is deleted at the source. The folder's `keys` are
    needed where the platform runs from then on. A graph or documents alone are copied by their URLs.
    """
    from datastores.errors import StoreError

    try:
        copied = asyncio.run(_copy(source, target, vault, blobs))
    except StoreError as error:
        fail(str(error))
    parts = {
        "rows": copied.rows,
        "files": copied.files,
        "edges": copied.edges,
        "documents": copied.documents,
    }
    told = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
    typer.echo(f"copied {told or 'nothing: there was nothing'}; source and target are equal")


async def _copy(source: str, target: str | None, vault: str | None, blobs: str | None) -> Copied:
    from datastores.config import parse_store_url
    from deploy.copying import copy_folder, copy_store
    from deploy.progress import shown_progress

    with shown_progress("copying") as advance:
        if source.startswith("sqlite:"):
            if target is None or vault or blobs:
                fail("one store is copied to `--to` alone")
            return await copy_store(source, target, advance=advance)
        folder = parse_store_url(source, schemes=("file", "sqlite")).path
        if folder is None or not (folder / "accounts.db").is_file():
            fail(f"`{source}` is no data folder of Stadion")
        if target is None and vault is None and blobs is None:
            fail("say where to: `--to`, `--vault-to`, `--blobs-to`")
        return await copy_folder(
            folder, relational_url=target, vault_url=vault, blobs_url=blobs, advance=advance
        )
