"""Chooses the graph by URL: `sqlite:///path`, `postgresql+asyncpg://…` or `neo4j://…`."""

from __future__ import annotations

from datastores.graph.port import Graph
from datastores.graph.relational import RelationalGraph
from datastores.relational.opening import open_relational


def open_graph(url: str, *, space: str = "stadion") -> Graph:
    """The graph for `url`, not yet open. `space` parts deployments that share one Neo4j.

    Errors: StoreUrlProblem, which never repeats the password.
    """
    if url.startswith(("neo4j", "bolt")):
        # Its driver is loaded where it is used: most programs keep their graph in rows.
        from datastores.graph.neo4j import Neo4jGraph

        return Neo4jGraph(url, space=space)
    return RelationalGraph(open_relational(url, search_path="graph"))
