"""The merged graph as a router will read it: which subgraph resolves what, under which condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from types import MappingProxyType

from graphql import FieldNode, InlineFragmentNode, SelectionSetNode

from schema.composition.facts import selection_on
from schema.composition.merge.model import JoinField, MergedGraph, MergedType
from schema.composition.subgraph import Kind
from schema.composition.validate import ValidSubgraph
from schema.federation.field_sets import print_field_set
from schema.problems import Location

TYPE_MARKS = str.maketrans("", "", "[]!")
NOTHING_DECIDED: Mapping[str, bool] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class State:
    """An object in one subgraph: there it is of type `type`. `provided` is what a @provides on the way
    adds, `settings` what was set above it for @fromContext.
    """

    graph: int
    type: str
    provided: str = ""
    settings: frozenset[Setting] = frozenset()


States = frozenset[State]


@dataclass(frozen=True, slots=True)
class Setting:
    """A context that an object above sets: of which type that was, and who could hold it."""

    context: str
    type: str
    states: States


@dataclass(frozen=True, slots=True)
class Hop:
    """A way into a subgraph: with this key the object is of type `type` there."""

    graph: int
    type: str
    key: SelectionSetNode


class GraphView:
    """Answers questions about one merged graph. `labels`: the override labels that are decided, on or off;
    where one is not, neither side of the override counts. `asked` collects the undecided ones that mattered.
    """

    def __init__(
        self,
        merged: MergedGraph,
        subgraphs: Sequence[ValidSubgraph],
        labels: Mapping[str, bool] = NOTHING_DECIDED,
    ) -> None:
        self.merged = merged
        self.labels = labels
        self.asked: set[str] = set()
        self._subgraphs = subgraphs
        self._hops: dict[str, tuple[Hop, ...]] = {}

    def place(self, graph: int, type_name: str, field: str) -> Location:
        """Where the subgraph declares the field, or else the type, or else the subgraph as a whole."""
        source = self._subgraphs[graph].graph
        owner = source.types.get(type_name)
        declared = source.field(type_name, field) or owner
        return Location(source.name) if declared is None else declared.at

    @cached_property
    def interface_objects(self) -> frozenset[tuple[int, str]]:
        """Every (subgraph, interface) where the interface is an object."""
        types = self.merged.types.values()
        return frozenset((join.graph, t.name) for t in types for join in t.joins if join.is_interface_object)

    @cached_property
    def _implementations(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for owner in self.merged.types.values():
            if owner.kind is Kind.OBJECT:
                for interface in owner.interfaces:
                    found.setdefault(interface, set()).add(owner.name)
        return {name: frozenset(types) for name, types in found.items()}

    @cached_property
    def _runtime(self) -> dict[tuple[int, str], frozenset[str]]:
        found: dict[tuple[int, str], set[str]] = {}
        for owner in self.merged.types.values():
            if owner.kind is Kind.OBJECT:
                for graph in owner.graphs:
                    found.setdefault((graph, owner.name), set()).add(owner.name)
                for graph, interface in owner.implements:
                    found.setdefault((graph, interface), set()).add(owner.name)
            for graph, member in owner.members:
                found.setdefault((graph, owner.name), set()).add(member)
        return {key: frozenset(types) for key, types in found.items()}

    def runtime_types(self, state: State) -> frozenset[str]:
        """The concrete types that the object can have, as far as this subgraph can say."""
        if (state.graph, state.type) in self.interface_objects:
            return self._implementations.get(state.type, frozenset())
        return self._runtime.get((state.graph, state.type), frozenset())

    def narrowed(self, state: State, concrete: str) -> State:
        """The same object, known to be of the concrete type."""
        if (state.graph, state.type) in self.interface_objects:
            return state
        return replace(state, type=concrete)

    def join(
        self, state: State, field: str, assumed: Mapping[str, bool] = NOTHING_DECIDED
    ) -> JoinField | None:
        """How the state's subgraph takes part in the field, if it resolves it now. `assumed`: labels taken to
        be on or off for this field only.
        """
        found = self.declaration(state.graph, state.type, field)
        if found is None or not self._is_active(found, assumed):
            return None
        if found.external or (found.used_overridden and found.override_label is None):
            return (
                found if provided_below(state.provided, field, self._also(state.type)) is not None else None
            )
        return found

    def joins(
        self, states: States, type_name: str, field: str, assumed: Mapping[str, bool] = NOTHING_DECIDED
    ) -> Iterator[tuple[State, JoinField]]:
        """The states that resolve the field, each with how; asks only the subgraphs that declare it."""
        declaring = self._declaring.get((type_name, field))
        for state in states:
            if state.type == type_name and declaring is not None and state.graph not in declaring:
                continue
            join = self.join(state, field, assumed)
            if join is not None:
                yield state, join

    def choices(self, type_name: str, field: str) -> Iterator[Mapping[str, bool]]:
        """Every way in which the labels of this field, where undecided, can be on or off."""
        labels = self._labelled.get((type_name, field)) if self._labelled else None
        undecided = [label for label in labels or () if label not in self.labels]
        for values in product((False, True), repeat=len(undecided)):
            yield dict(zip(undecided, values, strict=True))

    @cached_property
    def _labelled(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """The override labels of each field that has some."""
        found = {
            (owner.name, item.name): tuple(sorted({j.override_label for j in item.joins if j.override_label}))
            for owner in self.merged.types.values()
            for item in owner.fields.values()
        }
        return {coordinate: labels for coordinate, labels in found.items() if labels}

    @cached_property
    def _declaring(self) -> dict[tuple[str, str], dict[int, JoinField]]:
        """For each field, how each subgraph that declares it takes part in it."""
        found: dict[tuple[str, str], dict[int, JoinField]] = {}
        for owner in self.merged.types.values():
            everywhere = {graph: JoinField(graph) for graph in owner.graphs}
            for item in owner.fields.values():
                own = {join.graph: join for join in item.joins if join.graph is not None}
                found[owner.name, item.name] = own if item.joins else everywhere
        return found

    def declaration(self, graph: int, type_name: str, field: str) -> JoinField | None:
        """What the subgraph declares of the field, resolvable or not."""
        return self._declaring.get((type_name, field), {}).get(graph)

    def next_state(
        self, state: State, field: str, join: JoinField, settings: frozenset[Setting] = frozenset()
    ) -> State:
        """Where the field leads inside the subgraph; `settings` hold below it."""
        item = self.merged.types[state.type].fields[field]
        target = (join.type or str(item.type)).translate(TYPE_MARKS)
        below = provided_below(state.provided, field, self._also(state.type)) or ""
        both = " ".join(text for text in (join.provides or "", below) if text)
        return State(state.graph, target, both, settings)

    def hops(self, type_name: str) -> tuple[Hop, ...]:
        """Every way into a subgraph for an object of this type: by its own keys and by interface objects'
        keys.
        """
        found = self._hops.get(type_name)
        if found is None:
            found = self._hops[type_name] = tuple(self._all_hops(type_name))
        return found

    def keys(self, state: State) -> list[SelectionSetNode]:
        """The keys that the state's subgraph gives its type, resolvable or not."""
        joins = (join for join in self.merged.types[state.type].joins if join.graph == state.graph)
        selections = (selection_on(join.key) for join in joins)
        return [selection for selection in selections if selection is not None]

    def _all_hops(self, type_name: str) -> Iterator[Hop]:
        owner = self.merged.types[type_name]
        yield from _own_hops(owner)
        for name in owner.interfaces:
            interface = self.merged.types.get(name)
            if interface is not None:
                yield from (h for h in _own_hops(interface) if (h.graph, name) in self.interface_objects)

    def _is_active(self, join: JoinField, assumed: Mapping[str, bool]) -> bool:
        label = join.override_label
        if label is None:
            return True
        is_on = self.labels.get(label, assumed.get(label))
        if label not in self.labels:
            self.asked.add(label)
        return is_on is not None and (join.override is not None) == is_on

    def _also(self, type_name: str) -> frozenset[str]:
        """The names under which a fragment in a @provides may speak of the type."""
        return frozenset({type_name, *self.merged.types[type_name].interfaces})


def _own_hops(owner: MergedType) -> Iterator[Hop]:
    for join in owner.joins:
        selection = selection_on(join.key) if join.is_resolvable else None
        if selection is not None:
            yield Hop(join.graph, owner.name, selection)


def provided_below(provided: str, field: str, names: frozenset[str]) -> str | None:
    """What a provided selection says under `field`: None when it does not name the field at all."""
    if not provided:
        return None
    selection = selection_on(provided)
    found = list(_below(selection, field, names)) if selection else []
    return " ".join(text for text in found if text) if found else None


def _below(selection: SelectionSetNode, field: str, names: frozenset[str]) -> Iterator[str]:
    for item in selection.selections:
        if isinstance(item, InlineFragmentNode):
            if item.type_condition is None or item.type_condition.name.value in names:
                yield from _below(item.selection_set, field, names)
        elif isinstance(item, FieldNode) and item.name.value == field:
            yield print_field_set(item.selection_set) if item.selection_set else ""
