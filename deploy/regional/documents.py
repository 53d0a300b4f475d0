"""A call's document taken apart: its root fields, what they are given, and documents of some of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from graphql import (
    ArgumentNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    Undefined,
    VariableNode,
    Visitor,
    get_operation_ast,
    parse,
    print_ast,
    value_from_ast_untyped,
    visit,
)

DOCUMENTS_CACHED_MAX = 512
_PARENTS = {
    OperationType.QUERY: "Query",
    OperationType.MUTATION: "Mutation",
    OperationType.SUBSCRIPTION: "Subscription",
}


@dataclass(frozen=True, slots=True)
class Root:
    """One response key of the root, with the fields that give it: more than one where they are merged.

    `around` are the conditions of the fragments around each of them.
    """

    key: str
    name: str
    nodes: tuple[FieldNode, ...]
    around: tuple[tuple[DirectiveNode, ...], ...]
    literals: frozenset[str]

    def arguments(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What the field is given, variables put in; what is left out is left out."""
        given: dict[str, Any] = {}
        for argument in self.nodes[0].arguments or ():
            value = value_from_ast_untyped(argument.value, dict(variables))
            if value is not Undefined:
                given[argument.name.value] = value
        return given

    def selections(self, nodes: Sequence[FieldNode] | None = None) -> list[SelectionNode]:
        """What asks for it; with `nodes`, for them in place of its own, one for each."""
        return [_within(node, around) for node, around in zip(nodes or self.nodes, self.around, strict=True)]

    def variable_of(self, argument: str) -> str | None:
        """The variable that this argument is, where it is one."""
        for given in self.nodes[0].arguments or ():
            if given.name.value == argument and isinstance(given.value, VariableNode):
                return given.value.name.value
        return None


@dataclass(slots=True)
class Document:
    """A parsed operation. `whole` is its text as it came."""

    whole: str
    kind: OperationType
    roots: tuple[Root, ...]
    operation: OperationDefinitionNode
    fragments: tuple[FragmentDefinitionNode, ...]
    _parts: dict[tuple[str, ...], Text] = field(default_factory=dict)

    @property
    def parent(self) -> str:
        """The type of the root."""
        return _PARENTS[self.kind]

    def only(self, roots: Sequence[Root]) -> Text:
        """A document of these roots alone."""
        keys = tuple(root.key for root in roots)
        if len(keys) == len(self.roots):
            return Text(self.whole, tuple(_variables(self.operation)))
        known = self._parts.get(keys)
        if known is None:
            selections = [each for root in roots for each in root.selections()]
            known = self._parts[keys] = self.printed(selections)
        return known

    def printed(self, asked: Sequence[SelectionNode], declared: Sequence[str] = ()) -> Text:
        """A document of these root selections, with the variables that they use; `declared` (`$name: Type`)
        are new ones."""
        selections = SelectionSetNode(selections=tuple(asked))
        used = _used(selections, self.fragments)
        declarations = self.operation.variable_definitions or ()
        definitions = [each for each in declarations if each.variable.name.value in used.names]
        head = ", ".join([*(print_ast(each) for each in definitions), *declared])
        directives = "".join(f" {print_ast(each)}" for each in self.operation.directives or ())
        text = f"{self.kind.value}{f'({head})' if head else ''}{directives} {print_ast(selections)}"
        fragments = [each for each in self.fragments if each.name.value in used.fragments]
        text += "".join(f"\n{print_ast(each)}" for each in fragments)
        return Text(text, tuple(each.variable.name.value for each in definitions))


