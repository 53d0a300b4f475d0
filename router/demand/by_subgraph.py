"""Costs by subgraph: what the fetches of a plan may cost, each as often as objects are on its way.

The text of a fetch is weighed like a client's operation; entities cost as much as the objects that the
fetch is made for are many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphql import FieldNode, InlineFragmentNode, OperationDefinitionNode, SelectionSetNode, parse

from router.demand.estimate import CostNode, Estimator, Size, cost_nodes, own_cost
from router.demand.weights import Weights
from router.operation.model import (
    Argument,
    NormalField,
    NormalFragment,
    NormalOperation,
    NormalSelection,
    OperationKind,
)
from router.planner import plan as plans
from router.planner.plan import PathKey, PathStep, PlanNode
from schema.supergraph import Supergraph

ENTITIES: Final = "_entities"


@dataclass(frozen=True, slots=True)
class FetchCost:
    """One fetch: its subgraph, the objects it is made for, what of it can cost something."""

    service: str
    base: float
    path: tuple[PathStep, ...]
    nodes: tuple[CostNode, ...]


def fetch_costs(
    node: PlanNode | None, supergraph: Supergraph, weights: Weights, path: tuple[PathStep, ...] = ()
) -> Iterator[FetchCost]:
    """The fetches of a plan. Of a condition's two branches both are counted: one of them runs."""
    match node:
        case plans.Fetch():
            yield _fetch_cost(node, supergraph, weights, path)
        case plans.Flatten():
            yield from fetch_costs(node.node, supergraph, weights, node.path)
        case plans.Sequence() | plans.Parallel():
            for one in node.nodes:
                yield from fetch_costs(one, supergraph, weights, path)
        case plans.ConditionNode():
            yield from fetch_costs(node.if_clause, supergraph, weights, path)
            yield from fetch_costs(node.else_clause, supergraph, weights, path)
        case plans.Defer():
            yield from fetch_costs(node.primary, supergraph, weights, path)
            for part in node.deferred:
                yield from fetch_costs(part.node, supergraph, weights, path)
        case plans.Subscription():
            yield from fetch_costs(node.primary, supergraph, weights, path)
            yield from fetch_costs(node.rest, supergraph, weights, path)


def _fetch_cost(
    fetch: plans.Fetch, supergraph: Supergraph, weights: Weights, path: tuple[PathStep, ...]
) -> FetchCost:
    root = next(it for it in parse(fetch.operation).definitions if isinstance(it, OperationDefinitionNode))
    root_type = supergraph.root_types.get(fetch.kind.value, "")
    selections = tuple(_selections(root.selection_set, root_type, weights))
    if fetch.requires:
        selections = tuple(
            inner for one in selections if isinstance(one, NormalField) for inner in one.selections
        )
    operation = NormalOperation(fetch.kind, root_type, None, selections, (), "")
    kind = OperationKind.QUERY if fetch.requires else fetch.kind
    return FetchCost(fetch.service, own_cost(kind), path, cost_nodes(operation, weights))


def _selections(node: SelectionSetNode | None, parent: str, weights: Weights) -> Iterator[NormalSelection]:
    for one in node.selections if node is not None else ():
        if isinstance(one, FieldNode):
            name = one.name.value
            found = weights.field(parent, name)
            yield NormalField(
                response_key=one.alias.value if one.alias else name,
                name=name,
                parent_type=parent,
                arguments=tuple(Argument(it.name.value, it.value) for it in one.arguments or ()),
                selections=tuple(_selections(one.selection_set, found.type_name if found else "", weights)),
            )
        elif isinstance(one, InlineFragmentNode):
            on = one.type_condition.name.value if one.type_condition else parent
            yield NormalFragment(on, selections=tuple(_selections(one.selection_set, on, weights)))


def objects_on(
    path: Sequence[PathStep], nodes: Sequence[CostNode], estimator: Estimator, variables: Mapping[str, Any]
) -> int:
    """How many objects a path leads to, by the lengths that lists are taken to have."""
    count, above, length = 1, None, None
    for step in path:
        if not isinstance(step, PathKey):
            continue
        node = _child(nodes, step.key)
        if node is None:
            # a key of the planner's own: all lists that follow are unknown
            lists = sum(not isinstance(it, PathKey) for it in path)
            return int(count * estimator.list_size_assumed ** min(lists, 1))
        own = _own(node.size, variables)
        if node.is_list:
            count *= estimator.length(node, own, above, length)
        nodes, above, length = node.children, node.size, own
    return count


def _own(size: Size | None, variables: Mapping[str, Any]) -> int | None:
    return None if size is None else size.of(variables, strict=False)


def _child(nodes: Sequence[CostNode], key: str) -> CostNode | None:
    for one in nodes:
        found = one if one.key == key else (_child(one.children, key) if not one.key else None)
        if found is not None:
            return found
    return None
