"""Places fields, keys and requirements on visits, one by one, by the cheapest way that leads through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from router.planner.node_builder import NO_GRAPH, NodeBuilder
from router.planner.selections import Conditions, Field, Fragment, Item
from router.planner.tree import AbstractPlan, ChildPlan, Resolved, Visit, VisitKind
from router.planner.ways import (
    KEYS_TRIED_MAX,
    NO_CHAIN,
    Chain,
    Way,
    interface_objects_for,
    known_leaf,
    waits_for_leaf,
    ways_of,
)
from schema.supergraph import FieldJoin
from schema.supergraph.field_sets import FieldSet

HOPS: Final = (1, 2, 3, 5, 8, 16)
"""Lengths of key chains that are tried, short ones first: a longer one is looked for only without them."""
_UNFINISHED: Final = 50_000.0
_SPLITS_MAX: Final = 64
_PARTS_MAX: Final = (3, 2)
"""How many first parts of a field are completed, by how many subgraphs answered a part before; then one."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a field was resolved, and what of it was not (None: all of it was)."""

    at: tuple[tuple[int, Resolved], ...] = ()
    left: Field | None = None


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What came of one way: its cost beyond what there was, the visits then, and what was placed."""

    cost: float
    builder: NodeBuilder
    placed: Placed


def place_locally(builder: NodeBuilder, field: Field) -> bool:
    """Place a field that the parent's request answers whole; False where more is needed."""
    if not builder.visits or builder.visits[0].graph == NO_GRAPH:
        return False
    if field.name == "__typename":
        builder.own(0).resolved.append(Resolved(field, None))
        return True
    if field.defer is not None or interface_objects_for(builder, field):
        return False
    visit = builder.visits[0]
    join = builder.resolves(visit, field)
    if join is None or join.context_arguments or not builder.needs_nothing(visit, join):
        return False
    child = builder.child(visit, field, join, hopped=False)
    if child is not None and (child.rest is not None or child.fetches_count):
        return False
    builder.own(0).resolved.append(Resolved(field, join, child))
    return True


def place(
    builder: NodeBuilder,
    field: Field,
    *,
    consumer: int | None = None,
    chain: Chain = NO_CHAIN,
    tried: frozenset[str] = frozenset(),
) -> Placed:
    """Place one field by its cheapest way; what no way reaches is left over.

    `consumer` is the visit whose representations will carry it. `chain` is the chain of keys that it is
    placed for; `tried` subgraphs have answered their part of it.
    """
    known = known_leaf(builder, field, consumer)
    if known is not None:
        return Placed((known,))
    builder.search.tick()
    best: _Attempt | None = None
    for hops in _lengths(builder) if chain.hops is None else (chain.hops,):
        attempts = _attempts(builder, field, consumer, replace(chain, hops=hops), tried)
        best = min(attempts, key=lambda one: one.cost, default=None)
        if best is not None and best.placed.left is None:
            break
    if best is None and field.defer is not None:
        return _placed_at_once(builder, field)
    if best is None:
        return Placed(left=field)
    builder.adopt(best.builder)
    return best.placed


def _attempts(
    builder: NodeBuilder, field: Field, consumer: int | None, chain: Chain, tried: frozenset[str]
) -> list[_Attempt]:
    """One attempt a way; where a way answers a part only, the attempt asks others for what is left."""
    ways = ways_of(builder, field, consumer, chain, tried)
    free = _free_way(builder, field, ways)
    if free is not None:
        ways = [free]
    before = builder.cost() if len(ways) > 1 else 0.0
    whole: list[_Attempt] = []
    parts: list[_Attempt] = []
    for way in ways[: builder.search.limits.paths_per_leaf_max]:
        attempt = builder.copy()
        placed = _take(attempt, way, field, consumer, chain)
        if placed is None:
            continue
        cost = attempt.cost() - before if len(ways) > 1 else 0.0
        if placed.left is None:
            whole.append(_Attempt(cost, attempt, placed))
        else:
            parts.append(_Attempt(cost + _UNFINISHED * _size(placed.left), attempt, placed))
    parts.sort(key=lambda one: one.cost)
    for part in parts[: 1 if whole else _parts_max(tried)]:
        found = _completed(part, consumer, chain, tried)
        if found is not None:
            whole.append(replace(found, cost=found.cost - before))
    return whole


