"""`stadion …`: the command line, each command a thin call into the composition root."""

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def stadion() -> None:
    """One federated GraphQL API for sport, fitness and health."""


def main() -> None:
    """The entry point that `pyproject.toml` names."""
    app()
