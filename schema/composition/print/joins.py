"""Spells the `@join__…` directives of types, fields and values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from graphql import print_ast

from schema.composition.merge.model import (
    ContextArgument,
    Graph,
    JoinDirective,
    JoinField,
    MergedType,
    MergedValue,
)


def quoted(text: str) -> str:
    """A GraphQL string literal on one line."""
    return json.dumps(text, ensure_ascii=False)


def type_joins(merged: MergedType, graphs: Sequence[Graph]) -> Iterator[str]:
    """The join directives of a type, each on its own line in print."""
    for index, interface in merged.implements:
        yield f"@join__implements(graph: {graphs[index].enum}, interface: {quoted(interface)})"
    for join in merged.joins:
        parts = [f"graph: {graphs[join.graph].enum}"]
        if join.key is not None:
            parts.append(f"key: {quoted(join.key)}")
        if join.is_extension:
            parts.append("extension: true")
        if not join.is_resolvable:
            parts.append("resolvable: false")
        if join.is_interface_object:
            parts.append("isInterfaceObject: true")
        yield f"@join__type({', '.join(parts)})"
    for index, member in merged.members:
        yield f"@join__unionMember(graph: {graphs[index].enum}, member: {quoted(member)})"


def field_join(join: JoinField, graphs: Sequence[Graph]) -> str:
    """One `@join__field`."""
    parts = [] if join.graph is None else [f"graph: {graphs[join.graph].enum}"]
    texts = {"requires": join.requires, "provides": join.provides, "type": join.type}
    parts += [f"{name}: {quoted(text)}" for name, text in texts.items() if text is not None]
    if join.external:
        parts.append("external: true")
    if join.override is not None:
        parts.append(f"override: {quoted(join.override)}")
    if join.used_overridden:
        parts.append("usedOverridden: true")
    if join.override_label is not None:
        parts.append(f"overrideLabel: {quoted(join.override_label)}")
    if join.context_arguments:
        parts.append(f"contextArguments: [{', '.join(map(_context_argument, join.context_arguments))}]")
    return f"@join__field({', '.join(parts)})" if parts else "@join__field"


def value_joins(value: MergedValue, graphs: Sequence[Graph]) -> Iterator[str]:
    """The subgraphs that know an enum value."""
    return (f"@join__enumValue(graph: {graphs[index].enum})" for index in value.graphs)


def carried_directive(carried: JoinDirective, graphs: Sequence[Graph]) -> str:
    """One `@join__directive`."""
    names = ", ".join(graphs[index].enum for index in carried.graphs)
    return (
        f"@join__directive(graphs: [{names}], name: {quoted(carried.name)}, args: {print_ast(carried.args)})"
    )


def _context_argument(argument: ContextArgument) -> str:
    return (
        f"{{context: {quoted(argument.context)}, name: {quoted(argument.name)},"
        f" type: {quoted(argument.type)}, selection: {quoted(argument.selection)}}}"
    )
