"""Normal selections → the choice: each (state, selection) is planned once and remembered.

A state is a type in a subgraph, with what the path to it provides. Nothing here knows of requests;
`groups` turns the choice into them. Source: `federation.md` (e).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from router.errors import PlanTooComplex
from router.planner.abstract_search import plan_abstract
from router.planner.breadth import breadth_at
from router.planner.explaining import Alternative, weighed
from router.planner.limits import PlannerLimits
from router.planner.memory import STEPS_MAX, Found, Memory, NotAlike
from router.planner.node_search import plan_node
from router.planner.selections import Field, SelectionPool, Selections
from router.planner.tree import ChildPlan, NodePlan, Visit, VisitKind
from schema.query_graph import QueryGraph, selected_on
from schema.supergraph import FieldJoin
from schema.supergraph.field_sets import FieldSet

if TYPE_CHECKING:
    from router.planner.node_builder import NodeBuilder


class PlanTakesLong(Exception):
    """The search is not over after as many steps as it was given."""


@dataclass(frozen=True, slots=True)
class State:
    """A type in a subgraph. `provided` is what the path gives beyond the subgraph's own fields.

    `candidates` are the (subgraph, type) pairs that could stand here instead; kept only where unions
    differ between subgraphs. `stays`: what is selected here is answered without further requests or left.
    """

    type_name: str
    graph: str
    provided: FieldSet = ()
    candidates: frozenset[tuple[str, str]] = frozenset()
    stays: bool = False


@dataclass(slots=True)
class Search:
    """One planning run: the graph, the pool of selections, what was found so far, and the bounds.

    After `steps_max` steps, if that is not 0, it gives up.
    """

    graph: QueryGraph
    pool: SelectionPool
    limits: PlannerLimits
    clock_ns: Callable[[], int] = time.thread_time_ns
    explain: bool = False
    alternatives: list[Alternative] = field(default_factory=list)
    evaluated: int = 0
    steps_count: int = 0
    nesting: int = 0
    distances: dict[tuple[str, frozenset[str], FieldSet], dict[str, int]] = field(default_factory=dict)
    leaves_counts: dict[tuple[str, str, int], int] = field(default_factory=dict)
    lacking: dict[tuple[str, str, int], bool] = field(default_factory=dict)
    sole_graphs: dict[int, frozenset[str]] = field(default_factory=dict)
    memory: Memory | None = None
    steps_max: int = 0
    ways_max: int = 0
    _known: dict[tuple[State, int], ChildPlan] = field(default_factory=dict)
    _steps_of: dict[tuple[State, int], int] = field(default_factory=dict)
    _steps_max: int = 0
    _nesting_max: int = 0
    _depth_max: int = 0
    _in_progress: set[tuple[State, int]] = field(default_factory=set)
    _required: set[tuple[str, str, str]] = field(default_factory=set)
    _circles: int = 0
    _depth: int = 0
    _started_ns: int | None = None
    """When the time was looked at first: short searches never do."""

    def note(self, at: str, tried: Sequence[tuple[str, float, NodeBuilder]]) -> None:
        """Remember what was weighed at one place, for `explain`."""
        if self.explain and len(tried) > 1:
            self.alternatives.extend(weighed(at, tried))

    def plan(self, state: State, selections: Selections) -> ChildPlan:
        """The plan for `selections` on an object of `state`.

        Errors: PlanTooComplex past a limit.
        """
        key = (state, selections.id)
        known = self._known.get(key)
        if known is not None:
            self._take(self._steps_of.get(key, 0))
            return known
        if key in self._in_progress:
            self._circles += 1
            return unreached(state, selections)
        if self.memory is None:
            return self._found(key, state, selections)
        return self._remembered(key) or self._to_remember(self.memory, key, state, selections)

    def _found(self, key: tuple[State, int], state: State, selections: Selections) -> ChildPlan:
        """Search the plan; known from now on, if it is true anywhere."""
        self._count()
        self._depth += 1
        self._in_progress.add(key)
        circles = self._circles
        if self.graph.is_abstract_in(state.type_name, state.graph):
            plan: ChildPlan = plan_abstract(self, state, selections)
        else:
            plan = plan_node(self, state, selections)
        self._depth -= 1
        self._in_progress.discard(key)
        if circles == self._circles:  # found while no requirement was cut short: true anywhere
            self._known[key] = plan
        return plan

    def _remembered(self, key: tuple[State, int]) -> ChildPlan | None:
        """The plan found for an earlier operation, where this search would find the same."""
        found = self.memory.plans.get(key) if self.memory is not None else None
        if found is None or self._depth + found.levels > self.limits.depth_max:
            return None
        nesting = self.nesting + found.nesting
        if self.nesting != found.from_nesting and found.ways_max > breadth_at(nesting):
            return None
        self._take(found.steps_max)
        self._nesting_max = max(self._nesting_max, nesting)
        self._depth_max = max(self._depth_max, self._depth + found.levels)
        self.ways_max = max(self.ways_max, found.ways_max)
        self._known[key], self._steps_of[key] = found.plan, found.steps_max
        return found.plan

    def _to_remember(
        self, memory: Memory, key: tuple[State, int], state: State, selections: Selections
    ) -> ChildPlan:
        """Search the plan, and note what that took."""
        before = (self._nesting_max, self._depth_max, self.ways_max)
        steps = self._steps_max
        self._nesting_max, self._depth_max, self.ways_max = self.nesting, self._depth, 0
        plan = self._found(key, state, selections)
        if key in self._known:
            self._steps_of[key] = self._steps_max - steps
            memory.plans[key] = Found(
                plan,
                steps_max=self._steps_max - steps,
                nesting=self._nesting_max - self.nesting,
                levels=self._depth_max - self._depth,
                ways_max=self.ways_max,
                from_nesting=self.nesting,
            )
        self._nesting_max = max(self._nesting_max, before[0])
        self._depth_max = max(self._depth_max, before[1])
        self.ways_max = max(self.ways_max, before[2])
        return plan

    def _take(self, steps: int) -> None:
        """Reckon with steps that finding what is known took.  Errors: NotAlike where they are too many."""
        self._steps_max += steps
        if self.memory is not None and self._steps_max > STEPS_MAX:
            raise NotAlike

    def child(
        self, at: State, field: Field, join: FieldJoin, *, hopped: bool, stays: bool = False
    ) -> ChildPlan | None:
        """The plan below `field`, resolved at `at`; None for a leaf."""
        if field.selections is None:
            return None
        return self.plan(self.child_state(at, field, join, hopped=hopped, stays=stays), field.selections)

    def child_state(
        self, at: State, field: Field, join: FieldJoin, *, hopped: bool, stays: bool = False
    ) -> State:
        """Where the field leads. `hopped`: the subgraph was entered by a key for this field's sake."""
        provided: FieldSet = join.provides
        for item in selected_on(at.provided, at.type_name, self.graph.supergraph):
            if item.name == field.name:
                provided = (*item.selections, *provided)
        candidates: frozenset[tuple[str, str]] = frozenset()
        if self.graph.has_partial_unions and not hopped:
            candidates = self._candidates(at, field)
        return State(join.type.name, at.graph, provided, candidates, stays or at.stays)

    def _candidates(self, at: State, field: Field) -> frozenset[tuple[str, str]]:
        graph = self.graph
        reachable = {other for other, _ in at.candidates} | graph.keys_of(at.type_name).keys()
        if at.type_name in graph.supergraph.root_types.values():
            reachable |= graph.supergraph.subgraphs.keys()
        found = set()
        for other in reachable - {at.graph}:
            join = graph.resolves(at.type_name, other, field.name)
            if join is not None:
                found.add((other, join.type.name))
        return frozenset(found)

    @contextmanager
    def requiring(self, type_name: str, graph: str, field_name: str) -> Iterator[bool]:
        """Guards one requirement being planned; yields False where it is being planned already."""
        key = (type_name, graph, field_name)
        if key in self._required:
            self._circles += 1
            yield False
            return
        self._required.add(key)
        try:
            yield True
        finally:
            self._required.discard(key)

    def satisfied_locally(self, state: State, field_set: FieldSet) -> bool:
        """Whether the subgraph itself resolves all of a requirement here, so that nothing is to be sent."""
        graph = self.graph
        for item in selected_on(field_set, state.type_name, graph.supergraph):
            join = graph.resolves(state.type_name, state.graph, item.name, state.provided)
            if join is None or join.requires or join.context_arguments or item.arguments:
                return False
            if not item.selections:
                continue
            field = Field(key=item.name, name=item.name, asked_on=state.type_name)
            below = self.child_state(state, field, join, hopped=True)
            for concrete in graph.local_types(below.type_name, below.graph):
                inner = replace(below, type_name=concrete)
                if not self.satisfied_locally(inner, item.selections):
                    return False
        return True

    def begin_placing(self) -> None:
        """Count one field being placed, within those for which it is.  Errors: PlanTooComplex."""
        self._count()
        self.nesting += 1
        self._nesting_max = max(self._nesting_max, self.nesting)

    def end_placing(self) -> None:
        """The field is placed, or cannot be."""
        self.nesting -= 1

    def _count(self) -> None:
        self.steps_count += 1
        self._take(1)
        self._depth_max = max(self._depth_max, self._depth)
        limits = self.limits
        if self.steps_count > self.steps_max > 0:
            raise PlanTakesLong
        if self.steps_count > limits.states_max:
            raise PlanTooComplex(f"planning the operation visits more than {limits.states_max} states")
        if self._depth > limits.depth_max:
            raise PlanTooComplex(f"planning the operation nests deeper than {limits.depth_max} levels")
        if self.steps_count % 64 == 0:
            now_ns = self.clock_ns()
            if self._started_ns is None:
                self._started_ns = now_ns
            elapsed_ms = (now_ns - self._started_ns) // 1_000_000
            if elapsed_ms > limits.duration_ms_max:
                raise PlanTooComplex(f"planning the operation takes longer than {limits.duration_ms_max} ms")


def unreached(state: State, selections: Selections) -> NodePlan:
    """A plan that answers nothing: the way leads in a circle."""
    visit = Visit(0, VisitKind.LOCAL, state.graph, state.type_name)
    return NodePlan(state.type_name, state.graph, (visit,), rest=selections, cost=0.0, weight=0)
