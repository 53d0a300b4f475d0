"""`stadion compose` and `stadion check`: composition and schema checks as commands for people and for CI."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from schema.checks import (
    BrokenOperation,
    Change,
    Impact,
    Operation,
    broken_operations,
    compare_versions,
    read_version,
)
from schema.checks.changes import SchemaUnreadable
from schema.composition import CompositionResult, compose
from schema.composition.config import ConfigInvalid, load_supergraph_yaml
from schema.composition.contracts import Contract, ContractEmpty, apply_contract
from schema.problems import Problem, Severity

_SHOWN_HINTS = (Severity.WARN, Severity.INFO)


def register(app: typer.Typer) -> None:
    """Add the commands to a command line."""
    app.command("compose")(compose_command)
    app.command("check")(check_command)


def compose_command(
    config: Annotated[Path, typer.Option(help="The supergraph.yaml that lists the subgraphs.")],
    output: Annotated[
        Path | None, typer.Option(help="Where to write the supergraph; standard output if left out.")
    ] = None,
    *,
    satisfiability: Annotated[bool, typer.Option(help="Check that every operation can be answered.")] = True,
    include_tag: Annotated[
        list[str] | None, typer.Option(help="Show clients only what has one of these tags. Repeatable.")
    ] = None,
    exclude_tag: Annotated[
        list[str] | None, typer.Option(help="Hide from clients what has one of these tags. Repeatable.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="How to report: text or json.")] = "text",
) -> None:
    """Compose subgraphs into a supergraph. Exits with 1 when they do not compose.

    With tags the supergraph is a contract: what its clients may not see is `@inaccessible` in it.
    """
    if form not in ("text", "json"):
        _fail(f"`--format` is text or json, not `{form}`")
    try:
        result = compose(load_supergraph_yaml(config), satisfiability=satisfiability)
        result = _under(Contract(frozenset(include_tag or ()), frozenset(exclude_tag or ())), result)
    except (ConfigInvalid, ContractEmpty) as error:
        _fail(str(error))
    if result.supergraph_sdl is not None and output is not None:
        output.write_text(result.supergraph_sdl, encoding="utf-8")
    report = as_json(result) if form == "json" else as_text(result)
    if form == "json" or result.supergraph_sdl is None or output is not None:
        typer.echo(report, err=form == "text")
    else:
        typer.echo(report, err=True)
        typer.echo(result.supergraph_sdl, nl=False)
    raise typer.Exit(0 if result.supergraph_sdl is not None else 1)


def _under(contract: Contract, result: CompositionResult) -> CompositionResult:
    """The result with the contract applied to its supergraph; unchanged without tags."""
    if result.supergraph_sdl is None or not (contract.include or contract.exclude):
        return result
    return replace(result, supergraph_sdl=apply_contract(result.supergraph_sdl, contract))


def check_command(
    old: Annotated[Path, typer.Argument(help="The schema or supergraph that clients have now.")],
    new: Annotated[Path, typer.Argument(help="The one that shall replace it.")],
    operations: Annotated[
        Path | None,
        typer.Option(help="What must go on working: a folder of operations, or the manifest of clients."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="How to report: text or json.")] = "text",
) -> None:
    """Say what a change of the schema breaks, and what it may break.

    Exits with 1 on a breaking change; with `--operations`, only when one of those operations breaks.
    """
    if form not in ("text", "json"):
        _fail(f"`--format` is text or json, not `{form}`")
    if operations is not None and not operations.exists():
        _fail(f"`{operations}` is no folder of operations, and no manifest of them")
    try:
        before, after = (read_version(path.read_text(encoding="utf-8")) for path in (old, new))
        registered = _registered(operations) if operations else []
    except (OSError, UnicodeDecodeError, SchemaUnreadable) as error:
        _fail(str(error))
    changes = compare_versions(before, after)
    broken = broken_operations(before.api, after.api, registered)
    breaks = bool(broken if operations else [c for c in changes if c.impact is Impact.BREAKING])
    if form == "json":
        report = {
            "breaks": breaks,
            "changes": [_change(c) for c in changes],
            "operations_checked": len(registered),
            "operations": [asdict(b) for b in broken],
        }
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        typer.echo(_check_text(changes, broken, len(registered) if operations else None))
    raise typer.Exit(1 if breaks else 0)


def _registered(operations: Path) -> list[Operation]:
    """The operations of a folder, by file, or of a manifest, by client and id."""
    if operations.is_dir():
        return [
            Operation(str(path.relative_to(operations)), path.read_text(encoding="utf-8"))
            for path in sorted(operations.rglob("*.graphql"))
        ]
    from router.edge.persisted import ManifestInvalid, read_manifest

    try:
        found = read_manifest(operations.read_bytes())
    except ManifestInvalid as error:
        _fail(f"`{operations}`: {error}")
    own = [Operation(id_, text) for id_, text in found.for_all.items()]
    return own + [
        Operation(f"{client}: {id_}", text)
        for client, documents in found.for_client.items()
        for id_, text in documents.items()
    ]


def _check_text(changes: Sequence[Change], broken: Sequence[BrokenOperation], checked: int | None) -> str:
    """The changes by what they do to clients, worst first, then each operation that breaks, then the sum."""
    blocks = []
    for impact in Impact:
        found = [change.message for change in changes if change.impact is impact]
        if found:
            blocks.append(
                "\n".join([_counted(len(found), f"{impact.value} change"), *(f"  {m}" for m in found)])
            )
    blocks += [_broken(operation) for operation in broken]
    if checked is not None:
        blocks.append(f"{len(broken)} of {_counted(checked, 'operation')} would break")
    return "\n\n".join(blocks if changes else ["no change", *blocks])


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _change(change: Change) -> dict[str, str]:
    return {"impact": change.impact.value, "kind": change.kind, "message": change.message}


def _broken(operation: BrokenOperation) -> str:
    return "\n".join(
        [f"operation `{operation.name}` breaks", *(f"  {reason}" for reason in operation.reasons)]
    )


def as_text(result: CompositionResult) -> str:
    """The findings as a person reads them, hints for debugging left out."""
    hints = [hint for hint in result.hints if hint.severity in _SHOWN_HINTS]
    blocks = [problem.describe() for problem in (*result.problems, *hints)]
    outcome = "composed" if result.supergraph_sdl is not None else "not composed"
    counts = f"{outcome}: {len(result.problems)} problem(s), {len(hints)} hint(s)"
    return "\n\n".join([*blocks, counts])


def as_json(result: CompositionResult) -> str:
    """The findings as a tool reads them."""
    return json.dumps(
        {
            "composed": result.supergraph_sdl is not None,
            "supergraph": result.supergraph_sdl,
            "problems": [_plain(problem) for problem in result.problems],
            "hints": [_plain(hint) for hint in result.hints],
        },
        indent=2,
        ensure_ascii=False,
    )


def _plain(problem: Problem) -> dict[str, object]:
    return {
        "code": problem.code,
        "severity": problem.severity.value,
        "message": problem.message,
        "coordinate": problem.coordinate,
        "locations": [
            {"subgraph": at.subgraph, "line": at.line, "column": at.column} for at in problem.locations
        ],
        "mend": problem.mend,
    }


def _fail(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)
