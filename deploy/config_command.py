"""`stadion config`: checks a router's settings file, and tells all that it may say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.router_command import fail, read_text_file

if TYPE_CHECKING:
    from router.config import RouterConfig

commands = typer.Typer(no_args_is_help=True, help="The router's settings file.")


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(commands, name="config")


@commands.command()
def check(file: Annotated[Path, typer.Argument(help="settings file (YAML)")]) -> None:
    """Say whether the router would start with these settings; exit code 1 where not."""
    read_settings(file)
    typer.echo(f"`{file}` is good")


@commands.command()
def show(
    file: Annotated[
        Path | None, typer.Argument(help="settings file (YAML); the defaults without one")
    ] = None,
) -> None:
    """Print every setting as it would hold, as a settings file."""
    import yaml

    from router.config import RouterConfig

    config = RouterConfig() if file is None else read_settings(file)
    typer.echo(yaml.safe_dump(_plain(dataclasses.asdict(config)), sort_keys=False), nl=False)


@commands.command()
def schema() -> None:
    """Print the JSON schema of the settings file, for editors and checks."""
    import json

    from router.reference import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@commands.command()
def reference(
    into: Annotated[Path | None, typer.Option(help="file whose reference is made anew [prints it]")] = None,
) -> None:
    """Print every setting, limit and error code of the router as Markdown tables."""
    from router.reference import page, placed

    if into is None:
        typer.echo(page())
        return
    into.write_text(placed(read_text_file(into, "page")), encoding="utf-8")


def read_settings(path: Path) -> RouterConfig:
    """The settings in `path`; one clear line and exit code 1 where they cannot be used."""
    import yaml

    from deploy.settings import environment
    from router.config import ConfigError, read_config
    from schema.yaml_text import read_yaml

    text = read_text_file(path, "settings")
    try:
        return read_config(read_yaml(text) or {}, environment())
    except (ConfigError, yaml.YAMLError) as error:
        fail(f"`{path}`: {' '.join(str(error).split())}")


def _plain(value: Any) -> Any:
    """Mappings, lists, numbers and texts alone, as YAML writes them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value
