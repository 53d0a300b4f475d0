"""Contexts: what an object sets for the fields below it, and whether a field's arguments can be filled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from graphql import StringValueNode

from schema.composition.merge.model import MergedGraph, MergedType
from schema.composition.satisfiability.view import Setting, State, States
from schema.composition.subgraph import Kind

Contexts = Mapping[str, frozenset[str]]


def contexts_by_type(merged: MergedGraph) -> Contexts:
    """The contexts that each object type sets, by itself or as what it implements or is a member of; empty
    when no argument reads any.
    """
    types = merged.types.values()
    if not any(j.context_arguments for t in types for item in t.fields.values() for j in item.joins):
        return {}
    own = {owner.name: _set_by(owner) for owner in types}
    unions = [owner for owner in types if owner.kind is Kind.UNION and own[owner.name]]
    found = {
        owner.name: frozenset[str]().union(
            own[owner.name],
            *(own.get(interface, ()) for interface in owner.interfaces),
            *(own[union.name] for union in unions if owner.name in union.member_names),
        )
        for owner in types
        if owner.kind in (Kind.OBJECT, Kind.INTERFACE)
    }
    return {name: contexts for name, contexts in found.items() if contexts}


def settings_below(contexts: Contexts, type_name: str, states: States) -> frozenset[Setting]:
    """What is set for the fields of this object's children: the nearest setter of each context."""
    inherited = next((state.settings for state in states), frozenset[Setting]())
    own = contexts.get(type_name)
    if not own:
        return inherited
    holders = frozenset(replace(state, settings=_flat(state)) for state in states)
    kept = frozenset(setting for setting in inherited if setting.context not in own)
    return kept | {Setting(context, type_name, holders) for context in own}


def setting_for(state: State, context: str) -> Setting | None:
    """The setting of the context above this object, if there is any on the way."""
    return next((setting for setting in state.settings if setting.context == context), None)


def _set_by(owner: MergedType) -> frozenset[str]:
    return frozenset(
        argument.value.value
        for directive in owner.directives
        if directive.name.value == "context"
        for argument in directive.arguments or ()
        if isinstance(argument.value, StringValueNode)
    )


def _flat(state: State) -> frozenset[Setting]:
    """The object's settings without those of the setters themselves, so that rings of setters end."""
    return frozenset(
        replace(setting, states=frozenset(replace(s, settings=frozenset()) for s in setting.states))
        for setting in state.settings
    )
