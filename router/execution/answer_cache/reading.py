"""A subgraph query read once: the parts of its answer that can be kept, each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    parse,
    print_ast,
    strip_ignored_characters,
    value_from_ast_untyped,
    visit,
)

from router.execution.answer_cache.freshness import Freshness
from router.execution.answer_cache.hints import Hints


@dataclass(frozen=True, slots=True)
class EntityPart:
    """One `_entities` field: its place in the answer, the variable of its representations, its selection
    as text, the variables used in that, and what `@cacheControl` says of each type's entities."""

    alias: str
    representations: str
    text: str
    variables: tuple[str, ...]
    hints: Mapping[str, Freshness | None]


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """A query of entities, or one of root fields: they are kept together, with all of its variables.

    `root_fields` are their names with the arguments' syntax, for tags.
    """

    entities: tuple[EntityPart, ...]
    root_fields: tuple[FieldNode, ...]
    hint: Freshness | None

    def arguments(self, variables: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
        """Each root field with the values of its arguments."""
        return [
            (
                one.name.value,
                {
                    it.name.value: value_from_ast_untyped(it.value, dict(variables))
                    for it in one.arguments or ()
                },
            )
            for one in self.root_fields
        ]


def read_query(text: str, hints: Hints) -> ReadQuery | None:
    """What can be kept of the query's answer; None where nothing can be told apart.

    A query that mixes entities with other root fields is not one that the planner makes.
    """
    try:
        document = parse(text, no_location=True)
    except (GraphQLError, RecursionError):
        return None
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    fragments = {
        one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
    }
    if len(operations) != 1:
        return None
    fields = _root_fields(operations[0].selection_set, fragments)
    if fields is None or not fields:
        return None
    entities = [_entity_part(one, fragments, hints) for one in fields if one.name.value == "_entities"]
    if not entities:
        return ReadQuery((), tuple(fields), hints.of_root(operations[0].selection_set, fragments))
    if len(entities) != len(fields) or any(one is None for one in entities):
        return None
    return ReadQuery(tuple(one for one in entities if one is not None), (), None)


def _root_fields(
    selected: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> list[FieldNode] | None:
    found: list[FieldNode] = []
    for one in selected.selections:
        if isinstance(one, FieldNode):
            found.append(one)
            continue
        inner: SelectionSetNode | None = None
        if isinstance(one, InlineFragmentNode):
            inner = one.selection_set
        elif isinstance(one, FragmentSpreadNode) and one.name.value in fragments:
            inner = fragments[one.name.value].selection_set
        below = _root_fields(inner, fragments) if inner is not None else None
        if below is None:
            return None
        found += below
    return found


def _entity_part(
    field: FieldNode, fragments: Mapping[str, FragmentDefinitionNode], hints: Hints
) -> EntityPart | None:
    arguments = {one.name.value: one.value for one in field.arguments or ()}
    given = arguments.get("representations")
    if not isinstance(given, VariableNode) or field.selection_set is None or field.directives:
        return None
    used = _Used(fragments)
    texts = [used.text_of(field.selection_set)]
    texts += [used.text_of(fragments[name]) for name in used.reached()]
    return EntityPart(
        alias=field.alias.value if field.alias else field.name.value,
        representations=given.name.value,
        text=strip_ignored_characters(" ".join(sorted(texts))),
        variables=tuple(sorted(used.variables)),
        hints=hints.of_entities(field.selection_set, fragments),
    )


class _Used(Visitor):
    """The variables and fragments below some syntax."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        super().__init__()
        self._fragments = fragments
        self._names: dict[str, None] = {}
        self.variables: set[str] = set()

    def text_of(self, node: Node) -> str:
        visit(node, self)
        return print_ast(node)

    def reached(self) -> list[str]:
        """Every fragment that is used, also by other fragments."""
        done: list[str] = []
        while left := [one for one in self._names if one not in done and one in self._fragments]:
            for name in left:
                visit(self._fragments[name], self)
                done.append(name)
        return sorted(done)

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.variables.add(node.name.value)

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
        self._names[node.name.value] = None
