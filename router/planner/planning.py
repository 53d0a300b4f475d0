"""`NormalOperation` → `QueryPlan`: the planner's stages on one page."""

from __future__ import annotations

from collections.abc import Sequence as Items
from contextlib import suppress
from dataclasses import dataclass, replace

from router.errors import PlanNotFound
from router.operation.model import (
    NormalFragment,
    NormalOperation,
    NormalSelection,
    OperationKind,
)
from router.planner.contexts import Frame
from router.planner.explaining import Alternative
from router.planner.grouping import Grouping
from router.planner.groups import FetchGroups, connect_contexts
from router.planner.limits import DEFAULT_LIMITS, PlannerLimits
from router.planner.memory import Memory, NotAlike, memory_of
from router.planner.node_builder import NO_GRAPH, NodeBuilder
from router.planner.node_search import weigh
from router.planner.passes import run_passes
from router.planner.plan import Defer, DeferredPart, PlanNode, QueryPlan, Subscription
from router.planner.search import PlanTakesLong, Search, State
from router.planner.selections import Deferral, Field, Fragment, Item, SelectionPool, Selections
from router.planner.to_plan import PlanWriter, sequence
from router.planner.tree import NodePlan, Visit, VisitKind, print_choice
from schema.query_graph import QueryGraph
from schema.supergraph import Supergraph


