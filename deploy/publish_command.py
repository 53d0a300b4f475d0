"""`stadion publish`: the subgraphs' SDLs and their supergraph, written to `schema/published/`."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from deploy.router_command import fail


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="publish")(publish_command)


def publish_command(
    folder: Annotated[Path | None, typer.Option(help="where to write [schema/published]")] = None,
) -> None:
    """Compose the platform's subgraphs and write what is checked in."""
    from deploy.endpoint import PUBLISHED

    target = folder or PUBLISHED
    target.mkdir(parents=True, exist_ok=True)
    for name, text in published_artefacts().items():
        (target / name).write_text(text, encoding="utf-8")
        typer.echo(f"wrote {target / name}")


def published_artefacts() -> Mapping[str, str]:
    """Each subgraph's SDL and the supergraph, by file name; exit code 1 where they don't compose."""
    from schema.composition import compose
    from schema.sources import SubgraphSource

    sdls = subgraph_sdls()
    sources = [
        SubgraphSource(name=name, url=f"http://127.0.0.1:{4001 + i}/graphql", sdl=sdl)
        for i, (name, sdl) in enumerate(sorted(sdls.items()))
    ]
    result = compose(sources)
    if result.supergraph_sdl is None:
        fail("the subgraphs do not compose:\n" + "\n".join(str(problem) for problem in result.problems))
    return {
        **{f"{name}.graphql": sdl for name, sdl in sdls.items()},
        "supergraph.graphql": result.supergraph_sdl,
    }


def subgraph_sdls() -> Mapping[str, str]:
    """Each domain's SDL by name; no store is opened for it."""
    from authz.decide import Authorizer
    from authz.facts.store import MemoryFacts
    from authz.identity.keys import KeyRing, generate_key
    from authz.identity.tokens import TokenIssuer, TokenTerms
    from deploy.domains import Shared, build_domains
    from deploy.settings import Settings
    from deploy.stores import stores_of
    from subgraphs.accounts.passwords import CHEAPEST, Passwords

    def now() -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    keys = KeyRing([generate_key(created_at_utc=now())])
    passwords = Passwords(cost=CHEAPEST)
    try:
        with tempfile.TemporaryDirectory() as name:
            shared = Shared(
                stores=stores_of(Settings(data_folder=Path(name))),
                authorizer=Authorizer(MemoryFacts()),
                tokens=TokenIssuer(TokenTerms("published", "published"), keys),
                passwords=passwords,
                secret=lambda _: bytes(32),
                now=now,
            )
            return {each: graph.sdl() for each, graph in build_domains(shared).subgraphs.items()}
    finally:
        passwords.close()
