"""Raw variable values → coerced ones, by the specification; runs once a request, before execution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from graphql import GraphQLSchema, NamedTypeNode, NonNullTypeNode, VariableDefinitionNode, print_ast
from graphql.execution.values import get_variable_values

from router.errors import ClientError, VariablesInvalid
from router.operation.discreet import discreet
from router.operation.parse import locations_of

PROBLEMS_MAX: Final = 20
_PLAIN: Final[Mapping[str, type[Any]]] = {"String": str, "ID": str, "Int": int, "Boolean": bool}


def coerce(
    variables: Mapping[str, Any] | None,
    definitions: Sequence[VariableDefinitionNode],
    api_schema: GraphQLSchema,
    *,
    suggestions: bool = True,
) -> dict[str, Any]:
    """The values to run with: defaults filled in, absent optional ones left out, unknown ones dropped.

    The values stay JSON values: enums are their names, custom scalars pass as they came. With `suggestions`
    off, messages name nothing that the client did not write.
    Errors: `VariablesInvalid` with one entry a problem. Source: GraphQL spec, CoerceVariableValues.
    """
    if not definitions:
        return {}
    plain = _plain(variables or {}, definitions)
    if plain is not None:
        return plain
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
        written = "" if suggestions else _written(variables or {}, definitions)
        raise VariablesInvalid(
            [
                _refusal(
                    problem.message if suggestions else discreet(problem.message, written),
                    locations_of(problem),
                )
                for problem in found
            ]
        )
    return found.coerced


def _written(variables: Mapping[str, Any], definitions: Sequence[VariableDefinitionNode]) -> str:
    """What the client wrote of its variables: their definitions, and the values of those."""
    names = {definition.variable.name.value for definition in definitions}
    values = {name: value for name, value in variables.items() if name in names}
    return " ".join([*map(print_ast, definitions), orjson.dumps(values, default=repr).decode()])


def _plain(
    variables: Mapping[str, Any], definitions: Sequence[VariableDefinitionNode]
) -> dict[str, Any] | None:
    """The values, where each is given and is one of a built-in scalar already; None says nothing."""
    coerced: dict[str, Any] = {}
    for definition in definitions:
        name, type_ = definition.variable.name.value, definition.type
        if isinstance(type_, NonNullTypeNode):
            type_ = type_.type
        expected = _PLAIN.get(type_.name.value) if isinstance(type_, NamedTypeNode) else None
        value = variables.get(name)
        if expected is None or value.__class__ is not expected:
            return None
        if isinstance(value, int) and not -(2**31) <= value < 2**31:
            return None
        coerced[name] = value
    return coerced


def _refusal(message: str, locations: Sequence[Mapping[str, int]] = ()) -> ClientError:
    return ClientError(message, code="VALIDATION_INVALID_TYPE_VARIABLE", locations=locations)
