"""Places fields, keys and requirements on visits, one by one, by the cheapest way that leads through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from router.planner.breadth import best_first, breadth_of, leaves_count
from router.planner.following import Placed, follow
from router.planner.node_builder import NO_GRAPH, NodeBuilder
from router.planner.reach import distances
from router.planner.selections import Field
from router.planner.splitting import split_up
from router.planner.tree import Resolved, VisitKind
from router.planner.ways import NO_CHAIN, Chain, Way, interface_objects_for, known_leaf, ways_of
from schema.supergraph.field_sets import print_field_set

HOPS: Final = (1, 2, 3, 5, 8, 16, 32, 64, 128)
"""Lengths of key chains that are tried, short ones first: a longer one is looked for only without them."""
_UNFINISHED: Final = 50_000.0
_SPLITS_MAX: Final = 256
_PARTS_MAX: Final = (3, 2)
"""How many first parts of a field are completed, by how many subgraphs answered a part before; then one."""


@dataclass(frozen=True, slots=True)
class _Purpose:
    """What a field is placed for: as in `place`."""

    consumer: int | None
    chain: Chain
    tried: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What came of one way: its cost beyond what there was, the visits then, and what was placed."""

    cost: float
    builder: NodeBuilder
    placed: Placed

    @property
    def promise(self) -> float:
        """Its cost, what it leaves over reckoned in."""
        left = self.placed.left
        return self.cost + (_UNFINISHED * leaves_count(left) if left is not None else 0.0)


def place_locally(builder: NodeBuilder, field: Field, *, in_part: bool = False) -> Field | None:
    """Place a field that the parent's request answers whole; what is left is the field where it needs more.

    `in_part`: place what there is of it, too.
    """
    if not builder.visits or builder.visits[0].graph == NO_GRAPH:
        return field
    if field.name == "__typename":
        builder.own(0).resolved.append(Resolved(field, None))
        return None
    if field.defer is not None or interface_objects_for(builder, field):
        return field
    visit = builder.visits[0]
    join = builder.resolves(visit, field)
    if join is None or join.context_arguments or not builder.needs_nothing(visit, join):
        return field
    if not in_part and builder.surely_hops(visit, field, join):
        return field
    child = builder.child(visit, field, join, hopped=False, stays=True)
    left = child.rest if child is not None else None
    if left is not None and (
        not in_part or left is field.selections or child is None or child.answers_nothing
    ):
        return field
    builder.own(0).resolved.append(Resolved(field, join, child))
    return builder.search.pool.with_(field, selections=left) if left is not None else None


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
    builder.search.begin_placing()
    best = _best(builder, field, _Purpose(consumer, chain, tried))
    builder.search.end_placing()
    if best is None and field.defer is not None:
        return _placed_at_once(builder, field)
    if best is None:
        return Placed(left=field)
    builder.adopt(best.builder)
    return best.placed


def _best(builder: NodeBuilder, field: Field, purpose: _Purpose) -> _Attempt | None:
    """The cheapest attempt: short chains of keys first, and parts from several subgraphs beside."""
    ways = ways_of(builder, field, purpose.consumer, purpose.chain, purpose.tried)
    free = _free_way(builder, field, ways)
    if free is not None:
        attempt = builder.copy()
        placed = follow(attempt, free, field, purpose.consumer, purpose.chain, stays=True)
        return _Attempt(0.0, attempt, placed) if placed is not None else None
    if purpose.chain.hops is not None:
        return _cheapest(_attempts(builder, field, ways, purpose))
    parted = None
    if not purpose.tried:
        split = split_up(builder, field, ways)
        parted = _finished(builder, split.builder, split.placed) if split is not None else None
        if split is not None and split.is_least:
            return parted
    best: _Attempt | None = None
    for hops in _lengths(builder, ways):
        near = [way for way in ways if _keys_to(builder, way) <= hops]
        chain = Chain(purpose.chain.banned, purpose.chain.wanted, hops)
        best = _cheapest(_attempts(builder, field, near, replace(purpose, chain=chain))) or best
        if best is not None and best.placed.left is None:
            break
    if best is None or parted is None:
        return best or parted
    best = replace(best, cost=best.builder.cost() - builder.cost())
    both = [(_print_places(one), one.promise, one.builder) for one in (best, parted)]
    builder.search.note(f"{builder.type_name}.{field.name}", both)
    return min(best, parted, key=lambda one: one.promise)


def _cheapest(attempts: Sequence[_Attempt]) -> _Attempt | None:
    return min(attempts, key=lambda one: one.cost, default=None)


