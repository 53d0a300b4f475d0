"""Chooses the graph by URL: `sqlite:///path`, `postgresql+asyncpg://…` or `neo4j://…`."""

from __future__ import annotations

from datastores.graph.neo4j import Neo4jGraph
from datastores.graph.port import Graph
from datastores.graph.relational import RelationalGraph
from datastores.relational.opening import open_relational


def open_graph(url: str) -> Graph:
    """The graph for `url`, not yet open.

    Errors: StoreUrlProblem, which never repeats the password.
    """
    if url.startswith(("neo4j", "bolt")):
        return Neo4jGraph(url)
    return RelationalGraph(open_relational(url, search_path="graph"))
