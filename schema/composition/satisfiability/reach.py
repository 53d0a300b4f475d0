"""Which subgraphs an object can be followed into, and whether a selection on it can be obtained."""

from __future__ import annotations

from collections.abc import Mapping

from graphql import FieldNode, InlineFragmentNode, SelectionSetNode

from schema.composition.facts import selection_on
from schema.composition.merge.model import JoinField
from schema.composition.satisfiability.contexts import contexts_by_type, setting_for, settings_below
from schema.composition.satisfiability.view import NOTHING_DECIDED, GraphView, State, States
from schema.composition.subgraph import Kind

CONDITION_DEPTH_MAX = 40


class Reach:
    """Reachability in one view; remembers what it has worked out."""

    def __init__(self, view: GraphView) -> None:
        self.view = view
        self._known: dict[tuple[str, States], States] = {}
        self._open: dict[tuple[str, States], States] = {}
        self._open_fields: set[tuple[str, str, int]] = set()
        self._is_partial = False
        self._expanded: dict[States, dict[str, States]] = {}
        self._asked: dict[tuple[str, States], frozenset[str]] = {}
        self._contexts = contexts_by_type(view.merged)

    def reached(self, type_name: str, states: States) -> States:
        """All states that the object of this concrete type can be in, hops by key included.

        A hop needs its key; the key's fields may come from any subgraph reached before it.
        """
        key = (type_name, states)
        if key in self._known:
            self.view.asked.update(self._asked.get(key, ()))
            return self._known[key]
        if key in self._open or len(self._open) > CONDITION_DEPTH_MAX:
            self._is_partial = True
            return self._open.get(key, states)
        outer_partial, self._is_partial = self._is_partial, False
        outer_asked, self.view.asked = self.view.asked, set()
        self._open[key] = states
        found = self._grow(key, type_name, states)
        del self._open[key]
        if not self._is_partial or not self._open:
            self._known[key] = found
            if self.view.asked:
                self._asked[key] = frozenset(self.view.asked)
        self.view.asked |= outer_asked
        self._is_partial = self._is_partial or outer_partial
        return found

    def resolving(
        self, type_name: str, states: States, field: str, assumed: Mapping[str, bool] = NOTHING_DECIDED
    ) -> States:
        """Where the field leads, from each state that can resolve it."""
        settings = settings_below(self._contexts, type_name, states) if self._contexts else frozenset()
        return frozenset(
            self.view.next_state(state, field, join, settings)
            for state, join in self.view.joins(states, type_name, field, assumed)
            if self.requirement_holds(type_name, states, state, field, join)
        )

    def requirement_holds(
        self, type_name: str, states: States, state: State, field: str, join: JoinField
    ) -> bool:
        """Whether the field's @requires and contexts can be obtained, and its subgraph entered again with
        them.
        """
        if join.requires is None and not join.context_arguments:
            return True
        mark = (type_name, field, state.graph)
        if mark in self._open_fields:
            self._is_partial = True
            return False
        self._open_fields.add(mark)
        try:
            return (
                self.obtains(type_name, states, selection_on(join.requires))
                and self.contexts_hold(state, join)
                and self.can_enter(type_name, states, state)
            )
        finally:
            self._open_fields.discard(mark)

    def contexts_hold(self, state: State, join: JoinField) -> bool:
        """Whether each contextual argument has a setter above, and what it takes from there can be
        fetched.
        """
        for argument in join.context_arguments:
            setting = setting_for(state, argument.context)
            selection = selection_on(argument.selection)
            if setting is None or not self.obtains(setting.type, setting.states, selection):
                return False
        return True

    def can_enter(self, type_name: str, states: States, state: State) -> bool:
        """Whether some key leads back into the state's subgraph; one that is not resolvable from elsewhere
        will do.
        """
        return any(self.obtains(type_name, states, key) for key in self.view.keys(state))

    def obtains(self, type_name: str, states: States, selection: SelectionSetNode | None) -> bool:
        """Whether everything selected can be fetched by someone who holds the object in these states."""
        if selection is None:
            return True
        return all(self._obtains(type_name, states, item) for item in selection.selections)

    def missing(self, type_name: str, states: States, selection: SelectionSetNode) -> list[str]:
        """The selected fields that cannot be obtained, for messages."""
        return [
            item.name.value
            for item in selection.selections
            if isinstance(item, FieldNode) and not self._obtains(type_name, states, item)
        ]

    def _grow(self, key: tuple[str, States], type_name: str, states: States) -> States:
        settings = next((state.settings for state in states), frozenset())
        if type_name == "Query":
            graphs = self.view.merged.types["Query"].graphs
            return states | {State(graph, "Query", settings=settings) for graph in graphs}
        waiting = list(self.view.hops(type_name))
        while waiting:
            present = {(s.graph, s.type) for s in states if not s.provided}
            waiting = [hop for hop in waiting if (hop.graph, hop.type) not in present]
            holds: dict[int, bool] = {}
            for hop in waiting:
                if id(hop.key) not in holds:
                    holds[id(hop.key)] = self.obtains(type_name, states, hop.key)
            entered = frozenset(
                State(hop.graph, hop.type, settings=settings) for hop in waiting if holds[id(hop.key)]
            )
            if not entered:
                break
            states = states | entered
            self._open[key] = states
        return states

    def _obtains(self, type_name: str, states: States, item: object) -> bool:
        if isinstance(item, InlineFragmentNode):
            name = item.type_condition.name.value if item.type_condition else type_name
            return self._obtains_in_fragment(type_name, states, name, item.selection_set)
        if not isinstance(item, FieldNode) or item.name.value == "__typename":
            return True
        owner = self.view.merged.types.get(type_name)
        if owner is None:
            return False
        if owner.kind is not Kind.OBJECT and not self._is_interface_object_only(states):
            return self._obtains_abstract(states, SelectionSetNode(selections=(item,)))
        found = self.resolving(type_name, states, item.name.value)
        if not found:
            return False
        if item.selection_set is None:
            return True
        target = str(owner.fields[item.name.value].type).strip("[]!")
        return self._obtains_below(target, found, item.selection_set)

    def _obtains_below(self, target: str, states: States, selection: SelectionSetNode) -> bool:
        owner = self.view.merged.types.get(target)
        if owner is None:
            return False
        if owner.kind is Kind.OBJECT:
            return self.obtains(target, self.reached(target, states), selection)
        return self._obtains_abstract(states, selection)

    def _obtains_abstract(self, states: States, selection: SelectionSetNode) -> bool:
        for concrete, narrowed in self.expand(states).items():
            if not self.obtains(concrete, self.reached(concrete, narrowed), selection):
                return False
        return True

    def _obtains_in_fragment(
        self, type_name: str, states: States, condition: str, selection: SelectionSetNode
    ) -> bool:
        owner = self.view.merged.types.get(condition)
        if owner is None:
            return False
        if condition == type_name or condition in self.view.merged.types[type_name].interfaces:
            return self.obtains(type_name, states, selection)
        if owner.kind is Kind.OBJECT:
            possible = self.expand(states).get(condition)
            is_other = self.view.merged.types[type_name].kind is Kind.OBJECT
            if is_other or possible is None:
                return True
            return self.obtains(condition, self.reached(condition, possible), selection)
        is_object = self.view.merged.types[type_name].kind is Kind.OBJECT
        if is_object:
            return type_name not in owner.member_names or self.obtains(type_name, states, selection)
        return self._obtains_abstract(states, selection)

    def expand(self, states: States) -> dict[str, States]:
        """The concrete types that an abstract position can have, each with the states that may hold it.

        Subgraphs that share the position answer it alike, so only a type that all of them know can occur;
        interface objects know every implementation.
        """
        known = self._expanded.get(states)
        if known is None:
            possible = {state: self.view.runtime_types(state) for state in states}
            common = frozenset.intersection(*possible.values()) if possible else frozenset()
            known = self._expanded[states] = {
                concrete: frozenset(self.view.narrowed(state, concrete) for state in states)
                for concrete in sorted(common or frozenset().union(*possible.values()))
            }
        return known

    def _is_interface_object_only(self, states: States) -> bool:
        return all((s.graph, s.type) in self.view.interface_objects for s in states)
