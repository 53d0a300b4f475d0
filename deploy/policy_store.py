"""`stadion policy apply | show`: the policy in force, kept in the store that running processes follow."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.router_command import fail

if TYPE_CHECKING:
    from authz.policies.kept import KeptPolicies
    from authz.policies.rules import Policy
    from deploy.settings import Settings

DataFolder = Annotated[Path | None, typer.Option("--data", help="folder of the embedded stores [.stadion]")]


def register(group: typer.Typer) -> None:
    """Add the commands to the group `policy`."""
    group.command(name="apply")(apply_command)
    group.command(name="show")(show_command)


def apply_command(
    file: Annotated[Path, typer.Argument(help="the policy to come")],
    data: DataFolder = None,
    by: Annotated[str | None, typer.Option(help="who applies it, for the audit log [your login]")] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="don't ask after showing the difference")] = False,
) -> None:
    """Show who gains and who loses, then put a policy in force; running processes take it within 2 s."""
    from datastores.errors import StoreError
    from deploy.policy_command import changes_told, read_policy_file, refuse_problems
    from deploy.settings import settings_with

    policy = read_policy_file(file)
    refuse_problems(policy)
    settings = settings_with(data_folder=data)
    try:
        current = asyncio.run(_current(settings))
        if current.version == policy.version:
            typer.echo(f"version {policy.version} is in force already")
            return
        typer.echo(changes_told(current, policy))
        if not yes:
            typer.confirm("Put it in force?", abort=True)
        number = asyncio.run(_stored(settings, policy, by or getpass.getuser(), expected=current.version))
    except StoreError as error:
        fail(str(error))
    typer.echo(f"version {policy.version} is in force, number {number} of this installation")


def show_command(data: DataFolder = None) -> None:
    """Print the policy in force: the one stored last, or the one that Stadion ships with."""
    from datastores.errors import StoreError
    from deploy.settings import settings_with

    try:
        policy = asyncio.run(_current(settings_with(data_folder=data)))
    except StoreError as error:
        fail(str(error))
    typer.echo(policy.text, nl=False)


async def _current(settings: Settings) -> Policy:
    from authz.policies.rules import stadion_policy

    async with _kept_policies(settings) as kept:
        newest = await kept.newest()
    return stadion_policy() if newest is None else newest.policy


async def _stored(settings: Settings, policy: Policy, by: str, *, expected: str) -> int:
    """Errors: StoreError where another policy was stored since the difference was shown."""
    from authz.policies.rules import stadion_policy
    from datastores.errors import StoreError

    async with _kept_policies(settings) as kept:
        newest = await kept.newest()
        if (stadion_policy() if newest is None else newest.policy).version != expected:
            raise StoreError("another policy was stored meanwhile: look at the difference to that one")
        return (await kept.store(policy, stored_by=by, at_utc=datetime.now(UTC))).number


@asynccontextmanager
async def _kept_policies(settings: Settings) -> AsyncIterator[KeptPolicies]:
    """The policy store alone, beside a platform that may be running."""
    from authz.policies.kept import KeptPolicies
    from datastores.events.outbox import RelationalOutbox, prepare_outbox
    from datastores.lifecycle import opened
    from deploy.stores import stores_of

    stores = stores_of(settings)
    async with opened({"the store of authorization facts": stores.facts_rows}):
        await stores.facts.open()
        await prepare_outbox(stores.facts_rows)
        yield KeptPolicies(stores.facts_rows, RelationalOutbox())
