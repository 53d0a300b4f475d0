"""`stadion import FILE…` and `stadion export DIR`: a person's activities in, and everything out again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.router_command import fail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deploy.settings import Settings
    from subgraphs.training.imports import ImportOutcome

Person = Annotated[str, typer.Option("--as", help="handle or e-mail address of whose activities they are")]
Folder = Annotated[Path | None, typer.Option(help="folder of the embedded stores [.stadion]")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command(name="import")(import_command)
    app.command(name="export")(export_command)


def import_command(
    files: Annotated[list[Path], typer.Argument(help="FIT, GPX or TCX files, also gzipped; folders too")],
    person: Person,
    data: Folder = None,
) -> None:
    """Import activity files. A bad file never stops the others; exit code 1 where any was refused."""
    from datastores.errors import StoreError
    from deploy.settings import settings_with

    try:
        refused = asyncio.run(_import(settings_with(data_folder=data), person, _expanded(files)))
    except StoreError as error:
        fail(str(error))
    if refused:
        raise typer.Exit(1)


def export_command(
    folder: Annotated[Path, typer.Argument(help="where to write; made if need be, must be empty")],
    person: Person,
    data: Folder = None,
) -> None:
    """Write everything of one person's training: JSON lines, and the files as they came."""
    from datastores.errors import StoreError
    from deploy.settings import settings_with

    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(folder.iterdir()):
            fail(f"`{folder}` is not empty: choose another folder, so that nothing is overwritten")
        asyncio.run(_export(settings_with(data_folder=data), person, folder))
    except (StoreError, OSError) as error:
        fail(str(error))


def _expanded(files: list[Path]) -> list[Path]:
    """Files as given, folders as the files below them, in a stable order."""
    return [
        found
        for path in files
        for found in (sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path])
    ]


async def _import(settings: Settings, person: str, files: list[Path]) -> int:
    from rich.progress import Progress

    from deploy.offline import claimed_platform, person_id
    from subgraphs.training.imports import ImportState, import_files

    refused = 0
    async with claimed_platform(settings) as running:
        athlete_id = await person_id(running, person)
        with Progress(transient=True) as progress:
            task = progress.add_task("importing", total=len(files))
            async for outcome in import_files(running.training_ports, athlete_id, files):
                progress.advance(task)
                progress.console.print(_line(outcome), soft_wrap=True, markup=False, highlight=False)
                refused += outcome.state is ImportState.REFUSED
    return refused


def _line(outcome: ImportOutcome) -> str:
    """What became of one file, on one line, then its warnings."""
    from subgraphs.training.imports import ImportState

    name = outcome.file_name or "(no name)"
    if outcome.state is ImportState.REFUSED:
        head = f"refused   {name}: {outcome.message} ({outcome.code})"
    elif outcome.state is ImportState.ALREADY_THERE:
        head = f"known     {name}"
    else:
        count = len(outcome.activities)
        head = f"imported  {name}: {count} {'activity' if count == 1 else 'activities'}"
    return "\n".join([head, *(f"          {each.code.value}: {each.message}" for each in outcome.warnings)])


async def _export(settings: Settings, person: str, folder: Path) -> None:
    from deploy.offline import claimed_platform, person_id
    from subgraphs.training import exports

    async with claimed_platform(settings) as running:
        ports, athlete_id = running.training_ports, await person_id(running, person)
        activities = await _written(folder / "activities.jsonl", exports.export_activities(ports, athlete_id))
        await _written(folder / "thresholds.jsonl", exports.export_thresholds(ports, athlete_id))
        (folder / "files").mkdir()
        count = 0
        async for name, content in exports.export_files(ports, athlete_id):
            await _written(folder / "files" / name, content)
            count += 1
    typer.echo(f"wrote {activities} activities and {count} files to {folder}")


async def _written(path: Path, chunks: AsyncIterator[bytes]) -> int:
    """Write the chunks to `path`; how many there were."""
    count = 0
    with await asyncio.to_thread(path.open, "xb") as file:
        async for chunk in chunks:
            await asyncio.to_thread(file.write, chunk)
            count += 1
    return count
