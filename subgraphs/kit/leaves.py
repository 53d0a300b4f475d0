"""Leaves of compiled selection sets: how the value of a scalar or an enum is written, where it is plain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NoReturn

from graphql import (
    GraphQLBoolean,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLString,
    Undefined,
)
from strawberry.execution import optimized_is_awaitable

_INT_MAX = 2**31 - 1
BUILT_IN: Mapping[str, tuple[GraphQLLeafType, str]] = {
    "String": (GraphQLString, "{v}.__class__ is str"),
    "ID": (GraphQLID, "{v}.__class__ is str"),
    "Boolean": (GraphQLBoolean, "{v}.__class__ is bool"),
    "Int": (GraphQLInt, f"{{v}}.__class__ is int and -{_INT_MAX + 1} <= {{v}} <= {_INT_MAX}"),
    "Float": (GraphQLFloat, "{v}.__class__ is float and isfinite({v})"),
}
"""The usual scalars by name, with the Python that tells whether a value is written as it is."""


class Declined(Exception):
    """Not for a projection: the object takes the ordinary way."""


def declined() -> NoReturn:
    """Errors: Declined."""
    raise Declined


def serialiser(leaf: GraphQLLeafType) -> Callable[[Any], Any]:
    """Result coercion of what is not of the usual class; whatever is not plain is declined."""
    coerce = leaf.coerce_output_value

    def serialise(value: Any) -> Any:
        if value is Undefined or isinstance(value, Exception) or optimized_is_awaitable(value):
            raise Declined
        try:
            coerced = coerce(value)
        except Exception:
            raise Declined from None
        if coerced is None or coerced is Undefined:
            raise Declined
        return coerced

    return serialise


def members(leaf: GraphQLLeafType) -> tuple[type[Enum], dict[Enum, str]] | None:
    """An enum's class, and the name of each member."""
    cls = getattr(leaf, "wrapped_cls", None)
    if not isinstance(cls, type) or not issubclass(cls, Enum):
        return None
    return cls, {member: leaf.coerce_output_value(member) for member in cls}
