"""Places fields, keys and requirements on visits, one by one, by the cheapest way that leads through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from router.planner.node_builder import NO_GRAPH, NodeBuilder
from router.planner.selections import Conditions, Field, Fragment, Item
from router.planner.tree import AbstractPlan, ChildPlan, Resolved, Visit, VisitKind
from router.planner.ways import KEYS_TRIED_MAX, Way, interface_objects_for, known_leaf, ways_of
from schema.supergraph import FieldJoin
from schema.supergraph.field_sets import FieldSet

_UNFINISHED: Final = 50_000.0
_SPLITS_MAX: Final = 6


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a field was resolved, and what of it was not (None: all of it was)."""

    at: tuple[tuple[int, Resolved], ...] = ()
    left: Field | None = None


def place_locally(builder: NodeBuilder, field: Field) -> bool:
    """Place a field that the parent's request answers whole; False where more is needed."""
    if not builder.visits or builder.visits[0].graph == NO_GRAPH:
        return False
    if field.name == "__typename":
        builder.visits[0].resolved.append(Resolved(field, None))
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
    visit.resolved.append(Resolved(field, join, child))
    return True


def place(
    builder: NodeBuilder,
    field: Field,
    *,
    consumer: int | None = None,
    banned: frozenset[str] = frozenset(),
    tried: frozenset[str] = frozenset(),
) -> Placed:
    """Place one field by its cheapest way; what no way reaches is left over.

    `consumer` is the visit whose representations will carry it. `banned` subgraphs are being
    reached for its sake; `tried` ones have answered their part of it.
    """
    known = known_leaf(builder, field, consumer)
    if known is not None:
        return Placed((known,))
    best: tuple[float, NodeBuilder, Placed] | None = None
    partial: list[tuple[float, NodeBuilder, Placed]] = []
    ways = list(ways_of(builder, field, consumer, banned, tried))[: builder.search.limits.paths_per_leaf_max]
    before = builder.cost()
    for way in ways:
        attempt = builder.copy()
        placed = _take(attempt, way, field, banned, consumer)
        if placed is None:
            continue
        cost = attempt.cost() - before
        if placed.left is not None:
            partial.append((cost + _UNFINISHED * _size(placed.left), attempt, placed))
        elif best is None or cost < best[0]:
            best = (cost, attempt, placed)
    for _, attempt, placed in sorted(partial, key=lambda one: one[0])[: 3 if best is None else 1]:
        found = _completed(attempt, placed, consumer, banned, tried)
        if found is not None and (best is None or found[0] - before < best[0]):
            best = (found[0] - before, found[1], found[2])
    if best is None and field.defer is not None:
        return _placed_at_once(builder, field)
    if best is None:
        return Placed(left=field)
    builder.visits = best[1].visits
    return best[2]


def _placed_at_once(builder: NodeBuilder, field: Field) -> Placed:
    """Place a deferred field that has no way of its own with what is not deferred."""
    field = builder.search.pool.at_once(field)
    return Placed() if place_locally(builder, field) else place(builder, field)


def _completed(
    attempt: NodeBuilder,
    placed: Placed,
    consumer: int | None,
    banned: frozenset[str],
    tried: frozenset[str],
) -> tuple[float, NodeBuilder, Placed] | None:
    """The attempt with what it left over asked of other subgraphs, through the same field."""
    left = placed.left
    if left is None or attempt.once or len(tried) >= _SPLITS_MAX:
        return None
    more = tried | {attempt.visits[placed.at[0][0]].graph}
    other = place(attempt, left, consumer=consumer, banned=banned, tried=more)
    cost = attempt.cost() + (_UNFINISHED * _size(other.left) if other.left is not None else 0.0)
    return cost, attempt, Placed((*placed.at, *other.at), other.left)


def _take(
    builder: NodeBuilder, way: Way, field: Field, banned: frozenset[str], consumer: int | None
) -> Placed | None:
    """Follow one way; None where a key or a requirement cannot be had."""
    if way.visit is not None:
        visit: Visit | None = builder.visits[way.visit]
    else:
        visit = _open(builder, way, field, banned, consumer)
    if visit is None:
        return None
    if way.visit is not None:
        builder.link(consumer, visit.index)
    if way.join is None:
        return _take_nested(builder, visit, [field]) if _widened(builder, visit, field) else None
    if builder.needs_nothing(visit, way.join):
        if not _widened(builder, visit, field):
            return None
        visit = builder.visits[visit.index]
    else:
        visit = _with_requirement(builder, visit, way, field, consumer)
        if visit is None:
            return None
    if field.purpose == "key" and visit.kind is VisitKind.LOCAL and field.selections is None:
        field = builder.search.pool.with_(field, conditions=())
    hopped = visit.kind is VisitKind.ENTITY
    child = builder.child(visit, field, way.join, hopped=hopped)
    left = child.rest if child is not None else None
    if left is not None and (left is field.selections or _answers_nothing(child)):
        return None
    resolved = Resolved(field, way.join, child)
    visit.resolved.append(resolved)
    rest = builder.search.pool.with_(field, selections=left) if left is not None else None
    return Placed(((visit.index, resolved),), rest)


