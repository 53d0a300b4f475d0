"""Tokens → nodes: reads plain documents and parts of them; equal names and leaves are one node."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from graphql import (
    ArgumentNode,
    BooleanValueNode,
    DefinitionNode,
    DirectiveNode,
    EnumValueNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NamedTypeNode,
    NameNode,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    parse,
)

NODES_KEPT_MAX: Final = 4_096

IGNORED: Final = " \t\n\r,\ufeff"
TOKEN: Final = re.compile(
    rf"[{IGNORED}]*("
    r"[_A-Za-z][_0-9A-Za-z]*|[!$&()\[\]{}:=@|]|\.\.\."
    r'|"[^"\\\x00-\x1f\x7f-\x9f\ud800-\udfff]*"(?!")'
    r"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![_0-9A-Za-z.])"
    r"|[\s\S]+)"
)
"""The last alternative takes all that is left: such a text does not end as a document does."""
_OPERATIONS: Final = {it.value: it for it in OperationType}
_NOTHING_READ: Final[Mapping[int, SelectionSetNode]] = {}
_NOT_LINE_ENDS: Final = re.compile(r"[^\n\r]")

Node = TypeVar("Node")
_names: dict[str, NameNode] = {}
_leaves: dict[str, FieldNode] = {}


class Unsure(Exception):
    """Not plain."""


class Reader:
    """One document being read; `at` is the next token.  Errors of its methods: Unsure, IndexError."""

    __slots__ = ("_read", "_span", "_text", "at", "tokens")

    def __init__(
        self,
        tokens: list[str],
        text: str,
        read: Mapping[int, SelectionSetNode] = _NOTHING_READ,
        span: tuple[int, int] | None = None,
    ) -> None:
        """`read` has the selection sets for which their opening brace alone is among the tokens; `span` is
        what of the text the tokens are."""
        self.tokens = tokens
        self.at = 0
        self._text = text
        self._read = read
        self._span = span or (0, len(text))

    def only_selections(self) -> SelectionSetNode:
        """The selection set that all tokens are."""
        found = self._selection_set()
        if self.at != len(self.tokens):
            raise Unsure
        return found

    def definitions(self) -> tuple[DefinitionNode, ...]:
        """All definitions."""
        found: list[DefinitionNode] = []
        while self.at < len(self.tokens):
            keyword = self.tokens[self.at]
            if keyword == "fragment":
                found.append(self._fragment())
                continue
            if keyword == "{":
                selection_set = self._selection_set()
                found.append(_operation(OperationType.QUERY, None, None, None, selection_set))
            elif keyword in _OPERATIONS:
                found.append(self._named_operation(_OPERATIONS[keyword]))
            else:
                raise Unsure
        return tuple(found)

    def _named_operation(self, kind: OperationType) -> OperationDefinitionNode:
        begin = self.at
        self.at += 1
        name = None if self.tokens[self.at] in {"(", "@", "{"} else self._name()
        variables: tuple[VariableDefinitionNode, ...] | None = None
        if self.tokens[self.at] == "(":
            self._pass_brackets()
            variables = self._variables(begin, self.at)
        directives = self._directives()
        return _operation(kind, name, variables, directives, self._selection_set())

    def _pass_brackets(self) -> None:
        depth = 0
        while True:
            token = self.tokens[self.at]
            depth += (token == "(") - (token == ")")  # noqa: S105  # a token of GraphQL
            self.at += 1
            if not depth:
                return

    def _variables(self, begin: int, end: int) -> tuple[VariableDefinitionNode, ...]:
        """The definitions with their locations, which errors in variables' values name."""
        starts = [match.start(1) for match in TOKEN.finditer(self._text, *self._span)]
        before = _NOT_LINE_ENDS.sub(" ", self._text[: starts[begin]])
        head = f"{before}{self._text[starts[begin] : starts[end]]}{{a}}"
        try:
            operation = parse(head).definitions[0]
        except Exception as error:
            raise Unsure from error
        if not isinstance(operation, OperationDefinitionNode) or not operation.variable_definitions:
            raise Unsure
        return operation.variable_definitions

    def _fragment(self) -> FragmentDefinitionNode:
        self.at += 1
        if self.tokens[self.at] == "on":
            raise Unsure
        name = self._name()
        condition = self._type_condition()
        directives = self._directives()
        return FragmentDefinitionNode(
            name=name,
            variable_definitions=(),
            type_condition=condition,
            directives=directives,
            selection_set=self._selection_set(),
        )

    def _type_condition(self) -> NamedTypeNode:
        if self.tokens[self.at] != "on":
            raise Unsure
        self.at += 1
        return NamedTypeNode(name=self._name())

    def _name(self) -> NameNode:
        token = self.tokens[self.at]
        if not token.isidentifier():
            raise Unsure
        self.at += 1
        return _names.get(token) or _name_of(token)

    def _expect(self, token: str) -> None:
        if self.tokens[self.at] != token:
            raise Unsure
        self.at += 1

    def _selection_set(self) -> SelectionSetNode:
        known = self._read.get(self.at)
        if known is not None:
            self.at += 1
            return known
        self._expect("{")
        tokens = self.tokens
        found: list[SelectionNode] = []
        while (token := tokens[self.at]) != "}":
            if token == "...":  # noqa: S105  # a token of GraphQL
                found.append(self._spread())
            elif not token.isidentifier():
                raise Unsure
            elif tokens[self.at + 1] in _AFTER_FIELD:
                found.append(self._field(token))
            else:
                self.at += 1
                found.append(_leaves.get(token) or _leaf_of(token))
        if not found:
            raise Unsure
        self.at += 1
        return _made(SelectionSetNode, selections=tuple(found))

    def _field(self, token: str) -> FieldNode:
        """A field with more than its name."""
        name, alias = self._name(), None
        if self.tokens[self.at] == ":":
            self.at += 1
            alias, name = name, self._name()
        arguments = self._arguments() if self.tokens[self.at] == "(" else None
        directives = self._directives()
        return _made(
            FieldNode,
            alias=alias,
            name=name,
            arguments=arguments,
            directives=directives,
            selection_set=self._selection_set() if self.tokens[self.at] == "{" else None,
        )

    def _spread(self) -> FragmentSpreadNode | InlineFragmentNode:
        self.at += 1
        token = self.tokens[self.at]
        if token.isidentifier() and token != "on":  # noqa: S105  # a token of GraphQL
            name = self._name()
            if self.tokens[self.at] == "(":
                raise Unsure
            return FragmentSpreadNode(name=name, arguments=None, directives=self._directives())
        condition = self._type_condition() if token == "on" else None  # noqa: S105
        directives = self._directives()
        selection_set = self._selection_set()
        return InlineFragmentNode(
            type_condition=condition, directives=directives, selection_set=selection_set
        )

    def _directives(self) -> tuple[DirectiveNode, ...] | None:
        if self.tokens[self.at] != "@":
            return None
        found: list[DirectiveNode] = []
        while self.tokens[self.at] == "@":
            self.at += 1
            name = self._name()
            arguments = self._arguments() if self.tokens[self.at] == "(" else None
            found.append(DirectiveNode(name=name, arguments=arguments))
        return tuple(found)

    def _arguments(self) -> tuple[ArgumentNode, ...]:
        self._expect("(")
        found: list[ArgumentNode] = []
        while self.tokens[self.at] != ")":
            name = self._name()
            self._expect(":")
            found.append(ArgumentNode(name=name, value=self._value()))
        if not found:
            raise Unsure
        self.at += 1
        return tuple(found)

    def _value(self) -> ValueNode:
        token = self.tokens[self.at]
        self.at += 1
        first = token[0]
        if first == "$":
            return VariableNode(name=self._name())
        if first == '"':
            return StringValueNode(value=token[1:-1], block=False)
        if first == "[":
            return ListValueNode(values=self._until("]", self._value))
        if first == "{":
            return ObjectValueNode(fields=self._until("}", self._object_field))
        if first == "-" or first.isdigit():
            is_int = token.lstrip("-").isdigit()
            return IntValueNode(value=token) if is_int else FloatValueNode(value=token)
        if not token.isidentifier():
            raise Unsure
        if token in {"true", "false"}:
            return BooleanValueNode(value=token == "true")  # noqa: S105  # a token of GraphQL
        return NullValueNode() if token == "null" else EnumValueNode(value=token)  # noqa: S105

    def _until(self, end: str, read: Callable[[], Node]) -> tuple[Node, ...]:
        found: list[Node] = []
        while self.tokens[self.at] != end:
            found.append(read())
        self.at += 1
        return tuple(found)

    def _object_field(self) -> ObjectFieldNode:
        name = self._name()
        self._expect(":")
        return ObjectFieldNode(name=name, value=self._value())


_AFTER_FIELD: Final = frozenset({":", "(", "@", "{"})


def _operation(
    kind: OperationType,
    name: NameNode | None,
    variables: tuple[VariableDefinitionNode, ...] | None,
    directives: tuple[DirectiveNode, ...] | None,
    selection_set: SelectionSetNode,
) -> OperationDefinitionNode:
    return OperationDefinitionNode(
        operation=kind,
        name=name,
        variable_definitions=variables,
        directives=directives,
        selection_set=selection_set,
    )


def _name_of(name: str) -> NameNode:
    node = _names[name] = NameNode(value=name)
    return node


def _leaf_of(name: str) -> FieldNode:
    node = _leaves[name] = FieldNode(
        alias=None,
        name=_names.get(name) or _name_of(name),
        arguments=None,
        directives=None,
        selection_set=None,
    )
    return node


def _made(kind: type[Node], **members: Any) -> Node:
    """A node without its constructor, which sets one member after the other by name."""
    node = object.__new__(kind)
    node.__dict__.update(members)
    return node


def make_room() -> None:
    """Forget the shared names and leaves where there are too many."""
    if len(_names) > NODES_KEPT_MAX or len(_leaves) > NODES_KEPT_MAX:
        _names.clear()
        _leaves.clear()