@dataclass(frozen=True, slots=True)
class Text:
    """A document to send, and the variables that it takes of the call's."""

    text: str
    variables: tuple[str, ...]

    def given(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Those of `variables` that the document takes: nothing else goes to another region."""
        return {name: variables[name] for name in self.variables if name in variables}


class Documents:
    """Parsed documents by text. The latest are kept, but no mutations: those hold what clients typed."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str | None], Document] = OrderedDict()

    def of(self, text: str, operation_name: str | None) -> Document | None:
        """The operation of this name; None where there is none.  Errors: GraphQLError for no GraphQL."""
        known = self._known.get((text, operation_name))
        if known is None:
            known = _read(text, operation_name)
            if known is not None and known.kind is not OperationType.MUTATION:
                self._known[text, operation_name] = known
                if len(self._known) > DOCUMENTS_CACHED_MAX:
                    self._known.popitem(last=False)
        else:
            self._known.move_to_end((text, operation_name))
        return known


def _read(text: str, operation_name: str | None) -> Document | None:
    parsed = parse(text, no_location=True)
    operation = get_operation_ast(parsed, operation_name)
    if operation is None:
        return None
    fragments = tuple(each for each in parsed.definitions if isinstance(each, FragmentDefinitionNode))
    return Document(text, operation.operation, _roots(operation, fragments), operation, fragments)


def _roots(
    operation: OperationDefinitionNode, fragments: Sequence[FragmentDefinitionNode]
) -> tuple[Root, ...]:
    found: OrderedDict[str, list[tuple[FieldNode, tuple[DirectiveNode, ...]]]] = OrderedDict()
    named = {each.name.value: each for each in fragments}

    def walk(selections: SelectionSetNode, around: tuple[DirectiveNode, ...]) -> None:
        for each in selections.selections:
            if isinstance(each, FieldNode):
                key = each.alias.value if each.alias else each.name.value
                found.setdefault(key, []).append((each, around))
                continue
            inner = (*around, *(each.directives or ()))
            if isinstance(each, InlineFragmentNode):
                walk(each.selection_set, inner)
            else:
                walk(named[cast(FragmentSpreadNode, each).name.value].selection_set, inner)

    walk(operation.selection_set, ())
    return tuple(
        Root(
            key,
            placed[0][0].name.value,
            tuple(node for node, _ in placed),
            tuple(around for _, around in placed),
            _literals([*(node for node, _ in placed), *fragments]),
        )
        for key, placed in found.items()
    )


def _within(node: FieldNode, around: tuple[DirectiveNode, ...]) -> SelectionNode:
    found: SelectionNode = node
    for directive in reversed(around):
        inner = SelectionSetNode(selections=(found,))
        found = InlineFragmentNode(type_condition=None, directives=(directive,), selection_set=inner)
    return found


def changed(node: FieldNode, **changes: Any) -> FieldNode:
    """A field with something changed; nodes are shared, and not changed in place."""
    parts = {
        "alias": node.alias,
        "name": node.name,
        "arguments": node.arguments,
        "directives": node.directives,
        "selection_set": node.selection_set,
    }
    return FieldNode(**{**parts, **changes})


def argument(name: str, variable: str) -> ArgumentNode:
    """`name: $variable`."""
    given = parse(f"{{ f({name}: ${variable}) }}", no_location=True).definitions[0]
    selected = cast(FieldNode, cast(OperationDefinitionNode, given).selection_set.selections[0])
    return (selected.arguments or ())[0]


def selection(text: str) -> tuple[Any, ...]:
    """The selections of `{ text }`."""
    given = parse(f"{{ {text} }}", no_location=True).definitions[0]
    return tuple(cast(OperationDefinitionNode, given).selection_set.selections)


@dataclass(slots=True)
class _Use:
    names: set[str] = field(default_factory=set)
    fragments: set[str] = field(default_factory=set)


def _used(selections: SelectionSetNode, fragments: Sequence[FragmentDefinitionNode]) -> _Use:
    """The variables and fragments that these selections lead to."""
    use, named = _Use(), {each.name.value: each for each in fragments}

    class Uses(Visitor):
        def enter_variable(self, node: VariableNode, *_: Any) -> None:
            use.names.add(node.name.value)

        def enter_fragment_spread(self, node: Any, *_: Any) -> None:
            if node.name.value not in use.fragments:
                use.fragments.add(node.name.value)
                visit(named[node.name.value], Uses())

    visit(selections, Uses())
    return use


def _variables(operation: OperationDefinitionNode) -> list[str]:
    return [each.variable.name.value for each in operation.variable_definitions or ()]


def _literals(nodes: Sequence[Node]) -> frozenset[str]:
    found: set[str] = set()

    class Strings(Visitor):
        def enter_string_value(self, node: StringValueNode, *_: Any) -> None:
            found.add(node.value)

    for node in nodes:
        visit(node, Strings())
    return frozenset(found)