def _open(
    builder: NodeBuilder, way: Way, field: Field, banned: frozenset[str], consumer: int | None = None
) -> Visit | None:
    """A new visit, its key obtained; None where it cannot be."""
    type_name = way.key.type_name if way.key is not None else builder.type_name
    visit = Visit(
        len(builder.visits),
        way.kind,
        way.graph,
        type_name,
        way.key,
        conditions=field.conditions,
        defer=field.defer,
    )
    if builder.visits[0].graph != NO_GRAPH:
        visit.depends_on.add(0)
    builder.visits.append(visit)
    builder.link(consumer, visit.index)
    if way.key is not None:
        obtained = _obtain(builder, visit, way.key.fields, field, banned | {way.graph}, purpose="key")
        return visit if obtained else None
    return visit


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
        if fits and not _clashes(builder, visit, join.requires):
            extended = _required_at(builder, visit.index, join.requires, field, consumer)
            if extended is not None:
                return extended
        return _reentered(builder, way, join.requires, field, consumer)


def _reentered(
    builder: NodeBuilder, way: Way, requires: FieldSet, field: Field, consumer: int | None
) -> Visit | None:
    keys = builder.search.graph.keys_of(builder.type_name).get(way.graph, ())
    for key in keys[:KEYS_TRIED_MAX]:
        attempt = builder.copy()
        again = replace(way, visit=None, kind=VisitKind.ENTITY, key=key)
        visit = _open(attempt, again, field, frozenset(), consumer)
        if visit is None:
            continue
        found = _required_at(attempt, visit.index, requires, field, consumer)
        if found is not None:
            builder.visits = attempt.visits
            return found
    return None


def _required_at(
    builder: NodeBuilder, index: int, requires: FieldSet, field: Field, consumer: int | None
) -> Visit | None:
    attempt = builder.copy()
    attempt.link(consumer, index)
    if not _obtain(attempt, attempt.visits[index], requires, field, frozenset(), purpose="requires"):
        return None
    builder.visits = attempt.visits
    visit = builder.visits[index]
    if requires and requires not in visit.requires:
        visit.requires = (*visit.requires, requires)
    return visit


def _clashes(builder: NodeBuilder, visit: Visit, requires: FieldSet) -> bool:
    """Whether a representation would need one name with two values (arguments differ)."""
    return any(_conflict(known, requires) for known in visit.requires)


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
            visit = _open(attempt, way, asked, frozenset())
            if visit is None or _take_nested(attempt, visit, items) is None:
                continue
            if best is None or attempt.cost() < best[0]:
                best = (attempt.cost(), attempt)
    if best is None:
        return list(items)
    builder.visits = best[1].visits
    return []


def _take_nested(builder: NodeBuilder, visit: Visit, items: Sequence[Item]) -> Placed | None:
    """Select items on the abstract type that the visit's subgraph knows the object by."""
    pool = builder.search.pool
    combined = pool.selections([*visit.nested_items, *items])
    plan = builder.search.plan(type(builder.state)(visit.type_name, visit.graph), combined)
    if not isinstance(plan, AbstractPlan) or plan.rest is not None:
        return None
    visit.nested_items, visit.nested_plan = list(combined.items), plan
    return Placed(tuple((visit.index, Resolved(i, None, None, True)) for i in items if isinstance(i, Field)))


def _obtain(
    builder: NodeBuilder,
    visit: Visit,
    field_set: FieldSet,
    field: Field,
    banned: frozenset[str],
    *,
    purpose: str,
) -> bool:
    """Place every field that the visit's representations must carry."""
    pool = builder.search.pool
    asked = pool.of_field_set(field_set, builder.type_name, purpose=purpose, conditions=field.conditions)
    for item in pool.collect(pool.selections(asked), builder.type_name):
        placed = place(builder, item, consumer=visit.index, banned=banned)
        if placed.left is not None:
            return False
        # INVARIANT: `place` adopts a copy, so the visit must be looked up anew.
        current = builder.visits[visit.index]
        current.needs.extend(placed.at)
        current.depends_on |= {index for index, _ in placed.at}
    current = builder.visits[visit.index]
    visit.depends_on, visit.needs = current.depends_on, current.needs
    builder.visits[visit.index] = visit
    return True


def _widened(builder: NodeBuilder, visit: Visit, field: Field) -> bool:
    """Let the visit serve a field under weaker conditions than its key was obtained for.

    False where its requirements stand under conditions that may exclude them while the field is
    asked for, or where neither conditions imply the other: the request would be made for nobody.
    """
    if visit.kind is not VisitKind.ENTITY or set(visit.conditions) <= set(field.conditions):
        return True
    if visit.requires or visit.key is None or not set(field.conditions) < set(visit.conditions):
        return False
    visit.conditions = field.conditions
    return _obtain(builder, visit, visit.key.fields, field, frozenset({visit.graph}), purpose="key")


def _link(builder: NodeBuilder, consumer: int | None, index: int) -> None:
    """Let the consumer wait from now on, so that nothing found for this visit waits for the consumer."""
    if consumer is not None:
        builder.visits[consumer].depends_on.add(index)


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
