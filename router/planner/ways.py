"""The ways by which one field of an object can be resolved: visits there are, and new ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from router.planner.node_builder import NO_GRAPH, NodeBuilder
from router.planner.reach import distances
from router.planner.selections import Field
from router.planner.tree import Resolved, VisitKind
from schema.query_graph import EntityKey
from schema.supergraph import FieldJoin, TypeKind

KEYS_TRIED_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Way:
    """One way to resolve a field: by visit `visit`, or by a new one into `graph`.

    `reenter`: where the visit cannot carry the field's requirement, a new one into its subgraph may.
    """

    graph: str
    visit: int | None
    kind: VisitKind
    key: EntityKey | None
    join: FieldJoin | None
    reenter: bool = True


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain of keys that something is placed for: the subgraphs being reached, the leaves wanted for
    their keys, and how many more may be entered (None: not decided yet)."""

    banned: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset()
    hops: int | None = None

    def through(self, graph: str, field: Field) -> Chain:
        """The chain one subgraph longer, for the key of `graph`, entered for `field`."""
        wanted = self.wanted
        if field.purpose == "key" and field.selections is None:
            wanted = wanted | {field.name}
        hops = None if self.hops is None else self.hops - 1
        return Chain(self.banned | {graph}, wanted, hops)


NO_CHAIN: Final = Chain()


def graphs_for(builder: NodeBuilder, field: Field) -> tuple[str, ...]:
    """The subgraphs that may answer the field here."""
    return tuple(dict.fromkeys(way.graph for way in ways_of(builder, field, None, NO_CHAIN, frozenset())))


def ways_of(
    builder: NodeBuilder, field: Field, consumer: int | None, chain: Chain, tried: frozenset[str]
) -> list[Way]:
    """Every way to resolve `field` for visit `consumer`: by visits there are, then by new ones.

    `chain` is the chain of keys that it is placed for; `tried` subgraphs have answered their part of it.
    """
    only = interface_objects_for(builder, field)
    there, reused = _by_visits(builder, field, consumer, tried, only)
    if chain.hops is not None and chain.hops <= 0:
        return there
    closed = replace(chain, banned=chain.banned | tried | reused)
    new = list(_new_ways(builder, field, closed, only))
    return [*_without_detours(builder, there, new), *new] if there and new else there or new


def _by_visits(
    builder: NodeBuilder, field: Field, consumer: int | None, tried: frozenset[str], only: tuple[str, ...]
) -> tuple[list[Way], set[str]]:
    """The ways by visits there are, and the subgraphs of those that need nothing more for the field."""
    found: list[Way] = []
    reused: set[str] = set()
    able: tuple[str, ...] | None = None
    graph = builder.search.graph
    if field.name != "__typename" and not graph.supergraph.types[builder.type_name].is_abstract:
        able = graph.graphs_of_field(builder.type_name, field.name)
    for visit in builder.visits:
        plain = visit.kind is not VisitKind.LOCAL and visit.type_name == builder.type_name
        if plain and able is not None and visit.graph not in able:
            continue  # seen at a glance: there may be hundreds of visits
        if visit.graph in tried or visit.graph == NO_GRAPH or visit.defer != field.defer:
            continue
        if not builder.usable(visit.index, consumer):
            continue
        if only and (visit.graph not in only or visit.type_name != field.asked_on):
            continue
        join = builder.resolves(visit, field)
        if join is not None or builder.is_nested(visit):
            fits = set(visit.conditions) <= set(field.conditions)
            if fits and (join is None or builder.needs_nothing(visit, join)):
                reused.add(visit.graph)
            found.append(Way(visit.graph, visit.index, visit.kind, visit.key, join))
    return found, reused


