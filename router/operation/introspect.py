"""Introspection (`__schema`, `__type`): answered from the API schema by graphql-core, never by a subgraph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from graphql import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    GraphQLSchema,
    InlineFragmentNode,
    NamedTypeNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    execute_sync,
    visit,
)
from graphql.language import Visitor

from router.errors import PlanInvariantBroken
from router.operation.model import Condition, NormalField, NormalOperation, NormalSelection
from router.operation.validate import executable_schema

INTROSPECTION_FIELDS: Final = frozenset({"__schema", "__type"})


def introspection_document(operation: NormalOperation) -> DocumentNode | None:
    """The operation's introspection fields as a document of their own; None where it has none."""
    selections = [_node(it) for it in _only_introspection(operation.selections) if not _is_empty_fragment(it)]
    if not selections:
        return None
    root = SelectionSetNode(selections=tuple(selections))
    used = _variables_used(root)
    definition = OperationDefinitionNode(
        operation=OperationType.QUERY,
        selection_set=root,
        variable_definitions=tuple(it for it in operation.variables if it.variable.name.value in used),
        directives=(),
    )
    return DocumentNode(definitions=(definition,))


def introspect(
    document: DocumentNode, api_schema: GraphQLSchema, variables: Mapping[str, Any]
) -> dict[str, Any]:
    """The answer, by response key. The document is valid, so an error is a fault of ours."""
    result = execute_sync(executable_schema(api_schema), document, variable_values=dict(variables))
    if result.errors or result.data is None:
        raise PlanInvariantBroken(f"introspection failed: {result.errors}")
    return result.data


def uses_variables(document: DocumentNode) -> bool:
    """Whether the answer depends on the request; otherwise it can be computed once a plan."""
    return bool(_variables_used(document))


def _only_introspection(selections: Sequence[NormalSelection]) -> Iterator[NormalSelection]:
    for selection in selections:
        if isinstance(selection, NormalField):
            if selection.name in INTROSPECTION_FIELDS:
                yield selection
        else:
            yield type(selection)(
                type_condition=selection.type_condition,
                conditions=selection.conditions,
                selections=tuple(_only_introspection(selection.selections)),
            )


def _is_empty_fragment(selection: NormalSelection) -> bool:
    return not isinstance(selection, NormalField) and all(map(_is_empty_fragment, selection.selections))


def _node(selection: NormalSelection) -> FieldNode | InlineFragmentNode:
    directives = tuple(_directive(it) for it in selection.conditions)
    children = tuple(_node(it) for it in selection.selections if not _is_empty_fragment(it))
    if not isinstance(selection, NormalField):
        return InlineFragmentNode(
            type_condition=NamedTypeNode(name=NameNode(value=selection.type_condition)),
            directives=directives,
            selection_set=SelectionSetNode(selections=children),
        )
    return FieldNode(
        alias=NameNode(value=selection.response_key),
        name=NameNode(value=selection.name),
        arguments=tuple(
            ArgumentNode(name=NameNode(value=it.name), value=it.value) for it in selection.arguments
        ),
        directives=directives,
        selection_set=SelectionSetNode(selections=children) if children else None,
    )


def _directive(condition: Condition) -> DirectiveNode:
    return DirectiveNode(
        name=NameNode(value="skip" if condition.negated else "include"),
        arguments=(
            ArgumentNode(
                name=NameNode(value="if"), value=VariableNode(name=NameNode(value=condition.variable))
            ),
        ),
    )


class _VariableCollector(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.names.add(node.name.value)


def _variables_used(node: SelectionSetNode | DocumentNode) -> frozenset[str]:
    collector = _VariableCollector()
    visit(node, collector)
    return frozenset(collector.names)


def asks_for_schema(selections: Sequence[NormalSelection]) -> bool:
    """Whether root selections read the schema itself."""
    return any(
        one.name in INTROSPECTION_FIELDS if isinstance(one, NormalField) else asks_for_schema(one.selections)
        for one in selections
    )
