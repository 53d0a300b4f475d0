"""The query graph: states (type, subgraph), which fields each can resolve, and the keys that lead into it.

Edges are answered on demand and remembered, not listed: a 200-subgraph supergraph has millions.
Source: Federation query planning, "query graph"; `federation.md` (e).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schema.supergraph import FieldJoin, Supergraph, TypeKind
from schema.supergraph.field_sets import FieldSet, FieldSetField, FieldSetFragment


@dataclass(frozen=True, slots=True)
class EntityKey:
    """One way into a subgraph: send `fields` with `__typename` `type_name` to its `_entities`.

    `type_name` differs from the object's type where the subgraph has it as an interface object.
    """

    graph: str
    type_name: str
    fields: FieldSet

    @property
    def leaves(self) -> frozenset[str]:
        """The names of the key's own leaf fields."""
        return frozenset(
            item.name for item in self.fields if isinstance(item, FieldSetField) and not item.selections
        )


class QueryGraph:
    """The states and moves of one supergraph under one truth of its override labels. Read-only, remembers.

    `labels` are the override labels that are on.
    """

    def __init__(self, supergraph: Supergraph, labels: frozenset[str] = frozenset()) -> None:
        self.supergraph = supergraph
        self.labels = labels
        self._types = supergraph.types
        self._resolves: dict[tuple[str, str, str, FieldSet], FieldJoin | None] = {}
        self._local_types: dict[tuple[str, str], frozenset[str]] = {}
        self._keys: dict[str, dict[str, tuple[EntityKey, ...]]] = {}
        self._field_graphs: dict[tuple[str, str], tuple[str, ...]] = {}
        self._direct: dict[tuple[str, str, str, FieldSet], FieldJoin | None] = {}
        self.has_partial_unions = (
            any(
                len(set(type_.members.values())) > 1
                for type_ in supergraph.types.values()
                if type_.kind is TypeKind.UNION
            )
            or self._has_mixed_field_types()
        )

    def _has_mixed_field_types(self) -> bool:
        return any(
            len({join.type.name for join in field.joins.values()}) > 1
            for type_ in self._types.values()
            for field in type_.fields.values()
        )

    def resolves(
        self, type_name: str, graph: str, field_name: str, provided: FieldSet = ()
    ) -> FieldJoin | None:
        """The field as `graph` resolves it on its own `type_name`; None where it does not.

        External and overridden fields count only where the path's `provided` set names them.
        """
        key = (type_name, graph, field_name, provided)
        if key not in self._resolves:
            self._resolves[key] = self._resolve(type_name, graph, field_name, provided)
        return self._resolves[key]

    def _resolve(self, type_name: str, graph: str, field_name: str, provided: FieldSet) -> FieldJoin | None:
        type_ = self._types.get(type_name)
        field = type_.fields.get(field_name) if type_ is not None else None
        join = field.joins.get(graph) if field is not None else None
        if join is None or not self._active(join):
            return None
        if join.external or (join.used_overridden and join.override_label is None):
            named = any(item.name == field_name for item in selected_on(provided, type_name, self.supergraph))
            return join if named else None
        return join

    def _active(self, join: FieldJoin) -> bool:
        if join.override_label is None:
            return True
        return (join.override_label in self.labels) == (join.override is not None)

    def resolves_directly(
        self, interface: str, graph: str, field_name: str, provided: FieldSet = ()
    ) -> FieldJoin | None:
        """The interface's field, where `graph` resolves it on every implementation that it has.

        Implementations that require or provide something for it are asked one by one, so not here.
        """
        key = (interface, graph, field_name, provided)
        if key not in self._direct:
            join = self._interface_join(interface, graph, field_name)
            if join is not None:
                for concrete in self.local_types(interface, graph):
                    own = self.resolves(concrete, graph, field_name, provided)
                    if own is None or own.requires or own.provides or own.context_arguments:
                        join = None
                        break
            self._direct[key] = join
        return self._direct[key]

    def _interface_join(self, interface: str, graph: str, field_name: str) -> FieldJoin | None:
        type_ = self._types.get(interface)
        field = type_.fields.get(field_name) if type_ is not None else None
        return field.joins.get(graph) if field is not None else None

    def local_types(self, type_name: str, graph: str) -> frozenset[str]:
        """The object types that an object of `type_name` can have in `graph`."""
        key = (type_name, graph)
        if key not in self._local_types:
            self._local_types[key] = self._find_local_types(type_name, graph)
        return self._local_types[key]

    def _find_local_types(self, type_name: str, graph: str) -> frozenset[str]:
        type_ = self._types[type_name]
        if type_.kind is TypeKind.UNION:
            return type_.members.get(graph, frozenset())
        if type_.kind is TypeKind.OBJECT or type_.interface_object_in(graph):
            return frozenset({type_name})
        return frozenset(
            name
            for name in self.supergraph.possible_types[type_name]
            if type_name in self._types[name].implements.get(graph, ()) and self.has_type(name, graph)
        )

    def has_type(self, type_name: str, graph: str) -> bool:
        """Whether `graph` defines the type."""
        type_ = self._types.get(type_name)
        return type_ is not None and any(join.graph == graph for join in type_.joins)

    def is_interface_object(self, type_name: str, graph: str) -> bool:
        """Whether `graph` has the interface as an object type."""
        return self._types[type_name].interface_object_in(graph)

    def is_abstract_in(self, type_name: str, graph: str) -> bool:
        """Whether an object of this type has another `__typename` in `graph`."""
        type_ = self._types[type_name]
        return type_.is_abstract and not type_.interface_object_in(graph)

    def keys_of(self, type_name: str) -> dict[str, tuple[EntityKey, ...]]:
        """Subgraph → the keys by which an object of `type_name` is found in it, smallest first."""
        if type_name not in self._keys:
            found: dict[str, list[EntityKey]] = {}
            for key in self._find_keys(type_name):
                found.setdefault(key.graph, []).append(key)
            self._keys[type_name] = {
                graph: tuple(sorted(keys, key=lambda key: (_size(key.fields), key.type_name != type_name)))
                for graph, keys in found.items()
            }
        return self._keys[type_name]

    def _find_keys(self, type_name: str) -> Iterator[EntityKey]:
        type_ = self._types[type_name]
        for join in type_.joins:
            if join.key is not None and join.resolvable:
                yield EntityKey(join.graph, type_name, join.key)
        for interface in type_.interfaces:
            for join in self._types[interface].joins:
                if join.key is not None and join.resolvable and join.interface_object:
                    yield EntityKey(join.graph, interface, join.key)

    def graphs_of_field(self, type_name: str, field_name: str) -> tuple[str, ...]:
        """The subgraphs that may resolve the field for an object of `type_name`, in supergraph order.

        For an object type this counts interface objects that supply the field.
        """
        key = (type_name, field_name)
        if key not in self._field_graphs:
            type_ = self._types[type_name]
            names = [type_name, *type_.interfaces]
            found = []
            for graph in self.supergraph.subgraphs:
                for name in names:
                    if name != type_name and not self.is_interface_object(name, graph):
                        continue
                    if self.resolves(name, graph, field_name) is not None:
                        found.append(graph)
                        break
            self._field_graphs[key] = tuple(found)
        return self._field_graphs[key]

    def interface_objects_with(self, interface: str, field_name: str) -> tuple[str, ...]:
        """The subgraphs that supply the interface's field through an interface object."""
        type_ = self._types[interface]
        if type_.kind is not TypeKind.INTERFACE:
            return ()
        return tuple(
            graph
            for graph in type_.graphs
            if type_.interface_object_in(graph) and self.resolves(interface, graph, field_name) is not None
        )


def selected_on(selections: FieldSet, type_name: str, supergraph: Supergraph) -> Iterator[FieldSetField]:
    """The fields of a field set that apply to an object of `type_name`, fragments looked into."""
    for item in selections:
        if isinstance(item, FieldSetFragment):
            possible = supergraph.possible_types.get(item.type_condition, frozenset())
            own = supergraph.possible_types.get(type_name, frozenset())
            if item.type_condition == type_name or (own and own <= possible):
                yield from selected_on(item.selections, type_name, supergraph)
        else:
            yield item


def _size(selections: FieldSet) -> int:
    return sum(1 + _size(item.selections) for item in selections)
