"""`stadion plan`: shows what the router would do with an operation, stage by stage, without running it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.router_command import fail, load_snapshot, read_text_file

if TYPE_CHECKING:
    from router.operation.model import NormalOperation
    from router.planner import Explanation
    from router.snapshot import Snapshot


class Stage(StrEnum):
    """The stages that can be printed, in the order in which they run."""

    PARSE = "parse"
    NORMAL = "normal"
    PATHS = "paths"
    GROUPS = "groups"
    PLAN = "plan"


class Form(StrEnum):
    """How the plan is printed; earlier stages are text."""

    TEXT = "text"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="plan")(plan_command)


def plan_command(
    operation_file: Annotated[Path, typer.Argument(help="file with the operation; `-` reads standard input")],
    supergraph: Annotated[Path, typer.Option(help="supergraph SDL file")],
    operation_name: Annotated[
        str | None, typer.Option(help="which operation, where there are several")
    ] = None,
    *,
    stage: Annotated[Stage, typer.Option(help="the stage to print")] = Stage.PLAN,
    form: Annotated[Form, typer.Option("--format", help="how to print the plan")] = Form.TEXT,
    label: Annotated[
        list[str] | None, typer.Option(help="an @override label that is on; may be repeated")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="with the alternatives that were weighed and their costs")
    ] = False,
) -> None:
    """Print the plan of an operation, or any earlier stage."""
    from router.errors import ClientError

    text = typer.get_text_stream("stdin").read() if str(operation_file) == "-" else None
    text = read_text_file(operation_file, "operation") if text is None else text
    graph = load_snapshot(read_text_file(supergraph, "supergraph"), supergraph)
    try:
        normal = _normal(text, operation_name, graph, stage)
        if normal is not None:
            _print_planned(normal, graph, frozenset(label or ()), stage, form, explain=explain)
    except ClientError as refusal:
        fail("; ".join(str(entry["message"]) for entry in refusal.all_to_graphql()))


def _normal(text: str, name: str | None, graph: Snapshot, stage: Stage) -> NormalOperation | None:
    from graphql import print_ast

    from router.operation.normalize import normalize
    from router.operation.parse import parse
    from router.operation.validate import validate

    parsed = parse(text, limits=graph.parse_limits)
    if stage is Stage.PARSE:
        typer.echo(print_ast(parsed.document))
        return None
    normal = normalize(validate(parsed, graph.api_schema, name), graph.supergraph)
    if stage is Stage.NORMAL:
        typer.echo(normal.signature)
        return None
    return normal


def _print_planned(
    normal: NormalOperation,
    graph: Snapshot,
    labels: frozenset[str],
    stage: Stage,
    form: Form,
    *,
    explain: bool,
) -> None:
    from router.planner import explain_operation, plan_to_json

    found = explain_operation(normal, graph.supergraph, override_labels=labels, weigh_all=explain)
    if explain:
        typer.echo(str(found))
    elif stage is not Stage.PLAN:
        typer.echo(_earlier(found, stage))
    elif form is Form.JSON:
        typer.echo(json.dumps(plan_to_json(found.plan), indent=2))
    else:
        typer.echo(str(found.plan))


def _earlier(found: Explanation, stage: Stage) -> str:
    from router.planner.tree import print_choice

    if stage is Stage.PATHS:
        return "\n".join(print_choice(choice) for choice in found.choices)
    return "\n".join(str(group) for group in found.groups)
