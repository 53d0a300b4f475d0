"""Accepts what is plainly valid in one pass, so that graphql-core's rules only word the errors of the rest.

`accepts` is true only where every rule of the specification's chapter 5 holds for certain. What it does not
know (several operations, subscriptions, `@defer`, custom directives, `@oneOf` inputs, fields of one response
name that differ in anything) it leaves to graphql-core, whose verdict is the measure: whatever is accepted
here is valid there (`tests/operation/test_accept.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from graphql import (
    ArgumentNode,
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLCompositeType,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    StringValueNode,
    Undefined,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    is_input_type,
    is_required_argument,
    is_required_input_field,
    is_type_sub_type_of,
    print_ast,
    type_from_ast,
)
from graphql.utilities.type_comparators import do_types_overlap

STEPS_MAX: Final = 20_000
"""Selections looked at, with fragments counted at each place; a larger document goes to graphql-core."""
_INT_MAX: Final = 2**31 - 1
_CONDITIONS: Final = ("skip", "include")


class _Unsure(Exception):
    """Not plainly valid."""


class _Field(NamedTuple):
    """What validation asks of a field definition."""

    target: GraphQLCompositeType | None
    type_text: str
    arguments: dict[str, GraphQLArgument]
    required: frozenset[str]


Sets: TypeAlias = list[tuple[GraphQLCompositeType, SelectionSetNode]]


class Acceptance:
    """What one schema's documents are looked at with: its fields by type, filled as they are met."""

    __slots__ = ("_fields", "_overlaps", "boolean", "schema")

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        boolean = schema.get_directive("skip")
        self.boolean: Any = boolean.args["if"].type if boolean is not None else None
        self._fields: dict[str, dict[str, _Field]] = {}
        self._overlaps: dict[tuple[str, str], bool] = {}

    def field(self, parent: GraphQLCompositeType, name: str) -> _Field:
        """The field's facts.  Errors: _Unsure where the type has none of that name."""
        known = self._fields.get(parent.name)
        if known is None:
            known = self._fields[parent.name] = {}
        found = known.get(name)
        if found is None:
            if name == "__typename":
                found = _Field(None, "String!", {}, frozenset())
            elif isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) and name in parent.fields:
                found = _facts(parent.fields[name])
            else:
                raise _Unsure
            known[name] = found
        return found

    def narrowed(self, parent: GraphQLCompositeType, name: str) -> GraphQLCompositeType:
        """The type of a fragment on `name` below `parent`.  Errors: _Unsure where none can be both."""
        target = self.schema.type_map.get(name)
        if target is None or not is_composite_type(target):
            raise _Unsure
        if target is not parent:
            key = (parent.name, name)
            overlap = self._overlaps.get(key)
            if overlap is None:
                overlap = self._overlaps[key] = do_types_overlap(self.schema, parent, target)
            if not overlap:
                raise _Unsure
        return target


def _facts(definition: GraphQLField) -> _Field:
    named = get_named_type(definition.type)
    return _Field(
        target=named if is_composite_type(named) else None,
        type_text=str(definition.type),
        arguments=definition.args,
        required=frozenset(name for name, each in definition.args.items() if is_required_argument(each)),
    )


_acceptances: WeakKeyDictionary[GraphQLSchema, Acceptance] = WeakKeyDictionary()


def accepts(document: DocumentNode, schema: GraphQLSchema) -> bool:
    """Whether the document is valid for certain; False says nothing."""
    acceptance = _acceptances.get(schema)
    if acceptance is None:
        acceptance = _acceptances[schema] = Acceptance(schema)
    try:
        _Pass(acceptance).document(document)
    except (_Unsure, RecursionError):
        return False
    return True


