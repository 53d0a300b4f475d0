"""How the arguments of one directive, written by several subgraphs, become one value."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from graphql import BooleanValueNode, IntValueNode, ListValueNode, NullValueNode, StringValueNode, ValueNode

from schema.federation.alternatives import alternatives_of

ALTERNATIVES_MAX = 512


def largest(values: list[ValueNode]) -> ValueNode | None:
    """The largest integer; nulls do not count."""
    found = [int(v.value) for v in values if isinstance(v, IntValueNode)]
    return IntValueNode(value=str(max(found))) if found else None


def union(values: list[ValueNode]) -> ValueNode | None:
    """All strings of all lists, each once, in order of first appearance."""
    lists = [v for v in values if isinstance(v, ListValueNode)]
    texts = dict.fromkeys(s.value for v in lists for s in v.values if isinstance(s, StringValueNode))
    return _strings(texts) if lists else None


def every(values: list[ValueNode]) -> ValueNode | None:
    """True when all that say anything say true."""
    found = [v.value for v in values if isinstance(v, BooleanValueNode)]
    return BooleanValueNode(value=all(found)) if found else None


def conjunction(values: list[ValueNode]) -> ValueNode | None:
    """`[[a], [b]]` means a or b; two requirements together mean both, so alternatives multiply."""
    merged: list[frozenset[str]] = []
    for alternatives in filter(None, map(alternatives_of, values)):
        both = [a | b for a, b in product(merged, alternatives)] if merged else alternatives
        merged = simplest(both)
    return alternatives_node(merged)


def alternatives_node(alternatives: list[frozenset[str]]) -> ValueNode:
    """The alternatives as a value, in one order."""
    ordered = sorted(sorted(a) for a in alternatives)
    return ListValueNode(values=tuple(_strings(a) for a in ordered))


def simplest(alternatives: list[frozenset[str]]) -> list[frozenset[str]]:
    """Without duplicates, and without what another alternative already allows."""
    distinct = sorted(set(alternatives), key=lambda a: (len(a), sorted(a)))
    kept: list[frozenset[str]] = []
    for candidate in distinct:
        if not any(smaller <= candidate for smaller in kept):
            kept.append(candidate)
    return kept[:ALTERNATIVES_MAX]


def is_null(value: ValueNode) -> bool:
    """Whether the argument was written as null."""
    return isinstance(value, NullValueNode)


def _strings(texts: Iterable[str]) -> ListValueNode:
    return ListValueNode(values=tuple(StringValueNode(value=text) for text in texts))
