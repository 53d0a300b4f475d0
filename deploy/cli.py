"""`stadion …`: the command line, each command a thin call into the composition root."""

from importlib import import_module

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
COMMANDS = (
    "up_command",
    "router_command",
    "compose_command",
    "plan_command",
    "subgraph_command",
    "import_command",
    "publish_command",
    "otp_command",
    "policy_command",
    "audit_command",
    "migrate_command",
    "backup_command",
    "restore_command",
    "copy_command",
    "operations_command",
    "config_command",
)


@app.callback()
def stadion() -> None:
    """One federated GraphQL API for sport, fitness and health."""


for command in COMMANDS:
    import_module(f"deploy.{command}").register(app)


def main() -> None:
    """The entry point that `pyproject.toml` names."""
    app()