@dataclass(slots=True)
class _Pass:
    """One look at one document."""

    acceptance: Acceptance
    fragments: dict[str, FragmentDefinitionNode] = field(default_factory=dict)
    variables: dict[str, tuple[Any, bool]] = field(default_factory=dict)
    spread: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    steps: int = 0

    def document(self, document: DocumentNode) -> None:
        """Errors: _Unsure."""
        operations: list[OperationDefinitionNode] = []
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                operations.append(definition)
            elif isinstance(definition, FragmentDefinitionNode):
                name = definition.name.value
                if name in self.fragments or definition.directives or definition.variable_definitions:
                    raise _Unsure
                self.fragments[name] = definition
            else:
                raise _Unsure
        if len(operations) != 1:
            raise _Unsure
        if self.fragments and _circular(self.fragments):
            raise _Unsure
        operation = operations[0]
        root = self.acceptance.schema.get_root_type(operation.operation)
        if root is None or operation.operation is OperationType.SUBSCRIPTION or operation.directives:
            raise _Unsure
        for variable in operation.variable_definitions or ():
            self.declared(variable)
        self.selections([(root, operation.selection_set)])
        if len(self.spread) != len(self.fragments) or len(self.used) != len(self.variables):
            raise _Unsure

    def declared(self, definition: VariableDefinitionNode) -> None:
        """A variable: its name once, its type an input, its default of that type."""
        name = definition.variable.name.value
        declared = type_from_ast(self.acceptance.schema, definition.type)
        if name in self.variables or definition.directives or declared is None or not is_input_type(declared):
            raise _Unsure
        default = definition.default_value
        if default is not None:
            self.value(declared, default, constant=True)
        self.variables[name] = (declared, default is not None and not isinstance(default, NullValueNode))

    def selections(self, sets: Sets) -> None:
        """All selections that end in one object of the answer, merged by response name."""
        found: dict[str, tuple[FieldNode, _Field, Sets | None]] = {}
        merged: set[tuple[str, str]] = set()
        for parent, selection_set in sets:
            self.collect(parent, selection_set, found, merged)
        for _, facts, below in found.values():
            if below is not None:
                self.selections(below)
            elif facts.target is not None:
                raise _Unsure

    def collect(
        self,
        parent: GraphQLCompositeType,
        selection_set: SelectionSetNode,
        found: dict[str, tuple[FieldNode, _Field, Sets | None]],
        merged: set[tuple[str, str]],
    ) -> None:
        """The selections of one set, fragments opened, into `found`."""
        for selection in selection_set.selections:
            self.steps += 1
            if selection.directives:
                self.conditions(selection.directives)
            if isinstance(selection, FieldNode):
                self.field(parent, selection, found)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                narrowed = (
                    parent if condition is None else self.acceptance.narrowed(parent, condition.name.value)
                )
                self.collect(narrowed, selection.selection_set, found, merged)
            elif isinstance(selection, FragmentSpreadNode):
                self.spread_of(parent, selection, found, merged)
            else:
                raise _Unsure
        if self.steps > STEPS_MAX:
            raise _Unsure

    def spread_of(
        self,
        parent: GraphQLCompositeType,
        selection: FragmentSpreadNode,
        found: dict[str, tuple[FieldNode, _Field, Sets | None]],
        merged: set[tuple[str, str]],
    ) -> None:
        """A named fragment, opened once for each object of the answer."""
        name = selection.name.value
        fragment = self.fragments.get(name)
        if fragment is None or selection.arguments:
            raise _Unsure
        narrowed = self.acceptance.narrowed(parent, fragment.type_condition.name.value)
        self.spread.add(name)
        if (name, parent.name) in merged:
            return
        merged.add((name, parent.name))
        self.collect(narrowed, fragment.selection_set, found, merged)

    def field(
        self,
        parent: GraphQLCompositeType,
        node: FieldNode,
        found: dict[str, tuple[FieldNode, _Field, Sets | None]],
    ) -> None:
        """One field: known, with the arguments it needs, and equal to others of its response name."""
        name = node.name.value
        facts = self.acceptance.field(parent, name)
        if node.arguments or facts.required:
            self.arguments(facts, node.arguments or ())
        key = name if node.alias is None else node.alias.value
        known = found.get(key)
        below = node.selection_set
        if (below is None) is not (facts.target is None):
            raise _Unsure
        if known is None:
            sets = None if below is None or facts.target is None else [(facts.target, below)]
            found[key] = (node, facts, sets)
            return
        other, other_facts, sets = known
        if (
            other.name.value != name
            or other_facts.type_text != facts.type_text
            or _text(other.arguments) != _text(node.arguments)
        ):
            raise _Unsure
        if sets is not None and below is not None and facts.target is not None:
            sets.append((facts.target, below))

    def arguments(self, facts: _Field, given: Sequence[ArgumentNode]) -> None:
        """Known, once each, all that are required, each of its type."""
        names: set[str] = set()
        for node in given:
            name = node.name.value
            definition = facts.arguments.get(name)
            if definition is None or name in names:
                raise _Unsure
            names.add(name)
            self.value(definition.type, node.value, has_default=definition.default_value is not Undefined)
        if not facts.required <= names:
            raise _Unsure

    def conditions(self, directives: Iterable[DirectiveNode]) -> None:
        """`@skip` and `@include`, once each; anything else is not plain."""
        names: set[str] = set()
        for directive in directives:
            name = directive.name.value
            arguments = directive.arguments or ()
            if name not in _CONDITIONS or name in names or self.acceptance.boolean is None:
                raise _Unsure
            if len(arguments) != 1 or arguments[0].name.value != "if":
                raise _Unsure
            names.add(name)
            self.value(self.acceptance.boolean, arguments[0].value)

    def value(
        self, expected: GraphQLInputType, node: Any, *, has_default: bool = False, constant: bool = False
    ) -> None:
        """A literal of its type, or a variable that may stand there."""
        if isinstance(node, VariableNode):
            if constant:
                raise _Unsure
            self.variable(expected, node.name.value, has_default)
            return
        if isinstance(expected, GraphQLNonNull):
            if isinstance(node, NullValueNode):
                raise _Unsure
            expected = expected.of_type
        if isinstance(node, NullValueNode):
            return
        if isinstance(expected, GraphQLList):
            for each in node.values if isinstance(node, ListValueNode) else (node,):
                self.value(expected.of_type, each, constant=constant)
        elif isinstance(expected, GraphQLInputObjectType):
            self.input_object(expected, node, constant=constant)
        elif isinstance(expected, GraphQLEnumType):
            if not isinstance(node, EnumValueNode) or node.value not in expected.values:
                raise _Unsure
        else:
            _scalar(expected.name, node)

    def input_object(self, expected: GraphQLInputObjectType, node: Any, *, constant: bool) -> None:
        """Known fields, once each, and all that are required."""
        if not isinstance(node, ObjectValueNode) or expected.is_one_of:
            raise _Unsure
        names: set[str] = set()
        for each in node.fields:
            name = each.name.value
            definition = expected.fields.get(name)
            if definition is None or name in names:
                raise _Unsure
            names.add(name)
            has_default = definition.default_value is not Undefined
            self.value(definition.type, each.value, has_default=has_default, constant=constant)
        for name, definition in expected.fields.items():
            if name not in names and is_required_input_field(definition):
                raise _Unsure

    def variable(self, expected: GraphQLInputType, name: str, has_default: bool) -> None:
        """Source: spec, All Variable Usages Are Allowed."""
        declared, defaulted = self.variables.get(name, (None, False))
        if declared is None:
            raise _Unsure
        self.used.add(name)
        if declared is expected:
            return
        if isinstance(expected, GraphQLNonNull) and not isinstance(declared, GraphQLNonNull):
            if not (defaulted or has_default):
                raise _Unsure
            expected = expected.of_type
        if not is_type_sub_type_of(self.acceptance.schema, declared, expected):
            raise _Unsure


def _circular(fragments: dict[str, FragmentDefinitionNode]) -> bool:
    """Whether a fragment leads to itself."""
    left = {name: _spreads(each.selection_set) for name, each in fragments.items()}
    while True:
        ends = [name for name, inside in left.items() if not inside & left.keys()]
        if not ends:
            return bool(left)
        for name in ends:
            del left[name]


def _spreads(selection_set: SelectionSetNode) -> set[str]:
    found: set[str] = set()
    pending = [selection_set]
    while pending:
        for selection in pending.pop().selections:
            if isinstance(selection, FragmentSpreadNode):
                found.add(selection.name.value)
            elif isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set:
                pending.append(selection.selection_set)
    return found


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
        raise _Unsure


def _text(arguments: Sequence[ArgumentNode] | None) -> list[str]:
    return sorted(print_ast(each) for each in arguments or ())
