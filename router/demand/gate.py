"""Gate: demand control as the pipeline uses it: one value an operation that is let through."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from authz.identity.subject import Subject
from router.admission import Demand, DemandControl, class_of
from router.config import RouterConfig
from router.demand.budget import Budget, Cost, CostTree, cost_tree
from router.demand.left_out import LeavingOut
from router.demand.weights import Weights
from router.execution import CompiledPlan, GraphQLResponse
from router.execution.transport import SubgraphTransport
from schema.supergraph import Supergraph

GRAPHS_MAX: Final = 2
"""Supergraphs whose weights are kept: the one that serves, and the one before or after it."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """An operation whose estimate was let through."""

    budget: Budget
    tree: CostTree
    cost: Cost
    variables: Mapping[str, Any]

    def transport(self, whole: SubgraphTransport) -> SubgraphTransport:
        """The transport to run it with: without the subgraphs that are over their limits."""
        return LeavingOut(whole, self.cost.without) if self.cost.without else whole

    def settled(self, response: GraphQLResponse) -> GraphQLResponse:
        """The answer, once its cost is known. Errors: COST_ACTUAL_TOO_EXPENSIVE."""
        return self.budget.settled(self.tree, self.cost, self.variables, response)

    def settled_in_parts(self, parts: AsyncIterator[GraphQLResponse]) -> AsyncIterator[GraphQLResponse]:
        """The parts of an answer, each counted.  Errors: COST_ACTUAL_TOO_EXPENSIVE instead of a part."""
        return self.budget.settled_in_parts(self.tree, self.cost, self.variables, parts)


class Gate:
    """Demand control of one router. What is known of a plan is kept as long as the plan may be."""

    def __init__(self, config: RouterConfig) -> None:
        self._config = config
        self._budget = Budget(config.demand)
        self._only_classes = not concerns_all(config.demand)
        self._weights: OrderedDict[int, tuple[Supergraph, Weights]] = OrderedDict()
        self._trees: OrderedDict[int, tuple[CompiledPlan, CostTree]] = OrderedDict()

    @property
    def counts(self) -> bool:
        """Whether costs of some callers are of interest."""
        return not self._only_classes or bool(self._config.client_classes)

    def admitted(
        self, compiled: CompiledPlan, variables: Mapping[str, Any], subject: Subject, supergraph: Supergraph
    ) -> Admitted | None:
        """Judge an operation before it runs; None for a caller whose costs are of no interest.

        Errors: COST_ESTIMATED_TOO_EXPENSIVE, COST_QUERY_PARSE_FAILURE, where limits are enforced.
        """
        own = class_of(subject, self._config.client_classes)
        cost_max = own[1].cost_max if own else 0
        if self._only_classes and not cost_max:
            return None
        tree = self._tree(compiled, supergraph)
        cost = self._budget.judged(tree, variables, cost_max=cost_max)
        return Admitted(self._budget, tree, cost, variables)

    def _tree(self, compiled: CompiledPlan, supergraph: Supergraph) -> CostTree:
        # by identity: kept beside the plan itself, so that no other can have its place in memory
        known = self._trees.get(id(compiled))
        if known is None:
            tree = cost_tree(compiled, supergraph, self._weights_of(supergraph))
            known = self._trees[id(compiled)] = (compiled, tree)
            if len(self._trees) > max(self._config.caches.plans_max, 1):
                self._trees.popitem(last=False)
        return known[1]

    def _weights_of(self, supergraph: Supergraph) -> Weights:
        known = self._weights.get(id(supergraph))
        if known is None:
            known = self._weights[id(supergraph)] = (supergraph, Weights(supergraph))
            if len(self._weights) > GRAPHS_MAX:
                self._weights.popitem(last=False)
        return known[1]


def concerns_all(demand: DemandControl) -> bool:
    """Whether anything is counted, limited or told for callers of no class with a budget of its own."""
    limits = demand.cost_max or demand.actual_cost_max or demand.subgraph_cost_max
    return bool(limits) or demand.shown or demand.measure_answers or demand.mode is Demand.MEASURE


def gate_of(config: RouterConfig) -> Gate | None:
    """The gate that the settings ask for; none where costs are of no interest."""
    return None if config.demand.mode is Demand.OFF else Gate(config)
