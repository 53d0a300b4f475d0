"""Every error the router can answer with: the codes as one table, and the two families of exceptions.

`ClientError` is worded for the client, from the client's own input, and is shown as it is.
`InternalError` is logged whole and shown as "internal error"; it tells nothing about the inside.
Source: `federation.md` (g) 5, 7 and 8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A stable code, what it means, and the HTTP status of an answer that consists of it alone.

    200 stands for errors that come beside `data`; the status is the one for
    `application/graphql-response+json` (the legacy media type answers 200 for well-formed requests).
    """

    code: str
    http_status: int
    meaning: str


_CODES: tuple[ErrorCode, ...] = (
    # the HTTP request
    ErrorCode("BAD_REQUEST", 400, "the request is not a GraphQL request: body, encoding or URL parameters"),
    ErrorCode("REQUEST_TOO_LARGE", 413, "the request body is over the limit"),
    ErrorCode("UNSUPPORTED_MEDIA_TYPE", 415, "the request's content type is not one that GraphQL uses"),
    ErrorCode("NOT_ACCEPTABLE", 406, "no media type of the Accept header can be produced"),
    ErrorCode("METHOD_NOT_ALLOWED", 405, "mutations are not allowed over GET"),
    ErrorCode("CSRF_PREVENTED", 403, "the request could have been sent by another site's form"),
    ErrorCode("RATE_LIMITED", 429, "too many requests; retry later"),
    ErrorCode("SERVICE_OVERLOADED", 503, "the router sheds load; retry later"),
    ErrorCode("REQUEST_TIMEOUT", 504, "the request's deadline passed before the answer was complete"),
    ErrorCode("BATCHING_NOT_SUPPORTED", 400, "the body is a list of requests and batching is off"),
    ErrorCode("BATCH_PROCESSING_FAILED", 400, "a batched request could not be processed"),
    # the caller
    ErrorCode("UNAUTHENTICATED", 401, "a valid token is needed"),
    ErrorCode("AUTH_ERROR", 401, "the token is malformed, expired or not meant for this router"),
    ErrorCode("FORBIDDEN", 403, "the caller may not do this"),
    ErrorCode("FORBIDDEN_FIELD", 200, "the caller may not read this field; it is null"),
    ErrorCode("UNAUTHORIZED_FIELD_OR_TYPE", 200, "the caller lacks the scopes or policies of this field"),
    # the document
    ErrorCode("PARSING_ERROR", 400, "the document is not GraphQL"),
    ErrorCode("GRAPHQL_VALIDATION_FAILED", 400, "the document is not valid on the API schema"),
    ErrorCode("GRAPHQL_UNKNOWN_OPERATION_NAME", 400, "the document has no operation of that name"),
    ErrorCode("VALIDATION_INVALID_TYPE_VARIABLE", 400, "a variable's value does not fit its type"),
    ErrorCode("MAX_BYTES_LIMIT", 400, "the document is longer than the limit"),
    ErrorCode("MAX_TOKENS_LIMIT", 400, "the document has more tokens than the limit"),
    ErrorCode("MAX_RECURSION_LIMIT", 400, "the document nests deeper than the limit"),
    ErrorCode("MAX_DEPTH_LIMIT", 400, "the operation selects deeper than the limit"),
    ErrorCode("MAX_HEIGHT_LIMIT", 400, "the operation selects more fields than the limit"),
    ErrorCode("MAX_ALIASES_LIMIT", 400, "the operation has more aliases than the limit"),
    ErrorCode("MAX_ROOT_FIELDS_LIMIT", 400, "the operation has more root fields than the limit"),
    ErrorCode("MAX_DIRECTIVES_LIMIT", 400, "the operation has more directives than the limit"),
    ErrorCode("COST_ESTIMATED_TOO_EXPENSIVE", 400, "the operation's estimated cost is over the limit"),
    ErrorCode("COST_QUERY_PARSE_FAILURE", 400, "a list needs exactly one of its slicing arguments"),
    ErrorCode("COST_ACTUAL_TOO_EXPENSIVE", 400, "the answer's cost is over the limit"),
    ErrorCode(
        "SUBGRAPH_COST_ESTIMATED_TOO_EXPENSIVE", 200, "a fetch was left out: over its subgraph's cost limit"
    ),
    ErrorCode("INTROSPECTION_DISABLED", 400, "introspection is off on this router"),
    # persisted documents
    ErrorCode("PERSISTED_QUERY_NOT_FOUND", 200, "the hash is not known yet; send the document once"),
    ErrorCode("PERSISTED_QUERY_NOT_SUPPORTED", 200, "automatic persisted queries are off"),
    ErrorCode("PERSISTED_QUERY_HASH_MISMATCH", 400, "the hash is not the document's SHA-256"),
    ErrorCode("PERSISTED_QUERY_ID_REQUIRED", 400, "only registered documents are run, by their id"),
    ErrorCode("PERSISTED_QUERY_NOT_IN_LIST", 404, "no document is registered under this id"),
    ErrorCode("CANNOT_SEND_PQ_ID_AND_BODY", 400, "a registered document's id and a text were sent together"),
    ErrorCode("QUERY_NOT_IN_SAFELIST", 400, "the document is not registered"),
    # planning
    ErrorCode("VALIDATION_PLANNING_ERROR", 200, "no way through the subgraphs answers a selected field"),
    ErrorCode("QUERY_PLAN_COMPLEXITY_EXCEEDED", 400, "planning the operation passes the planner's limits"),
    # subgraphs
    ErrorCode("SUBREQUEST_HTTP_ERROR", 200, "a subgraph was not reached, timed out or did not speak GraphQL"),
    ErrorCode("SUBREQUEST_CIRCUIT_OPEN", 200, "a subgraph that failed too often is left alone for a moment"),
    ErrorCode("SUBREQUEST_MALFORMED_RESPONSE", 200, "a subgraph's answer is not a GraphQL response"),
    ErrorCode("SUBREQUEST_WEBSOCKET_ERROR", 200, "a subgraph's subscription socket failed"),
    ErrorCode(
        "SUBSCRIPTION_SCHEMA_RELOAD", 200, "the schema changed under the subscription; subscribe again"
    ),
    ErrorCode("SUBSCRIPTION_QUEUE_OVERFLOW", 200, "the client reads its events too slowly"),
    ErrorCode("SUBSCRIPTION_EXPIRED", 200, "the token that opened the stream has expired"),
    ErrorCode(
        "RESPONSE_VALIDATION_FAILED", 200, "a subgraph's value does not fit the schema (valueCompletion)"
    ),
    # surprises
    ErrorCode("INTERNAL_SERVER_ERROR", 500, "a fault of the router; the log has it under the trace id"),
)

