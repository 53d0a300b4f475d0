"""What the executions of one operation have in common: variables' types, collected fields, fields' arguments.

graphql-core finds all of it anew for each request. It follows from the document, and from the values of the
variables that `@skip` and `@include` look at; no other value of a request is kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLInputType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    ValueNode,
    VariableNode,
    Visitor,
    get_nullable_type,
    is_list_type,
    visit,
)
from graphql.execution.collect_fields import collect_fields
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import (
    VariableValues,
    VariableValueSource,
    coerce_argument,
    get_variable_values,
)

SHAPES_MAX: Final = 64
"""Outcomes of its conditions that an operation remembers; forgotten together where there are more."""
_ABSENT: Final = object()
_PLAIN: Final[Mapping[str, tuple[type, ...]]] = {
    "ID": (str,), "String": (str,), "Boolean": (bool,), "_Any": (dict,)
}  # fmt: skip
"""Scalars whose values of these classes are what they are coerced to."""
_LITERALS: Final = (str, int, float, bool, type(None))
"""Values that nobody can change for those who come later."""


class Field(NamedTuple):
    """One field of a selection set, as it is executed."""

    definition: GraphQLField
    nodes: list[FieldNode]
    type: GraphQLOutputType
    resolve: Callable[..., Any]
    given: Mapping[str, Any] | None
    """Arguments that are the same for all; None where they have to be coerced each time."""
    variables: tuple[tuple[str, str], ...]
    """Those that are a variable's value: argument → variable."""

    def arguments(self, coerced: Mapping[str, Any]) -> dict[str, Any] | None:
        """The arguments of the resolver; None where only graphql-core can tell them."""
        if self.given is None:
            return None
        found = dict(self.given)
        for name, variable in self.variables:
            value = coerced.get(variable)
            if value is None:
                return None
            found[name] = value
        return found


Fields: TypeAlias = dict[tuple[str, int], "tuple[Any, Field | None]"]
"""(type, id of the details) → the details, kept so that no others take their identity, and the field."""


class Shape:
    """One operation under one outcome of its conditions."""

    __slots__ = ("fields", "readers", "root", "root_type", "serially", "sub_fields")

    def __init__(self, root_type: GraphQLObjectType, root: Mapping[str, Any], *, serially: bool) -> None:
        self.root_type = root_type
        self.root = root
        self.serially = serially
        self.sub_fields: dict[Any, Any] = {}
        self.readers: dict[tuple[str, int], tuple[Any, dict[type, Any]]] = {}
        self.fields: Fields = {}


