"""Raw variable values → coerced ones, by the specification; runs once a request, before execution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from graphql import GraphQLSchema, VariableDefinitionNode
from graphql.execution.values import get_variable_values

from router.errors import ClientError, VariablesInvalid
from router.operation.parse import locations_of

PROBLEMS_MAX: Final = 20


def coerce(
    variables: Mapping[str, Any] | None,
    definitions: Sequence[VariableDefinitionNode],
    api_schema: GraphQLSchema,
    *,
    suggestions: bool = True,
) -> dict[str, Any]:
    """The values to run with: defaults filled in, absent optional ones left out, unknown ones dropped.

    The values stay JSON values: enums are their names, custom scalars pass as they came.
    Errors: `VariablesInvalid` with one entry a problem. Source: GraphQL spec, CoerceVariableValues.
    """
    if not definitions:
        return {}
    try:
        found = get_variable_values(
            api_schema,
            definitions,
            dict(variables or {}),
            max_errors=PROBLEMS_MAX,
            hide_suggestions=not suggestions,
        )
    except RecursionError:
        raise VariablesInvalid([_refusal("the variables nest too deeply")]) from None
    if isinstance(found, list):
        raise VariablesInvalid([_refusal(problem.message, locations_of(problem)) for problem in found])
    return found.coerced


def _refusal(message: str, locations: Sequence[Mapping[str, int]] = ()) -> ClientError:
    return ClientError(message, code="VALIDATION_INVALID_TYPE_VARIABLE", locations=locations)