def _lengths(builder: NodeBuilder) -> tuple[int, ...]:
    """The lengths of chains to try: no chain enters a subgraph twice."""
    graphs_count = len(builder.search.graph.supergraph.subgraphs)
    return tuple(dict.fromkeys(min(length, graphs_count) for length in HOPS))


def _parts_max(tried: frozenset[str]) -> int:
    return _PARTS_MAX[len(tried)] if len(tried) < len(_PARTS_MAX) else 1


def _free_way(builder: NodeBuilder, field: Field, ways: Sequence[Way]) -> Way | None:
    """The earliest visit that answers the field whole and needs no request for it: nothing is cheaper."""
    stages: dict[int, int] = {}
    best: tuple[int, Way] | None = None
    for way in ways:
        if way.visit is None or way.join is None:
            continue
        visit = builder.visits[way.visit]
        stage = builder.stage(way.visit, stages)
        if best is not None and best[0] <= stage:
            continue
        fits = visit.kind is VisitKind.LOCAL or set(visit.conditions) <= set(field.conditions)
        if not fits or not builder.needs_nothing(visit, way.join):
            continue
        child = builder.child(visit, field, way.join, hopped=visit.kind is VisitKind.ENTITY)
        if child is None or (child.rest is None and not child.fetches_count):
            best = (stage, way)
    return best[1] if best is not None else None


def _placed_at_once(builder: NodeBuilder, field: Field) -> Placed:
    """Place a deferred field that has no way of its own with what is not deferred."""
    field = builder.search.pool.at_once(field)
    return Placed() if place_locally(builder, field) else place(builder, field)


def _completed(part: _Attempt, consumer: int | None, chain: Chain, tried: frozenset[str]) -> _Attempt | None:
    """The attempt with what it left over asked of other subgraphs, through the same field."""
    attempt, placed = part.builder, part.placed
    if placed.left is None or attempt.once or len(tried) >= _SPLITS_MAX:
        return None
    more = tried | {attempt.visits[placed.at[0][0]].graph}
    other = place(attempt, placed.left, consumer=consumer, chain=chain, tried=more)
    cost = attempt.cost() + (_UNFINISHED * _size(other.left) if other.left is not None else 0.0)
    return _Attempt(cost, attempt, Placed((*placed.at, *other.at), other.left))


def _take(builder: NodeBuilder, way: Way, field: Field, consumer: int | None, chain: Chain) -> Placed | None:
    """Follow one way; None where a key or a requirement cannot be had."""
    if way.visit is not None:
        visit: Visit | None = builder.visits[way.visit]
    else:
        visit = _open(builder, way, field, consumer, chain)
    if visit is None:
        return None
    if way.join is None or builder.needs_nothing(visit, way.join):
        builder.link(consumer, visit.index)
        if not _widened(builder, visit, field, chain):
            return None
        visit = builder.visits[visit.index]
    else:
        visit = _with_requirement(builder, visit, way, field, consumer)
        if visit is None:
            return None
    if way.join is None:
        return _take_nested(builder, visit, [field])
    if field.purpose == "key" and visit.kind is VisitKind.LOCAL and field.selections is None:
        field = builder.search.pool.with_(field, conditions=())
    child = builder.child(visit, field, way.join, hopped=visit.kind is VisitKind.ENTITY)
    left = child.rest if child is not None else None
    if left is not None and (left is field.selections or _answers_nothing(child)):
        return None
    resolved = Resolved(field, way.join, child)
    builder.own(visit.index).resolved.append(resolved)
    rest = builder.search.pool.with_(field, selections=left) if left is not None else None
    return Placed(((visit.index, resolved),), rest)


