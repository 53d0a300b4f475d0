"""The merged schema is a GraphQL schema (GraphQL: Type System Validation).

Each subgraph is one already; what can go wrong is what merging does: outputs widen, inputs narrow, and
interfaces meet implementations of other subgraphs.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphql import print_ast

from schema.composition.fitting import fits
from schema.composition.merge.model import MergedArgument, MergedField, MergedType
from schema.composition.post_merge.places import Merged
from schema.composition.post_merge.rings import default_rings, required_rings
from schema.federation.type_refs import ListOf, Named, NonNull, TypeRef
from schema.problems import Problem

_INVALID = "INVALID_GRAPHQL"


def valid_schema(merged: Merged) -> Iterator[Problem]:
    """Report what keeps the merged types from making one GraphQL schema."""
    for owner in merged.graph.types.values():
        for name in owner.interfaces:
            interface = merged.graph.types.get(name)
            if interface is not None:
                yield from _implementation(merged, owner, interface)
        for item in owner.fields.values():
            for argument in item.arguments.values():
                coordinate = f"{owner.name}.{item.name}({argument.name}:)"
                yield from _input(merged, owner.name, item.name, coordinate, argument)
        for argument in owner.inputs.values():
            yield from _input(merged, owner.name, argument.name, f"{owner.name}.{argument.name}", argument)
    yield from required_rings(merged)
    yield from default_rings(merged)


def _implementation(merged: Merged, owner: MergedType, interface: MergedType) -> Iterator[Problem]:
    for name in interface.interfaces:
        if name not in owner.interfaces and name != owner.name:
            yield merged.report(
                _INVALID,
                f"`{owner.name}` implements `{interface.name}`, which implements `{name}` in some subgraph,"
                f" so `{owner.name}` must implement `{name}` too",
                owner.name,
                mend=f"write `implements {interface.name} & {name}` on `{owner.name}`",
            )
    for wanted in interface.fields.values():
        found = owner.fields.get(wanted.name)
        if found is not None:
            yield from _field(merged, owner, interface, found, wanted)


def _field(
    merged: Merged, owner: MergedType, interface: MergedType, found: MergedField, wanted: MergedField
) -> Iterator[Problem]:
    coordinate, expected = f"{owner.name}.{found.name}", f"{interface.name}.{wanted.name}"
    if not _is_subtype(merged, found.type, wanted.type):
        yield merged.report(
            _INVALID,
            f"`{coordinate}` is `{found.type}` in all,"
            f" and `{expected}`, which it implements, is `{wanted.type}`",
            owner.name,
            found.name,
            mend=f"make it `{wanted.type}`, or something narrower, in each subgraph that has it;"
            " or widen the interface's field",
        )
    for argument in wanted.arguments.values():
        given = found.arguments.get(argument.name)
        if given is None or given.type != argument.type:
            merges_to = "has no such argument" if given is None else f"takes `{given.type}`"
            yield merged.report(
                _INVALID,
                f"`{expected}` takes `{argument.name}: {argument.type}`,"
                f" and `{coordinate}` in all {merges_to}",
                owner.name,
                found.name,
                mend=f"give it `{argument.name}: {argument.type}` in each subgraph that has it",
            )
    for given in found.arguments.values():
        if given.name not in wanted.arguments and isinstance(given.type, NonNull) and given.default is None:
            yield merged.report(
                _INVALID,
                f"`{coordinate}({given.name}:)` is required, and `{expected}` knows no such argument",
                owner.name,
                found.name,
                mend="make it optional, or give it to the interface in each subgraph",
            )


def _is_subtype(merged: Merged, narrow: TypeRef, wide: TypeRef) -> bool:
    if isinstance(wide, NonNull):
        return isinstance(narrow, NonNull) and _is_subtype(merged, narrow.of, wide.of)
    if isinstance(narrow, NonNull):
        return _is_subtype(merged, narrow.of, wide)
    if isinstance(wide, ListOf):
        return isinstance(narrow, ListOf) and _is_subtype(merged, narrow.of, wide.of)
    if isinstance(narrow, ListOf):
        return False
    return narrow == wide or _is_possible(merged, narrow, wide)


def _is_possible(merged: Merged, narrow: Named, wide: Named) -> bool:
    container, member = merged.graph.types.get(wide.name), merged.graph.types.get(narrow.name)
    if container is None or member is None:
        return False
    return narrow.name in container.member_names or wide.name in member.interfaces


def _input(
    merged: Merged, owner: str, member: str, coordinate: str, item: MergedArgument
) -> Iterator[Problem]:
    if item.default is not None and not fits(merged.graph.types, item.default, item.type):
        yield merged.report(
            _INVALID,
            f"the default `{print_ast(item.default)}` of `{coordinate}` holds what not all subgraphs know,"
            " so clients could not give it",
            owner,
            member,
            mend="choose a default that every subgraph understands",
        )
    is_required = isinstance(item.type, NonNull) and item.default is None
    if is_required and any(directive.name.value == "deprecated" for directive in item.directives):
        yield merged.report(
            _INVALID,
            f"`{coordinate}` is deprecated in one subgraph and required in another, so clients could not"
            " leave it out",
            owner,
            member,
            mend="make it optional everywhere, or remove `@deprecated`",
        )
