"""Every type that is named exists, and stands where its kind may stand (GraphQL: IsInputType,
IsOutputType)."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from schema.composition.facts import FieldFacts
from schema.composition.subgraph import Argument, Kind, Subgraph, TypeDef
from schema.composition.validate.report import problem
from schema.federation.directives import BUILT_IN_SCALARS
from schema.federation.type_refs import named
from schema.problems import Location, Problem

_OUTPUT_ONLY = (Kind.OBJECT, Kind.INTERFACE, Kind.UNION)


def known_types(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report references to types that do not exist or cannot be used there."""
    for owner in graph.types.values():
        yield from _references(graph, owner)
        for item in owner.fields.values():
            coordinate = f"{owner.name}.{item.name}"
            yield from _reference(graph, named(item.type), coordinate, item.at, is_input=False)
            yield from _inputs(graph, coordinate, item.arguments.values(), "({}:)")
        yield from _inputs(graph, owner.name, owner.inputs.values(), ".{}")
    for definition in graph.directive_defs.values():
        yield from _inputs(graph, f"@{definition.name}", definition.arguments.values(), "({}:)")


def _inputs(
    graph: Subgraph, coordinate: str, arguments: Iterable[Argument], suffix: str
) -> Iterator[Problem]:
    for argument in arguments:
        where = coordinate + suffix.format(argument.name)
        yield from _reference(graph, named(argument.type), where, argument.at, is_input=True)


def _references(graph: Subgraph, owner: TypeDef) -> Iterator[Problem]:
    for name in owner.members:
        yield from _kind(graph, owner, name, Kind.OBJECT, "is a member of the union")
    for name in owner.interfaces:
        yield from _kind(graph, owner, name, Kind.INTERFACE, "is implemented by")


def _kind(graph: Subgraph, owner: TypeDef, name: str, kind: Kind, role: str) -> Iterator[Problem]:
    found = graph.types.get(name)
    if found is None:
        yield _unknown(graph, name, owner.name, owner.at)
    elif found.kind is not kind:
        yield problem(
            "INVALID_GRAPHQL",
            f"`{name}` {role} `{owner.name}`, so it must be of kind {kind.value}, not {found.kind.value}",
            owner.name,
            owner.at,
        )


def _reference(
    graph: Subgraph, name: str, coordinate: str, at: Location, *, is_input: bool
) -> Iterator[Problem]:
    found = graph.types.get(name)
    if found is None:
        if name not in BUILT_IN_SCALARS and not _is_spec_type(graph, name):
            yield _unknown(graph, name, coordinate, at)
    elif is_input and found.kind in _OUTPUT_ONLY:
        yield problem(
            "INVALID_GRAPHQL",
            f"`{coordinate}` is an input, and `{name}` is of kind {found.kind.value}",
            coordinate,
            at,
            mend="use a scalar, an enum or an input object",
        )
    elif not is_input and found.kind is Kind.INPUT:
        yield problem(
            "INVALID_GRAPHQL",
            f"`{coordinate}` returns `{name}`, which is an input object",
            coordinate,
            at,
            mend="return an object, an interface, a union, a scalar or an enum",
        )


def _is_spec_type(graph: Subgraph, name: str) -> bool:
    return any(
        name.startswith(f"{link.namespace or link.url.name}__") or any(i.alias == name for i in link.imports)
        for link in graph.links
    )


def _unknown(graph: Subgraph, name: str, coordinate: str, at: Location) -> Problem:
    close = get_close_matches(name, [*graph.types, *BUILT_IN_SCALARS], n=1)
    mend = (
        f"did you mean `{close[0]}`?" if close else "define it in this subgraph too, even if others have it"
    )
    return problem("INVALID_GRAPHQL", f"unknown type `{name}` in `{coordinate}`", coordinate, at, mend=mend)
