"""Interfaces demand what their implementations demand: whoever asks on the interface may get any of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from graphql import DirectiveNode

from schema.composition.merge.combine import conjunction
from schema.composition.merge.directives import directive_node
from schema.composition.merge.features import FEATURES
from schema.composition.merge.model import MergedDirectives, MergedField, MergedType
from schema.composition.subgraph import Kind

_ARGUMENTS = {"authenticated": None, "requiresScopes": "scopes", "policy": "policies"}


def demand_on_interfaces(types: dict[str, MergedType]) -> None:
    """Add the requirements of implementations, and of their fields, to each interface."""
    for interface in [t for t in types.values() if t.kind is Kind.INTERFACE]:
        implementations = [
            t for t in types.values() if t.kind is Kind.OBJECT and interface.name in t.interfaces
        ]
        if not any(_demands(t.directives) or _fields_demand(t) for t in implementations):
            continue
        fields = {name: _field(item, implementations) for name, item in interface.fields.items()}
        directives = _merged(interface.directives, [t.directives for t in implementations])
        types[interface.name] = replace(interface, fields=fields, directives=directives)


def _field(item: MergedField, implementations: list[MergedType]) -> MergedField:
    copies = [t.fields[item.name].directives for t in implementations if item.name in t.fields]
    return replace(item, directives=_merged(item.directives, copies))


def _fields_demand(owner: MergedType) -> bool:
    return any(_demands(item.directives) for item in owner.fields.values())


def _demands(directives: Iterable[DirectiveNode]) -> bool:
    return any(directive.name.value in _ARGUMENTS for directive in directives)


def _merged(own: MergedDirectives, others: list[MergedDirectives]) -> MergedDirectives:
    everything = [directive for directives in (own, *others) for directive in directives]
    added: dict[str, DirectiveNode] = {}
    for name, argument in _ARGUMENTS.items():
        found = [directive for directive in everything if directive.name.value == name]
        if not found:
            continue
        values = [
            a.value for directive in found for a in directive.arguments or () if a.name.value == argument
        ]
        value = conjunction(list(values)) if argument is not None else None
        added[name] = directive_node(
            name, {argument: value} if argument is not None and value is not None else {}
        )
    kept = {directive.name.value: directive for directive in own if directive.name.value in _ARGUMENTS}
    rest = [directive for directive in own if directive.name.value not in _ARGUMENTS]
    order = {name: place for place, name in enumerate(FEATURES)}
    both = [*rest, *{**kept, **added}.values()]
    return tuple(sorted(both, key=lambda directive: order.get(directive.name.value, -1)))
