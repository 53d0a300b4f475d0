"""Compares default values and directive arguments by what they mean, not by how they are spelt."""

from __future__ import annotations

from decimal import Decimal

from graphql import (
    BooleanValueNode,
    EnumValueNode,
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
)

Plain = object


def meaning(value: ValueNode) -> Plain:
    """A hashable form: equal meanings are equal, whatever the order of keys or the style of quotes."""
    if isinstance(value, StringValueNode):
        return "string", value.value
    if isinstance(value, BooleanValueNode):
        return "boolean", value.value
    if isinstance(value, EnumValueNode):
        return "enum", value.value
    if isinstance(value, IntValueNode | FloatValueNode):
        return "number", Decimal(value.value)
    if isinstance(value, ListValueNode):
        return "list", tuple(meaning(item) for item in value.values)
    if isinstance(value, ObjectValueNode):
        return "object", frozenset((item.name.value, meaning(item.value)) for item in value.fields)
    return ("null",)
