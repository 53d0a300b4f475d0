"""Actual: what an answer cost, counted over what it holds, with the weights of the estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
