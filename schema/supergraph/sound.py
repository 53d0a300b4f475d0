"""Refuses supergraphs that hang in the air: names of nothing, joins to nowhere, the same name twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from graphql import (
    DocumentNode,
    SchemaDefinitionNode,
    TypeDefinitionNode,
    specified_scalar_types,
)

from schema.supergraph.field_sets import FieldSet, FieldSetFragment
from schema.supergraph.model import InvalidSupergraph, TypeDefinition

_BUILT_IN = frozenset(specified_scalar_types)


def check_document(document: DocumentNode) -> None:
    """Errors: InvalidSupergraph where a type, or a type's field or value, is defined twice."""
    nodes = [node for node in document.definitions if isinstance(node, TypeDefinitionNode)]
    _check_once("type", [node.name.value for node in nodes])
    for node in nodes:
        for part in ("fields", "values"):
            names = [f"{node.name.value}.{item.name.value}" for item in getattr(node, part, None) or ()]
            _check_once("field" if part == "fields" else "value", names)
    if sum(isinstance(node, SchemaDefinitionNode) for node in document.definitions) > 1:
        raise InvalidSupergraph("the supergraph has more than one `schema`")


def check_joins(types: Mapping[str, TypeDefinition], graphs: Collection[str], document: DocumentNode) -> None:
    """Errors: InvalidSupergraph where something names a type, a field or a subgraph that is not there."""
    defined = {node.name.value for node in document.definitions if isinstance(node, TypeDefinitionNode)}
    known = defined | _BUILT_IN
    for owner in types.values():
        for where, name in _references(owner):
            if name not in known:
                raise InvalidSupergraph(f"`{where}` is of the type `{name}`, which is not defined")
        for where, graph in _joined(owner):
            if graph not in graphs:
                raise InvalidSupergraph(f"`{where}` is joined to unknown subgraph `{graph}`")
        for join in owner.joins:
            _check_selection(types, owner.name, join.key or ())


def _check_once(kind: str, names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidSupergraph(f"the {kind} `{twice[0]}` is defined more than once")


def _references(owner: TypeDefinition) -> Iterator[tuple[str, str]]:
    """Each name of a type that the type uses, with where it does."""
    yield from ((owner.name, name) for name in owner.interfaces)
    yield from ((owner.name, member) for members in owner.members.values() for member in members)
    for item in owner.fields.values():
        yield f"{owner.name}.{item.name}", item.type.name


def _joined(owner: TypeDefinition) -> Iterator[tuple[str, str]]:
    """Each subgraph that the type names, with where it does."""
    yield from ((owner.name, graph) for graph in (*owner.implements, *owner.members))
    for item in owner.fields.values():
        yield from ((f"{owner.name}.{item.name}", graph) for graph in item.joins)
    for value in owner.enum_values.values():
        yield from ((f"{owner.name}.{value.name}", graph) for graph in value.graphs)


def _check_selection(types: Mapping[str, TypeDefinition], owner: str, selections: FieldSet) -> None:
    for item in selections:
        if isinstance(item, FieldSetFragment):
            _check_selection(types, item.type_condition, item.selections)
        elif item.name != "__typename":
            found = types[owner].fields.get(item.name) if owner in types else None
            if found is None:
                raise InvalidSupergraph(f"a key needs `{owner}.{item.name}`, which is not there")
            _check_selection(types, found.type.name, item.selections)
