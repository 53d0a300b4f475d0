"""`stadion keys make | sign-anew`: an installation's keys, made where processes may only read them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from deploy.router_command import fail

Folder = Annotated[Path, typer.Argument(help="folder of the keys; see `STADION_KEYS_FOLDER`")]


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    group = typer.Typer(no_args_is_help=True, help="The keys of an installation.")
    group.command(name="make")(make_command)
    group.command(name="sign-anew")(sign_anew_command)
    app.add_typer(group, name="keys")


def make_command(folder: Folder) -> None:
    """Make every key of an installation in a new folder, for a secret that all its processes mount."""
    from authz.identity.keys import open_key_ring
    from datastores.vault.keys import FileKeyProvider
    from deploy.keys import NAMES, kept_secret

    if folder.exists() and any(folder.iterdir()):
        fail(f"`{folder}` is not empty: keys that exist are never replaced")
    try:
        open_key_ring(folder)
        for name in NAMES:
            kept_secret(folder, name)
        asyncio.run(FileKeyProvider(folder / "vault.json").open(create=True))
    except OSError as error:
        fail(f"`{folder}` cannot be written: {error.strerror}")
    typer.echo(f"{len(list(folder.iterdir()))} keys are in `{folder}`: keep a copy where nobody reads it")


def sign_anew_command(folder: Folder) -> None:
    """Add a key that signs tokens from the next start on; what others have signed is still believed."""
    from authz.errors import KeyFileUnsafe
    from authz.identity.keys import KEY_FILES, open_key_ring

    if not list(folder.glob(KEY_FILES)):
        fail(f"`{folder}` has no key that signs tokens: `stadion keys make` makes all keys")
    try:
        fresh = open_key_ring(folder).rotate(now=datetime.now(UTC))
    except (KeyFileUnsafe, OSError) as error:
        fail(str(error))
    typer.echo(f"`{fresh.kid}` signs from the next start on: let all processes see it before one restarts")
