"""Requirements: what each field of a supergraph asks of its caller, by schema coordinate.

Built once for a supergraph from `@classified`, `@authenticated`, `@requiresScopes` and `@policy`; a field
answers for itself, its parent type, its return type and, on an interface, for every implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from graphql import (
    DirectiveNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    value_from_ast_untyped,
)

from authz.classes import DataClass


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A valid token, whoever's."""


@dataclass(frozen=True, slots=True)
class Scopes:
    """All scopes of one of the alternatives."""

    alternatives: frozenset[frozenset[str]]


@dataclass(frozen=True, slots=True)
class Policies:
    """All policies of one of the alternatives, by name."""

    alternatives: frozenset[frozenset[str]]


@dataclass(frozen=True, slots=True)
class Classified:
    """The right to do `action` with this class of data, for at least some row."""

    data_class: DataClass
    action: str = "read"


Requirement: TypeAlias = Authenticated | Scopes | Policies | Classified
DirectivesAt: TypeAlias = Callable[[str, str | None], Iterable[DirectiveNode]]
"""The directives applied to a type, or to a field of it when the second argument names one."""


class UnknownDataClass(ValueError):
    """A supergraph classifies a field with a class that this router has no rule for."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """Coordinate `(type, field)` → what the field asks for. A field without an entry asks for nothing."""

    by_field: Mapping[tuple[str, str], tuple[Requirement, ...]]

    def of(self, type_name: str, field_name: str) -> tuple[Requirement, ...]:
        """All requirements of one field; every one of them has to be met."""
        return self.by_field.get((type_name, field_name), ())


def requirements_of(schema: GraphQLSchema, directives_at: DirectivesAt) -> Requirements:
    """The requirements of every field of the API schema.

    Errors: UnknownDataClass for `@classified(as:)` with a class outside `authz.classes.DataClass`.
    """
    own: dict[tuple[str, str], tuple[Requirement, ...]] = {}
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in type_.fields.items():
                own[type_.name, name] = _distinct(_of_field(type_.name, name, field, directives_at))
    return Requirements({key: found for key, found in _with_implementations(schema, own) if found})


def _of_field(
    type_name: str, name: str, field: GraphQLField, directives_at: DirectivesAt
) -> Iterator[Requirement]:
    for applied in (
        directives_at(type_name, name),
        directives_at(type_name, None),
        directives_at(get_named_type(field.type).name, None),
    ):
        for directive in applied:
            yield from _read(directive)


def _with_implementations(
    schema: GraphQLSchema, own: Mapping[tuple[str, str], tuple[Requirement, ...]]
) -> Iterator[tuple[tuple[str, str], tuple[Requirement, ...]]]:
    """A field of an interface may be answered by any of its objects: it asks for what they all ask."""
    for (type_name, field_name), found in own.items():
        type_ = schema.type_map[type_name]
        if isinstance(type_, GraphQLInterfaceType):
            objects = schema.get_possible_types(type_)
            found = _distinct(
                (*found, *(one for object_ in objects for one in own.get((object_.name, field_name), ())))
            )
        yield (type_name, field_name), found


def _distinct(requirements: Iterable[Requirement]) -> tuple[Requirement, ...]:
    return tuple(dict.fromkeys(requirements))


def _read(directive: DirectiveNode) -> Iterator[Requirement]:
    arguments = {one.name.value: value_from_ast_untyped(one.value) for one in directive.arguments or ()}
    match directive.name.value:
        case "authenticated":
            yield Authenticated()
        case "requiresScopes":
            yield from (Scopes(found) for found in _alternatives(arguments.get("scopes")))
        case "policy":
            yield from (Policies(found) for found in _alternatives(arguments.get("policies")))
        case "classified":
            yield _classified(arguments)


def _alternatives(written: object) -> Iterator[frozenset[frozenset[str]]]:
    """The disjunction as a set of sets; nothing where it is empty or one alternative asks for nothing."""
    rows = written if isinstance(written, list) else []
    alternatives = frozenset(frozenset(row) if isinstance(row, list) else frozenset({row}) for row in rows)
    if alternatives and frozenset() not in alternatives:
        yield alternatives


def _classified(arguments: Mapping[str, object]) -> Classified:
    named = arguments.get("as")
    try:
        data_class = DataClass(str(named))
    except ValueError:
        known = ", ".join(DataClass)
        raise UnknownDataClass(f"unknown data class `{named}`; known are {known}") from None
    action = arguments.get("action")
    return Classified(data_class, action if isinstance(action, str) else "read")
