"""`stadion …`: the command line, each command a thin call into the composition root."""

import gc
import sys
from functools import cache
from importlib import import_module

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
COMMANDS = {
    "up_command": ("up",),
    "router_command": ("router",),
    "compose_command": ("compose", "check"),
    "plan_command": ("plan",),
    "subgraph_command": ("subgraph",),
    "import_command": ("import", "export"),
    "publish_command": ("publish",),
    "otp_command": ("otp",),
    "policy_command": ("policy",),
    "audit_command": ("audit",),
    "migrate_command": ("migrate",),
    "backup_command": ("backup",),
    "restore_command": ("restore", "restore-drill"),
    "copy_command": ("copy",),
    "operations_command": ("operations",),
    "config_command": ("config",),
    "keys_command": ("keys",),
}
"""Module → the commands that it has."""
SERVING = ("up", "router")
"""Commands that have the collector begin when they take requests."""


@app.callback()
def stadion() -> None:
    """One federated GraphQL API for sport, fitness and health."""


@cache
def every_command() -> typer.Typer:
    """The whole command line."""
    for module in COMMANDS:
        import_module(f"deploy.{module}").register(app)
    return app


def main() -> None:
    """The entry point that `pyproject.toml` names: of a command that is named, its module alone is loaded."""
    named = sys.argv[1] if len(sys.argv) > 1 else ""
    if named in SERVING:
        # what a start loads stays: looking for garbage in it again and again takes an eighth of the start
        gc.disable()
    for module, names in COMMANDS.items():
        if named in names:
            import_module(f"deploy.{module}").register(app)
            break
    else:
        every_command()
    app()
