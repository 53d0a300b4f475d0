"""What `@requiresScopes` and `@policy` demand: alternatives, each a set of which all is needed."""

from __future__ import annotations

from graphql import ListValueNode, StringValueNode, ValueNode


def alternatives_of(value: ValueNode) -> list[frozenset[str]]:
    """The alternatives of a `[[String!]!]!`, each a set of what it needs."""
    outer = value.values if isinstance(value, ListValueNode) else ()
    return [
        frozenset(s.value for s in inner.values if isinstance(s, StringValueNode))
        for inner in outer
        if isinstance(inner, ListValueNode)
    ]