class Operation:
    """One operation of a kept document. `prototype` is an executor of it that others are copies of."""

    __slots__ = ("_conditions", "_plain", "_shapes", "_signatures", "node", "prototype")

    def __init__(self, prototype: Any, node: OperationDefinitionNode, conditions: tuple[str, ...]) -> None:
        self.prototype = prototype
        self.node = node
        self._conditions = conditions
        self._shapes: dict[tuple[object, ...], Shape | None] = {}
        self._signatures: list[GraphQLVariableSignature] = []
        self._plain: dict[str, tuple[type, ...]] | None = {}
        for definition in node.variable_definitions or ():
            signature = get_variable_signature(prototype.schema, definition)
            classes = None if isinstance(signature, GraphQLError) else _plain_classes(signature.type)
            if isinstance(signature, GraphQLError) or classes is None:
                self._plain = None
                return
            self._signatures.append(signature)
            self._plain[signature.name] = classes

    def variables(self, given: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        """The values coerced, or what is wrong with them."""
        if self._plain is not None:
            sources, coerced = {}, {}
            for signature in self._signatures:
                name = signature.name
                value = given.get(name, _ABSENT)
                if not _is_plain(value, self._plain[name]):
                    break
                sources[name] = VariableValueSource(signature, value)
                coerced[name] = value
            else:
                return VariableValues(sources, coerced)
        definitions = self.node.variable_definitions or ()
        schema = self.prototype.schema
        return get_variable_values(schema, definitions, dict(given), max_errors=50, hide_suggestions=True)

    def shape(self, variables: VariableValues) -> Shape | None:
        """What is selected for these variables; None where it is left to graphql-core."""
        conditions = tuple(variables.coerced.get(name) for name in self._conditions)
        known = self._shapes.get(conditions, _ABSENT)
        if known is not _ABSENT:
            return known  # type: ignore[return-value]
        if len(self._shapes) >= SHAPES_MAX:
            self._shapes.clear()
        shape = self._shapes[conditions] = _shape_of(self.prototype, self.node, variables)
        return shape


def _shape_of(prototype: Any, node: OperationDefinitionNode, variables: VariableValues) -> Shape | None:
    schema = prototype.schema
    root_type = schema.get_root_type(node.operation)
    if schema.get_directive("defer") is not None or schema.get_directive("stream") is not None:
        return None
    try:
        collected = collect_fields(schema, prototype.fragments, variables, root_type, node, True)
    except (GraphQLError, RecursionError):
        return None
    return Shape(root_type, collected.grouped_field_set, serially=node.operation is OperationType.MUTATION)


def field_of(executor: Any, parent_type: GraphQLObjectType, details: Any) -> Field | None:
    """How the field of `details` is executed on objects of this type; None where graphql-core does it."""
    node = details[0].node
    definition = executor.schema.get_field(parent_type, node.name.value)
    if definition is None or details[0].fragment_variable_values is not None:
        return None
    given, variables = _planned(definition, node)
    resolve = definition.resolve or executor.field_resolver
    nodes = [each.node for each in details]
    return Field(definition, nodes, definition.type, resolve, given, variables)


def _planned(
    definition: GraphQLField, node: FieldNode
) -> tuple[Mapping[str, Any] | None, tuple[tuple[str, str], ...]]:
    """The arguments that are the same each time, and those that are variables."""
    arguments = {each.name.value: each for each in node.arguments or ()}
    given: dict[str, Any] = {}
    variables: list[tuple[str, str]] = []
    try:
        for name, defined in definition.args.items():
            argument = arguments.get(name)
            value = None if argument is None else argument.value
            if isinstance(value, VariableNode):
                variables.append((defined.out_name or name, value.name.value))
            elif value is not None and _holds_variables(value):
                return None, ()
            else:
                coerce_argument(given, node, name, defined, argument, None, None)
    except GraphQLError:
        return None, ()
    if not all(value.__class__ in _LITERALS for value in given.values()):
        return None, ()
    return given, tuple(variables)


def _plain_classes(of: GraphQLInputType) -> tuple[type, ...] | None:
    """The classes of whose values nothing has to be coerced; for a list, those of its items."""
    nullable = get_nullable_type(of)
    if is_list_type(nullable):
        item = get_nullable_type(nullable.of_type)
        classes = _PLAIN.get(item.name) if isinstance(item, GraphQLScalarType) else None
        return None if classes is None else (list, *classes)
    return _PLAIN.get(nullable.name) if isinstance(nullable, GraphQLScalarType) else None


def _is_plain(value: Any, classes: tuple[type, ...]) -> bool:
    if classes[0] is not list:
        return value.__class__ in classes
    return value.__class__ is list and all(each.__class__ in classes[1:] for each in value)


def conditions_of(document: DocumentNode) -> tuple[str, ...]:
    """The variables that `@skip` and `@include` look at: what is selected depends on nothing else."""
    found: set[str] = set()

    class Conditions(Visitor):
        def enter_directive(self, node: Any, *_: Any) -> None:
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    found.add(argument.value.name.value)

    visit(document, Conditions())
    return tuple(sorted(found))


def _holds_variables(value: ValueNode) -> bool:
    if isinstance(value, ListValueNode):
        return any(map(_holds_variables, value.values))
    if isinstance(value, ObjectValueNode):
        return any(_holds_variables(field.value) for field in value.fields)
    return isinstance(value, VariableNode)
