"""Which registered operations a change breaks: valid before, invalid after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphql import GraphQLSchema, GraphQLSyntaxError, parse, validate


@dataclass(frozen=True, slots=True)
class Operation:
    """A registered operation; `name` is where it is kept."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class BrokenOperation:
    """An operation that the new schema refuses, with every reason."""

    name: str
    reasons: tuple[str, ...]


def broken_operations(
    old: GraphQLSchema, new: GraphQLSchema, operations: Sequence[Operation]
) -> tuple[BrokenOperation, ...]:
    """Those that `old` accepts and `new` does not; what was broken before is nobody's news."""
    broken = []
    for operation in operations:
        reasons = _reasons(new, operation)
        if reasons and not _reasons(old, operation):
            broken.append(BrokenOperation(operation.name, reasons))
    return tuple(broken)


def _reasons(schema: GraphQLSchema, operation: Operation) -> tuple[str, ...]:
    try:
        document = parse(operation.text)
    except GraphQLSyntaxError as error:
        return (error.message,)
    except RecursionError:
        return ("the operation is nested too deeply",)
    return tuple(error.message for error in validate(schema, document))
