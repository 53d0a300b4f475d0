"""Spreads demands of authorization: whoever asks on an interface may get any of its implementations.

What an implementation or its field demands, the interface demands; what an interface object's field demands,
the same field of every implementation demands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from graphql import DirectiveNode, ValueNode, print_ast

from schema.composition.merge.combine import conjunction
from schema.composition.merge.context import MergeContext
from schema.composition.merge.directives import directive_node
from schema.composition.merge.features import DEMANDS, FEATURES
from schema.composition.merge.model import MergedDirectives, MergedField, MergedType
from schema.composition.merge.values import meaning
from schema.composition.subgraph import Kind


def propagate_demands(ctx: MergeContext, types: dict[str, MergedType]) -> None:
    """Add the demands of interface objects to implementations, then those of implementations, and of their
    fields, to each interface.
    """
    interfaces = [t.name for t in types.values() if t.kind is Kind.INTERFACE]
    for name in interfaces:
        if any(join.is_interface_object for join in types[name].joins) and _fields_demand(types[name]):
            for owner in _implementations(types, name):
                types[owner.name] = _under(ctx, owner, types[name])
    for name in interfaces:
        implementations = _implementations(types, name)
        if any(_demands(t.directives) or _fields_demand(t) for t in implementations):
            types[name] = _over(ctx, types[name], implementations)


def _implementations(types: dict[str, MergedType], interface: str) -> list[MergedType]:
    return [t for t in types.values() if t.kind is Kind.OBJECT and interface in t.interfaces]


def _under(ctx: MergeContext, owner: MergedType, interface: MergedType) -> MergedType:
    fields = {
        name: _with_demands(ctx, owner.name, item, [interface.fields[name].directives])
        if name in interface.fields
        else item
        for name, item in owner.fields.items()
    }
    return replace(owner, fields=fields)


def _over(ctx: MergeContext, interface: MergedType, implementations: list[MergedType]) -> MergedType:
    fields = {}
    for name, item in interface.fields.items():
        copies = [t.fields[name].directives for t in implementations if name in t.fields]
        fields[name] = _with_demands(ctx, interface.name, item, copies)
    demands = [t.directives for t in implementations]
    return replace(
        interface, fields=fields, directives=_merged(ctx, interface.name, interface.directives, demands)
    )


def _with_demands(
    ctx: MergeContext, owner: str, item: MergedField, others: list[MergedDirectives]
) -> MergedField:
    return replace(item, directives=_merged(ctx, f"{owner}.{item.name}", item.directives, others))


def _fields_demand(owner: MergedType) -> bool:
    return any(_demands(item.directives) for item in owner.fields.values())


def _demands(directives: Iterable[DirectiveNode]) -> bool:
    return any(directive.name.value in DEMANDS for directive in directives)


def _merged(
    ctx: MergeContext, coordinate: str, own: MergedDirectives, others: list[MergedDirectives]
) -> MergedDirectives:
    if not any(_demands(directives) for directives in others):
        return own
    everything = [directive for directives in (own, *others) for directive in directives]
    rest = [directive for directive in own if directive.name.value not in DEMANDS]
    order = {name: place for place, name in enumerate(FEATURES)}
    both = [*rest, *_combined(ctx, coordinate, everything)]
    return tuple(sorted(both, key=lambda directive: order.get(directive.name.value, -1)))


def _combined(ctx: MergeContext, coordinate: str, everything: list[DirectiveNode]) -> Iterator[DirectiveNode]:
    """One application of each demand that anybody makes."""
    for name, argument in DEMANDS.items():
        found = [directive for directive in everything if directive.name.value == name]
        values = [_value(directive, argument) for directive in found] if argument else []
        given = [value for value in values if value is not None]
        if found:
            arguments = {argument: conjunction(given)} if argument and given else {}
            node = directive_node(name, {key: value for key, value in arguments.items() if value is not None})
            if len({meaning(value) for value in given}) > 1:
                ctx.hint(
                    "MERGED_NON_REPEATABLE_DIRECTIVE_ARGUMENTS",
                    f"`@{name}` of the implementations of `{coordinate}` differs; together they make"
                    f" `{print_ast(node)}`",
                    coordinate,
                )
            yield node


def _value(directive: DirectiveNode, argument: str) -> ValueNode | None:
    return next((a.value for a in directive.arguments or () if a.name.value == argument), None)
