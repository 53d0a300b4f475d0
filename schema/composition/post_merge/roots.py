"""There is something to ask for, and each subgraph has a name that a router can use."""

from collections.abc import Iterator

from schema.composition.post_merge.places import Merged
from schema.problems import Problem


def has_queries(merged: Merged) -> Iterator[Problem]:
    """Report a graph in which no subgraph has a query."""
    query = merged.graph.types.get("Query")
    if query is None or not query.fields:
        yield Problem(
            "NO_QUERIES",
            "no subgraph has a field of `Query`",
            "Query",
            mend="add a query to one of them",
        )
