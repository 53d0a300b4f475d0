"""Selections on interfaces and unions: direct where the subgraph answers for every implementation, else
one plan for each concrete type that the subgraph knows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from router.planner.node_search import plan_node
from router.planner.selections import Field, Fragment, Item, Selections, joined
from router.planner.tree import AbstractPlan, NodePlan, Resolved

if TYPE_CHECKING:
    from router.planner.search import Search, State


_SELDOM: Final = 0.95
"""What a request for objects of one of several types costs, for there may be none of them: otherwise a
request that is always made would be as good."""


def plan_abstract(search: Search, state: State, selections: Selections) -> AbstractPlan | NodePlan:
    """The plan for a selection on an interface or union that `state.graph` has as such."""
    local_types = _known_types(search, state)
    flat = tuple(_flattened(search, selections, state))
    fragments = [item for item in flat if isinstance(item, Fragment)]
    shared, exploded = _split(
        search, state, [i for i in flat if isinstance(i, Field)], fragments, local_types
    )
    if not local_types and (exploded or not shared):
        return plan_node(search, state, selections)
    unreachable: list[Field] = []
    while True:
        branches = _branches(search, state, exploded, fragments, local_types)
        failed = [f for f in exploded if any(_lacks(plan, f) for _, plan in branches)]
        if not failed:
            break
        # No single way in answers the field for every type: the whole field is left to the parent.
        unreachable.extend(failed)
        exploded = [f for f in exploded if f not in failed]
    rest: list[Item] = [*unreachable, *_shared_rest(search, shared), *_branch_rest(search, branches)]
    seldom = _SELDOM if len(local_types) > 1 else 1.0
    cost = sum(_cost(r) for r in shared) + seldom * sum(plan.cost for _, plan in branches)
    return AbstractPlan(
        type_name=state.type_name,
        graph=state.graph,
        shared=tuple(shared),
        branches=tuple((name, plan) for name, plan in branches),
        local_types=search.graph.local_types(state.type_name, state.graph),
        rest=search.pool.selections(rest) if rest else None,
        cost=cost,
        weight=sum(1 + (r.child.weight if r.child is not None else 0) for r in shared)
        + sum(plan.weight for _, plan in branches),
    )


def _known_types(search: Search, state: State) -> tuple[str, ...]:
    """The concrete types to plan for, sorted.

    A union that several subgraphs could return here is asked only for the members that all of them
    know: which of them answers must not change the result.
    """
    graph = search.graph
    known = graph.local_types(state.type_name, state.graph)
    if graph.supergraph.types[state.type_name].members:
        for other, type_name in state.candidates:
            known = known & graph.local_types(type_name, other)
    return tuple(sorted(known))


def _flattened(search: Search, selections: Selections, state: State) -> list[Item]:
    """Items with conditional fragments on the type itself opened, so that their fields are shared ones."""
    found: list[Item] = []
    for item in selections.items:
        if isinstance(item, Fragment) and item.type_condition == state.type_name:
            for inner in _flattened(search, item.selections, state):
                together = joined(item.conditions, inner.conditions)
                if together is None:
                    continue
                if isinstance(inner, Field):
                    found.append(search.pool.with_(inner, conditions=together))
                else:
                    found.append(
                        search.pool.fragment(Fragment(inner.type_condition, inner.selections, together))
                    )
        else:
            found.append(item)
    return found


def _split(
    search: Search, state: State, fields: list[Field], fragments: list[Fragment], types: tuple[str, ...]
) -> tuple[list[Resolved], list[Field]]:
    """Fields that the interface itself answers, and those that are asked of each concrete type."""
    narrowed = {
        f.key
        for name in types
        for f in search.pool.collect(search.pool.selections(fragments), name)
        if f.selections is not None
    }
    shared: list[Resolved] = []
    exploded: list[Field] = []
    for field in search.pool.merge(fields):
        if field.name == "__typename":
            shared.append(Resolved(field, None))
            continue
        join = search.graph.resolves_directly(state.type_name, state.graph, field.name, state.provided)
        if join is None or field.defer is not None or field.key in narrowed:
            exploded.append(field)
            continue
        if not _provides_nothing(state, field, types):
            exploded.append(field)
            continue
        child = search.child(state, field, join, hopped=False)
        if child is not None and child.rest is not None:
            exploded.append(field)
        else:
            shared.append(Resolved(field, join, child))
    return shared, exploded


def _provides_nothing(state: State, field: Field, types: tuple[str, ...]) -> bool:
    """Whether no path-provided set distinguishes the concrete types below this field."""
    return not state.provided or field.selections is None or len(types) == 1


def _branches(
    search: Search, state: State, exploded: list[Field], fragments: list[Fragment], types: tuple[str, ...]
) -> list[tuple[str, NodePlan]]:
    pool = search.pool
    everything = pool.selections([*exploded, *fragments])
    branches: list[tuple[str, NodePlan]] = []
    for name in types:
        fields = pool.collect(everything, name)
        if fields:
            plan = search.plan(replace(state, type_name=name), pool.selections(fields))
            if isinstance(plan, NodePlan):
                branches.append((name, plan))
    return branches


def _lacks(plan: NodePlan, field: Field) -> bool:
    """Whether the branch leaves some of this interface field to its parent."""
    if plan.rest is None:
        return False
    return any(
        isinstance(item, Field) and item.key == field.key and item.asked_on == field.asked_on
        for item in plan.rest.items
    )


def _shared_rest(search: Search, shared: list[Resolved]) -> list[Item]:
    return [
        search.pool.with_(r.field, selections=r.child.rest)
        for r in shared
        if r.child is not None and r.child.rest is not None
    ]


def _branch_rest(search: Search, branches: list[tuple[str, NodePlan]]) -> list[Item]:
    return [
        search.pool.fragment(Fragment(name, plan.rest)) for name, plan in branches if plan.rest is not None
    ]


def _cost(resolved: Resolved) -> float:
    return 1.0 + (resolved.child.cost if resolved.child is not None else 0.0)
