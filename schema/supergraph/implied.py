"""Joins that a supergraph leaves unsaid, although its field sets show them: some composers drop external
copies of fields.

A field that a path provides is external where it is provided, and a field that an interface object
requires is external there. Source: Federation, `@provides` and `@requires` (their leaves are external).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from schema.supergraph.field_sets import FieldSet, FieldSetField, FieldSetFragment
from schema.supergraph.model import FieldJoin, TypeDefinition


def add_implied_joins(types: dict[str, TypeDefinition]) -> None:
    """Adds the external joins that `provides` and the requirements of interface objects imply."""
    for type_ in list(types.values()):
        for graph in {join.graph for join in type_.joins if join.interface_object}:
            for name in _required_by(type_, graph):
                _make_external(types, type_.name, name, graph)
        for field in type_.fields.values():
            for join in field.joins.values():
                for type_name, name in _selected(join.provides, join.type.name, types):
                    if join.graph not in types[type_name].fields[name].joins:
                        _make_external(types, type_name, name, join.graph)


def _required_by(type_: TypeDefinition, graph: str) -> Iterator[str]:
    """Leaves that the graph requires of its own interface object, and that another graph has."""
    keys = {
        item.name
        for join in type_.joins
        if join.graph == graph
        for item in join.key or ()
        if isinstance(item, FieldSetField)
    }
    for field in type_.fields.values():
        join = field.joins.get(graph)
        for item in join.requires if join is not None else ():
            if isinstance(item, FieldSetField) and not item.selections and item.name not in keys:
                required = type_.fields.get(item.name)
                if required is not None and len(required.joins) > 1 and graph in required.joins:
                    yield item.name


def _selected(
    selections: FieldSet, type_name: str, types: Mapping[str, TypeDefinition]
) -> Iterator[tuple[str, str]]:
    """Every field that the set selects and that is known: its type and its name."""
    for item in selections:
        if isinstance(item, FieldSetFragment):
            yield from _selected(item.selections, item.type_condition, types)
        elif type_name in types and item.name in types[type_name].fields:
            yield type_name, item.name
            yield from _selected(item.selections, types[type_name].fields[item.name].type.name, types)


def _make_external(types: dict[str, TypeDefinition], type_name: str, name: str, graph: str) -> None:
    field = types[type_name].fields[name]
    join = replace(field.joins.get(graph, FieldJoin(graph, field.type)), external=True)
    changed = replace(field, joins={**field.joins, graph: join})
    types[type_name] = replace(types[type_name], fields={**types[type_name].fields, name: changed})
