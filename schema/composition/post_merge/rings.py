"""Input objects without end: fields that need one another, and defaults that hold themselves (GraphQL: Input
Objects, Type Validation)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from graphql import ListValueNode, ObjectValueNode, ValueNode

from schema.composition.merge.model import MergedType
from schema.composition.post_merge.places import Merged
from schema.composition.subgraph import Kind
from schema.federation.type_refs import Named, NonNull, named
from schema.problems import Problem

_NO_FIELDS: Mapping[str, ValueNode] = {}


def required_rings(merged: Merged) -> Iterator[Problem]:
    """Inputs that need one another without end: no value of them could be written."""
    needs = {owner.name: _needed(owner) for owner in merged.graph.types.values() if owner.kind is Kind.INPUT}
    needed_by: dict[str, list[str]] = {}
    for name, needed in needs.items():
        for target in needed.values():
            needed_by.setdefault(target, []).append(name)
    open_needs = {name: len(needed) for name, needed in needs.items()}
    finite = [name for name, count in open_needs.items() if count == 0]
    finite += [name for name in needed_by if name not in needs]
    for done in finite:
        for name in needed_by.get(done, ()):
            open_needs[name] -= 1
            if open_needs[name] == 0:
                finite.append(name)
    for name in (name for name, count in open_needs.items() if count):
        field = next(field for field, to in needs[name].items() if open_needs.get(to))
        yield merged.report(
            "INVALID_GRAPHQL",
            f"`{name}` needs itself through `{name}.{field}`, so that no value of it can be written",
            name,
            field,
            mend="make one of the fields on the way optional in every subgraph",
        )


def _needed(owner: MergedType) -> dict[str, str]:
    """The types of the fields that must be given and are no lists."""
    return {
        item.name: item.type.of.name
        for item in owner.inputs.values()
        if isinstance(item.type, NonNull) and isinstance(item.type.of, Named)
    }


def default_rings(merged: Merged) -> Iterator[Problem]:
    """Report defaults that, filled with the defaults of the fields they leave out, hold themselves."""
    inputs = {t.name: t for t in merged.graph.types.values() if t.kind is Kind.INPUT}
    done: set[tuple[str, str]] = set()
    for owner in inputs.values():
        for at in _through_defaults(inputs, owner, _NO_FIELDS):
            ring = _ring_from(inputs, at, done)
            if ring is not None:
                yield merged.report(
                    "INVALID_GRAPHQL",
                    f"the default of `{ring[0]}.{ring[1]}` holds itself,"
                    " by the defaults of what it leaves out",
                    ring[0],
                    ring[1],
                    mend="write null, or another value, for the field in one of these defaults",
                )


def _ring_from(
    inputs: Mapping[str, MergedType], start: tuple[str, str], done: set[tuple[str, str]]
) -> tuple[str, str] | None:
    """The field whose default is met again on a way that begins with this one's; None when no way does."""
    open_fields: list[tuple[tuple[str, str], Iterator[tuple[str, str]]]] = []
    entered: set[tuple[str, str]] = set()
    following = iter([start])
    while True:
        at = next(following, None)
        if at is None:
            if not open_fields:
                return None
            finished, following = open_fields.pop()
            entered.discard(finished)
            done.add(finished)
        elif at in entered:
            done |= entered
            return at
        elif at not in done:
            open_fields.append((at, following))
            entered.add(at)
            following = _of_field(inputs, at)


def _of_field(inputs: Mapping[str, MergedType], at: tuple[str, str]) -> Iterator[tuple[str, str]]:
    item = inputs[at[0]].inputs[at[1]]
    return _of_value(inputs, named(item.type), item.default)


def _of_value(
    inputs: Mapping[str, MergedType], type_name: str, value: ValueNode | None
) -> Iterator[tuple[str, str]]:
    """The fields whose defaults a value of that type is filled with."""
    owner = inputs.get(type_name)
    if owner is None:
        return
    if isinstance(value, ListValueNode):
        for item in value.values:
            yield from _of_value(inputs, type_name, item)
    elif isinstance(value, ObjectValueNode):
        given = {field.name.value: field.value for field in value.fields}
        yield from _through_defaults(inputs, owner, given)


def _through_defaults(
    inputs: Mapping[str, MergedType], owner: MergedType, given: Mapping[str, ValueNode]
) -> Iterator[tuple[str, str]]:
    for item in owner.inputs.values():
        if item.name in given:
            yield from _of_value(inputs, named(item.type), given[item.name])
        elif item.default is not None and named(item.type) in inputs:
            yield owner.name, item.name