ERROR_CODES: Mapping[str, ErrorCode] = MappingProxyType({entry.code: entry for entry in _CODES})
"""Code → entry. A code outside this table is a bug; `ClientError` refuses it."""


class RouterError(Exception):
    """Anything that the router raises on purpose."""


class ClientError(RouterError):
    """A refusal or failure whose message the client may read.

    `code` is a key of `ERROR_CODES`. `extensions` go beside the code. `locations` are 1-based
    `{line, column}` of the client's own document.
    """

    code: str = "BAD_REQUEST"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        path: Sequence[str | int] | None = None,
        locations: Sequence[Mapping[str, int]] = (),
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.http_status = ERROR_CODES[self.code].http_status
        self.path = path
        self.locations = locations
        self.extensions = extensions or {}

    def to_graphql(self) -> dict[str, Any]:
        """One entry of a response's `errors`."""
        entry: dict[str, Any] = {"message": self.message}
        if self.locations:
            entry["locations"] = [dict(at) for at in self.locations]
        if self.path is not None:
            entry["path"] = list(self.path)
        entry["extensions"] = {**self.extensions, "code": self.code}
        return entry

    def all_to_graphql(self) -> list[dict[str, Any]]:
        """Every entry that this refusal puts into `errors`: one, or one a problem found."""
        return [self.to_graphql()]


class ParsingFailed(ClientError):
    """The text is not a GraphQL document."""

    code = "PARSING_ERROR"


class DocumentOverLimit(ClientError):
    """The text is over a limit of bytes, tokens or nesting; `code` says which."""

    code = "MAX_TOKENS_LIMIT"


class _Problems(ClientError):
    """A refusal with several causes, each its own entry."""

    def __init__(self, problems: Sequence[ClientError]) -> None:
        first = problems[0]
        super().__init__(first.message, code=first.code, locations=first.locations)
        self.problems = tuple(problems)

    def all_to_graphql(self) -> list[dict[str, Any]]:
        return [problem.to_graphql() for problem in self.problems]


class ValidationFailed(_Problems):
    """The document is not valid on the API schema; one entry a problem."""

    code = "GRAPHQL_VALIDATION_FAILED"


class UnknownOperationName(ClientError):
    """The document has no such operation, or several and none was named."""

    code = "GRAPHQL_UNKNOWN_OPERATION_NAME"


class OperationUnauthorized(_Problems):
    """The caller may not have some part of the operation, and gets none of it; one entry a path."""

    code = "UNAUTHORIZED_FIELD_OR_TYPE"

    def __init__(self, problems: Sequence[ClientError]) -> None:
        super().__init__(problems)
        self.http_status = 403  # of a denied field beside others it is 200: that one has an answer


class VariablesInvalid(_Problems):
    """Variable values do not fit their types; one entry a problem."""

    code = "VALIDATION_INVALID_TYPE_VARIABLE"


class PlanNotFound(ClientError):
    """No way through the subgraphs answers some selected field; the message names it."""

    code = "VALIDATION_PLANNING_ERROR"


class PlanTooComplex(ClientError):
    """Planning passed a limit of the planner: time, paths or alternatives."""

    code = "QUERY_PLAN_COMPLEXITY_EXCEEDED"


class RequestTimedOut(ClientError):
    """The request's deadline passed."""

    code = "REQUEST_TIMEOUT"


class SubgraphCallFailed(ClientError):
    """One call to one subgraph failed; its fields are null and its siblings go on.

    `reason` is worded for clients and holds no address, header or body. `http_answer_status` is the
    status that the subgraph answered with, if it answered.
    """

    code = "SUBREQUEST_HTTP_ERROR"

    def __init__(
        self, service: str, reason: str, *, code: str | None = None, http_answer_status: int | None = None
    ) -> None:
        extensions: dict[str, Any] = {"service": service, "reason": reason}
        if http_answer_status is not None:
            extensions["http"] = {"status": http_answer_status}
        super().__init__(f"call to subgraph `{service}` failed: {reason}", code=code, extensions=extensions)
        self.service = service
        self.reason = reason
        self.http_answer_status = http_answer_status


class InternalError(RouterError):
    """A fault of the router. The client sees `masked()`; the log sees this exception."""

    code = "INTERNAL_SERVER_ERROR"
    http_status = 500


class PlanInvariantBroken(InternalError):
    """A plan asks for what its compiler cannot do: the planner and the executor disagree."""


def masked(*, trace_id: str | None = None) -> dict[str, Any]:
    """The `errors` entry for anything that is not a `ClientError`."""
    extensions: dict[str, Any] = {"code": InternalError.code}
    if trace_id is not None:
        extensions["traceId"] = trace_id
    return {"message": "internal error", "extensions": extensions}
