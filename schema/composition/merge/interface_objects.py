"""Copies what interface objects add to an interface onto each type that implements it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from graphql import print_ast

from schema.composition.merge.context import MergeContext
from schema.composition.merge.features import DEMANDS
from schema.composition.merge.model import JoinField, MergedField, MergedType
from schema.composition.merge.overrides import NO_OVERRIDES
from schema.composition.merge.sharing import check_sharing, supplying_interface_objects
from schema.composition.subgraph import Kind


def copy_to_implementations(ctx: MergeContext, types: dict[str, MergedType]) -> None:
    """Fields that only interface objects supply appear, with a `@join__field` of no graph, on the
    implementations that lack them; where these only refer to them, they take over the directives."""
    for interface in [t for t in types.values() if t.kind is Kind.INTERFACE]:
        supplied = _supplied(ctx, interface)
        if not supplied:
            continue
        for owner in [t for t in types.values() if t.kind is Kind.OBJECT and interface.name in t.interfaces]:
            current = types[owner.name]
            added = {name: _copy(item) for name, item in supplied.items() if name not in current.fields}
            referred = {
                name: _described_by(current.fields[name], item)
                for name, item in supplied.items()
                if name in current.fields and _is_reference(current.fields[name])
            }
            if added or referred:
                types[owner.name] = replace(current, fields={**current.fields, **referred, **added})
            for name in added:
                _check_sharing(ctx, owner.name, name)


def _supplied(ctx: MergeContext, interface: MergedType) -> Mapping[str, MergedField]:
    objects = {join.graph for join in interface.joins if join.is_interface_object}
    return {
        name: item
        for name, item in interface.fields.items()
        if any(i in objects and not ctx.is_external(i, (interface.name, name)) for i in item.sources)
    }


def _copy(item: MergedField) -> MergedField:
    return replace(item, joins=(JoinField(None),), join_directives=(), sources=frozenset())


def _is_reference(item: MergedField) -> bool:
    return bool(item.joins) and all(join.external for join in item.joins)


def _described_by(item: MergedField, supplied: MergedField) -> MergedField:
    """The field with the directives of the one that it refers to; demands are spread elsewhere."""
    known = {print_ast(directive) for directive in item.directives}
    taken = [d for d in supplied.directives if d.name.value not in DEMANDS and print_ast(d) not in known]
    return replace(item, directives=(*item.directives, *taken))


def _check_sharing(ctx: MergeContext, owner: str, name: str) -> None:
    """Interface objects that supply one field of a type share it, be it through different interfaces."""
    suppliers = supplying_interface_objects(ctx, owner, name)
    fields = {i: ctx.subgraphs[i].graph.types[itf].fields[name] for i, itf in suppliers.items()}
    if len(fields) > 1:
        check_sharing(ctx, owner, fields, NO_OVERRIDES, interface_objects=suppliers)