def _open(builder: NodeBuilder, way: Way, field: Field, consumer: int | None, chain: Chain) -> Visit | None:
    """A new visit, its key obtained; None where it cannot be."""
    type_name = way.key.type_name if way.key is not None else builder.type_name
    index = len(builder.visits)
    visit = Visit(
        index, way.kind, way.graph, type_name, way.key, conditions=field.conditions, defer=field.defer
    )
    if builder.visits[0].graph != NO_GRAPH:
        visit.depends_on.add(0)
    builder.open(visit)
    builder.link(consumer, index)
    if way.key is not None:
        further = chain.through(way.graph, field)
        if not _obtain(builder, index, way.key.fields, field, further, purpose="key"):
            return None
    return builder.visits[index]


def _with_requirement(
    builder: NodeBuilder, visit: Visit, way: Way, field: Field, consumer: int | None
) -> Visit | None:
    """The visit with the field's requirement in its representations, or a new one that has it."""
    join = way.join
    if join is None or not _has_contexts(field, join):
        return None
    with builder.search.requiring(builder.type_name, way.graph, field.name) as first:
        if not first:
            return None
        fits = visit.kind is VisitKind.ENTITY and set(visit.conditions) == set(field.conditions)
        if fits and _extensible(builder, visit, join.requires, field):
            extended = _required_at(builder, visit.index, join.requires, field, consumer)
            if extended is not None:
                return extended
        if not way.reenter:
            return None
        return _reentered(builder, way, join.requires, field, consumer)


def _reentered(
    builder: NodeBuilder, way: Way, requires: FieldSet, field: Field, consumer: int | None
) -> Visit | None:
    keys = builder.search.graph.keys_of(builder.type_name).get(way.graph, ())
    for key in keys[:KEYS_TRIED_MAX]:
        attempt = builder.copy()
        again = replace(way, visit=None, kind=VisitKind.ENTITY, key=key)
        visit = _open(attempt, again, field, consumer, Chain(hops=HOPS[-1]))
        if visit is None:
            continue
        found = _required_at(attempt, visit.index, requires, field, consumer)
        if found is not None:
            builder.adopt(attempt)
            return found
    return None


def _required_at(
    builder: NodeBuilder, index: int, requires: FieldSet, field: Field, consumer: int | None
) -> Visit | None:
    attempt = builder.copy()
    attempt.link(consumer, index)
    if not _obtain(attempt, index, requires, field, NO_CHAIN, purpose="requires"):
        return None
    builder.adopt(attempt)
    visit = builder.own(index)
    if requires and requires not in visit.requires:
        visit.requires = (*visit.requires, requires)
    return visit


def _extensible(builder: NodeBuilder, visit: Visit, requires: FieldSet, field: Field) -> bool:
    """Whether the visit's representations can carry this too: no name with two values (arguments differ),
    nothing that itself comes after the visit."""
    if any(_conflict(known, requires) for known in visit.requires):
        return False
    pool = builder.search.pool
    asked = pool.of_field_set(requires, builder.type_name, purpose="requires", conditions=field.conditions)
    items = pool.collect(pool.selections(asked), builder.type_name)
    return not any(waits_for_leaf(builder, item, visit.index) for item in items)


def place_narrowed(builder: NodeBuilder, items: Sequence[Item]) -> list[Item]:
    """Place items that need the true type of an interface object; returns what cannot be placed."""
    graph = builder.search.graph
    marker = next((item for item in items if isinstance(item, Field)), None)
    base = marker or builder.search.pool.typename(builder.type_name)
    best: tuple[float, NodeBuilder] | None = None
    for name, keys in graph.keys_of(builder.type_name).items():
        for key in keys[:KEYS_TRIED_MAX]:
            if not graph.is_abstract_in(key.type_name, name):
                continue
            attempt = builder.copy()
            way = Way(name, None, VisitKind.ENTITY, key, None)
            asked = builder.search.pool.with_(base, conditions=_shared_conditions(items))
            visit = _open(attempt, way, asked, None, Chain(hops=HOPS[-1]))
            if visit is None or _take_nested(attempt, visit, items) is None:
                continue
            if best is None or attempt.cost() < best[0]:
                best = (attempt.cost(), attempt)
    if best is None:
        return list(items)
    builder.adopt(best[1])
    return []


