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

from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Undefined,
    get_named_type,
    is_composite_type,
    is_required_argument,
    print_ast,
)
from graphql.utilities.type_comparators import do_types_overlap

from router.operation.known_sets import FRAGMENTS_MAX, Fragments, OfSets
from router.operation.plain_values import PlainValues, Unsure

STEPS_MAX: Final = 20_000
"""Selections looked at, with fragments counted at each place; a larger document goes to graphql-core."""
_CONDITIONS: Final = ("skip", "include")


class _Field(NamedTuple):
    """What validation asks of a field definition."""

    target: GraphQLCompositeType | None
    type_text: str
    arguments: dict[str, GraphQLArgument]
    required: frozenset[str]


Sets: TypeAlias = list[tuple[GraphQLCompositeType, SelectionSetNode]]


class Acceptance:
    """What one schema's documents are looked at with: its fields by type, filled as they are met."""

    __slots__ = ("_fields", "_overlaps", "accepted", "boolean", "schema", "straight")

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self.straight: set[int] = set()
        """The numbers of fragments of which none leads to itself."""
        self.accepted: OfSets[tuple[frozenset[str], int]] = OfSets()
        """By type: sets without variables that are valid by themselves, the fragments and steps in each."""
        boolean = schema.get_directive("skip")
        self.boolean: Any = boolean.args["if"].type if boolean is not None else None
        self._fields: dict[str, dict[str, _Field]] = {}
        self._overlaps: dict[tuple[str, str], bool] = {}

    def field(self, parent: GraphQLCompositeType, name: str) -> _Field:
        """The field's facts.  Errors: Unsure where the type has none of that name."""
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
                raise Unsure
            known[name] = found
        return found

    def narrowed(self, parent: GraphQLCompositeType, name: str) -> GraphQLCompositeType:
        """The type of a fragment on `name` below `parent`.  Errors: Unsure where none can be both."""
        target = self.schema.type_map.get(name)
        if target is None or not is_composite_type(target):
            raise Unsure
        if target is not parent:
            key = (parent.name, name)
            overlap = self._overlaps.get(key)
            if overlap is None:
                overlap = self._overlaps[key] = do_types_overlap(self.schema, parent, target)
            if not overlap:
                raise Unsure
        return target


def _facts(definition: GraphQLField) -> _Field:
    named = get_named_type(definition.type)
    return _Field(
        target=named if is_composite_type(named) else None,
        type_text=str(definition.type),
        arguments=definition.args,
        required=frozenset(name for name, each in definition.args.items() if is_required_argument(each)),
    )


def accepts(document: DocumentNode, schema: GraphQLSchema, fragments: Fragments | None = None) -> bool:
    """Whether the document is valid for certain; False says nothing. `fragments` are the document's, where
    its parts are known from other texts."""
    # on the schema itself, to which it leads back, so that both go together
    acceptance: Acceptance | None = vars(schema).get("_acceptance")
    if acceptance is None:
        acceptance = vars(schema)["_acceptance"] = Acceptance(schema)
    try:
        _Pass(acceptance, PlainValues(schema), fragments).document(document)
    except (Unsure, RecursionError):
        return False
    return True


@dataclass(slots=True)
class _Pass:
    """One look at one document."""

    acceptance: Acceptance
    values: PlainValues
    known: Fragments | None = None
    fragments: dict[str, FragmentDefinitionNode] = field(default_factory=dict)
    spread: set[str] = field(default_factory=set)
    steps: int = 0

    def document(self, document: DocumentNode) -> None:
        """Errors: Unsure."""
        operations: list[OperationDefinitionNode] = []
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                operations.append(definition)
            elif isinstance(definition, FragmentDefinitionNode):
                name = definition.name.value
                if name in self.fragments or definition.directives or definition.variable_definitions:
                    raise Unsure
                self.fragments[name] = definition
            else:
                raise Unsure
        if len(operations) != 1:
            raise Unsure
        if self.fragments and not self.straight():
            raise Unsure
        operation = operations[0]
        root = self.acceptance.schema.get_root_type(operation.operation)
        if root is None or operation.operation is OperationType.SUBSCRIPTION or operation.directives:
            raise Unsure
        for variable in operation.variable_definitions or ():
            self.values.declare(variable)
        self.selections([(root, operation.selection_set)])
        if len(self.spread) != len(self.fragments) or len(self.values.used) != len(self.values.variables):
            raise Unsure

    def straight(self) -> bool:
        """Whether no fragment leads to itself; looked at once for fragments of several texts."""
        number = -1 if self.known is None else self.known.number
        if number in self.acceptance.straight:
            return True
        is_straight = not _circular(self.fragments)
        if is_straight and self.known is not None:
            if len(self.acceptance.straight) >= FRAGMENTS_MAX:
                self.acceptance.straight.clear()
            self.acceptance.straight.add(number)
        return is_straight

    def selections(self, sets: Sets) -> None:
        """All selections that end in one object of the answer, merged by response name."""
        found: dict[str, tuple[FieldNode, _Field, Sets | None]] = {}
        merged: set[tuple[str, str]] = set()
        for parent, selection_set in sets:
            self.collect(parent, selection_set, found, merged)
        for _, facts, below in found.values():
            if below is not None:
                if len(below) == 1:
                    self.alone(*below[0])
                else:
                    self.selections(below)
            elif facts.target is not None:
                raise Unsure

    def alone(self, parent: GraphQLCompositeType, selection_set: SelectionSetNode) -> None:
        """Selections of objects that no other set selects on: looked at once, if no variables are there."""
        if self.known is None:
            self.selections([(parent, selection_set)])
            return
        accepted = self.acceptance.accepted
        found = accepted.get(self.known, selection_set, parent.name)
        if found is None:
            before = (self.values.uses, self.steps, self.spread)
            self.spread = set()
            self.selections([(parent, selection_set)])
            found = frozenset(self.spread), self.steps - before[1]
            if self.values.uses == before[0]:
                accepted.put(self.known, selection_set, found, parent.name)
            self.spread = before[2]
        else:
            self.steps += found[1]
            if self.steps > STEPS_MAX:
                raise Unsure
        self.spread |= found[0]

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
                raise Unsure
        if self.steps > STEPS_MAX:
            raise Unsure

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
            raise Unsure
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
            raise Unsure
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
            raise Unsure
        if sets is not None and below is not None and facts.target is not None:
            sets.append((facts.target, below))

    def arguments(self, facts: _Field, given: Sequence[ArgumentNode]) -> None:
        """Known, once each, all that are required, each of its type."""
        names: set[str] = set()
        for node in given:
            name = node.name.value
            definition = facts.arguments.get(name)
            if definition is None or name in names:
                raise Unsure
            names.add(name)
            self.values.check(
                definition.type, node.value, has_default=definition.default_value is not Undefined
            )
        if not facts.required <= names:
            raise Unsure

    def conditions(self, directives: Iterable[DirectiveNode]) -> None:
        """`@skip` and `@include`, once each; anything else is not plain."""
        names: set[str] = set()
        for directive in directives:
            name = directive.name.value
            arguments = directive.arguments or ()
            if name not in _CONDITIONS or name in names or self.acceptance.boolean is None:
                raise Unsure
            if len(arguments) != 1 or arguments[0].name.value != "if":
                raise Unsure
            names.add(name)
            self.values.check(self.acceptance.boolean, arguments[0].value)


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


def _text(arguments: Sequence[ArgumentNode] | None) -> list[str]:
    return sorted(print_ast(each) for each in arguments or ())