def _without_detours(builder: NodeBuilder, there: list[Way], new: list[Way]) -> list[Way]:
    """The ways by visits without those that end in a new visit which stands among `new` anyway.

    Otherwise each link of a chain of requirements would be tried twice, and the whole chain 2ⁿ times.
    """
    entered = {(way.graph, way.key.type_name) for way in new if way.key is not None}
    kept: list[Way] = []
    for way in there:
        visit = builder.visits[way.visit or 0]
        same = (visit.graph, visit.type_name) in entered
        if not same or way.join is None or builder.needs_nothing(visit, way.join):
            kept.append(way)
        elif visit.kind is VisitKind.ENTITY:
            kept.append(replace(way, reenter=False))
    return kept


def _new_ways(builder: NodeBuilder, field: Field, chain: Chain, only: tuple[str, ...]) -> Iterator[Way]:
    graph = builder.search.graph
    if builder.is_root:
        for name in graph.graphs_of_field(builder.type_name, field.name):
            if name not in chain.banned:
                join = graph.resolves(builder.type_name, name, field.name)
                yield Way(name, None, VisitKind.ROOT, None, join)
        return
    keys_of = graph.keys_of(builder.type_name)
    away = distances(builder)
    is_object = graph.supergraph.types[builder.type_name].kind is TypeKind.OBJECT
    for name in graph.graphs_of_field(builder.type_name, field.name) if is_object else keys_of:
        keys = keys_of.get(name, ())
        if name in chain.banned or (only and name not in only) or name not in away:
            continue
        if chain.hops is not None and away[name] > chain.hops:
            continue
        for key in keys[:KEYS_TRIED_MAX]:
            if only and key.type_name != field.asked_on:
                continue
            if chain.wanted and chain.wanted & key.leaves:
                continue  # the key needs the very field that the chain is looking for
            if graph.is_abstract_in(key.type_name, name):
                if _could_answer_nested(builder, key, field):
                    yield Way(name, None, VisitKind.ENTITY, key, None)
                continue
            join = graph.resolves(key.type_name, name, field.name)
            if join is not None:
                yield Way(name, None, VisitKind.ENTITY, key, join)


def _could_answer_nested(builder: NodeBuilder, key: EntityKey, field: Field) -> bool:
    type_ = builder.search.graph.supergraph.types[key.type_name]
    return field.name == "__typename" or field.name in type_.fields


def interface_objects_for(builder: NodeBuilder, field: Field) -> tuple[str, ...]:
    """Where a field was asked on an interface that only interface objects give it: those subgraphs."""
    types = builder.search.graph.supergraph.types
    asked_on = field.asked_on
    if asked_on == builder.type_name or asked_on not in types:
        return ()
    type_ = types[asked_on]
    if type_.kind is not TypeKind.INTERFACE or field.name == "__typename":
        return ()
    definition = type_.fields.get(field.name)
    join = definition.joins.get(builder.graph) if definition is not None else None
    if join is not None and not type_.interface_object_in(builder.graph):
        return ()
    return builder.search.graph.interface_objects_with(asked_on, field.name)


def known_leaf(builder: NodeBuilder, field: Field, consumer: int | None) -> tuple[int, Resolved] | None:
    """A leaf that some usable visit resolves already under conditions that cover this one's."""
    if field.selections is not None:
        return None
    for visit in builder.visits:
        if visit.defer != field.defer or not builder.usable(visit.index, consumer):
            continue
        for resolved in visit.resolved:
            if _is_leaf(resolved, field):
                return visit.index, resolved
    return None


def waits_for_leaf(builder: NodeBuilder, field: Field, consumer: int) -> bool:
    """Whether a leaf is resolved already, but only by visits that wait for `consumer` themselves.

    To have `consumer` carry it, it would have to be fetched a second time.
    """
    if field.selections is not None or known_leaf(builder, field, consumer) is not None:
        return False
    return any(
        _is_leaf(resolved, field)
        for visit in builder.visits
        if visit.defer == field.defer
        for resolved in visit.resolved
    )


def _is_leaf(resolved: Resolved, field: Field) -> bool:
    other = resolved.field
    return (
        other.name == field.name
        and other.key == field.key
        and other.arguments == field.arguments
        and other.selections is None
        and set(other.conditions) <= set(field.conditions)
    )
