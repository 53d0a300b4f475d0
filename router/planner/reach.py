"""How many keys away each subgraph is from the visits of one object, by the shortest chain there could be."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from router.planner.node_builder import NO_GRAPH, NodeBuilder
from schema.query_graph import EntityKey, QueryGraph, selected_on
from schema.supergraph.field_sets import FieldSetField


def distances(builder: NodeBuilder) -> Mapping[str, int]:
    """Subgraph → keys to follow until it is entered; those that no chain reaches are left out.

    Never more than a chain needs in truth: nested fields and requirements are taken to be there.
    """
    if builder.away is not None:
        return builder.away
    visited = frozenset(visit.graph for visit in builder.visits if visit.graph != NO_GRAPH)
    known = builder.search.distances
    at = (builder.type_name, visited, builder.state.provided)
    if at not in known:
        given = selected_on(builder.state.provided, builder.type_name, builder.search.graph.supergraph)
        known[at] = _spread(builder.search.graph, builder.type_name, visited, {item.name for item in given})
    builder.away = known[at]
    return builder.away


def _spread(
    graph: QueryGraph, type_name: str, visited: frozenset[str], given: Collection[str]
) -> dict[str, int]:
    """From the visited subgraphs outwards, one key further each round."""
    found = dict.fromkeys(visited, 0)
    waiting = {name: keys for name, keys in graph.keys_of(type_name).items() if name not in visited}
    names = {"__typename", *given}
    length = 0
    while waiting:
        length += 1
        opened = [
            name
            for name, keys in waiting.items()
            if any(_had(graph, key, {type_name, key.type_name}, names, found) for key in keys)
        ]
        if not opened:
            break
        for name in opened:
            found[name] = length
            del waiting[name]
    return found


def _had(
    graph: QueryGraph,
    key: EntityKey,
    types: Collection[str],
    given: Collection[str],
    reached: Collection[str],
) -> bool:
    """Whether each field of the key is given or some reached subgraph may resolve it."""
    return all(
        item.name in given or any(g in reached for t in types for g in graph.graphs_of_field(t, item.name))
        for item in key.fields
        if isinstance(item, FieldSetField)
    )
