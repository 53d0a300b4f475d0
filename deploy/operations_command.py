"""`stadion operations`: what clients register before a router runs it, in one manifest of all clients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.manifests import registered_in
from deploy.router_command import fail, load_snapshot, read_text_file

if TYPE_CHECKING:
    from router.edge.persisted import Registered
    from router.snapshot import Snapshot

commands = typer.Typer(no_args_is_help=True, help="Operations that clients register.")
FORMAT = {"format": "apollo-persisted-query-manifest", "version": 1}
PROBLEMS_SHOWN_MAX = 20


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(commands, name="operations")


@commands.callback()
def operations() -> None:
    """Operations that clients register."""


@commands.command()
def publish(
    manifest: Annotated[Path, typer.Argument(help="the client's manifest, as Apollo or Relay write it")],
    client: Annotated[str, typer.Option(help="the client, as its tokens name it")],
    registry: Annotated[Path, typer.Option(help="manifest of all clients: `stadion router --persisted`")],
    supergraph: Annotated[Path, typer.Option(help="supergraph SDL that the operations must be valid on")],
    *,
    prune: Annotated[
        bool, typer.Option("--prune", help="forget the client's operations that are not in the manifest")
    ] = False,
) -> None:
    """Register a client's operations. A router with `--poll` has them within seconds.

    Earlier operations stay: installed apps go on sending their ids. An id never changes its text.
    """
    given = registered_in(manifest)
    if given.for_client:
        fail(f"`{manifest}` names clients itself: publish it for each of them alone")
    known = registered_in(registry) if registry.exists() else _none()
    before = dict(known.for_client.get(client, {}))
    changed = [id_ for id_, text in given.for_all.items() if before.get(id_, text) != text]
    if changed:
        fail(f"the id `{changed[0]}` has another text already: give the changed operation a new id")
    _check(given, load_snapshot(read_text_file(supergraph, "supergraph"), supergraph))
    after = dict(given.for_all) if prune else before | dict(given.for_all)
    _write(registry, known, client, after)
    added, gone = len(after.keys() - before.keys()), len(before.keys() - after.keys())
    typer.echo(f"{client}: {len(after)} operations, {added} new, {gone} forgotten")


def _check(given: Registered, snapshot: Snapshot) -> None:
    """One line for each operation that the supergraph would refuse, and exit code 1."""
    from graphql import GraphQLError, parse, validate

    problems: list[str] = []
    for id_, text in given.for_all.items():
        try:
            errors = validate(snapshot.api_schema, parse(text))
        except GraphQLError as error:
            errors = [error]
        problems += [f"`{id_}`: {error.message}" for error in errors]
    if problems:
        for problem in problems[:PROBLEMS_SHOWN_MAX]:
            typer.echo(problem, err=True)
        fail(f"{len(problems)} problems: nothing was registered")


def _write(registry: Path, known: Registered, client: str, after: dict[str, str]) -> None:
    """The whole manifest at once, so that no router ever reads half of it."""
    entries: list[dict[str, str]] = [{"id": id_, "body": text} for id_, text in sorted(known.for_all.items())]
    for name, documents in sorted({**known.for_client, client: after}.items()):
        entries += [{"clientName": name, "id": id_, "body": text} for id_, text in sorted(documents.items())]
    fresh = registry.with_name(f"{registry.name}.new")
    text = json.dumps({**FORMAT, "operations": entries}, indent=1, ensure_ascii=False)
    try:
        fresh.write_text(f"{text}\n", encoding="utf-8")
        fresh.replace(registry)
    except OSError as error:
        fail(f"cannot write `{registry}`: {error.strerror}")


def _none() -> Registered:
    from router.edge.persisted import Registered

    return Registered()
