"""Compares what subgraphs say of a directive that is composed or that only they know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from schema.composition.merge.context import MergeContext
from schema.composition.subgraph import DirectiveDef, Link
from schema.composition.validate import ValidSubgraph
from schema.problems import Problem, Severity


def hint_definitions(ctx: MergeContext) -> None:
    """Hint at definitions of composed directives that allow different things."""
    by_name: dict[str, dict[int, DirectiveDef]] = {}
    for (index, written), name in ctx.composed.items():
        definition = ctx.subgraphs[index].graph.directive_defs.get(written)
        if definition is not None:
            by_name.setdefault(name, {})[index] = definition
    for name, definitions in sorted(by_name.items()):
        _compare(ctx, name, definitions, "REPEATABLE", lambda d: str(d.is_repeatable).lower())
        _compare(ctx, name, definitions, "LOCATIONS", lambda d: " | ".join(d.locations))


def _compare(
    ctx: MergeContext,
    name: str,
    definitions: Mapping[int, DirectiveDef],
    part: str,
    text: Callable[[DirectiveDef], str],
) -> None:
    said = {index: text(definition) for index, definition in sorted(definitions.items())}
    if len(set(said.values())) < 2:
        return
    written = " and ".join(f"`{words}` in {ctx.names([index])}" for index, words in said.items())
    ctx.hint(
        f"INCONSISTENT_TYPE_SYSTEM_DIRECTIVE_{part}",
        f"`@{name}` is composed, and its {part.lower()} differs: {written}; the newest definition is kept",
        f"@{name}",
        (definitions[index].at for index in said),
        severity=Severity.DEBUG,
    )


def hint_links(subgraphs: Sequence[ValidSubgraph], kept: frozenset[str], hints: list[Problem]) -> None:
    """Hint at features nobody composes that subgraphs link in different major versions. `kept`: identities
    that are composed."""
    first: dict[str, Link] = {}
    told: set[str] = set()
    for link in (link for subgraph in subgraphs for link in subgraph.graph.links):
        identity = link.url.identity
        other = first.setdefault(identity, link)
        if identity in kept or identity in told or _major(link) == _major(other):
            continue
        told.add(identity)
        hints.append(
            Problem(
                "DIRECTIVE_COMPOSITION_INFO",
                f"`{identity}` is linked in different major versions, and nothing of it is composed:"
                f" `{other.url}` and `{link.url}`",
                "schema",
                (other.at, link.at),
                "link the same major version everywhere",
                Severity.INFO,
            )
        )


def _major(link: Link) -> int:
    return link.url.version.major if link.url.version else 0
