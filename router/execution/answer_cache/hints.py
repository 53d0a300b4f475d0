"""@cacheControl in the supergraph: how long fields are good whose subgraph sends no header.

The directive is there where subgraphs compose it. By default a root field and a field that leads to objects
is not good at all, and any other is as good as its parent; the whole is as good as its least part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    SelectionSetNode,
)

from router.execution.answer_cache.freshness import Freshness
from schema.supergraph import Supergraph

_DIRECTIVE: Final = "cacheControl"
Fragments = Mapping[str, FragmentDefinitionNode]


@dataclass(frozen=True, slots=True)
class _Said:
    """One `@cacheControl`; None where it says nothing of it."""

    seconds: int | None = None
    private: bool = False
    inherits: bool = False


@dataclass(frozen=True, slots=True)
class Hints:
    """Every `@cacheControl` of the supergraph, by type and by field."""

    supergraph: Supergraph
    said: Mapping[str, _Said]

    def of_root(self, selected: SelectionSetNode, fragments: Fragments) -> Freshness | None:
        """What holds for an answer to this query; None where no directive says anything."""
        root = self.supergraph.root_types.get("query")
        if root is None or not self._speak(root, selected, fragments):
            return None
        return self._least(root, selected, fragments, parent_s=0)

    def of_entities(self, selected: SelectionSetNode, fragments: Fragments) -> dict[str, Freshness | None]:
        """What holds for an entity of each type that is selected; types without a directive are left out."""
        found: dict[str, Freshness | None] = {}
        if not self.said:
            return found
        for one in selected.selections:
            if isinstance(one, InlineFragmentNode) and one.type_condition is not None:
                name = one.type_condition.name.value
                said = self.said.get(name)
                if said is not None and said.seconds is not None:
                    whole = Freshness(said.seconds, said.private)
                    found[name] = whole.and_(
                        self._least(name, one.selection_set, fragments, parent_s=said.seconds) or whole
                    )
        return found

    def _speak(self, type_name: str, selected: SelectionSetNode, fragments: Fragments) -> bool:
        """Whether any directive has a word on this selection."""
        if not self.said:
            return False
        for field, owner in self._fields(type_name, selected, fragments):
            owned = self.supergraph.types.get(owner)
            definition = owned.fields.get(field.name.value) if owned is not None else None
            if definition is None:
                continue
            target = definition.type.name
            if f"{owner}.{field.name.value}" in self.said or target in self.said:
                return True
            if field.selection_set is not None and self._speak(target, field.selection_set, fragments):
                return True
        return False

    def _least(
        self, type_name: str, selected: SelectionSetNode, fragments: Fragments, *, parent_s: float
    ) -> Freshness | None:
        least: Freshness | None = None
        for field, owner in self._fields(type_name, selected, fragments):
            own = self._of_field(field, owner, fragments, parent_s=parent_s)
            if own is not None:
                least = own if least is None else least.and_(own)
        return least

    def _of_field(
        self, field: FieldNode, owner: str, fragments: Fragments, *, parent_s: float
    ) -> Freshness | None:
        definition = (
            self.supergraph.types[owner].fields.get(field.name.value)
            if owner in self.supergraph.types
            else None
        )
        if definition is None:
            return None  # `__typename`
        target = self.supergraph.types.get(definition.type.name)
        own = self.said.get(f"{owner}.{field.name.value}")
        by_type = self.said.get(definition.type.name)
        composite = target is not None and target.is_composite
        is_root = owner == self.supergraph.root_types.get("query")
        seconds: float = parent_s if not (composite or is_root) else 0
        for said in (own, by_type):
            if said is not None and (said.seconds is not None or said.inherits):
                seconds = parent_s if said.inherits else said.seconds or 0
                break
        private = any(said is not None and said.private for said in (own, by_type))
        freshness = Freshness(seconds, private)
        if field.selection_set is None or not composite:
            return freshness
        below = self._least(definition.type.name, field.selection_set, fragments, parent_s=seconds)
        return freshness if below is None else freshness.and_(below)

    def _fields(
        self, type_name: str, selected: SelectionSetNode, fragments: Fragments
    ) -> Iterator[tuple[FieldNode, str]]:
        for one in selected.selections:
            if isinstance(one, FieldNode):
                yield one, type_name
            elif isinstance(one, InlineFragmentNode):
                name = one.type_condition.name.value if one.type_condition else type_name
                yield from self._fields(name, one.selection_set, fragments)
            elif isinstance(one, FragmentSpreadNode) and one.name.value in fragments:
                fragment = fragments[one.name.value]
                yield from self._fields(fragment.type_condition.name.value, fragment.selection_set, fragments)


def hints_of(supergraph: Supergraph) -> Hints:
    """Every `@cacheControl` of the supergraph, under whatever name its namespace gives it."""
    said = {
        coordinate: _read(applied)
        for coordinate, directives in supergraph.directives_by_coordinate.items()
        if (applied := [one for one in directives if one.name.value.split("__")[-1] == _DIRECTIVE])
    }
    return Hints(supergraph, said)


def _read(applied: Sequence[DirectiveNode]) -> _Said:
    """Of several, the strictest."""
    seconds: list[int] = []
    private = inherits = False
    for directive in applied:
        for one in directive.arguments or ():
            match one.name.value, one.value:
                case "maxAge", IntValueNode(value=value):
                    seconds.append(int(value))
                case "scope", EnumValueNode(value="PRIVATE"):
                    private = True
                case "inheritMaxAge", BooleanValueNode(value=True):
                    inherits = True
    return _Said(min(seconds, default=None), private, inherits)
