"""`stadion otp`: the current second-factor code of a demo person."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.router_command import fail


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="otp")(otp_command)


def otp_command(handle: Annotated[str, typer.Argument(help="the demo person's handle")]) -> None:
    """Print the code that a demo person's authenticator app would show now."""
    import pyotp

    from deploy.demo.people import PEOPLE

    secrets = {person.handle: person.totp_secret for person in PEOPLE if person.totp_secret}
    if handle not in secrets:
        fail(f"`{handle}` has no demo second factor: use one of {', '.join(sorted(secrets))}")
    typer.echo(pyotp.TOTP(secrets[handle]).now())
