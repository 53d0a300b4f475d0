"""Merges directive definitions: executable ones that all know, and type-system ones that somebody
composes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from schema.composition.merge.arguments import merge_arguments
from schema.composition.merge.context import MergeContext
from schema.composition.merge.features import FEATURES
from schema.composition.merge.model import MergedArgument, MergedDirectiveDef, MergedLink
from schema.composition.subgraph import Applied, DirectiveDef, Link, Subgraph, find
from schema.composition.validate import ValidSubgraph
from schema.federation.type_refs import named
from schema.federation.urls import FEDERATION_IDENTITY, LINK_IDENTITY, Version
from schema.problems import Problem, Severity

EXECUTABLE = frozenset(
    {
        "QUERY",
        "MUTATION",
        "SUBSCRIPTION",
        "FIELD",
        "FRAGMENT_DEFINITION",
        "FRAGMENT_SPREAD",
        "INLINE_FRAGMENT",
    }
    | {"VARIABLE_DEFINITION"}
)


@dataclass(frozen=True, slots=True)
class ComposedDirective:
    """A custom directive that one subgraph asks to keep."""

    subgraph: int
    written: str
    element: str
    link: Link
    applied: Applied


@dataclass(frozen=True, slots=True)
class Composed:
    """All of them. `names`: (subgraph, written name) → name in the supergraph."""

    names: Mapping[tuple[int, str], str]
    definers: Mapping[str, ComposedDirective]


def composed_directives(
    subgraphs: Sequence[ValidSubgraph], problems: list[Problem], hints: list[Problem]
) -> Composed:
    """What `@composeDirective` asks for, checked for agreement between subgraphs."""
    wanted = [
        found
        for index, subgraph in enumerate(subgraphs)
        for applied in find(subgraph.graph.schema_directives, "composeDirective")
        if (found := _read(index, subgraph.graph, applied, problems)) is not None
    ]
    definers: dict[str, ComposedDirective] = {}
    for candidate in wanted:
        other = definers.get(candidate.written)
        if other is None or _is_newer(candidate, other):
            definers[candidate.written] = candidate
    _check_agreement(wanted, problems)
    names = {}
    for name, definer in definers.items():
        asking = {d.subgraph for d in wanted if d.link.url.identity == definer.link.url.identity}
        hints.extend(_hint_silent(name, subgraphs, asking))
        for index in asking:
            for link in subgraphs[index].graph.links:
                if link.url.identity == definer.link.url.identity:
                    names[index, link.written(f"@{definer.element}")[1:]] = name
    return Composed(names, definers)


def repeatable_directives(subgraphs: Sequence[ValidSubgraph], composed: Composed) -> frozenset[str]:
    """The composed directives that the definition in the supergraph lets stand more than once."""
    return frozenset(
        name
        for name, definer in composed.definers.items()
        if subgraphs[definer.subgraph].graph.directive_defs[definer.written].is_repeatable
    )


def merge_directive_defs(ctx: MergeContext, composed: Composed) -> dict[str, MergedDirectiveDef]:
    """The definitions of the supergraph, besides those of the specifications."""
    merged: dict[str, MergedDirectiveDef] = {}
    for name, definer in composed.definers.items():
        definition = ctx.subgraphs[definer.subgraph].graph.directive_defs[definer.written]
        merged[name] = _carried(definition)
        ctx.input_uses.update(named(a.type) for a in definition.arguments.values())
    names = sorted({name for s in ctx.subgraphs for name in s.graph.directive_defs})
    for name in names:
        if name not in merged:
            executable = _merge_executable(ctx, name)
            if executable is not None:
                merged[name] = executable
    return merged


def merged_links(subgraphs: Sequence[ValidSubgraph], composed: Composed) -> tuple[MergedLink, ...]:
    """The features that the supergraph links for directives of subgraphs' own."""
    by_identity: dict[str, list[ComposedDirective]] = {}
    for definer in composed.definers.values():
        by_identity.setdefault(definer.link.url.identity, []).append(definer)
    links = []
    for _, definers in sorted(by_identity.items()):
        newest = max(definers, key=lambda d: d.link.url.version or Version(0, 0)).link
        imports = tuple(sorted((f"@{d.element}", f"@{d.written}") for d in definers))
        links.append(MergedLink(newest.url, None, newest.purpose, imports))
    return tuple(links)


def _read(index: int, graph: Subgraph, applied: Applied, problems: list[Problem]) -> ComposedDirective | None:
    name = applied.text("name")

    def refuse(message: str, mend: str) -> None:
        problems.append(Problem("DIRECTIVE_COMPOSITION_ERROR", message, "schema", (applied.at,), mend))

    if name is None or not name.startswith("@") or len(name) < 2:
        refuse("`@composeDirective` needs a directive's name", 'write it with its `@`: `name: "@mine"`')
        return None
    written = name[1:]
    if written not in graph.directive_defs:
        refuse(f"`{name}` is not defined in `{graph.name}`", "define the directive, or correct the name")
        return None
    for link in graph.links:
        element = _element(link, written)
        if element is None:
            continue
        if link.url.identity in (FEDERATION_IDENTITY, LINK_IDENTITY):
            refuse(f"`{name}` belongs to the federation specification, which composes by itself", "remove it")
            return None
        if written in FEATURES:
            refuse(f"`{name}` has the name of a federation directive", "import it under another name")
            return None
        return ComposedDirective(index, written, element, link, applied)
    refuse(
        f"`{name}` belongs to no linked specification",
        f'link one: `@link(url: "https://…/v1.0", import: ["{name}"])`',
    )
    return None


