"""What an entity request sends: for each type, the key and required fields, and where they are read from."""

from __future__ import annotations

from dataclasses import dataclass, field

from router.planner.plan import RequiresField, RequiresFragment, RequiresSelection
from router.planner.selections import SelectionPool
from schema.supergraph import Supergraph
from schema.supergraph.field_sets import FieldSet, FieldSetField


@dataclass(slots=True)
class _Sent:
    """Fields and fragments of a representation below one name."""

    source: str = ""
    fields: dict[str, _Sent] = field(default_factory=dict)
    fragments: dict[str, _Sent] = field(default_factory=dict)

    def add_typename(self) -> None:
        self.fields.setdefault("__typename", _Sent("__typename"))

    def clashes(self, other: _Sent) -> bool:
        for name, theirs in other.fields.items():
            ours = self.fields.get(name)
            if ours is not None and (ours.source != theirs.source or ours.clashes(theirs)):
                return True
        return any(
            name in self.fragments and self.fragments[name].clashes(theirs)
            for name, theirs in other.fragments.items()
        )

    def merge(self, other: _Sent) -> None:
        for name, theirs in other.fields.items():
            self.fields.setdefault(name, _Sent(theirs.source)).merge(theirs)
        for name, theirs in other.fragments.items():
            self.fragments.setdefault(name, _Sent()).merge(theirs)

    def selections(self) -> tuple[RequiresSelection, ...]:
        own: list[RequiresSelection] = [
            RequiresField(name, sent.source, sent.selections()) for name, sent in self.fields.items()
        ]
        own.extend(RequiresFragment(name, sent.selections()) for name, sent in self.fragments.items())
        return tuple(own)


@dataclass(slots=True)
class Representation:
    """The representations of one group, by the type of the object they are made from."""

    by_type: dict[str, _Sent] = field(default_factory=dict)
    is_shared: bool = False
    _made: tuple[RequiresSelection, ...] | None = None

    def own(self) -> Representation:
        """These, to be changed: a copy of shared ones."""
        if not self.is_shared:
            return self
        copy = Representation()
        copy.merge(self)
        return copy

    def add(self, type_name: str, field_set: FieldSet, pool: SelectionPool, supergraph: Supergraph) -> None:
        """Send `field_set` for objects of `type_name`, with `__typename`."""
        self._made = None
        sent = self.by_type.setdefault(type_name, _Sent())
        sent.add_typename()
        _fill(sent, field_set, type_name, pool, supergraph)

    def clashes(self, other: Representation) -> bool:
        """Whether both need one name with different values."""
        return any(
            name in self.by_type and self.by_type[name].clashes(theirs)
            for name, theirs in other.by_type.items()
        )

    def merge(self, other: Representation) -> None:
        """Send what `other` sends too."""
        self._made = None
        for name, theirs in other.by_type.items():
            self.by_type.setdefault(name, _Sent()).merge(theirs)

    def selections(self) -> tuple[RequiresSelection, ...]:
        """One fragment a type."""
        if self._made is None:
            self._made = tuple(
                RequiresFragment(name, sent.selections()) for name, sent in self.by_type.items()
            )
        return self._made


def _fill(
    sent: _Sent, field_set: FieldSet, type_name: str, pool: SelectionPool, supergraph: Supergraph
) -> None:
    for item in field_set:
        if not isinstance(item, FieldSetField):
            if pool.applies(item.type_condition, type_name):
                _fill(sent, item.selections, type_name, pool, supergraph)
            elif supergraph.types[type_name].is_abstract:
                inner = sent.fragments.setdefault(item.type_condition, _Sent())
                _fill(inner, item.selections, item.type_condition, pool, supergraph)
            continue
        below = sent.fields.setdefault(item.name, _Sent(pool.internal_key(item.name, item.arguments)))
        if item.selections:
            child = supergraph.types[type_name].fields[item.name].type.name
            if supergraph.types[child].is_abstract:
                below.add_typename()
            _fill(below, item.selections, child, pool, supergraph)
