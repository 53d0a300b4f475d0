"""One object's visits while they are being found: places fields, keys and requirements one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from router.planner.selections import Conditions, Field, Fragment, Item
from router.planner.tree import AbstractPlan, ChildPlan, Resolved, Visit, VisitKind
from schema.query_graph import EntityKey
from schema.supergraph import FieldJoin, TypeKind
from schema.supergraph.field_sets import FieldSet

if TYPE_CHECKING:
    from router.planner.search import Search, State

FETCH_COST: Final = 1_000.0
STAGE_COST: Final = 100.0
_PREFERRED: Final = 900.0
_UNFINISHED: Final = 50_000.0
_SPLITS_MAX: Final = 6
_KEYS_TRIED_MAX: Final = 4
NO_GRAPH: Final = ""
"""The place of an operation's root before any subgraph is entered."""


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to resolve a field: by visit `visit`, or by a new one into `graph`."""

    graph: str
    visit: int | None
    kind: VisitKind
    key: EntityKey | None
    join: FieldJoin | None


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a field was resolved, and what of it was not (None: all of it was)."""

    at: tuple[tuple[int, Resolved], ...] = ()
    left: Field | None = None


class NodeBuilder:
    """The visits of one object so far. Attempts are made on copies; the first visit is the parent's own."""

    __slots__ = ("graph", "is_root", "once", "prefer", "search", "state", "type_name", "visits")

    def __init__(self, search: Search, state: State, *, is_root: bool) -> None:
        self.search, self.state, self.is_root = search, state, is_root
        self.type_name, self.graph = state.type_name, state.graph
        self.visits: list[Visit] = []
        self.prefer: str | None = None
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
        other.visits = [visit.copy() for visit in self.visits]
        other.prefer, other.once = self.prefer, self.once
        return other

    # -- what it costs ---------------------------------------------------------------------------------

    def cost(self) -> float:
        """Requests weigh most, then how late they are, then how much is selected, more so behind a key."""
        total = 0.0
        stages: dict[int, int] = {}
        for visit in self.visits:
            if visit.kind is not VisitKind.LOCAL:
                stage = self._stage(visit.index, stages)
                total += FETCH_COST + STAGE_COST * stage
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

    def _stage(self, index: int, known: dict[int, int]) -> int:
        if index not in known:
            known[index] = 0
            known[index] = 1 + max(
                (self._stage(i, known) for i in self.visits[index].depends_on if i != index), default=-1
            )
        return known[index]

    # -- placing ---------------------------------------------------------------------------------------

    def place_locally(self, field: Field) -> bool:
        """Place a field that the parent's request answers whole; False where more is needed."""
        if not self.visits or self.visits[0].graph == NO_GRAPH:
            return False
        if field.name == "__typename":
            self.visits[0].resolved.append(Resolved(field, None))
            return True
        if field.defer is not None or self._interface_objects_for(field):
            return False
        visit = self.visits[0]
        join = self._resolves(visit, field)
        if join is None or join.context_arguments or not self._needs_nothing(visit, join):
            return False
        child = self._child(visit, field, join, hopped=False)
        if child is not None and (child.rest is not None or child.fetches_count):
            return False
        visit.resolved.append(Resolved(field, join, child))
        return True

    def place(
        self,
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
        known = self._known_leaf(field, consumer)
        if known is not None:
            return Placed((known,))
        best: tuple[float, NodeBuilder, Placed] | None = None
        partial: list[tuple[float, NodeBuilder, Placed]] = []
        ways = list(self._ways(field, consumer, banned, tried))[: self.search.limits.paths_per_leaf_max]
        before = self.cost()
        for way in ways:
            attempt = self.copy()
            placed = attempt._take(way, field, banned, consumer)
            if placed is None:
                continue
            cost = attempt.cost() - before
            if placed.left is not None:
                partial.append((cost + _UNFINISHED * _size(placed.left), attempt, placed))
            elif best is None or cost < best[0]:
                best = (cost, attempt, placed)
        for _, attempt, placed in sorted(partial, key=lambda one: one[0])[: 3 if best is None else 1]:
            found = self._completed(attempt, placed, consumer, banned, tried)
            if found is not None and (best is None or found[0] - before < best[0]):
                best = (found[0] - before, found[1], found[2])
        if best is None and field.defer is not None:
            return self._placed_at_once(field)
        if best is None:
            return Placed(left=field)
        self.visits = best[1].visits
        return best[2]

    def _placed_at_once(self, field: Field) -> Placed:
        """Place a deferred field that has no way of its own with what is not deferred."""
        field = self.search.pool.at_once(field)
        return Placed() if self.place_locally(field) else self.place(field)

    def _completed(
        self,
        attempt: NodeBuilder,
        placed: Placed,
        consumer: int | None,
        banned: frozenset[str],
        tried: frozenset[str],
    ) -> tuple[float, NodeBuilder, Placed] | None:
        """The attempt with what it left over asked of other subgraphs, through the same field."""
        left = placed.left
        if left is None or self.once or len(tried) >= _SPLITS_MAX:
            return None
        more = tried | {attempt.visits[placed.at[0][0]].graph}
        other = attempt.place(left, consumer=consumer, banned=banned, tried=more)
        cost = attempt.cost() + (_UNFINISHED * _size(other.left) if other.left is not None else 0.0)
        return cost, attempt, Placed((*placed.at, *other.at), other.left)

    def graphs_for(self, field: Field) -> tuple[str, ...]:
        """The subgraphs that may answer the field here."""
        return tuple(dict.fromkeys(way.graph for way in self._ways(field, None, frozenset(), frozenset())))

    # -- ways ------------------------------------------------------------------------------------------

    def _ways(
        self, field: Field, consumer: int | None, banned: frozenset[str], tried: frozenset[str]
    ) -> Iterator[_Way]:
        only = self._interface_objects_for(field)
        reused: set[str] = set()
        for visit in self.visits:
            if visit.graph in tried or visit.graph == NO_GRAPH or visit.defer != field.defer:
                continue
            if not self._usable(visit.index, consumer):
                continue
            if only and (visit.graph not in only or visit.type_name != field.asked_on):
                continue
            join = self._resolves(visit, field)
            if join is not None or self._is_nested(visit):
                fits = set(visit.conditions) <= set(field.conditions)
                if fits and (join is None or self._needs_nothing(visit, join)):
                    reused.add(visit.graph)
                yield _Way(visit.graph, visit.index, visit.kind, visit.key, join)
        yield from self._new_ways(field, banned | tried | reused, only)

    def _new_ways(self, field: Field, closed: frozenset[str], only: tuple[str, ...]) -> Iterator[_Way]:
        graph = self.search.graph
        if self.is_root:
            for name in graph.graphs_of_field(self.type_name, field.name):
                if name not in closed:
                    join = graph.resolves(self.type_name, name, field.name)
                    yield _Way(name, None, VisitKind.ROOT, None, join)
            return
        for name, keys in graph.keys_of(self.type_name).items():
            if name in closed or (only and name not in only):
                continue
            for key in keys[:_KEYS_TRIED_MAX]:
                if only and key.type_name != field.asked_on:
                    continue
                if graph.is_abstract_in(key.type_name, name):
                    if self._could_answer_nested(key, field):
                        yield _Way(name, None, VisitKind.ENTITY, key, None)
                    continue
                join = graph.resolves(key.type_name, name, field.name)
                if join is not None:
                    yield _Way(name, None, VisitKind.ENTITY, key, join)

    def _could_answer_nested(self, key: EntityKey, field: Field) -> bool:
        type_ = self.search.graph.supergraph.types[key.type_name]
        return field.name == "__typename" or field.name in type_.fields

    def _interface_objects_for(self, field: Field) -> tuple[str, ...]:
        """Where a field was asked on an interface that only interface objects give it: those subgraphs."""
        types = self.search.graph.supergraph.types
        asked_on = field.asked_on
        if asked_on == self.type_name or asked_on not in types:
            return ()
        type_ = types[asked_on]
        if type_.kind is not TypeKind.INTERFACE or field.name == "__typename":
            return ()
        definition = type_.fields.get(field.name)
        join = definition.joins.get(self.graph) if definition is not None else None
        if join is not None and not type_.interface_object_in(self.graph):
            return ()
        return self.search.graph.interface_objects_with(asked_on, field.name)

    def _usable(self, index: int, consumer: int | None) -> bool:
        """Whether `consumer` may read from this visit: not itself, and nothing that waits for it."""
        return consumer is None or (index != consumer and not self._waits_for(index, consumer))

    def _waits_for(self, index: int, other: int) -> bool:
        waiting, seen = [index], {index}
        while waiting:
            for dependency in self.visits[waiting.pop()].depends_on:
                if dependency == other:
                    return True
                if dependency not in seen:
                    seen.add(dependency)
                    waiting.append(dependency)
        return False

    def _resolves(self, visit: Visit, field: Field) -> FieldJoin | None:
        graph = self.search.graph
        if graph.is_abstract_in(visit.type_name, visit.graph):
            if visit.kind is not VisitKind.LOCAL:
                return None
            return graph.resolves_directly(visit.type_name, visit.graph, field.name, visit.provided)
        return graph.resolves(visit.type_name, visit.graph, field.name, visit.provided)

    def _is_nested(self, visit: Visit) -> bool:
        graph = self.search.graph
        return visit.kind is VisitKind.ENTITY and graph.is_abstract_in(visit.type_name, visit.graph)

    def _needs_nothing(self, visit: Visit, join: FieldJoin) -> bool:
        if join.context_arguments:
            return False
        return not join.requires or self.search.satisfied_locally(self._state_of(visit), join.requires)

    def _state_of(self, visit: Visit) -> State:
        if visit.kind is VisitKind.LOCAL:
            return self.state
        return type(self.state)(visit.type_name, visit.graph, visit.provided)

    def _child(self, visit: Visit, field: Field, join: FieldJoin, *, hopped: bool) -> ChildPlan | None:
        return self.search.child(self._state_of(visit), field, join, hopped=hopped)

    def _known_leaf(self, field: Field, consumer: int | None) -> tuple[int, Resolved] | None:
        """A leaf that some usable visit resolves already under conditions that cover this one's."""
        if field.selections is not None:
            return None
        for visit in self.visits:
            if visit.defer != field.defer or not self._usable(visit.index, consumer):
                continue
            for resolved in visit.resolved:
                other = resolved.field
                if (
                    other.name == field.name
                    and other.key == field.key
                    and other.arguments == field.arguments
                    and other.selections is None
                    and set(other.conditions) <= set(field.conditions)
                ):
                    return visit.index, resolved
        return None

    # -- taking a way ----------------------------------------------------------------------------------

    def _take(self, way: _Way, field: Field, banned: frozenset[str], consumer: int | None) -> Placed | None:
        """Follow one way; None where a key or a requirement cannot be had."""
        if way.visit is not None:
            visit: Visit | None = self.visits[way.visit]
        else:
            visit = self._open(way, field, banned, consumer)
        if visit is None:
            return None
        if way.visit is not None:
            self._link(consumer, visit.index)
        if way.join is None:
            return self._take_nested(visit, [field]) if self._widened(visit, field) else None
        if self._needs_nothing(visit, way.join):
            if not self._widened(visit, field):
                return None
            visit = self.visits[visit.index]
        else:
            visit = self._with_requirement(visit, way, field, consumer)
            if visit is None:
                return None
        if field.purpose == "key" and visit.kind is VisitKind.LOCAL and field.selections is None:
            field = self.search.pool.with_(field, conditions=())
        hopped = visit.kind is VisitKind.ENTITY
        child = self._child(visit, field, way.join, hopped=hopped)
        left = child.rest if child is not None else None
        if left is not None and (left is field.selections or _answers_nothing(child)):
            return None
        resolved = Resolved(field, way.join, child)
        visit.resolved.append(resolved)
        rest = self.search.pool.with_(field, selections=left) if left is not None else None
        return Placed(((visit.index, resolved),), rest)

    def _link(self, consumer: int | None, index: int) -> None:
        """Let the consumer wait from now on, so that nothing found for this visit waits for the consumer."""
        if consumer is not None:
            self.visits[consumer].depends_on.add(index)

    def _open(
        self, way: _Way, field: Field, banned: frozenset[str], consumer: int | None = None
    ) -> Visit | None:
        """A new visit, its key obtained; None where it cannot be."""
        type_name = way.key.type_name if way.key is not None else self.type_name
        visit = Visit(
            len(self.visits),
            way.kind,
            way.graph,
            type_name,
            way.key,
            conditions=field.conditions,
            defer=field.defer,
        )
        if self.visits[0].graph != NO_GRAPH:
            visit.depends_on.add(0)
        self.visits.append(visit)
        self._link(consumer, visit.index)
        if way.key is not None:
            obtained = self._obtain(visit, way.key.fields, "key", field, banned | {way.graph})
            return visit if obtained else None
        return visit

    def _obtain(
        self, visit: Visit, field_set: FieldSet, purpose: str, field: Field, banned: frozenset[str]
    ) -> bool:
        """Place every field that the visit's representations must carry."""
        pool = self.search.pool
        asked = pool.of_field_set(field_set, self.type_name, purpose=purpose, conditions=field.conditions)
        for item in pool.collect(pool.selections(asked), self.type_name):
            placed = self.place(item, consumer=visit.index, banned=banned)
            if placed.left is not None:
                return False
            # INVARIANT: `place` adopts a copy, so the visit must be looked up anew.
            current = self.visits[visit.index]
            current.needs.extend(placed.at)
            current.depends_on |= {index for index, _ in placed.at}
        current = self.visits[visit.index]
        visit.depends_on, visit.needs = current.depends_on, current.needs
        self.visits[visit.index] = visit
        return True

    def _widened(self, visit: Visit, field: Field) -> bool:
        """Let the visit serve a field under weaker conditions than its key was obtained for.

        False where its requirements stand under conditions that may exclude them while the field is
        asked for, or where neither conditions imply the other: the request would be made for nobody.
        """
        if visit.kind is not VisitKind.ENTITY or set(visit.conditions) <= set(field.conditions):
            return True
        if visit.requires or visit.key is None or not set(field.conditions) < set(visit.conditions):
            return False
        visit.conditions = field.conditions
        return self._obtain(visit, visit.key.fields, "key", field, frozenset({visit.graph}))

    def _with_requirement(self, visit: Visit, way: _Way, field: Field, consumer: int | None) -> Visit | None:
        """The visit with the field's requirement in its representations, or a new one that has it."""
        join = way.join
        if join is None or not _has_contexts(field, join):
            return None
        with self.search.requiring(self.type_name, way.graph, field.name) as first:
            if not first:
                return None
            fits = visit.kind is VisitKind.ENTITY and set(visit.conditions) == set(field.conditions)
            if fits and not self._clashes(visit, join.requires):
                extended = self._required_at(visit.index, join.requires, field, consumer)
                if extended is not None:
                    return extended
            return self._reentered(way, join.requires, field, consumer)

    def _reentered(self, way: _Way, requires: FieldSet, field: Field, consumer: int | None) -> Visit | None:
        keys = self.search.graph.keys_of(self.type_name).get(way.graph, ())
        for key in keys[:_KEYS_TRIED_MAX]:
            attempt = self.copy()
            again = replace(way, visit=None, kind=VisitKind.ENTITY, key=key)
            visit = attempt._open(again, field, frozenset(), consumer)
            if visit is None:
                continue
            found = attempt._required_at(visit.index, requires, field, consumer)
            if found is not None:
                self.visits = attempt.visits
                return found
        return None

    def _required_at(
        self, index: int, requires: FieldSet, field: Field, consumer: int | None
    ) -> Visit | None:
        attempt = self.copy()
        attempt._link(consumer, index)
        if not attempt._obtain(attempt.visits[index], requires, "requires", field, frozenset()):
            return None
        self.visits = attempt.visits
        visit = self.visits[index]
        if requires and requires not in visit.requires:
            visit.requires = (*visit.requires, requires)
        return visit

    def _clashes(self, visit: Visit, requires: FieldSet) -> bool:
        """Whether a representation would need one name with two values (arguments differ)."""
        return any(_conflict(known, requires) for known in visit.requires)

    # -- items on an abstract type -------------------------------------------------------------------------

    def place_narrowed(self, items: Sequence[Item]) -> list[Item]:
        """Place items that need the true type of an interface object; returns what cannot be placed."""
        graph = self.search.graph
        marker = next((item for item in items if isinstance(item, Field)), None)
        base = marker or self.search.pool.typename(self.type_name)
        best: tuple[float, NodeBuilder] | None = None
        for name, keys in graph.keys_of(self.type_name).items():
            for key in keys[:_KEYS_TRIED_MAX]:
                if not graph.is_abstract_in(key.type_name, name):
                    continue
                attempt = self.copy()
                way = _Way(name, None, VisitKind.ENTITY, key, None)
                asked = self.search.pool.with_(base, conditions=_shared_conditions(items))
                visit = attempt._open(way, asked, frozenset())
                if visit is None or attempt._take_nested(visit, items) is None:
                    continue
                if best is None or attempt.cost() < best[0]:
                    best = (attempt.cost(), attempt)
        if best is None:
            return list(items)
        self.visits = best[1].visits
        return []

    def _take_nested(self, visit: Visit, items: Sequence[Item]) -> Placed | None:
        """Select items on the abstract type that the visit's subgraph knows the object by."""
        pool = self.search.pool
        combined = pool.selections([*visit.nested_items, *items])
        plan = self.search.plan(type(self.state)(visit.type_name, visit.graph), combined)
        if not isinstance(plan, AbstractPlan) or plan.rest is not None:
            return None
        visit.nested_items, visit.nested_plan = list(combined.items), plan
        return Placed(
            tuple((visit.index, Resolved(i, None, None, True)) for i in items if isinstance(i, Field))
        )


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
