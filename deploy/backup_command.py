"""`stadion backup`: one backup beside the running platform, sealed, only what is new; and their list."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.router_command import fail

if TYPE_CHECKING:
    from datastores.backup.repository import Entry
    from deploy.settings import Settings

Folder = Annotated[Path | None, typer.Option("--data", help="folder of the embedded stores [.stadion]")]
SafeFolder = Annotated[
    Path | None, typer.Option("--safe", help="folder for the keys, apart from the backups; keep it private")
]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="backup")(backup_command)


def backup_command(
    into: Annotated[str | None, typer.Option(help="where backups go: `file:///folder` or `s3://…`")] = None,
    safe: SafeFolder = None,
    data: Folder = None,
    keep: Annotated[
        int | None, typer.Option(min=1, help="remove all but so many of the newest of each kind")
    ] = None,
    keep_days: Annotated[
        float | None, typer.Option("--keep-days", min=0.0, help="but keep those of so many days")
    ] = None,
    *,
    only_prune: Annotated[
        bool, typer.Option("--prune", help="only remove what `--keep` and `--keep-days` do not keep")
    ] = False,
    every_file: Annotated[
        bool, typer.Option("--every-file", help="read files again that an earlier backup has")
    ] = False,
    only_keys: Annotated[
        bool, typer.Option("--only-keys", help="only put the keys, and who was erased, into the safe")
    ] = False,
    rotate: Annotated[
        bool,
        typer.Option("--rotate-keys", help="a new master key for the vault, first into the safe"),
    ] = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="the whole PostgreSQL of the rows, for recovery to a moment")
    ] = False,
    wal: Annotated[
        Path | None, typer.Option("--wal", help="one segment of its log: what `archive_command` calls")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="only list what was done so far")] = False,
) -> None:
    """Back up rows and files, sealed; keys go into the safe. Works beside a running platform.

    `STADION_BACKUP_URL` and `STADION_BACKUP_SAFE` stand for `--into` and `--safe`.
    """
    from datastores.errors import StoreError
    from deploy.settings import settings_with

    settings = settings_with(data_folder=data)
    place, folder = backup_place(settings, into, "--into"), safe_folder(settings, safe)
    try:
        if listed:
            asyncio.run(_list(place, folder))
        elif wal is not None:
            asyncio.run(_keep_segment(place, folder, wal))
        elif only_keys:
            asyncio.run(_only_keys(settings, folder))
        elif rotate:
            asyncio.run(_rotate_keys(settings, folder))
        elif only_prune:
            asyncio.run(_prune_alone(place, folder, keep, keep_days))
        else:
            asyncio.run(_back_up(settings, place, folder, every_file=every_file, cluster=cluster))
            if keep is not None or keep_days is not None:
                asyncio.run(_prune_alone(place, folder, keep, keep_days))
    except StoreError as error:
        fail(str(error))


def backup_place(settings: Settings, given: str | None, option: str) -> str:
    """The URL of the backups; one line and exit code 1 where nobody says it."""
    if given is not None:
        return given
    if settings.backup_url is None:
        fail(f"say where the backups are: `{option} file:///folder`, or `STADION_BACKUP_URL`")
    return settings.backup_url.get_secret_value()


def safe_folder(settings: Settings, given: Path | None) -> Path:
    """The folder of the safe; one line and exit code 1 where nobody says it, or it is within the data."""
    folder = given or settings.backup_safe
    if folder is None:
        fail("say where the keys are kept, apart from the backups: `--safe FOLDER`, or `STADION_BACKUP_SAFE`")
    if folder.resolve().is_relative_to(settings.data_folder.resolve()):
        fail(f"the safe `{folder}` is within the data folder, and would be lost with it: choose another")
    return folder


async def _back_up(settings: Settings, place: str, folder: Path, *, every_file: bool, cluster: bool) -> None:
    from datastores.backup.safe import Safe
    from deploy.backup import alone_at, back_up, back_up_cluster, opened_repository
    from deploy.progress import shown_progress

    if settings.relational_url is None and not settings.data_folder.is_dir():
        fail(f"there is no data folder `{settings.data_folder}`: name the one to back up with `--data`")
    safe = Safe(folder)
    with alone_at(folder), shown_progress("backing up") as advance:
        async with opened_repository(place, safe, create=True) as repository:
            if cluster:
                entry = await back_up_cluster(settings, repository, advance=advance)
            else:
                entry = await back_up(settings, repository, safe, every_file=every_file, advance=advance)
    typer.echo(_line(entry))


async def _prune_alone(place: str, folder: Path, keep: int | None, keep_days: float | None) -> None:
    from datastores.backup.retention import Retention, prune
    from datastores.backup.safe import Safe
    from deploy.backup import alone_at, opened_repository

    if keep is None and keep_days is None:
        fail("say what to keep: `--keep 7`, `--keep-days 30`")
    with alone_at(folder):
        async with opened_repository(place, Safe(folder), create=False) as repository:
            gone = await prune(repository, Retention(keep, keep_days), at_utc=datetime.now(UTC))
    typer.echo(f"removed {gone.backups} older backups and {gone.segments} segments of the log")


async def _only_keys(settings: Settings, folder: Path) -> None:
    from datastores.backup.safe import Safe
    from deploy.backup import alone_at, keep_keys

    with alone_at(folder):
        erased = await keep_keys(settings, Safe(folder))
    typer.echo(f"the keys are in the safe; {erased} people are erased")


async def _rotate_keys(settings: Settings, folder: Path) -> None:
    from datastores.backup.safe import Safe
    from deploy.backup import alone_at, rotate_keys

    with alone_at(folder):
        count = await rotate_keys(settings, Safe(folder))
    typer.echo(f"{count} keys are wrapped by a new master key and in the safe; the older ones are destroyed")


async def _keep_segment(place: str, folder: Path, file: Path) -> None:
    from datastores.backup.clusters import keep_segment
    from datastores.backup.safe import Safe
    from deploy.backup import opened_repository

    async with opened_repository(place, Safe(folder), create=False) as repository:
        try:
            await keep_segment(file, repository)
        except (OSError, ValueError) as error:
            fail(str(error))


async def _list(place: str, folder: Path) -> None:
    from datastores.backup.safe import Safe
    from deploy.backup import opened_repository

    async with opened_repository(place, Safe(folder), create=False) as repository:
        for entry in await repository.catalogue():
            typer.echo(_line(entry))


def _line(entry: Entry) -> str:
    """What, when, how much, how it ended."""
    told = (entry.told or "ok") if entry.ok else f"FAILED: {entry.told}"
    head = f"{entry.at_utc[:19]}Z  {entry.kind:<7} {entry.backup_id}  {told}"
    if entry.kind not in {"backup", "base"} or not entry.ok:
        return head
    size = f"{entry.bytes_whole / 1e6:.1f} MB, {entry.bytes_added / 1e6:.1f} MB new"
    proof = f"manifest {entry.manifest_sha256[:16]}"
    return f"{head}  {entry.rows} rows, {entry.blobs} files, {size}, {entry.took_s:.1f} s, {proof}"
