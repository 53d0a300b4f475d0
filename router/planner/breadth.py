"""Which ways are worth following: the most promising first, and how many are compared before one is taken.

Where little is to be compared, everything is. Deep down, or late in a long search, the first way that leads
through is taken: what it costs then is some request too many, never a wrong answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from router.planner.selections import Field, Fragment, Item, Selections

if TYPE_CHECKING:
    from router.planner.node_builder import NodeBuilder
    from router.planner.search import Search
    from router.planner.ways import Way

_BREADTHS: Final = ((4, 8), (8, 3))
"""Up to this nesting of fields placed for others, so many ways are compared; below, one is."""
_LONG_SEARCH: Final = ((2_000, 3), (4_000, 2), (8_000, 1))
"""After so many steps of the search, no more ways than this are compared."""
ALTERNATIVES_STEPS_MAX: Final = 1_000
"""Steps that other assignments of one selection may take together, after the first one."""


def breadth_at(nesting: int) -> int:
    """How many ways are compared for a field that is placed for so many others, early in a search."""
    return next((ways for depth, ways in _BREADTHS if nesting <= depth), 1)


def breadth_of(search: Search) -> int:
    """How many ways that lead through are compared for one field."""
    at_depth = breadth_at(search.nesting)
    by_now = [ways for steps, ways in _LONG_SEARCH if search.steps_count > steps]
    return min([at_depth, *by_now])


def best_first(builder: NodeBuilder, field: Field, ways: Sequence[Way], breadth: int) -> Sequence[Way]:
    """The ways in the order in which to follow them: as they are where all will be compared."""
    if len(ways) <= breadth:
        return ways
    return sorted(ways, key=lambda way: (-has_leaves(builder, field, way), way.visit is None))


def has_leaves(builder: NodeBuilder, field: Field, way: Way) -> int:
    """How many leaves of the field the way's subgraph has itself."""
    if field.selections is None or way.join is None:
        return 0
    return _leaves(builder.search, way.join.type.name, way.graph, field.selections)


def _leaves(search: Search, type_name: str, graph: str, selections: Selections) -> int:
    known = search.leaves_counts
    at = (type_name, graph, selections.id)
    if at not in known:
        known[at] = sum(_leaves_of(search, type_name, graph, item) for item in selections.items)
    return known[at]


def _leaves_of(search: Search, type_name: str, graph: str, item: Item) -> int:
    if isinstance(item, Fragment):
        narrower = item.type_condition if search.graph.has_type(item.type_condition, graph) else type_name
        return _leaves(search, narrower, graph, item.selections)
    type_ = search.graph.supergraph.types[type_name]
    definition = type_.fields.get(item.name)
    join = definition.joins.get(graph) if definition is not None else None
    if join is None or join.external or join.requires:
        return 0
    return 1 if item.selections is None else _leaves(search, join.type.name, graph, item.selections)


def lacks_something(search: Search, type_name: str, graph: str, selections: Selections) -> bool:
    """Whether the subgraph plainly has no such field somewhere in the selections, on an object there.

    False says nothing: what paths provide, and members of abstract types, are not looked at.
    """
    known = search.lacking
    at = (type_name, graph, selections.id)
    if at not in known:
        abstract = search.graph.supergraph.types[type_name].is_abstract
        known[at] = not abstract and any(_lacks(search, type_name, graph, i) for i in selections.items)
    return known[at]


def _lacks(search: Search, type_name: str, graph: str, item: Item) -> bool:
    if isinstance(item, Fragment) or item.name == "__typename":
        return False
    join = search.graph.resolves(type_name, graph, item.name)
    if join is None or item.selections is None or join.provides:
        return join is None
    return lacks_something(search, join.type.name, graph, item.selections)


def leaves_count(field: Field) -> int:
    """How many leaves the field selects; itself where it is one."""
    if field.selections is None:
        return 1
    return sum(_leaves_in(item) for item in field.selections.items) or 1


def _leaves_in(item: Item) -> int:
    if isinstance(item, Fragment):
        return sum(_leaves_in(inner) for inner in item.selections.items)
    return leaves_count(item)
