"""From a kept document and one request to its result; the first execution is the model of the next."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, TypeAlias, TypeGuard, cast

from graphql import DocumentNode, ExecutionResult, GraphQLSchema
from strawberry.execution import optimized_is_awaitable

from subgraphs.kit.executor import SelectionExecutor, Selections
from subgraphs.kit.operations import Operation

Result: TypeAlias = ExecutionResult | Awaitable[ExecutionResult]


def execution(
    schema: GraphQLSchema,
    document: DocumentNode,
    selections: Selections | None,
    *,
    operation_name: str | None,
    root_value: Any,
    context: Any,
    variables: Mapping[str, Any],
) -> Result:
    """The operation's result, or what is to be awaited for it."""
    operation = None if selections is None else selections.operations.get(operation_name)
    if operation is not None:
        coerced = operation.variables(variables)
        if isinstance(coerced, list):
            return ExecutionResult(None, coerced)
        return _result(operation.prototype.again(operation, root_value, context, coerced))
    executor = SelectionExecutor.build(
        schema,
        document,
        root_value,
        context,
        dict(variables),
        operation_name,
        is_awaitable=_is_awaitable,
        hide_suggestions=True,
        operation_extensions=None,
        selections=selections,
    )
    if isinstance(executor, list):
        return ExecutionResult(None, executor)
    first = cast(SelectionExecutor, executor)
    if selections is not None and first.repeats:
        operation = Operation(first.emptied(), first.operation, selections.conditions)
        selections.operations[operation_name] = operation
    return _result(first)


def _result(executor: SelectionExecutor) -> Result:
    return cast(Result, executor.execute_operation())


def _is_awaitable(value: object) -> TypeGuard[Awaitable[Any]]:
    return optimized_is_awaitable(value)
