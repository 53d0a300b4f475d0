"""`stadion audit verify`: walks the chain of the audit log and names every edit, removal and reordering."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.router_command import fail

if TYPE_CHECKING:
    from deploy.settings import Settings
    from subgraphs.audit.store import ChainReport

_NOTED = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


def register(app: typer.Typer) -> None:
    """Add the command group to `app`."""
    group = typer.Typer(no_args_is_help=True, help="Check the audit log.")
    group.command(name="verify")(verify_command)
    group.callback()(lambda: None)
    app.add_typer(group, name="audit")


def verify_command(
    data: Annotated[Path | None, typer.Option("--data", help="folder of the embedded stores")] = None,
    noted: Annotated[
        str | None, typer.Option(help="`NUMBER:HASH` that an earlier check printed and you kept elsewhere")
    ] = None,
) -> None:
    """Check every record, link, checkpoint and the end of the chain. Exit code 1 for any damage.

    Works beside a running platform. Keep what it prints somewhere else: with `--noted`, a later check also
    shows a log that was put back to an older state as a whole.
    """
    from datastores.errors import StoreError
    from deploy.settings import settings_with

    parsed = None if noted is None else _NOTED.fullmatch(noted)
    if noted is not None and parsed is None:
        fail("`--noted` is `NUMBER:HASH`, as a check prints it")
    expected = None if parsed is None else (int(parsed[1]), parsed[2])
    try:
        report, hash_then = asyncio.run(_checked(settings_with(data_folder=data), expected))
    except StoreError as error:
        fail(str(error))
    told = [str(damage) for damage in report.damages]
    if expected is not None and hash_then != expected[1]:
        lost = "is gone" if hash_then is None else "is not the one that was noted"
        told.append(f"record {expected[0]}: it {lost}: the log was replaced")
    for line in told:
        typer.echo(line, err=True)
    if told:
        raise typer.Exit(1)
    typer.echo(f"{report.records} records, {report.checkpoints} checkpoints: intact")
    if report.last_hash is not None:
        typer.echo(f"note {report.records}:{report.last_hash}")


async def _checked(settings: Settings, noted: tuple[int, str] | None) -> tuple[ChainReport, str | None]:
    """The report, and the hash that the noted record has now."""
    from datastores.lifecycle import opened
    from deploy.keys import kept_secret
    from deploy.stores import stores_of
    from subgraphs.audit import store
    from subgraphs.audit.model import Seal
    from subgraphs.audit.subgraph import prepare

    relational = stores_of(settings).relational["audit"]
    seal = Seal(kept_secret(settings.keys_path, "audit-seal"))
    async with opened({"the audit log": relational}):
        await prepare(relational)
        report = await relational.read(lambda c: store.check_chain(c, seal))
        if noted is None:
            return report, None
        return report, await relational.read(lambda c: store.hash_of(c, noted[0]))
