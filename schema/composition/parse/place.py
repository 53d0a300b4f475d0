"""Where a syntax node stands in a subgraph's SDL."""

from graphql import Node

from schema.problems import Location


def place(subgraph: str, node: Node | None) -> Location:
    """The node's first character; the whole subgraph when the node has no place."""
    if node is None or node.loc is None:
        return Location(subgraph)
    token = node.loc.start_token
    return Location(subgraph, token.line, token.column)
