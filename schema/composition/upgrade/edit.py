"""Small edits on frozen subgraphs: drop or add directives and rebuild the types around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from graphql import DirectiveNode, NameNode

from schema.composition.subgraph import Applied, Directives, FieldDef, Kind, Subgraph, TypeDef
from schema.problems import Location

FieldEdit = Callable[[TypeDef, FieldDef], FieldDef | None]


def applied(name: str, at: Location) -> Applied:
    """A specification directive without arguments, as if written at `at`."""
    return Applied(name, spec=True, arguments={}, node=DirectiveNode(name=NameNode(value=name)), at=at)


def without(directives: Directives, *names: str) -> Directives:
    """The directives except the specification's `names`."""
    return tuple(d for d in directives if not (d.spec and d.name in names))


def edit_fields(graph: Subgraph, edit: FieldEdit) -> Subgraph:
    """The subgraph with each output field replaced by what `edit` returns; None removes the field."""
    types = {}
    for owner in graph.types.values():
        if owner.kind in (Kind.OBJECT, Kind.INTERFACE):
            edited = {item.name: edit(owner, item) for item in owner.fields.values()}
            owner = replace(owner, fields={name: item for name, item in edited.items() if item is not None})
        types[owner.name] = owner
    return replace(graph, types=types)


def edit_types(graph: Subgraph, edit: Callable[[TypeDef], TypeDef | None]) -> Subgraph:
    """The subgraph with each type replaced by what `edit` returns; None removes the type."""
    edited = {name: edit(owner) for name, owner in graph.types.items()}
    return replace(graph, types={name: owner for name, owner in edited.items() if owner is not None})
