"""Chooses the graph by URL: `sqlite:///path`, `postgresql+asyncpg://…` or `neo4j://…`."""

from __future__ import annotations

from datastores.graph.port import Graph
from datastores.graph.relational import RelationalGraph
from datastores.relational.opening import open_relational
from datastores.relational.postgresql_limits import PostgresqlLimits
from datastores.relational.sqlite import SqliteLimits


def open_graph(url: str, *, space: str = "stadion", read_timeout_s: float | None = None) -> Graph:
    """The graph for `url`, not yet open. `space` parts deployments that share one Neo4j. `read_timeout_s` is
    for who reads one moment of it for longer than a request may take.

    Errors: StoreUrlProblem, which never repeats the password.
    """
    if url.startswith(("neo4j", "bolt")):
        # Its driver is loaded where it is used: most programs keep their graph in rows.
        from datastores.graph.neo4j import Neo4jGraph

        return Neo4jGraph(url, space=space)
    if read_timeout_s is None:
        return RelationalGraph(open_relational(url, search_path="graph"))
    patient = PostgresqlLimits(read_timeout_s=read_timeout_s, write_timeout_s=read_timeout_s)
    of_file = SqliteLimits(read_timeout_s=read_timeout_s)
    rows = open_relational(url, sqlite_limits=of_file, postgresql_limits=patient, search_path="graph")
    return RelationalGraph(rows)
