"""A field that several subgraphs offer, answered in parts: each is asked for what it knows itself.

Source: Federation, `@shareable`: the subgraphs' values are one, so their answers merge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from router.planner.breadth import has_leaves
from router.planner.following import Placed, follow
from router.planner.node_builder import NodeBuilder
from router.planner.selections import Field, Fragment, Item, Selections
from router.planner.tree import Resolved, VisitKind
from router.planner.ways import Chain, Way, ways_of

if TYPE_CHECKING:
    from router.planner.search import Search

_STEPS_MAX: Final = 4_000
"""After so many steps of the search no more fields are split where one subgraph and its keys will do."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A field in parts: the visits then, and where each part is.

    `is_least`: no plan has fewer requests, for each subgraph asked alone has something of the field.
    """

    builder: NodeBuilder
    placed: Placed
    is_least: bool


def split_up(builder: NodeBuilder, field: Field, ways: Sequence[Way]) -> Parts | None:
    """The client's field in parts, each from a subgraph that has it without further requests.

    None where that is not worth trying: one subgraph alone offers the field, or none has a part. Keys and
    requirements are not split: what is below them is often fetched for the client too, and once.
    """
    search = builder.search
    if builder.once or field.selections is None or field.purpose or field.defer is not None:
        return None
    if len({way.graph for way in ways if way.join is not None}) < 2 or search.steps_count > _STEPS_MAX:
        return None
    attempt, tried = builder.copy(), frozenset[str]()
    at: list[tuple[int, Resolved]] = []
    left: Field | None = field
    while left is not None:
        part = _largest(attempt, left, tried)
        if part is None:
            break
        attempt.adopt(part.builder)
        at.extend(part.placed.at)
        tried |= {attempt.visits[part.placed.at[0][0]].graph}
        left = part.placed.left
    if len(tried) < 2:
        return None
    placed = Placed(tuple(at), left)
    return Parts(attempt, placed, left is None and _is_least(builder, attempt, field))


def _largest(builder: NodeBuilder, field: Field, tried: frozenset[str]) -> Parts | None:
    """The part of the subgraph that has most of the field, one that is asked anyway before others."""
    ways = [way for way in ways_of(builder, field, None, Chain(hops=1), tried) if way.join is not None]
    ranked = sorted(ways, key=lambda way: (-has_leaves(builder, field, way), way.visit is None))
    for way in ranked:
        attempt = builder.copy()
        attempt.search.begin_placing()
        placed = follow(attempt, way, field, None, Chain(hops=1), stays=True)
        attempt.search.end_placing()
        if placed is not None:
            return Parts(attempt, placed, is_least=False)
    return None


def _is_least(before: NodeBuilder, after: NodeBuilder, field: Field) -> bool:
    """Whether each new visit goes to another subgraph that must be asked in any case."""
    if field.selections is None:
        return False
    new = [visit.graph for visit in after.visits[len(before.visits) :]]
    asked = {visit.graph for visit in before.visits if visit.kind is not VisitKind.LOCAL}
    needed = sole_graphs(before.search, field.selections) - asked
    return len(new) == len(set(new)) and set(new) <= needed


def sole_graphs(search: Search, selections: Selections) -> frozenset[str]:
    """The subgraphs that alone have some leaf of the selections, at any depth."""
    known = search.sole_graphs
    if selections.id not in known:
        found: set[str] = set()
        for item in selections.items:
            found |= _sole_graphs_of(search, item)
        known[selections.id] = frozenset(found)
    return known[selections.id]


def _sole_graphs_of(search: Search, item: Item) -> frozenset[str]:
    if isinstance(item, Fragment) or item.selections is not None:
        return sole_graphs(search, item.selections)  # type: ignore[arg-type]
    if item.name == "__typename":
        return frozenset()
    supergraph = search.graph.supergraph
    names = {item.asked_on, *supergraph.possible_types.get(item.asked_on, ())}
    names.update(interface for name in list(names) for interface in supergraph.types[name].interfaces)
    fields = [supergraph.types[name].fields.get(item.name) for name in names]
    graphs = {graph for field in fields if field is not None for graph in field.joins}
    return frozenset(graphs) if len(graphs) == 1 else frozenset()
