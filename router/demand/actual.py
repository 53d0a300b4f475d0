"""Actual: what an answer cost, counted over what it holds, with the weights of the estimate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from router.demand.estimate import CostNode, Estimator


def answer_cost(
    nodes: Sequence[CostNode],
    data: Mapping[str, Any] | None,
    estimator: Estimator,
    variables: Mapping[str, Any],
) -> float:
    """The cost of an answer's data: each object, and each scalar with a weight, that is in it.

    What is null cost nothing that can be known. Arguments count once for each time they were given.
    """
    return 0.0 if data is None else _object(nodes, data, estimator, variables, set())


class LaterParts:
    """What the later parts of one answer cost: each field and item that one of them brings.

    In the form of 2022 a part may repeat what was sent before; then that is sent, and costs, once more.
    """

    def __init__(self, nodes: Sequence[CostNode], estimator: Estimator, variables: Mapping[str, Any]) -> None:
        self._nodes = nodes
        self._estimator = estimator
        self._variables = variables
        self._paths: dict[str, Sequence[str | int]] = {}

    def cost(self, members: Mapping[str, Any]) -> float:
        """The cost of one payload's `incremental`; takes note of what it announces."""
        for one in members.get("pending", ()):
            self._paths[one["id"]] = one["path"]
        return sum(self._entry(one) for one in members.get("incremental", ()))

    def _entry(self, entry: Mapping[str, Any]) -> float:
        at = self._paths[entry["id"]] if "id" in entry else entry["path"]
        keys = [key for key in (*at, *entry.get("subPath", ())) if isinstance(key, str)]
        if "items" in entry:
            lists = _below(self._nodes, keys[:-1], last=keys[-1])
            return sum(
                _value(node, it, self._estimator, self._variables)
                for node in lists[:1]
                for it in entry["items"] or ()
            )
        data = entry.get("data")
        if data is None:
            return 0.0
        return _object(_below(self._nodes, keys), data, self._estimator, self._variables, set())


def _below(nodes: Sequence[CostNode], keys: Sequence[str], *, last: str = "") -> list[CostNode]:
    """The nodes of the objects under these response keys; with `last`, those of that name among them."""
    found = list(nodes)
    for key in keys:
        found = [child for node in _named(found, key) for child in node.children]
    return list(_named(found, last)) if last else found


def _named(nodes: Sequence[CostNode], key: str) -> Iterator[CostNode]:
    """Those of one response key, in fragments too."""
    for node in nodes:
        if not node.key:
            yield from _named(node.children, key)
        elif node.key == key:
            yield node


def _object(
    nodes: Sequence[CostNode],
    found: Mapping[str, Any],
    estimator: Estimator,
    variables: Mapping[str, Any],
    counted: set[str],
) -> float:
    """`counted` are keys that another fragment on this object has counted already."""
    cost = 0.0
    for node in nodes:
        if not node.key:
            cost += _object(node.children, found, estimator, variables, counted)
        elif node.key in found and node.key not in counted:
            counted.add(node.key)
            cost += _value(node, found[node.key], estimator, variables)
            if node.arguments:
                cost += estimator.arguments(node, variables)
    return cost


def _value(node: CostNode, value: Any, estimator: Estimator, variables: Mapping[str, Any]) -> float:
    if value is None:
        return 0.0
    if isinstance(value, list):
        return sum(_value(node, one, estimator, variables) for one in value)
    if isinstance(value, dict) and node.children:
        return node.weight + _object(node.children, value, estimator, variables, set())
    return node.weight
