"""Changes beside names and types: roots, deprecations, one-of inputs, specified scalars, what is required now
and what an interface can be now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
)

from schema.checks.model import Change, Impact


class _Deprecatable(Protocol):
    deprecation_reason: str | None


_Required = GraphQLArgument | GraphQLInputField


def trait_changes(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[Change]:
    """Every such change between the two schemas, types in order of name."""
    yield from _roots(old, new)
    yield from _new_implementations(old, new)
    for name in sorted(old.type_map.keys() & new.type_map.keys()):
        before, after = old.type_map[name], new.type_map[name]
        if not name.startswith("__") and type(before) is type(after):
            yield from _of_type(before, after)


def _roots(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[Change]:
    for operation in ("query", "mutation", "subscription"):
        before, after = (getattr(schema, f"{operation}_type") for schema in (old, new))
        if before is None and after is not None:
            yield Change(Impact.SAFE, "ROOT_ADDED", f"{after.name} now takes {operation} operations.")
        elif before is not None and after is None:
            yield Change(
                Impact.BREAKING, "ROOT_REMOVED", f"{before.name} no longer takes {operation} operations."
            )
        elif before is not None and before.name != after.name:
            yield Change(
                Impact.DANGEROUS,
                "ROOT_RENAMED",
                f"The {operation} root {before.name} is called {after.name} now.",
            )


def _new_implementations(old: GraphQLSchema, new: GraphQLSchema) -> Iterator[Change]:
    """New types where clients may know all that there were."""
    for name in sorted(new.type_map.keys() - old.type_map.keys()):
        for interface in getattr(new.type_map[name], "interfaces", ()):
            if interface.name in old.type_map:
                message = f"{name} was added to the types that {interface.name} can be."
                yield Change(Impact.DANGEROUS, "TYPE_ADDED_TO_INTERFACE", message)


def _now_required(
    owner: str, before: Mapping[str, _Required], after: Mapping[str, _Required], kind: str
) -> Iterator[Change]:
    """What could be left out for its default, and has none any more."""
    for name in sorted(before.keys() & after.keys()):
        was, is_now = (_is_required(each) for each in (before[name], after[name]))
        if is_now and not was and is_non_null_type(before[name].type):
            message = f"{owner}.{name} has no default any more and must be given."
            yield Change(Impact.BREAKING, f"{kind}_NOW_REQUIRED", message)


def _is_required(item: _Required) -> bool:
    return is_required_argument(item) if isinstance(item, GraphQLArgument) else is_required_input_field(item)


def _of_type(before: GraphQLNamedType, after: GraphQLNamedType) -> Iterator[Change]:
    name = before.name
    if isinstance(before, GraphQLScalarType) and isinstance(after, GraphQLScalarType):
        yield from _specification(before, after)
    elif isinstance(before, GraphQLEnumType) and isinstance(after, GraphQLEnumType):
        yield from _deprecations(name, before.values, after.values)
    elif isinstance(before, GraphQLInputObjectType) and isinstance(after, GraphQLInputObjectType):
        yield from _one_of(before, after)
        yield from _now_required(name, before.fields, after.fields, "INPUT_FIELD")
        yield from _deprecations(name, before.fields, after.fields)
    elif isinstance(before, GraphQLObjectType | GraphQLInterfaceType) and isinstance(
        after, GraphQLObjectType | GraphQLInterfaceType
    ):
        yield from _deprecations(name, before.fields, after.fields)
        for field in sorted(before.fields.keys() & after.fields.keys()):
            arguments = before.fields[field].args, after.fields[field].args
            yield from _deprecations(f"{name}.{field}", *arguments)
            yield from _now_required(f"{name}.{field}", *arguments, "ARG")


def _specification(before: GraphQLScalarType, after: GraphQLScalarType) -> Iterator[Change]:
    if before.specified_by_url == after.specified_by_url:
        return
    if before.specified_by_url is None:
        yield Change(Impact.SAFE, "SPECIFIED_BY_ADDED", f"{before.name} now says what specifies it.")
        return
    yield Change(
        Impact.DANGEROUS,
        "SPECIFIED_BY_CHANGED",
        f"{before.name} was specified by {before.specified_by_url}"
        f" and is now by {after.specified_by_url or 'nothing'}.",
    )


def _one_of(before: GraphQLInputObjectType, after: GraphQLInputObjectType) -> Iterator[Change]:
    if before.is_one_of and not after.is_one_of:
        yield Change(Impact.SAFE, "ONE_OF_REMOVED", f"{before.name} now takes several fields at once.")
    elif after.is_one_of and not before.is_one_of:
        yield Change(Impact.BREAKING, "ONE_OF_ADDED", f"{before.name} now takes exactly one field.")


def _deprecations(
    owner: str, before: Mapping[str, _Deprecatable], after: Mapping[str, _Deprecatable]
) -> Iterator[Change]:
    for name in sorted(before.keys() & after.keys()):
        old, new = before[name].deprecation_reason, after[name].deprecation_reason
        coordinate = f"{owner}.{name}"
        if old is None and new is not None:
            yield Change(Impact.SAFE, "DEPRECATION_ADDED", f"{coordinate} is deprecated: {new}")
        elif old is not None and new is None:
            yield Change(Impact.SAFE, "DEPRECATION_REMOVED", f"{coordinate} is no longer deprecated.")
        elif old != new:
            yield Change(Impact.SAFE, "DEPRECATION_REASON_CHANGED", f"{coordinate} is deprecated: {new}")
