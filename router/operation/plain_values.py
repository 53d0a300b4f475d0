"""Plain literals and variables: the part of the quick validation that judges values (`accept`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from graphql import (
    BooleanValueNode,
    EnumValueNode,
    FloatValueNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    Undefined,
    VariableDefinitionNode,
    VariableNode,
    is_input_type,
    is_required_input_field,
    is_type_sub_type_of,
    type_from_ast,
)

_INT_MAX: Final = 2**31 - 1


class Unsure(Exception):
    """Not plainly valid."""


@dataclass(slots=True)
class PlainValues:
    """The values of one operation: its variables, which of them were met, and how often any was."""

    schema: GraphQLSchema
    variables: dict[str, tuple[GraphQLInputType, bool]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    uses: int = 0

    def declare(self, definition: VariableDefinitionNode) -> None:
        """A variable: its name once, its type an input, its default of that type.  Errors: Unsure."""
        name = definition.variable.name.value
        declared = type_from_ast(self.schema, definition.type)
        if name in self.variables or definition.directives or declared is None or not is_input_type(declared):
            raise Unsure
        default = definition.default_value
        if default is not None:
            self.check(declared, default, constant=True)
        self.variables[name] = (declared, default is not None and not isinstance(default, NullValueNode))

    def check(
        self, expected: GraphQLInputType, node: Any, *, has_default: bool = False, constant: bool = False
    ) -> None:
        """A literal of its type, or a variable that may stand there.  Errors: Unsure."""
        if isinstance(node, VariableNode):
            if constant:
                raise Unsure
            self.variable(expected, node.name.value, has_default)
            return
        if isinstance(expected, GraphQLNonNull):
            if isinstance(node, NullValueNode):
                raise Unsure
            expected = expected.of_type
        if isinstance(node, NullValueNode):
            return
        if isinstance(expected, GraphQLList):
            for each in node.values if isinstance(node, ListValueNode) else (node,):
                self.check(expected.of_type, each, constant=constant)
        elif isinstance(expected, GraphQLInputObjectType):
            self.input_object(expected, node, constant=constant)
        elif isinstance(expected, GraphQLEnumType):
            if not isinstance(node, EnumValueNode) or node.value not in expected.values:
                raise Unsure
        else:
            _scalar(expected.name, node)

    def input_object(self, expected: GraphQLInputObjectType, node: Any, *, constant: bool) -> None:
        """Known fields, once each, and all that are required."""
        if not isinstance(node, ObjectValueNode) or expected.is_one_of:
            raise Unsure
        names: set[str] = set()
        for each in node.fields:
            name = each.name.value
            definition = expected.fields.get(name)
            if definition is None or name in names:
                raise Unsure
            names.add(name)
            has_default = definition.default_value is not Undefined
            self.check(definition.type, each.value, has_default=has_default, constant=constant)
        for name, definition in expected.fields.items():
            if name not in names and is_required_input_field(definition):
                raise Unsure

    def variable(self, expected: GraphQLInputType, name: str, has_default: bool) -> None:
        """Source: spec, All Variable Usages Are Allowed."""
        declared, defaulted = self.variables.get(name, (None, False))
        if declared is None:
            raise Unsure
        self.used.add(name)
        self.uses += 1
        if declared is expected:
            return
        if isinstance(expected, GraphQLNonNull) and not isinstance(declared, GraphQLNonNull):
            if not (defaulted or has_default):
                raise Unsure
            expected = expected.of_type
        if not is_type_sub_type_of(self.schema, declared, expected):
            raise Unsure


def _scalar(name: str, node: Any) -> None:
    """A literal of a built-in scalar; a custom scalar decides itself, so it is not plain."""
    match name:
        case "String":
            fits = isinstance(node, StringValueNode)
        case "ID":
            fits = isinstance(node, StringValueNode | IntValueNode)
        case "Boolean":
            fits = isinstance(node, BooleanValueNode)
        case "Int":
            fits = isinstance(node, IntValueNode) and -_INT_MAX - 1 <= int(node.value) <= _INT_MAX
        case "Float":
            fits = isinstance(node, FloatValueNode | IntValueNode) and abs(float(node.value)) < 1e308
        case _:
            fits = False
    if not fits:
        raise Unsure
