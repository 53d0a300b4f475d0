"""What execution asks about the supergraph's types, hidden ones included: prepared once a supergraph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from schema.supergraph.field_sets import FieldSetField
from schema.supergraph.model import Supergraph, TypeDefinition, TypeKind, TypeRef


@dataclass(frozen=True, slots=True)
class FieldShape:
    """A field's type without its name: is it nullable, how many lists, may their items be null.

    `item_non_null` has one entry a list level, outermost first.
    """

    named_type: str
    non_null: bool
    item_non_null: tuple[bool, ...] = ()


class TypeFacts:
    """Look-ups by type name. Unknown names have no facts and raise nothing: subgraphs may say anything."""

    __slots__ = ("_fields", "_keys", "_possible", "_supertypes", "objects", "representations")

    def __init__(
        self,
        *,
        fields: dict[str, dict[str, FieldShape]],
        supertypes: dict[str, frozenset[str]],
        keys: dict[tuple[str, str], tuple[tuple[str, ...], ...]],
        objects: frozenset[str],
    ) -> None:
        self._fields = fields
        self._supertypes = supertypes
        self._keys = keys
        possible: dict[str, set[str]] = {}
        for name, above in supertypes.items():
            for supertype in above:
                possible.setdefault(supertype, set()).add(name)
        self._possible = {name: frozenset(below) for name, below in possible.items()}
        self.representations: dict[tuple[Any, ...], Any] = {}
        """What fetches are asked with, by what they require (`representations`)."""
        self.objects = objects
        """Names of types that objects can be at run time."""

    def known(self, typename: str) -> bool:
        """Whether the supergraph has an object, interface or union of this name."""
        return typename in self._supertypes

    def supertypes(self, typename: str) -> frozenset[str]:
        """The type itself and every interface and union that it belongs to."""
        return self._supertypes.get(typename, frozenset())

    def possible(self, typename: str) -> frozenset[str]:
        """The type itself and every type that can stand for it."""
        return self._possible.get(typename, frozenset())

    def field_shape(self, typename: str, field: str) -> FieldShape | None:
        """The shape of a field's type in the merged schema; None where there is no such field."""
        return self._fields.get(typename, {}).get(field)

    def keys(self, typename: str, service: str) -> tuple[tuple[str, ...], ...]:
        """The top-level field names of each key by which `service` resolves the type."""
        return self._keys.get((typename, service), ())


_known: WeakKeyDictionary[Supergraph, TypeFacts] = WeakKeyDictionary()


def type_facts_of(supergraph: Supergraph) -> TypeFacts:
    """The facts of a supergraph; computed once, kept as long as the supergraph is."""
    facts = _known.get(supergraph)
    if facts is None:
        facts = _known[supergraph] = _gather(supergraph)
    return facts


def _gather(supergraph: Supergraph) -> TypeFacts:
    composite = [it for it in supergraph.types.values() if it.is_composite]
    supertypes: dict[str, set[str]] = {it.name: {it.name, *it.interfaces} for it in composite}
    for union in composite:
        if union.kind is TypeKind.UNION:
            for members in union.members.values():
                for member in members:
                    supertypes.setdefault(member, {member}).add(union.name)
    return TypeFacts(
        fields={
            it.name: {field.name: _shape(field.type) for field in it.fields.values()} for it in composite
        },
        supertypes={name: frozenset(above) for name, above in supertypes.items()},
        objects=frozenset(it.name for it in composite if it.kind is TypeKind.OBJECT),
        keys=_keys(composite, {graph: it.name for graph, it in supergraph.subgraphs.items()}),
    )


def _shape(type_: TypeRef) -> FieldShape:
    """`[[Int!]]!` → non-null, lists whose items are nullable and non-null."""
    text = type_.text
    levels: list[bool] = []
    for _ in range(type_.list_depth):
        levels.append(text.endswith("!"))
        text = text.removesuffix("!")[1:-1]
    levels.append(text.endswith("!"))
    return FieldShape(named_type=type_.name, non_null=levels[0], item_non_null=tuple(levels[1:]))


def _keys(
    types: list[TypeDefinition], services: dict[str, str]
) -> dict[tuple[str, str], tuple[tuple[str, ...], ...]]:
    found: dict[tuple[str, str], tuple[tuple[str, ...], ...]] = {}
    for type_ in types:
        for join in type_.joins:
            if join.key is not None and join.resolvable:
                names = tuple(it.name for it in join.key if isinstance(it, FieldSetField))
                at = (type_.name, services[join.graph])
                found[at] = (*found.get(at, ()), names)
    return found
