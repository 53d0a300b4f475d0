"""`stadion restore` and `stadion restore-drill`: a backup back, and the proof that one would come back."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.backup_command import Folder, SafeFolder, backup_place, safe_folder
from deploy.router_command import fail

if TYPE_CHECKING:
    from deploy.drill import Finding
    from deploy.settings import Settings

Place = Annotated[
    str | None, typer.Option("--from", help="where the backups are: `file:///folder` or `s3://…`")
]
Which = Annotated[
    str | None, typer.Option("--backup", help="its id, as `backup --list` shows it [the newest]")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command(name="restore")(restore_command)
    app.command(name="restore-drill")(drill_command)


def restore_command(
    place: Place = None,
    safe: SafeFolder = None,
    data: Folder = None,
    backup: Which = None,
    *,
    cluster: Annotated[
        Path | None, typer.Option("--cluster", help="a new folder for a whole PostgreSQL, with its log")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="recover the cluster to this moment, in UTC [the last one]")
    ] = None,
) -> None:
    """Restore into a new data folder, or into the empty servers that the environment names.

    Damage of any part is refused. Who was erased since the backup stays erased.
    """
    from datastores.errors import StoreError
    from deploy.settings import settings_with

    settings = settings_with(data_folder=data)
    url, folder = backup_place(settings, place, "--from"), safe_folder(settings, safe)
    try:
        if cluster is not None:
            asyncio.run(_restore_cluster(url, folder, backup, cluster, until))
        else:
            asyncio.run(_restore(settings, url, folder, backup))
    except StoreError as error:
        servers = settings.relational_url or settings.vault_url
        fail(f"{error}{'; drop what was written to the servers before you try again' if servers else ''}")


def drill_command(
    place: Place = None,
    safe: SafeFolder = None,
    backup: Which = None,
    server: Annotated[
        list[str] | None,
        typer.Option(
            help="a server to restore on, once for each: an empty PostgreSQL (a second one is for"
            " series), database or bucket; Neo4j and Redis may be in use [a throw-away folder]"
        ),
    ] = None,
) -> None:
    """Restore a backup where it harms nobody, and check counts, hashes, the audit chain, and that keys open
    what they should and nothing of erased people. Exit code 1 where something is wrong.
    """
    from datastores.errors import StoreError
    from deploy.settings import settings_with

    settings = settings_with()
    url, folder = backup_place(settings, place, "--from"), safe_folder(settings, safe)
    try:
        findings = asyncio.run(_drill(settings, url, folder, backup, server or []))
    except StoreError as error:
        fail(str(error))
    for each in findings:
        typer.echo(f"{'ok' if each.ok else 'WRONG':<6} {each.what}: {each.told}", err=not each.ok)
    if not all(each.ok for each in findings):
        raise typer.Exit(1)


async def _restore(settings: Settings, url: str, folder: Path, backup_id: str | None) -> None:
    from dataclasses import replace

    from datastores.backup.safe import Safe
    from deploy.backup import opened_repository
    from deploy.progress import shown_progress
    from deploy.restore import chosen, restore

    safe, begun_s, at = Safe(folder), time.monotonic(), datetime.now(UTC)
    async with opened_repository(url, safe, create=False) as repository:
        entry = chosen(await repository.backups(), backup_id)
        with shown_progress("restoring") as advance:
            await restore(settings, repository, safe, entry, advance=advance)
        took_s = round(time.monotonic() - begun_s, 3)
        noted = replace(entry, kind="restore", at_utc=at.isoformat(), took_s=took_s, bytes_added=0)
        await repository.note(noted)
    typer.echo(f"restored {entry.backup_id}: {entry.rows} rows and {entry.blobs} files, counted and hashed")


async def _restore_cluster(
    url: str, folder: Path, backup_id: str | None, cluster: Path, until: datetime | None
) -> None:
    from datastores.backup.clusters import restore_base
    from datastores.backup.safe import Safe
    from deploy.backup import opened_repository
    from deploy.progress import shown_progress
    from deploy.restore import chosen

    until_utc = None if until is None else until.replace(tzinfo=UTC)
    async with opened_repository(url, Safe(folder), create=False) as repository:
        entry = chosen(await repository.backups("base"), backup_id)
        with shown_progress("restoring") as advance:
            count = await restore_base(repository, entry, cluster, until_utc=until_utc, advance=advance)
    typer.echo(
        f"restored {entry.backup_id} and {count} segments: start PostgreSQL on `{cluster}`, it recovers"
    )


async def _drill(
    settings: Settings, url: str, folder: Path, backup_id: str | None, servers: list[str]
) -> list[Finding]:
    from datastores.backup.safe import Safe
    from deploy.backup import opened_repository
    from deploy.drill import drill
    from deploy.progress import shown_progress
    from deploy.restore import chosen

    safe = Safe(folder)
    async with opened_repository(url, safe, create=False) as repository:
        entry = chosen(await repository.backups(), backup_id)
        with shown_progress("restoring") as advance:
            return await drill(settings, repository, safe, entry, servers=servers, advance=advance)
