"""`@fromContext`: which object above gives an argument its value, and what must be fetched there for it.

Source: Federation specification, @context and @fromContext.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from router.planner.plan import RewritePath
from schema.supergraph import FieldDefinition, Supergraph
from schema.supergraph.field_sets import FieldSet, FieldSetField, parse_field_set


@dataclass(frozen=True, slots=True)
class ContextValue:
    """One argument that `graph` takes from above: sent as `variable`, read at the first of `paths` that
    has a value."""

    graph: str
    argument: str
    variable: str
    type: str
    paths: tuple[RewritePath, ...]


@dataclass(slots=True)
class Frame:
    """An object on the way down, and the field sets that contexts want of it, by the type they are on."""

    type_name: str
    wanted: list[tuple[str, FieldSet]] = field(default_factory=list)


class ContextNames:
    """The variables that carry context values in one plan; equal values share one. None has a name of
    `taken`, the client's own variables."""

    def __init__(self, supergraph: Supergraph, taken: Collection[str] = ()) -> None:
        self._supergraph = supergraph
        self._taken = taken
        self._variables: dict[tuple[object, ...], str] = {}

    def values(self, definition: FieldDefinition, frames: tuple[Frame, ...]) -> tuple[ContextValue, ...]:
        """The field's arguments from above; each notes on its frame what it wants of it.

        An argument that no frame can give is left out: the field cannot be asked of that subgraph here.
        """
        found: list[ContextValue] = []
        for join in definition.joins.values():
            for argument in join.context_arguments:
                setters = self._supergraph.contexts.get(argument.context, ())
                generation = self._nearest(setters, frames)
                if generation is None:
                    continue
                selections = parse_field_set(argument.selection)
                frame = frames[generation]
                for setter in setters:
                    if self._meet(setter, frame.type_name):
                        frame.wanted.append((setter, selections))
                above = ("..",) * generation
                paths = tuple((*above, *path) for path in _leaves(selections))
                variable = self._variable(argument.type, paths)
                found.append(ContextValue(join.graph, argument.name, variable, argument.type, paths))
        return tuple(found)

    def _nearest(self, setters: tuple[str, ...], frames: tuple[Frame, ...]) -> int | None:
        for generation, frame in enumerate(frames):
            if any(self._meet(setter, frame.type_name) for setter in setters):
                return generation
        return None

    def _meet(self, left: str, right: str) -> bool:
        possible = self._supergraph.possible_types
        return left == right or bool(possible.get(left, frozenset()) & possible.get(right, frozenset()))

    def _variable(self, type_text: str, paths: tuple[RewritePath, ...]) -> str:
        key = (type_text, paths)
        if key not in self._variables:
            self._variables[key] = unused_name(f"_context_{len(self._variables)}", self._taken)
        return self._variables[key]


def unused_name(name: str, taken: Collection[str]) -> str:
    """The name, with underscores before it until it is none of `taken`."""
    while name in taken:
        name = f"_{name}"
    return name


def _leaves(selections: FieldSet, above: RewritePath = ()) -> Iterator[RewritePath]:
    for item in selections:
        if not isinstance(item, FieldSetField):
            yield from _leaves(item.selections, (*above, f"... on {item.type_condition}"))
        elif item.selections:
            yield from _leaves(item.selections, (*above, item.name))
        else:
            yield (*above, item.name)
