"""`ParsedOperation` → `ValidOperation`: the second stage. Depends on text and schema alone: cache it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLDeferDirective,
    GraphQLError,
    GraphQLSchema,
    GraphQLStreamDirective,
    OperationDefinitionNode,
)
from graphql import validate as validate_document

from router.errors import ClientError, DocumentOverLimit, UnknownOperationName, ValidationFailed
from router.operation.accept import accepts
from router.operation.discreet import discreet
from router.operation.model import OperationKind, ParsedOperation, ValidOperation
from router.operation.parse import ParseLimits, located, locations_of

PROBLEMS_MAX: Final = 50
"""Validation stops here: a longer list helps nobody and costs time."""

_UNLIMITED: Final = ParseLimits(document_bytes_max=0, tokens_max=0, nesting_max=0)
_INCREMENTAL: Final = (GraphQLDeferDirective, GraphQLStreamDirective)


def validate(
    parsed: ParsedOperation,
    api_schema: GraphQLSchema,
    operation_name: str | None = None,
    *,
    suggestions: bool = True,
) -> ValidOperation:
    """The operation to run, proven valid on the API schema; `@defer` and `@stream` are known to it.

    With `suggestions` off, messages name nothing that the client did not write.
    Errors: `ValidationFailed` with one entry a problem, `UnknownOperationName`.
    """
    schema = executable_schema(api_schema)
    accepted = accepts(parsed.document, schema, parsed.fragments)
    problems = () if accepted else _problems(parsed, schema, suggestions=suggestions)
    if problems:
        raise ValidationFailed(
            [
                ClientError(
                    problem.message if suggestions else discreet(problem.message, parsed.text),
                    code="GRAPHQL_VALIDATION_FAILED",
                    locations=locations_of(problem),
                )
                for problem in problems
            ]
        )
    operation = choose_operation(parsed.document, operation_name)
    return ValidOperation(parsed=parsed, operation=operation, kind=OperationKind(operation.operation.value))


def _problems(parsed: ParsedOperation, schema: GraphQLSchema, *, suggestions: bool) -> Sequence[GraphQLError]:
    """Everything that graphql-core's rules find."""
    # read quickly, a document does not know its places
    document = parsed.document if parsed.document.loc is not None else located(parsed.text, _UNLIMITED)
    try:
        return validate_document(
            schema,
            document,
            max_errors=PROBLEMS_MAX,
            hide_suggestions=not suggestions,
            allow_empty_selection_sets=False,
        )
    except RecursionError:
        raise DocumentOverLimit(
            "the document nests too deeply to be validated", code="MAX_RECURSION_LIMIT"
        ) from None


def executable_schema(api_schema: GraphQLSchema) -> GraphQLSchema:
    """The API schema with the incremental-delivery directives: what operations are judged by."""
    # on the schema itself, which it may be, so that both go together
    known: GraphQLSchema | None = vars(api_schema).get("_executable")
    if known is None:
        missing = [it for it in _INCREMENTAL if api_schema.get_directive(it.name) is None]
        known = api_schema
        if missing:
            arguments = api_schema.to_kwargs()
            arguments["directives"] = (*api_schema.directives, *missing)
            known = GraphQLSchema(**arguments)
        vars(api_schema)["_executable"] = known
    return known


def choose_operation(document: DocumentNode, operation_name: str | None) -> OperationDefinitionNode:
    """The named operation, or the only one.  Errors: `UnknownOperationName`.  Source: spec, GetOperation."""
    operations = [it for it in document.definitions if isinstance(it, OperationDefinitionNode)]
    if operation_name is None:
        if len(operations) == 1:
            return operations[0]
        message = (
            "the document holds several operations; say which with `operationName`"
            if operations
            else "the document holds no operation"
        )
        raise UnknownOperationName(message)
    for operation in operations:
        if operation.name is not None and operation.name.value == operation_name:
            return operation
    raise UnknownOperationName(f"the document has no operation `{operation_name}`")


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    """The document's fragment definitions by name."""
    return {it.name.value: it for it in document.definitions if isinstance(it, FragmentDefinitionNode)}
