"""Selections on one object: which visits to which subgraphs answer its fields with the least cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from router.planner.breadth import ALTERNATIVES_STEPS_MAX
from router.planner.following import place_narrowed
from router.planner.node_builder import NodeBuilder
from router.planner.placing import place, place_locally
from router.planner.selections import Conditions, Field, Fragment, Item, Selections, joined
from router.planner.splitting import sole_graphs
from router.planner.tree import NodePlan, VisitKind
from router.planner.ways import graphs_for

if TYPE_CHECKING:
    from router.planner.search import Search, State

UNREACHED_COST: Final = 1_000_000.0
"""What a field costs that no way reaches: any way that reaches it is better."""


def plan_node(search: Search, state: State, selections: Selections) -> NodePlan:
    """The plan for a selection on an object, on an interface object, or on an interface without types."""
    fields, narrowed = _sorted_out(search, state, selections)
    base = NodeBuilder.below(search, state)
    left = (place_locally(base, field, in_part=state.stays) for field in fields)
    open_fields = [field for field in left if field is not None]
    if state.stays or not (open_fields or narrowed):
        return finished(search, base, [*open_fields, *narrowed])
    return weigh(search, base, open_fields, narrowed)


def weigh(
    search: Search, base: NodeBuilder, fields: Sequence[Field], narrowed: Sequence[Item] = ()
) -> NodePlan:
    """Assign the fields that need more than the parent's request; the cheapest assignment wins.

    First each field in turn takes its cheapest way, those with the fewest conditions and ways first; then
    the same again for each subgraph that could answer several, with that subgraph preferred.
    """
    if len(fields) <= 1:
        builder, rest = _assigned(base, fields, narrowed, prefer=None)
        search.evaluated += 1
        return finished(search, builder, rest)
    ways = {field.id: graphs_for(base, field) for field in fields}
    order = sorted(fields, key=lambda field: (len(field.conditions), len(ways[field.id])))
    best, best_rest = _assigned(base, order, narrowed, prefer=None)
    best_cost = _total(best, best_rest)
    tried = [("each field its cheapest way", best_cost, best)]
    if not _is_least(best, fields, ways):
        until = search.steps_count + ALTERNATIVES_STEPS_MAX
        for graph in _worth_preferring(ways, search.limits.alternatives_max):
            if search.steps_count > until:
                break
            builder, rest = _assigned(base, order, narrowed, prefer=graph)
            cost = _total(builder, rest)
            tried.append((f"as much as possible from {graph}", cost, builder))
            if cost < best_cost:
                best, best_rest, best_cost = builder, rest, cost
    search.evaluated += len(tried)
    search.note(f"{base.type_name}({base.graph})", tried)
    return finished(search, best, best_rest)


def _is_least(builder: NodeBuilder, fields: Sequence[Field], ways: dict[int, tuple[str, ...]]) -> bool:
    """Whether no request is made but to subgraphs that alone can answer some field, at any depth."""
    alone = {graphs[0] for graphs in ways.values() if len(graphs) == 1}
    alone.update(*(sole_graphs(builder.search, one.selections) for one in fields if one.selections))
    made = [visit.graph for visit in builder.visits if visit.kind is not VisitKind.LOCAL]
    below = any(
        r.child is not None and r.child.fetches_count for visit in builder.visits for r in visit.resolved
    )
    return not below and len(made) == len(set(made)) and set(made) <= alone


def finished(search: Search, builder: NodeBuilder, rest: Sequence[Item]) -> NodePlan:
    """The builder's visits as a plan."""
    return NodePlan(
        type_name=builder.type_name,
        graph=builder.graph,
        visits=tuple(builder.visits),
        rest=search.pool.selections(rest) if rest else None,
        cost=builder.cost(),
        weight=builder.weight(),
    )


def _assigned(
    base: NodeBuilder, order: Iterable[Field], narrowed: Sequence[Item], *, prefer: str | None
) -> tuple[NodeBuilder, list[Item]]:
    builder = base.copy()
    builder.prefer = prefer
    rest: list[Item] = []
    if narrowed:
        rest.extend(place_narrowed(builder, narrowed))
    for field in order:
        left = place(builder, field).left
        if left is not None:
            rest.append(left)
    builder.prefer = None
    return builder, rest


def _total(builder: NodeBuilder, rest: Sequence[Item]) -> float:
    return builder.cost() + UNREACHED_COST * _leaves(rest)


def _leaves(items: Iterable[Item]) -> int:
    total = 0
    for item in items:
        total += _leaves(item.selections.items) if item.selections is not None else 1
    return total


def _worth_preferring(ways: dict[int, tuple[str, ...]], alternatives_max: int) -> list[str]:
    """Subgraphs that could answer a field which has other ways too, most useful first."""
    counts: dict[str, int] = {}
    contested = False
    for graphs in ways.values():
        contested = contested or len(graphs) > 1
        for graph in graphs:
            counts[graph] = counts.get(graph, 0) + 1
    if not contested:
        return []
    return sorted(counts, key=lambda graph: -counts[graph])[:alternatives_max]


def _sorted_out(search: Search, state: State, selections: Selections) -> tuple[list[Field], list[Item]]:
    """Fields of the object itself, and items that need its true type (interface objects only)."""
    fields = list(search.pool.collect(selections, state.type_name))
    if not search.graph.is_interface_object(state.type_name, state.graph):
        return fields, []
    narrowed: list[Item] = [field for field in fields if field.name == "__typename" and not field.purpose]
    fields = [field for field in fields if field.name != "__typename"]
    taken = {field.key: field for field in fields}
    for type_name, inner, conditions in _narrowing(search, state, selections, ()):
        if isinstance(inner, Field) and _same_here(search, state, type_name, inner, taken):
            taken.setdefault(inner.key, inner)
            fields.append(search.pool.with_(inner, conditions=conditions))
            inner = search.pool.typename(state.type_name)
            narrowed.append(inner)
        else:
            one = search.pool.selections([inner])
            narrowed.append(search.pool.fragment(Fragment(type_name, one, conditions)))
    return list(search.pool.merge(fields)), narrowed


def _narrowing(
    search: Search, state: State, selections: Selections, conditions: Conditions
) -> Iterator[tuple[str, Item, Conditions]]:
    """The items in fragments on narrower types: type, item, and all conditions above and on it."""
    for item in selections.items:
        together = joined(conditions, item.conditions)
        if not isinstance(item, Fragment) or together is None:
            continue
        if search.pool.applies(item.type_condition, state.type_name):
            yield from _narrowing(search, state, item.selections, together)
            continue
        for inner in item.selections.items:
            whole = joined(together, inner.conditions)
            if whole is not None:
                yield item.type_condition, inner, whole


def _same_here(
    search: Search, state: State, type_name: str, field: Field, taken: Mapping[str, Field]
) -> bool:
    """Whether an implementation has this field only through this interface object: then it is fetched
    for every object, and the true type decides afterwards who shows it.

    Not where `taken`, the fields fetched so already, has another one under its key.
    """
    type_ = search.graph.supergraph.types.get(type_name)
    definition = type_.fields.get(field.name) if type_ is not None else None
    if definition is None or not definition.from_interface_object:
        return False
    known = taken.get(field.key, field)
    if (known.name, known.arguments, known.selections) != (field.name, field.arguments, field.selections):
        return False
    join = search.graph.resolves(state.type_name, state.graph, field.name, state.provided)
    return join is not None and not join.requires