def _keys_to(builder: NodeBuilder, way: Way) -> int:
    """How many keys lead to a way, at least: none to a visit there is, and to a root."""
    is_new = way.visit is None and way.kind is VisitKind.ENTITY
    return distances(builder)[way.graph] if is_new else 0


def _finished(before: NodeBuilder, builder: NodeBuilder, placed: Placed) -> _Attempt:
    """An attempt at parts with what no subgraph has itself asked of any that can go on for it."""
    if placed.left is not None:
        other = place(builder, placed.left, chain=Chain(hops=HOPS[0]))
        placed = Placed((*placed.at, *other.at), other.left)
    return _Attempt(builder.cost() - before.cost(), builder, placed)


def _attempts(builder: NodeBuilder, field: Field, ways: Sequence[Way], purpose: _Purpose) -> list[_Attempt]:
    """One attempt a way; where a way answers a part only, the attempt asks others for what is left."""
    before, breadth = builder.cost() if len(ways) > 1 else None, breadth_of(builder.search)
    builder.search.ways_max = max(builder.search.ways_max, len(ways))
    found: list[_Attempt] = []
    limit = builder.search.limits.paths_per_leaf_max
    for way in best_first(builder, field, ways[:limit], breadth):
        attempt = builder.copy()
        placed = follow(attempt, way, field, purpose.consumer, purpose.chain, stays=False)
        if placed is not None:
            cost = attempt.cost() - before if before is not None else 0.0  # nothing to compare it with
            found.append(_Attempt(cost, attempt, placed))
        if len(found) >= breadth:
            break
    if builder.search.explain:
        tried = [(_print_places(one), one.promise, one.builder) for one in found]
        builder.search.note(f"{builder.type_name}.{field.name}", tried)
    whole = [one for one in found if one.placed.left is None]
    if len(whole) < len(found):
        parts = sorted((one for one in found if one.placed.left is not None), key=lambda one: one.promise)
        for part in parts[: 1 if whole else _parts_max(purpose.tried)]:
            done = _completed(part, purpose)
            if done is not None:
                whole.append(replace(done, cost=done.cost - (before or 0.0)))
    return whole


def _lengths(builder: NodeBuilder, ways: Sequence[Way]) -> Iterator[int]:
    """The lengths of chains to try, the shortest that could lead to the field first, then ever longer ones.

    No chain enters a subgraph twice.
    """
    if not ways:
        return
    if builder.is_root:  # no keys lead there
        yield HOPS[0]
        return
    nearest = min(_keys_to(builder, way) for way in ways)
    longest = len(builder.search.graph.supergraph.subgraphs)
    farthest = max(distances(builder).values(), default=1)
    for hops in HOPS:
        if hops >= nearest and hops <= max(2 * farthest, HOPS[1]):
            yield min(hops, longest)
        if hops >= longest:
            return
    yield min(max(farthest, 1), longest)


def _print_places(attempt: _Attempt) -> str:
    """The subgraphs that the field would be asked of, with the keys by which they are entered."""
    visits = [attempt.builder.visits[index] for index, _ in attempt.placed.at]
    places = " and ".join(
        f"{visit.graph} by `{print_field_set(visit.key.fields)}`" if visit.key is not None else visit.graph
        for visit in visits
    )
    return f"from {places}" if attempt.placed.left is None else f"a part from {places}"


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
        hopped = visit.kind is VisitKind.ENTITY
        if builder.surely_hops(visit, field, way.join):
            continue
        child = builder.child(visit, field, way.join, hopped=hopped, stays=True)
        if child is None or child.rest is None:
            best = (stage, way)
    return best[1] if best is not None else None


def _placed_at_once(builder: NodeBuilder, field: Field) -> Placed:
    """Place a deferred field that has no way of its own with what is not deferred."""
    field = builder.search.pool.at_once(field)
    return Placed() if place_locally(builder, field) is None else place(builder, field)


def _completed(part: _Attempt, purpose: _Purpose) -> _Attempt | None:
    """The attempt with what it left over asked of other subgraphs, through the same field."""
    attempt, placed, tried = part.builder, part.placed, purpose.tried
    if placed.left is None or attempt.once or len(tried) >= _SPLITS_MAX:
        return None
    more = tried | {attempt.visits[placed.at[0][0]].graph}
    other = place(attempt, placed.left, consumer=purpose.consumer, chain=purpose.chain, tried=more)
    whole = _Attempt(attempt.cost(), attempt, Placed((*placed.at, *other.at), other.left))
    return replace(whole, cost=whole.promise)