def _take_nested(builder: NodeBuilder, visit: Visit, items: Sequence[Item]) -> Placed | None:
    """Select items on the abstract type that the visit's subgraph knows the object by."""
    pool = builder.search.pool
    combined = pool.selections([*visit.nested_items, *items])
    plan = builder.search.plan(type(builder.state)(visit.type_name, visit.graph), combined)
    if not isinstance(plan, AbstractPlan) or plan.rest is not None:
        return None
    visit = builder.own(visit.index)
    visit.nested_items, visit.nested_plan = list(combined.items), plan
    return Placed(tuple((visit.index, Resolved(i, None, None, True)) for i in items if isinstance(i, Field)))


def _obtain(
    builder: NodeBuilder, index: int, field_set: FieldSet, field: Field, chain: Chain, *, purpose: str
) -> bool:
    """Place every field that the visit's representations must carry; False where one cannot be had."""
    pool = builder.search.pool
    asked = pool.of_field_set(field_set, builder.type_name, purpose=purpose, conditions=field.conditions)
    for item in pool.collect(pool.selections(asked), builder.type_name):
        if item.name == "__typename":
            continue  # every representation has it
        placed = place(builder, item, consumer=index, chain=chain)
        if placed.left is not None:
            return False
        visit = builder.own(index)
        visit.needs.extend(placed.at)
        visit.depends_on |= {other for other, _ in placed.at}
    return True


def _widened(builder: NodeBuilder, visit: Visit, field: Field, chain: Chain) -> bool:
    """Let the visit serve a field under weaker conditions than its key was obtained for.

    False where its requirements stand under conditions that may exclude them while the field is
    asked for, or where neither conditions imply the other: the request would be made for nobody.
    """
    if visit.kind is not VisitKind.ENTITY or set(visit.conditions) <= set(field.conditions):
        return True
    if visit.requires or visit.key is None or not set(field.conditions) < set(visit.conditions):
        return False
    builder.own(visit.index).conditions = field.conditions
    further = chain.through(visit.graph, field)
    return _obtain(builder, visit.index, visit.key.fields, field, further, purpose="key")


def _has_contexts(field: Field, join: FieldJoin) -> bool:
    """Whether some object above gives each argument that comes from a context."""
    given = {value.argument for value in field.context if value.graph == join.graph}
    return all(argument.name in given for argument in join.context_arguments)


def _shared_conditions(items: Sequence[Item]) -> Conditions:
    """The conditions that all items have."""
    first, *others = (set(item.conditions) for item in items)
    shared = first.intersection(*others)
    return tuple(sorted(shared, key=lambda c: (c.variable, c.negated)))


def _answers_nothing(plan: ChildPlan | None) -> bool:
    """Whether a plan resolves no field at all."""
    if isinstance(plan, AbstractPlan):
        return not plan.shared and all(_answers_nothing(branch) for _, branch in plan.branches)
    if plan is None:
        return False
    return not any(visit.resolved or visit.nested_plan is not None for visit in plan.visits)


def _size(field: Field) -> int:
    if field.selections is None:
        return 1
    return sum(_item_size(item) for item in field.selections.items) or 1


def _item_size(item: Item) -> int:
    if isinstance(item, Fragment):
        return sum(_item_size(inner) for inner in item.selections.items)
    return _size(item)


def _conflict(left: FieldSet, right: FieldSet) -> bool:
    """Whether two field sets name one field with different arguments, at any depth."""
    for a in left:
        for b in right:
            if getattr(a, "name", None) != getattr(b, "name", None):
                continue
            if getattr(a, "arguments", None) != getattr(b, "arguments", None) or _conflict(
                a.selections, b.selections
            ):
                return True
    return False
