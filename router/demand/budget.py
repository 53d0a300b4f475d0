"""Budget: each operation's cost against its limits, before it runs and once it has been answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final

from router.admission import Demand, DemandControl
from router.demand.actual import LaterParts, answer_cost
from router.demand.by_subgraph import FetchCost, fetch_costs, objects_on
from router.demand.estimate import CostNode, Estimator, cost_nodes, own_cost, told
from router.demand.weights import Weights
from router.errors import ClientError
from router.execution import CompiledPlan, GraphQLResponse
from router.execution.transport import SentData
from router.telemetry import cost_actual, cost_delta, cost_estimated
from schema.supergraph import Supergraph

OK: Final = "COST_OK"
TOO_DEAR: Final = "COST_ESTIMATED_TOO_EXPENSIVE"
ANSWER_TOO_DEAR: Final = "COST_ACTUAL_TOO_EXPENSIVE"
FOR_ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class CostTree:
    """What of an operation, and of each of its fetches, can cost something; the same for all variables."""

    base: float
    nodes: tuple[CostNode, ...]
    fetches: tuple[FetchCost, ...]
    weights: Weights


def cost_tree(compiled: CompiledPlan, supergraph: Supergraph, weights: Weights) -> CostTree:
    """The tree of a planned operation, less what its caller may not see."""
    normal = compiled.allowed.normal
    fetches = tuple(fetch_costs(compiled.plan.node, supergraph, weights))
    return CostTree(own_cost(normal.kind), cost_nodes(normal, weights), fetches, weights)


@dataclass(slots=True)
class Cost:
    """One operation's cost as far as it is known. `without` are subgraphs that are not asked: over theirs."""

    estimated: float
    cost_max: int
    result: str
    without: frozenset[str] = frozenset()
    by_subgraph: Mapping[str, float] = field(default_factory=dict)
    actual: float | None = None

    def shown(self) -> dict[str, Any]:
        """As `extensions.cost` has it."""
        entry: dict[str, Any] = {"estimated": told(self.estimated), "result": self.result}
        if self.cost_max:
            entry["max"] = self.cost_max
        if self.actual is not None:
            entry["actual"] = told(self.actual)
        if self.by_subgraph:
            entry["bySubgraph"] = {name: told(cost) for name, cost in self.by_subgraph.items()}
        return entry


class Budget:
    """Judges operations and answers by the settings. One a router."""

    def __init__(self, config: DemandControl) -> None:
        self._config = config
        self._enforced = config.mode is Demand.ENFORCE

    def judged(self, tree: CostTree, variables: Mapping[str, Any], *, cost_max: int) -> Cost:
        """The operation's estimated cost, where 0 as `cost_max` means the general limit.

        Errors: COST_ESTIMATED_TOO_EXPENSIVE, COST_QUERY_PARSE_FAILURE, where limits are enforced.
        """
        cost_max = cost_max or self._config.cost_max
        estimator = self._estimator(tree)
        estimated = tree.base + estimator.total(tree.nodes, variables)
        over = bool(cost_max) and estimated > cost_max
        result = TOO_DEAR if over else OK
        cost_estimated.record(estimated, {"result": result})
        if over and self._enforced:
            raise ClientError(
                f"the operation's estimated cost is {told(estimated)}, at most {cost_max} is allowed",
                code=TOO_DEAR,
                extensions={"cost.estimated": told(estimated), "cost.max": cost_max},
            )
        by_subgraph = self._by_subgraph(tree, variables, estimator)
        return Cost(estimated, cost_max, result, self._without(by_subgraph), by_subgraph)

    def settled(
        self, tree: CostTree, cost: Cost, variables: Mapping[str, Any], response: GraphQLResponse
    ) -> GraphQLResponse:
        """The answer with its cost, counted where the settings say so.

        Errors: COST_ACTUAL_TOO_EXPENSIVE, where limits are enforced.
        """
        if self._config.measure_answers:
            cost.actual = self._counted(tree, variables, response)
            try:
                self._check(cost)
            finally:
                self._record(cost)
        return self._told(response, cost)

    async def settled_in_parts(
        self,
        tree: CostTree,
        cost: Cost,
        variables: Mapping[str, Any],
        parts: AsyncIterator[GraphQLResponse],
    ) -> AsyncIterator[GraphQLResponse]:
        """The parts of one answer, as long as they cost together what one answer may; the last one is told
        what they cost. What was asked for and never came, because the client left, cost what it cost so far.

        Errors: COST_ACTUAL_TOO_EXPENSIVE instead of the part that is too dear, where limits are enforced.
        """
        later = LaterParts(tree.nodes, self._estimator(tree), variables)
        try:
            async with aclosing(parts) as source:  # type: ignore[type-var]
                async for part in source:
                    if self._config.measure_answers:
                        came = self._counted(tree, variables, part) if cost.actual is None else 0.0
                        cost.actual = (cost.actual or 0.0) + came + later.cost(part.incremental or {})
                        self._check(cost)
                    is_last = not (part.incremental or {}).get("hasNext", False)
                    yield self._told(part, cost) if is_last else part
        finally:
            if cost.actual is not None:
                self._record(cost)

    def _told(self, response: GraphQLResponse, cost: Cost) -> GraphQLResponse:
        if not self._config.shown:
            return response
        return replace(response, extensions={**response.extensions, "cost": cost.shown()})

    def _counted(self, tree: CostTree, variables: Mapping[str, Any], response: GraphQLResponse) -> float:
        data = response.data
        if isinstance(data, SentData):
            data = data.decoded()
        return tree.base + answer_cost(tree.nodes, data, self._estimator(tree), variables)

    def _record(self, cost: Cost) -> None:
        actual = cost.actual or 0.0
        cost_actual.record(actual, {"result": cost.result})
        cost_delta.record(cost.estimated - actual)

    def _check(self, cost: Cost) -> None:
        """Errors: COST_ACTUAL_TOO_EXPENSIVE, where limits are enforced."""
        actual, actual_max = cost.actual or 0.0, self._config.actual_cost_max
        if not actual_max or actual <= actual_max:
            return
        cost.result = ANSWER_TOO_DEAR
        if self._enforced:
            raise ClientError(
                f"the answer's cost is {told(actual)}, at most {actual_max} is allowed",
                code=ANSWER_TOO_DEAR,
                extensions={"cost.actual": told(actual), "cost.max": actual_max},
            )

    def _estimator(self, tree: CostTree) -> Estimator:
        return Estimator(tree.weights, self._config.list_size_assumed, self._enforced)

    def _by_subgraph(
        self, tree: CostTree, variables: Mapping[str, Any], estimator: Estimator
    ) -> dict[str, float]:
        if not self._config.subgraph_cost_max and not self._config.shown:
            return {}
        lenient = replace(estimator, strict=False)
        found: dict[str, float] = {}
        for one in tree.fetches:
            objects = objects_on(one.path, tree.nodes, lenient, variables)
            cost = one.base + objects * lenient.total(one.nodes, variables)
            found[one.service] = found.get(one.service, 0.0) + cost
        return found

    def _without(self, by_subgraph: Mapping[str, float]) -> frozenset[str]:
        if not self._enforced:
            return frozenset()
        limits = self._config.subgraph_cost_max
        for_all = limits.get(FOR_ALL, 0)
        return frozenset(
            name for name, cost in by_subgraph.items() if (most := limits.get(name, for_all)) and cost > most
        )
