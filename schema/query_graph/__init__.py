"""What is reachable from where: the states (type, subgraph) and the moves between them."""

from schema.query_graph.graph import EntityKey, QueryGraph, selected_on

__all__ = ["EntityKey", "QueryGraph", "selected_on"]
