"""A type has something in it, and no name begins with `__` (GraphQL: Type System Validation)."""

from collections.abc import Iterator

from schema.composition.facts import FieldFacts
from schema.composition.subgraph import Kind, Subgraph, TypeDef
from schema.composition.validate.report import problem
from schema.problems import Problem

_PARTS = {
    Kind.OBJECT: ("fields", "field"),
    Kind.INTERFACE: ("fields", "field"),
    Kind.INPUT: ("inputs", "field"),
    Kind.ENUM: ("values", "value"),
    Kind.UNION: ("members", "member"),
}


def filled_types(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report empty types and reserved names."""
    for owner in graph.types.values():
        parts = _PARTS.get(owner.kind)
        if parts is not None and not getattr(owner, parts[0]) and owner.name != "Query":
            yield problem(
                "INVALID_GRAPHQL",
                f"`{owner.name}` has no {parts[1]}",
                owner.name,
                owner.at,
                mend=f"give it a {parts[1]}, or remove it",
            )
        yield from _reserved(owner)


def _reserved(owner: TypeDef) -> Iterator[Problem]:
    places = [(owner.name, owner.at)]
    for parts in (owner.fields, owner.inputs, owner.values):
        places += [(item.name, item.at) for item in parts.values()]
    for name, at in places:
        if name.startswith("__"):
            yield problem(
                "INVALID_GRAPHQL",
                f"`{name}` begins with `__`, which is reserved for introspection",
                owner.name,
                at,
                mend="choose another name",
            )
