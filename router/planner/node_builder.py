"""One object's visits while they are being found, and what they cost so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from router.planner.breadth import lacks_something
from router.planner.selections import Field
from router.planner.tree import ChildPlan, Visit, VisitKind
from schema.supergraph import FieldJoin

if TYPE_CHECKING:
    from router.planner.search import Search, State

FETCH_COST: Final = 1_000.0
STAGE_COST: Final = 100.0
_PREFERRED: Final = 900.0
NO_GRAPH: Final = ""
"""The place of an operation's root before any subgraph is entered."""


class NodeBuilder:
    """The visits of one object so far. Attempts are made on copies; the first visit is the parent's own."""

    __slots__ = (
        "_owned",
        "away",
        "graph",
        "is_root",
        "once",
        "prefer",
        "search",
        "state",
        "type_name",
        "visits",
    )

    def __init__(self, search: Search, state: State, *, is_root: bool) -> None:
        self.search, self.state, self.is_root = search, state, is_root
        self.type_name, self.graph = state.type_name, state.graph
        self.visits: list[Visit] = []
        self._owned: set[int] = set()
        self.prefer: str | None = None
        self.away: Mapping[str, int] | None = None
        """How many keys away other subgraphs are (`reach`); None where visits were added since."""
        self.once = False
        """Whether a field may be asked of one subgraph only (mutations, subscriptions)."""

    @classmethod
    def below(cls, search: Search, state: State) -> NodeBuilder:
        """A builder for an object that a request has led to."""
        query = search.graph.supergraph.root_types.get("query")
        builder = cls(search, state, is_root=state.type_name == query)
        builder.visits.append(
            Visit(0, VisitKind.LOCAL, state.graph, state.type_name, provided=state.provided)
        )
        return builder

    def copy(self) -> NodeBuilder:
        """A builder that can be changed without changing this one."""
        other = NodeBuilder(self.search, self.state, is_root=self.is_root)
        other.visits = list(self.visits)
        self._owned = set()  # INVARIANT: visits are shared from here on; `own` copies before a change
        other.prefer, other.once, other.away = self.prefer, self.once, self.away
        return other

    def adopt(self, other: NodeBuilder) -> None:
        """Go on from where a copy has come to."""
        self.visits, self._owned, self.away = other.visits, other._owned, other.away

    def own(self, index: int) -> Visit:
        """The visit, to be changed."""
        if index not in self._owned:
            self.visits[index] = self.visits[index].copy()
            self._owned.add(index)
        return self.visits[index]

    def open(self, visit: Visit) -> None:
        """Add a visit."""
        self.visits.append(visit)
        self._owned.add(visit.index)
        self.away = None

    def cost(self) -> float:
        """Requests weigh most, then how late they are, then how much is selected, more so behind a key."""
        total = 0.0
        stages: dict[int, int] = {}
        for visit in self.visits:
            if visit.kind is not VisitKind.LOCAL:
                stage = self.stage(visit.index, stages)
                total += FETCH_COST + STAGE_COST * stage + stage * len(visit.resolved)
                if visit.graph == self.prefer:
                    total -= _PREFERRED
            total += sum(resolved.child.cost for resolved in visit.resolved if resolved.child is not None)
            if visit.nested_plan is not None:
                total += visit.nested_plan.cost
            total += len(visit.resolved)
            if visit.kind is VisitKind.ENTITY:
                total += self._weight_of(visit)
        return total

    def weight(self) -> int:
        """How much is selected, over all visits."""
        return sum(self._weight_of(visit) for visit in self.visits)

    def _weight_of(self, visit: Visit) -> int:
        own = sum(1 + (r.child.weight if r.child is not None else 0) for r in visit.resolved)
        return own + (visit.nested_plan.weight if visit.nested_plan is not None else 0)

    def stage(self, index: int, known: dict[int, int]) -> int:
        """How many requests come before this visit's; `known` remembers answers."""
        if index not in known:
            known[index] = 0
            known[index] = 1 + max(
                (self.stage(i, known) for i in self.visits[index].depends_on if i != index), default=-1
            )
        return known[index]

    def usable(self, index: int, consumer: int | None) -> bool:
        """Whether `consumer` may read from this visit: not itself, and nothing that waits for it."""
        return consumer is None or (index != consumer and not self.waits_for(index, consumer))

    def waits_for(self, index: int, other: int) -> bool:
        waiting, seen = [index], {index}
        while waiting:
            for dependency in self.visits[waiting.pop()].depends_on:
                if dependency == other:
                    return True
                if dependency not in seen:
                    seen.add(dependency)
                    waiting.append(dependency)
        return False

    def resolves(self, visit: Visit, field: Field) -> FieldJoin | None:
        graph = self.search.graph
        if graph.is_abstract_in(visit.type_name, visit.graph):
            if visit.kind is not VisitKind.LOCAL:
                return None
            return graph.resolves_directly(visit.type_name, visit.graph, field.name, visit.provided)
        return graph.resolves(visit.type_name, visit.graph, field.name, visit.provided)

    def is_nested(self, visit: Visit) -> bool:
        graph = self.search.graph
        return visit.kind is VisitKind.ENTITY and graph.is_abstract_in(visit.type_name, visit.graph)

    def needs_nothing(self, visit: Visit, join: FieldJoin) -> bool:
        if join.context_arguments:
            return False
        return not join.requires or self.search.satisfied_locally(self.state_of(visit), join.requires)

    def state_of(self, visit: Visit) -> State:
        if visit.kind is VisitKind.LOCAL:
            return self.state
        return type(self.state)(visit.type_name, visit.graph, visit.provided)

    def child(
        self, visit: Visit, field: Field, join: FieldJoin, *, hopped: bool, stays: bool = False
    ) -> ChildPlan | None:
        return self.search.child(self.state_of(visit), field, join, hopped=hopped, stays=stays)

    def surely_hops(self, visit: Visit, field: Field, join: FieldJoin) -> bool:
        """Whether the visit's subgraph plainly has not all that is below the field: known without a plan."""
        if field.selections is None or join.provides or visit.provided or self.state.provided:
            return False
        return lacks_something(self.search, join.type.name, visit.graph, field.selections)

    def link(self, consumer: int | None, index: int) -> None:
        """Let the consumer wait from now on, so that nothing found for this visit waits for the consumer."""
        if consumer is not None:
            self.own(consumer).depends_on.add(index)
