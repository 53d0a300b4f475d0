"""`stadion plan`: shows what the router would do with an operation, stage by stage, without running it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deploy.router_command import fail, read_supergraph_file


class Stage(StrEnum):
    """The stages that can be printed, in the order in which they run."""

    PARSE = "parse"
    NORMAL = "normal"
    PATHS = "paths"
    GROUPS = "groups"
    PLAN = "plan"


class Form(StrEnum):
    """How to print."""

    TEXT = "text"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="plan")(plan_command)
