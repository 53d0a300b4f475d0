"""Follows one way to a field: opens the visit, obtains its key and the requirement, plans what is below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from router.planner.node_builder import NO_GRAPH, NodeBuilder
from router.planner.selections import Conditions, Field, Item
from router.planner.tree import AbstractPlan, Resolved, Visit, VisitKind
from router.planner.ways import KEYS_TRIED_MAX, NO_CHAIN, Chain, Way, waits_for_leaf
from schema.supergraph import FieldJoin
from schema.supergraph.field_sets import FieldSet, clash

ANY_LENGTH: Final = 1_000
"""Keys in a chain where its length does not matter."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a field was resolved, and what of it was not (None: all of it was)."""

    at: tuple[tuple[int, Resolved], ...] = ()
    left: Field | None = None


def follow(
    builder: NodeBuilder, way: Way, field: Field, consumer: int | None, chain: Chain, *, stays: bool
) -> Placed | None:
    """Follow one way; None where a key or a requirement cannot be had.

    `stays`: without requests for what is below the field; what would need one is left.
    """
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
    child = builder.child(visit, field, way.join, hopped=visit.kind is VisitKind.ENTITY, stays=stays)
    left = child.rest if child is not None else None
    if left is not None and (left is field.selections or (child is not None and child.answers_nothing)):
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
        visit = _open(attempt, again, field, consumer, Chain(hops=ANY_LENGTH))
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
    if any(clash(known, requires) for known in visit.requires):
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
            visit = _open(attempt, way, asked, None, Chain(hops=ANY_LENGTH))
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
    from router.planner.placing import place  # the two call each other

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
