"""Execution of an operation of which the shape is known: graphql-core's, without what it finds out each time.

Answers, errors and paths are graphql-core's (`tests/subgraphs/kit/test_repeated_operations.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Self, cast

from graphql import GraphQLError, GraphQLObjectType
from graphql.execution.executor import CollectedErrors
from graphql.execution.values import VariableValues
from graphql.type import GraphQLResolveInfoHelpers
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from subgraphs.kit.operations import Field, Operation, Shape, field_of

_NO_VALUES = VariableValues({}, {})


class ShapedExecutor(StrawberryGraphQLCoreExecutionContext):
    """The executor of one request, Strawberry's own as long as it has no shape."""

    _shape: Shape | None = None

    def emptied(self) -> Self:
        """A copy that holds nothing of its request, for others to be copies of."""
        return self._copied(None, None, _NO_VALUES)

    def again(self, operation: Operation, root_value: Any, context: Any, variables: VariableValues) -> Self:
        """An executor of another request of the same operation."""
        executor = self._copied(root_value, context, variables)
        executor._shape = shape = operation.shape(variables)
        if shape is not None:
            executor._relevant_sub_fields = shape.sub_fields
        return executor

    def _copied(self, root_value: Any, context: Any, variables: VariableValues) -> Self:
        cls = self.__class__
        executor = cls.__new__(cls)
        executor.__dict__.update(self.__dict__)
        executor.root_value, executor.context_value, executor.variable_values = root_value, context, variables
        executor.collected_errors = CollectedErrors()
        executor.pending_incremental_futures, executor.background_futures = set(), set()
        executor.groups, executor.tasks, executor.streams = [], [], []
        executor.async_helpers = GraphQLResolveInfoHelpers(
            gather=executor.gather_async_work, track=executor.track_async_work
        )
        executor._relevant_sub_fields = {}
        return executor

    def execute_operation(self, serially: bool | None = None) -> Any:
        """As graphql-core does it, but for what the operation's shape knows."""
        shape = self._shape
        if shape is None:
            return super().execute_operation(serially)
        try:
            result = self.execute_root_grouped_field_set(
                shape.root_type, self.root_value, cast(Any, shape.root), shape.serially, None
            )
        except GraphQLError as error:
            return self._failed(error)
        return self._answered(result) if self.is_awaitable(result) else self.build_response(cast(Any, result))

    async def _answered(self, result: Awaitable[Any]) -> Any:
        try:
            return self.build_response(await result)
        except GraphQLError as error:
            return self._failed(error)

    def _failed(self, error: GraphQLError) -> Any:
        self.collected_errors.add(error, None)
        return self.build_response(None)

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Any,
        grouped_field_set: Any,
        position_context: Any,
    ) -> Any:
        """The fields of one object: what was read for it at once is not shown where a null takes it."""
        shown = self.context_value.guard.trail.shown
        begun = len(shown)
        try:
            return super().execute_fields(
                parent_type, source_value, path, grouped_field_set, position_context
            )
        except Exception:
            # Nobody else ran meanwhile: all that was added was added below this object.
            del shown[begun:]
            raise

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: Any,
        path: Any,
        position_context: Any,
    ) -> Any:
        """As graphql-core does it, with arguments that were made ready."""
        shape, context = self._shape, position_context
        field = None if shape is None else self._field(shape, parent_type, field_details_list)
        given = None if field is None else field.arguments(self.variable_values.coerced)
        if field is None or given is None:
            return super().execute_field(parent_type, source, field_details_list, path, context)
        of = field.type
        info = self.build_resolve_info(field.definition, field.nodes, parent_type, path)
        try:
            result = field.resolve(source, info, **given)
            if self.is_awaitable(result):
                return self.complete_awaitable_value(of, field_details_list, info, path, result, context)
            completed = self.complete_value(of, field_details_list, info, path, result, context)
            if self.is_awaitable(completed):
                return self._completed(completed, of, field_details_list, path)
        except Exception as fault:
            self.handle_field_error(fault, of, field_details_list, path)
            return None
        return completed

    def _field(self, shape: Shape, parent_type: GraphQLObjectType, details: Any) -> Field | None:
        key = (parent_type.name, id(details))
        known = shape.fields.get(key)
        if known is None:
            known = shape.fields[key] = (details, field_of(self, parent_type, details))
        return known[1]

    async def _completed(self, completed: Awaitable[Any], of: Any, details: Any, path: Any) -> Any:
        try:
            return await completed
        except Exception as fault:
            self.handle_field_error(fault, of, details, path)
            return None

    async def with_abort_signal(self, awaitable: Awaitable[Any]) -> Any:
        """A subgraph's execution is ended by cancelling it: there is no signal."""
        return await awaitable

    async def complete_awaitable_value(  # noqa: PLR0917 - graphql-core's signature
        self,
        return_type: Any,
        field_details_list: Any,
        info: Any,
        path: Any,
        result: Any,
        position_context: Any,
    ) -> Any:
        """As graphql-core does it, where there is no signal to wait for beside."""
        try:
            resolved, context = await result, position_context
            completed = self.complete_value(return_type, field_details_list, info, path, resolved, context)
            return await completed if self.is_awaitable(completed) else completed
        except Exception as fault:
            self.handle_field_error(fault, return_type, field_details_list, path)
            return None