def _hint_silent(name: str, subgraphs: Sequence[ValidSubgraph], asking: set[int]) -> Iterator[Problem]:
    """Warn of subgraphs that define the directive too and would lose what they write with it."""
    for index, subgraph in enumerate(subgraphs):
        definition = subgraph.graph.directive_defs.get(name)
        if index not in asking and definition is not None:
            yield Problem(
                "DIRECTIVE_COMPOSITION_WARN",
                f"`@{name}` is composed, and `{subgraph.graph.name}` does not ask for it:"
                " what it writes is lost",
                f"@{name}",
                (definition.at,),
                f'link the specification of `@{name}` there and write `@composeDirective(name: "@{name}")`',
                Severity.WARN,
            )


def _element(link: Link, written: str) -> str | None:
    """The feature's own name for the directive that this schema writes as `written`."""
    for imported in link.imports:
        if imported.alias == f"@{written}":
            return imported.name[1:]
    namespace = link.namespace or link.url.name
    if namespace is None:
        return None
    if written == namespace:
        return link.url.name
    prefix = f"{namespace}__"
    return written.removeprefix(prefix) if written.startswith(prefix) else None


def _is_newer(candidate: ComposedDirective, other: ComposedDirective) -> bool:
    return (candidate.link.url.version or Version(0, 0)) > (other.link.url.version or Version(0, 0))


def _check_agreement(wanted: list[ComposedDirective], problems: list[Problem]) -> None:
    first_by_element: dict[tuple[str, str], ComposedDirective] = {}
    first_by_name: dict[str, ComposedDirective] = {}
    for one in wanted:
        same = first_by_element.setdefault((one.link.url.identity, one.element), one)
        majors = [d.link.url.version.major if d.link.url.version else 0 for d in (one, same)]
        clash = first_by_name.setdefault(one.written, one)
        if same.written != one.written:
            message = (
                f"`@{one.element}` of `{one.link.url.identity}` is imported as"
                f" `@{same.written}` and as `@{one.written}`"
            )
            mend = "import it under the same name everywhere"
        elif majors[0] != majors[1]:
            message = (
                f"`@{one.written}` is linked in different major versions:"
                f" `{same.link.url}` and `{one.link.url}`"
            )
            mend = "link the same major version everywhere"
        elif clash.link.url.identity != one.link.url.identity:
            message = f"`@{one.written}` means two things: `{clash.link.url}` and `{one.link.url}`"
            mend = "import one of them under another name"
        else:
            continue
        at = (same.applied.at, one.applied.at) if same is not one else (clash.applied.at, one.applied.at)
        problems.append(Problem("DIRECTIVE_COMPOSITION_ERROR", message, f"@{one.written}", at, mend))


def _carried(definition: DirectiveDef) -> MergedDirectiveDef:
    arguments = {
        a.name: MergedArgument(a.name, a.type, a.default, a.description)
        for a in definition.arguments.values()
    }
    return MergedDirectiveDef(
        definition.name, arguments, definition.locations, definition.is_repeatable, definition.description
    )


def _merge_executable(ctx: MergeContext, name: str) -> MergedDirectiveDef | None:
    sources = {
        i: d for i, s in enumerate(ctx.subgraphs) if (d := s.graph.directive_defs.get(name)) is not None
    }
    executable = {i: d for i, d in sources.items() if EXECUTABLE & set(d.locations)}
    if not executable:
        return None
    coordinate = f"@{name}"
    places = [d.at for d in sources.values()]
    if len(executable) < len(ctx.subgraphs):
        ctx.hint(
            "INCONSISTENT_EXECUTABLE_DIRECTIVE_PRESENCE",
            f"`{coordinate}` is only in {ctx.names(executable)}; clients cannot use it",
            coordinate,
            places,
            severity=Severity.WARN,
        )
        return None
    return _intersect(ctx, coordinate, executable, places)


def _intersect(
    ctx: MergeContext, coordinate: str, sources: Mapping[int, DirectiveDef], places: Sequence[object]
) -> MergedDirectiveDef | None:
    definitions = list(sources.values())
    each = [EXECUTABLE & set(d.locations) for d in definitions]
    locations = frozenset.intersection(*map(frozenset, each))
    at = [d.at for d in definitions]
    if not locations:
        ctx.hint(
            "NO_EXECUTABLE_DIRECTIVE_INTERSECTION",
            f"`{coordinate}` has no location that all subgraphs allow; clients cannot use it",
            coordinate,
            at,
            severity=Severity.WARN,
        )
        return None
    if any(one != locations for one in each):
        ctx.hint(
            "INCONSISTENT_EXECUTABLE_DIRECTIVE_LOCATIONS",
            f"`{coordinate}` is allowed in different places; clients may use it"
            f" on {', '.join(sorted(locations))}",
            coordinate,
            at,
            severity=Severity.WARN,
        )
    repeatable = [d.is_repeatable for d in definitions]
    if any(repeatable) and not all(repeatable):
        ctx.hint(
            "INCONSISTENT_EXECUTABLE_DIRECTIVE_REPEATABLE",
            f"`{coordinate}` is not repeatable everywhere; clients may use it once",
            coordinate,
            at,
            severity=Severity.WARN,
        )
    descriptions = [d.description for d in definitions if d.description]
    return MergedDirectiveDef(
        definitions[0].name,
        merge_arguments(ctx, coordinate, sources),
        tuple(sorted(locations)),
        all(repeatable),
        descriptions[0] if descriptions else None,
    )
