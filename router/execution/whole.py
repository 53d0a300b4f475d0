"""Whether one fetch answers exactly what the client asked, so that its bytes can be the answer.

The router's checks are left out only where they cannot find anything in the answer of a server that keeps
to its own schema: the same fields in the same order, the same types on both sides, no abstract types, no
enum values that clients may not see.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphql import FieldNode, GraphQLObjectType, GraphQLSchema, SelectionSetNode, get_named_type, parse
from graphql.language import OperationDefinitionNode

from router.operation.model import AllowedOperation, NormalField, NormalSelection, OperationKind
from router.planner.plan import Fetch, PlanNode
from schema.supergraph import Supergraph
from schema.supergraph.model import TypeKind


def whole_fetch(node: PlanNode | None, allowed: AllowedOperation, supergraph: Supergraph) -> Fetch | None:
    """The plan's only fetch, where its answer is the client's; None where anything is left to do."""
    original = allowed.original
    if not isinstance(node, Fetch) or node.requires or node.output_rewrites or allowed.denials:
        return None
    if original.kind is not OperationKind.QUERY or node.kind is not OperationKind.QUERY:
        return None
    graph = next((key for key, it in supergraph.subgraphs.items() if it.name == node.service), None)
    operation = parse(node.operation, no_location=True).definitions[0]
    root = supergraph.api_schema.get_type(original.root_type)
    if graph is None or not isinstance(operation, OperationDefinitionNode):
        return None
    if not isinstance(root, GraphQLObjectType):
        return None
    compared = _Compared(supergraph, supergraph.api_schema, graph)
    same = compared.same(original.selections, operation.selection_set, root)
    return node if same else None


class _Compared:
    """The client's selection beside the one that is sent to one subgraph."""

    def __init__(self, supergraph: Supergraph, schema: GraphQLSchema, graph: str) -> None:
        self._supergraph = supergraph
        self._schema = schema
        self._graph = graph

    def same(
        self, asked: Sequence[NormalSelection], sent: SelectionSetNode, parent: GraphQLObjectType
    ) -> bool:
        """Whether both have the same fields in the same order, each with the same type on both sides."""
        return len(asked) == len(sent.selections) and all(
            isinstance(ours, NormalField)
            and isinstance(theirs, FieldNode)
            and self._same_field(ours, theirs, parent)
            for ours, theirs in zip(asked, sent.selections, strict=True)
        )

    def _same_field(self, ours: NormalField, theirs: FieldNode, parent: GraphQLObjectType) -> bool:
        key = theirs.alias.value if theirs.alias else theirs.name.value
        if key != ours.response_key or theirs.name.value != ours.name or ours.conditions or theirs.directives:
            return False
        definition = parent.fields.get(ours.name)
        merged = self._supergraph.types[parent.name].fields.get(ours.name)
        if definition is None or merged is None:
            return False  # `__typename` and introspection: names may differ between both sides
        join = merged.joins.get(self._graph)
        if (join.type if join is not None else merged.type).text != str(definition.type):
            return False
        named = get_named_type(definition.type)
        if isinstance(named, GraphQLObjectType):
            return theirs.selection_set is not None and self.same(
                ours.selections, theirs.selection_set, named
            )
        return self._is_open(named.name)

    def _is_open(self, name: str) -> bool:
        """Whether a leaf type has no values that are hidden from clients; false for abstract types."""
        known = self._supergraph.types.get(name)
        if known is None or known.kind is TypeKind.SCALAR:
            return True
        visible = self._schema.get_type(name)
        return known.kind is TypeKind.ENUM and set(known.enum_values) == set(getattr(visible, "values", ()))
