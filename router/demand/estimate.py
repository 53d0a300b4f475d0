"""Estimate: what an operation may cost at most, found out from its text and variables before it runs.

A node's cost is (its weight + its children's) × the length of its list, + its arguments'. Nodes that can
cost nothing are left out, so that the walk of a request touches objects and lists alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphql import NullValueNode, ValueNode, VariableNode, value_from_ast_untyped

from router.demand.weights import FieldWeight, InputWeight, Weights
from router.errors import ClientError
from router.operation.model import (
    Argument,
    Condition,
    NormalField,
    NormalOperation,
    NormalSelection,
    OperationKind,
)

MUTATION_COST: Final = 10.0
_ABSENT: Final = NullValueNode()
COST_CEILING: Final = 1e15
"""A cost is told up to here: lists in lists in lists pass all numbers."""


@dataclass(frozen=True, slots=True)
class Size:
    """How long a list is taken to be: the greatest slicing argument, else what is assumed."""

    coordinate: str
    slicing: tuple[ValueNode, ...]
    paths: tuple[tuple[str, ...], ...]
    assumed: int | None
    sized: frozenset[str]
    one_slicing: bool

    def of(self, variables: Mapping[str, Any], *, strict: bool) -> int | None:
        """The length; None where nothing tells it. Errors, if `strict`: COST_QUERY_PARSE_FAILURE."""
        found = [
            number
            for node, path in zip(self.slicing, self.paths, strict=True)
            if (number := _whole_number(_at(node, path, variables))) is not None
        ]
        if strict and self.paths and self.one_slicing and len(found) != 1:
            raise ClientError(
                f"`{self.coordinate}` needs exactly one of its slicing arguments, not {len(found)}",
                code="COST_QUERY_PARSE_FAILURE",
            )
        return max(found) if found else self.assumed


@dataclass(frozen=True, slots=True)
class CostNode:
    """One field, or one fragment (`key` empty), that something can cost below."""

    key: str
    name: str
    weight: float
    is_list: bool
    size: Size | None
    arguments: tuple[tuple[InputWeight, ValueNode], ...]
    conditions: tuple[Condition, ...]
    children: tuple[CostNode, ...]

    def runs(self, variables: Mapping[str, Any]) -> bool:
        """Whether `@include` and `@skip` let it in."""
        return all(bool(variables.get(one.variable)) is not one.negated for one in self.conditions)


@dataclass(frozen=True, slots=True)
class Estimator:
    """Walks cost nodes for one request's variables."""

    weights: Weights
    list_size_assumed: int
    strict: bool

    def total(self, nodes: Sequence[CostNode], variables: Mapping[str, Any]) -> float:
        """The cost of a selection."""
        return self._sum(nodes, variables, None, None)

    def _sum(
        self, nodes: Sequence[CostNode], variables: Mapping[str, Any], above: Size | None, length: int | None
    ) -> float:
        return sum(self._cost(one, variables, above, length) for one in nodes if one.runs(variables))

    def _cost(
        self, node: CostNode, variables: Mapping[str, Any], above: Size | None, length: int | None
    ) -> float:
        if not node.key:
            return self._sum(node.children, variables, above, length)
        own = None if node.size is None else node.size.of(variables, strict=self.strict)
        below = self._sum(node.children, variables, node.size, own) if node.children else 0.0
        cost = node.weight + below
        if node.is_list:
            cost *= self.length(node, own, above, length)
        if node.arguments:
            cost += self.arguments(node, variables)
        return cost

    def length(self, node: CostNode, own: int | None, above: Size | None, length: int | None) -> int:
        """Items of a list: as the field above says of it, as it says itself, or as is assumed of all."""
        if above is not None and length is not None and node.name in above.sized:
            return length
        return self.list_size_assumed if own is None else own

    def arguments(self, node: CostNode, variables: Mapping[str, Any]) -> float:
        """The cost of a field's arguments."""
        return sum(self._input(one, _value(value, variables)) for one, value in node.arguments)

    def _input(self, weight: InputWeight, value: object) -> float:
        if value is None:
            return 0.0
        if isinstance(value, list):
            return (weight.own or 0.0) + sum(self._input(weight, one) for one in value)
        fields = self.weights.inputs(weight.type_name)
        if isinstance(value, Mapping) and fields is not None:
            own = 1.0 if weight.own is None else weight.own
            return own + sum(self._input(fields[name], one) for name, one in value.items() if name in fields)
        return weight.own or 0.0


def cost_nodes(operation: NormalOperation, weights: Weights) -> tuple[CostNode, ...]:
    """The nodes of an operation that can cost something. A mutation's own cost is not among them."""
    return tuple(_nodes(operation.selections, weights))


def own_cost(kind: OperationKind) -> float:
    """What an operation costs before any of its fields."""
    return MUTATION_COST if kind is OperationKind.MUTATION else 0.0


def _nodes(selections: Sequence[NormalSelection], weights: Weights) -> Iterator[CostNode]:
    for one in selections:
        children = tuple(_nodes(one.selections, weights))
        if not isinstance(one, NormalField):
            if children:
                yield CostNode("", "", 0.0, False, None, (), one.conditions, children)
            continue
        found = weights.field(one.parent_type, one.name)
        if found is None:
            continue
        node = _node(one, found, children, weights)
        if node.weight or node.arguments or children:
            yield node


def _node(
    field: NormalField, weight: FieldWeight, children: tuple[CostNode, ...], weights: Weights
) -> CostNode:
    given = {one.name: one for one in field.arguments}
    return CostNode(
        key=field.response_key,
        name=field.name,
        weight=weight.weight,
        is_list=weight.is_list,
        size=_size(f"{field.parent_type}.{field.name}", weight, given),
        arguments=tuple(
            (known, one.value)
            for one in field.arguments
            if (known := weight.arguments.get(one.name)) is not None
            and (known.own is not None or weights.inputs(known.type_name) is not None)
        ),
        conditions=field.conditions,
        children=children,
    )


def _size(coordinate: str, weight: FieldWeight, given: Mapping[str, Argument]) -> Size | None:
    size = weight.size
    if size is None:
        return None
    slicing: list[ValueNode] = []
    paths: list[tuple[str, ...]] = []
    for name, *rest in size.slicing:
        known = weight.arguments.get(name)
        value = given[name].value if name in given else (known.default if known is not None else None)
        if value is not None:
            slicing.append(value)
            paths.append(tuple(rest))
    if not size.slicing:
        return Size(coordinate, (), (), size.assumed, size.sized, one_slicing=False)
    if not slicing:
        # none is given: kept as one that never has a value, so that `strict` sees it
        slicing, paths = [_ABSENT], [()]
    return Size(coordinate, tuple(slicing), tuple(paths), size.assumed, size.sized, size.one_slicing)


def _value(node: ValueNode, variables: Mapping[str, Any]) -> Any:
    if isinstance(node, VariableNode):
        return variables.get(node.name.value)
    return value_from_ast_untyped(node, dict(variables))


def _at(node: ValueNode, path: Sequence[str], variables: Mapping[str, Any]) -> object:
    value = _value(node, variables)
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _whole_number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def told(cost: float) -> int | float:
    """A cost as it is shown: whole where it is whole, and never over what JSON can say."""
    cost = min(cost, COST_CEILING)
    return int(cost) if cost == int(cost) else cost
