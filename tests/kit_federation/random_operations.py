"""Random operations over an API schema, as trees that can be cut down to single leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_required_argument,
)


@dataclass(frozen=True, slots=True)
class Node:
    """A field (`head` is alias, name and arguments) or an inline fragment (`head` is `... on T`)."""

    head: str
    below: tuple[Node, ...] = ()

    def text(self) -> str:
        """As GraphQL."""
        return f"{self.head} {{ {' '.join(it.text() for it in self.below)} }}" if self.below else self.head


def operation_of(nodes: Sequence[Node]) -> str:
    """The query that selects these."""
    return f"{{ {' '.join(it.text() for it in nodes)} }}"


def single_leaves(nodes: Sequence[Node]) -> Iterator[tuple[Node, ...]]:
    """The operation cut down to each of its leaves in turn."""
    for it in nodes:
        if not it.below:
            yield (it,)
        else:
            for below in single_leaves(it.below):
                yield (replace(it, below=below),)


class OperationSource:
    """Draws operations; `values` are texts of argument values by type name, to be found in the rows."""

    def __init__(self, schema: GraphQLSchema, values: dict[str, list[str]], seed: int) -> None:
        self._schema = schema
        self._values = values
        self._random = Random(seed)

    def draw(self) -> tuple[Node, ...]:
        """One query's selections."""
        root = self._schema.query_type
        assert root is not None
        return self._selections(root, depth=5)

    def _selections(self, type_: Any, depth: int) -> tuple[Node, ...]:
        nodes: list[Node] = []
        for _ in range(self._random.randint(1, 3)):
            node = self._node(type_, depth)
            if node is not None:
                nodes.append(node)
        return tuple(nodes) or (Node("__typename"),)

    def _node(self, type_: Any, depth: int) -> Node | None:
        if is_abstract_type(type_) and self._schema.get_possible_types(type_) and self._random.random() < 0.5:
            member = self._random.choice(
                sorted(self._schema.get_possible_types(type_), key=lambda it: it.name)
            )
            return Node(f"... on {member.name}", self._selections(member, depth))
        if isinstance(type_, GraphQLUnionType) or self._random.random() < 0.1:
            return Node("__typename")
        assert isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
        name, field = self._random.choice(sorted(type_.fields.items()))
        head = self._head(name, field)
        below = get_named_type(field.type)
        if not is_composite_type(below):
            return None if head is None else Node(head)
        if depth == 0 or head is None:
            return None
        return Node(head, self._selections(below, depth - 1))

    def _head(self, name: str, field: GraphQLField) -> str | None:
        arguments = []
        for argument_name, argument in field.args.items():
            if is_required_argument(argument) or self._random.random() < 0.5:
                value = self._value(argument.type)
                if value is None:
                    return None
                arguments.append(f"{argument_name}: {value}")
        if not arguments:
            return name if self._random.random() < 0.7 else f"{name}_{self._random.randint(0, 2)}: {name}"
        text = ", ".join(arguments)
        alias = "".join(it if it.isalnum() else "_" for it in text)
        return f"{name}_{alias}: {name}({text})"

    def _value(self, type_: Any) -> str | None:
        if isinstance(type_, GraphQLNonNull):
            type_ = type_.of_type
        known = self._values.get(getattr(type_, "name", ""))
        if known:
            return self._random.choice(known)
        if isinstance(type_, GraphQLEnumType):
            return self._random.choice(sorted(type_.values))
        if isinstance(type_, GraphQLInputObjectType):
            members = {name: self._value(it.type) for name, it in type_.fields.items()}
            return "{" + ", ".join(f"{name}: {it}" for name, it in members.items() if it is not None) + "}"
        return {"Int": "1", "Float": "1.5", "Boolean": "true"}.get(getattr(type_, "name", ""))