def query_graph_of(supergraph: Supergraph, override_labels: frozenset[str] = frozenset()) -> QueryGraph:
    """The supergraph's query graph under these labels; made once."""
    # on the supergraph itself: graphs lead back to it, and must go when it goes
    known: dict[frozenset[str], QueryGraph] = vars(supergraph).setdefault("_query_graphs", {})
    if override_labels not in known:
        known[override_labels] = QueryGraph(supergraph, override_labels)
    return known[override_labels]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A plan with the stages that led to it, each printable."""

    plan: QueryPlan
    choices: tuple[NodePlan, ...]
    groups: tuple[FetchGroups, ...]
    alternatives: tuple[Alternative, ...]

    def __str__(self) -> str:
        weighed = "\n".join(dict.fromkeys(map(str, self.alternatives)))
        chosen = "\n".join(print_choice(choice) for choice in self.choices)
        groups = "\n".join(map(str, self.groups))
        return f"alternatives\n{weighed or '  none'}\nchoice\n{chosen}\ngroups\n{groups}\nplan\n{self.plan}"


def plan_operation(
    operation: NormalOperation,
    supergraph: Supergraph,
    *,
    limits: PlannerLimits = DEFAULT_LIMITS,
    override_labels: frozenset[str] = frozenset(),
    steps_max: int = 0,
) -> QueryPlan:
    """The plan that answers the operation with the fewest requests found within the limits. Deterministic.

    `override_labels` are the labels of `@override` that are on for this request.
    Errors: PlanNotFound where a field cannot be reached, PlanTooComplex past a limit; PlanTakesLong after
    `steps_max` steps of the search, if that is not 0: what was found until then is remembered.
    """
    graph = query_graph_of(supergraph, override_labels)
    asked = _without_introspection(operation.selections)
    if limits == DEFAULT_LIMITS:
        with memory_of(graph).lent(asked) as memory, suppress(NotAlike):
            if memory is not None:
                remembering = _remembering(graph, memory)
                remembering.steps_max = steps_max
                return _explained(remembering, operation, asked, override_labels).plan
    search = Search(graph, _pool(operation, supergraph, asked), limits, steps_max=steps_max)
    return _explained(search, operation, asked, override_labels).plan


def explain_operation(
    operation: NormalOperation,
    supergraph: Supergraph,
    *,
    limits: PlannerLimits = DEFAULT_LIMITS,
    override_labels: frozenset[str] = frozenset(),
    weigh_all: bool = True,
) -> Explanation:
    """The same plan with the alternatives that were weighed and every stage between."""
    graph = query_graph_of(supergraph, override_labels)
    asked = _without_introspection(operation.selections)
    search = Search(graph, _pool(operation, supergraph, asked), limits, explain=weigh_all)
    return _explained(search, operation, asked, override_labels)


def _pool(
    operation: NormalOperation, supergraph: Supergraph, asked: tuple[NormalSelection, ...]
) -> SelectionPool:
    """Selections of this operation alone."""
    pool = SelectionPool(supergraph, {v.variable.name.value for v in operation.variables})
    pool.keys.take(asked)
    return pool


def _remembering(graph: QueryGraph, memory: Memory) -> Search:
    """A search that goes on from what was found for earlier operations."""
    return Search(
        graph,
        memory.pool,
        DEFAULT_LIMITS,
        distances=memory.distances,
        leaves_counts=memory.leaves_counts,
        lacking=memory.lacking,
        sole_graphs=memory.sole_graphs,
        memory=memory,
    )


def _explained(
    search: Search,
    operation: NormalOperation,
    asked: tuple[NormalSelection, ...],
    labels: frozenset[str],
) -> Explanation:
    graph, pool = search.graph, search.pool
    selections = pool.of_operation(asked, (Frame(operation.root_type),))
    choices = _choices(search, operation, selections)
    groups = tuple(_groups(search, choice, operation.root_type) for choice in choices)
    writer = PlanWriter(graph, operation)
    plan = QueryPlan(
        node=_node(writer, operation, groups, pool.deferrals),
        kind=operation.kind,
        cost=sum(choice.cost for choice in choices),
        evaluated_plans=max(1, search.evaluated),
        override_labels=tuple(sorted(labels)),
    )
    return Explanation(plan, choices, groups, tuple(search.alternatives))


def _without_introspection(selections: tuple[NormalSelection, ...]) -> tuple[NormalSelection, ...]:
    """Root fields that the router answers itself are not planned."""
    kept: list[NormalSelection] = []
    for selection in selections:
        if isinstance(selection, NormalFragment):
            inner = _without_introspection(selection.selections)
            if inner:
                kept.append(replace(selection, selections=inner))
        elif not selection.name.startswith("__"):
            kept.append(selection)
    return tuple(kept)


def _choices(search: Search, operation: NormalOperation, selections: Selections) -> tuple[NodePlan, ...]:
    """One choice for a query; one for each top-level field, in order, for a mutation."""
    fields = search.pool.collect(selections, operation.root_type)
    if operation.kind is OperationKind.QUERY:
        return (_root_choice(search, operation.root_type, fields),) if fields else ()
    return tuple(_root_choice(search, operation.root_type, (field,), once=True) for field in fields)


def _root_choice(
    search: Search, root_type: str, fields: tuple[Field, ...], *, once: bool = False
) -> NodePlan:
    base = NodeBuilder(search, State(root_type, NO_GRAPH), is_root=True)
    base.visits.append(Visit(0, VisitKind.LOCAL, NO_GRAPH, root_type))
    base.once = once
    choice = weigh(search, base, fields)
    if choice.rest is not None:
        raise PlanNotFound(f"no way through the subgraphs answers {_unreached(choice.rest.items)}")
    return choice


def _unreached(items: tuple[Item, ...]) -> str:
    """The coordinates of the first fields that no way reaches."""
    found = list(dict.fromkeys(_coordinates(items)))
    return ", ".join(f"`{coordinate}`" for coordinate in found[:5])


def _coordinates(items: tuple[Item, ...]) -> list[str]:
    found: list[str] = []
    for item in items:
        if isinstance(item, Fragment):
            found.extend(_coordinates(item.selections.items))
        elif item.selections is None:
            found.append(f"{item.asked_on}.{item.name}")
        else:
            found.extend(_coordinates(item.selections.items))
    return found


def _groups(search: Search, choice: NodePlan, root_type: str) -> FetchGroups:
    groups = FetchGroups()
    known = search.memory.grouped if search.memory is not None else None
    Grouping(search.graph, search.pool, search.limits, groups, known).group_root(choice, root_type)
    connect_contexts(groups)
    run_passes(groups)
    return groups


def _node(
    writer: PlanWriter,
    operation: NormalOperation,
    groups: tuple[FetchGroups, ...],
    deferrals: Items[Deferral],
) -> PlanNode | None:
    if operation.kind is OperationKind.SUBSCRIPTION and groups:
        return _subscription(writer, groups[0])
    primaries: list[PlanNode | None] = []
    parts: list[DeferredPart] = []
    for one in _adjacent(groups) if operation.kind is OperationKind.MUTATION else groups:
        primaries.append(writer.node(one, operation.kind))
        if deferrals:
            parts.extend(writer.deferred(one, deferrals))
    primary = sequence(primaries)
    if not parts:
        return primary
    return Defer(primary, tuple(part for part in parts if part.node is not None or len(groups) == 1))


def _adjacent(groups: tuple[FetchGroups, ...]) -> list[FetchGroups]:
    """Mutation fields side by side in one subgraph, with nothing to fetch between, become one request."""
    merged: list[FetchGroups] = []
    for one in groups:
        first = next(iter(one))
        last = merged[-1] if merged else None
        before = next(iter(last)) if last is not None and len(last) == 1 else None
        if before is not None and before.graph == first.graph:
            # INVARIANT: the subgraph runs a mutation's fields in order, so joining keeps the order.
            before.tree = before.tree.own()
            before.tree.merge(first.tree)
            renamed = {first.id: before.id}
            for group in list(one)[1:]:
                merged[-1].adopt(group, renamed)
        else:
            merged.append(one)
    return merged


def _subscription(writer: PlanWriter, groups: FetchGroups) -> PlanNode:
    first = next(iter(groups))
    primary = writer.fetch(first, OperationKind.SUBSCRIPTION)
    del groups.groups[first.id]
    for group in groups:
        group.depends_on.discard(first.id)
    return Subscription(primary=primary, rest=writer.node(groups))


__all__ = ["Explanation", "PlanTakesLong", "explain_operation", "plan_operation", "query_graph_of"]
