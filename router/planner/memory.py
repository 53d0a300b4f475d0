"""What was found for earlier operations: an equal selection at an equal place is searched once a supergraph.

Operations share fragments, so most of a new one has been planned before. What is taken from there is what the
search would find again: it is not taken where a limit of the search could have made a difference, nor where
the planner's own fields would go by other response keys.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from router.operation.model import NormalField, NormalSelection
from router.planner.arguments import printed_arguments
from router.planner.response_keys import ResponseKeys
from router.planner.selections import SelectionPool
from schema.query_graph import QueryGraph
from schema.supergraph import Supergraph
from schema.supergraph.field_sets import FieldSet

if TYPE_CHECKING:
    from router.planner.grouping import Grouped
    from router.planner.search import State
    from router.planner.tree import ChildPlan

STEPS_MAX: Final = 800
"""Steps of a search, with all that it takes from memory, below which no limit of it makes a difference."""
ENTRIES_MAX: Final = 4_000
"""Fields, selections and plans that are remembered, each; then it begins anew."""


class NotAlike(Exception):
    """The operation is to be planned without what is remembered."""


@dataclass(frozen=True, slots=True)
class Found:
    """A plan, and what finding it took: steps at most, and how deep it went below where it began.

    `ways_max` is the largest number of ways that there were to choose from.
    """

    plan: ChildPlan
    steps_max: int
    nesting: int
    levels: int
    ways_max: int
    from_nesting: int


class _OwnNames(ResponseKeys):
    """The planner's fields under their own names, as it is where the client uses these for nothing else."""

    __slots__ = ()

    def own(self, name: str, arguments: str) -> str:
        """Errors: NotAlike for a field with arguments, whose key depends on the operation."""
        if arguments:
            raise NotAlike
        return name


@dataclass(slots=True)
class Memory:
    """The selections of earlier operations, and the plans found for them."""

    pool: SelectionPool
    plans: dict[tuple[State, int], Found] = field(default_factory=dict)
    distances: dict[tuple[str, frozenset[str], FieldSet], dict[str, int]] = field(default_factory=dict)
    leaves_counts: dict[tuple[str, str, int], int] = field(default_factory=dict)
    lacking: dict[tuple[str, str, int], bool] = field(default_factory=dict)
    sole_graphs: dict[int, frozenset[str]] = field(default_factory=dict)
    grouped: dict[tuple[int, bool], tuple[ChildPlan, Grouped]] = field(default_factory=dict)


class MemoryOfGraph:
    """The memory of one query graph, for one planning run at a time."""

    __slots__ = ("_fitting", "_lock", "_memory", "_names", "_supergraph")

    def __init__(self, graph: QueryGraph) -> None:
        self._supergraph = graph.supergraph
        self._names = frozenset(_internal_names(graph.supergraph))
        self._lock = threading.Lock()
        self._memory: Memory | None = None
        self._fitting: dict[int, tuple[NormalSelection, ...]] = {}
        """Selections that were found to fit, by their `id`."""

    @contextmanager
    def lent(self, selections: tuple[NormalSelection, ...]) -> Iterator[Memory | None]:
        """The memory for planning these; None where it is in use or cannot help."""
        fits = not self._supergraph.contexts and self._fits(selections)
        if not fits or not self._lock.acquire(blocking=False):
            yield None
            return
        if self._memory is None:
            self._memory = Memory(SelectionPool(self._supergraph, remembers=True))
            self._memory.pool.keys = _OwnNames()
            self._fitting.clear()
        try:
            yield self._memory
        finally:
            if max(self._memory.pool.size, len(self._memory.plans)) > ENTRIES_MAX:
                self._memory = None
            self._lock.release()

    def _fits(self, selections: tuple[NormalSelection, ...]) -> bool:
        """Whether nothing is deferred, and no name of the planner's fields is used for something else."""
        return all(self._one_fits(one) for one in selections)

    def _one_fits(self, one: NormalSelection) -> bool:
        if isinstance(one, NormalField):
            key = one.response_key
            if key in self._names and (key != one.name or printed_arguments(one)):
                return False
        elif one.deferred:
            return False
        below = one.selections
        if below and id(below) not in self._fitting:
            if not self._fits(below):
                return False
            self._fitting[id(below)] = below
        return True


def memory_of(graph: QueryGraph) -> MemoryOfGraph:
    """The graph's memory; kept as long as the graph is."""
    known: MemoryOfGraph | None = vars(graph).get("_memory")
    if known is None:
        known = vars(graph).setdefault("_memory", MemoryOfGraph(graph))
    return known


def _internal_names(supergraph: Supergraph) -> Iterator[str]:
    """The names of all fields that are in keys or required."""
    for type_ in supergraph.types.values():
        for join in type_.joins:
            yield from _names(join.key or ())
        for definition in type_.fields.values():
            for own in definition.joins.values():
                yield from _names(own.requires)


def _names(field_set: FieldSet) -> Iterator[str]:
    for item in field_set:
        name = getattr(item, "name", None)
        if name is not None:
            yield name
        yield from _names(item.selections)
