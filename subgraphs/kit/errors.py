"""What a subgraph tells of its failures: public errors as they are, everything else masked.

A resolver raises `PublicError` for what the client may read. Any other exception is a fault: it is logged
whole under a trace id and answered as "internal error".
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from typing import Any

import strawberry
from graphql import GraphQLError
from opentelemetry import trace

from authz.classes import DataClass
from subgraphs.kit.classification import classified

log = logging.getLogger("stadion.subgraphs")

NOT_FOUND_MESSAGE = "not found"


class PublicError(Exception):
    """A refusal whose message and code the client reads.

    `code` is UPPER_SNAKE and stable. `extensions` go beside the code and hold nothing secret.
    """

    def __init__(self, code: str, message: str, *, extensions: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.extensions = dict(extensions or {})


class FieldForbidden(PublicError):
    """This caller may not read this field. `obligation` says what would open it, where anything would."""

    def __init__(self, coordinate: str, obligation: str | None) -> None:
        extensions = {} if obligation is None else {"obligation": obligation}
        super().__init__("FORBIDDEN_FIELD", f"not allowed to read `{coordinate}`", extensions=extensions)


class Unauthenticated(PublicError):
    """The field or operation needs a caller who has logged in."""

    def __init__(self) -> None:
        super().__init__("UNAUTHENTICATED", "log in first")


def not_found() -> PublicError:
    """The one answer for a missing object, a hidden one and a malformed id: same code, same words."""
    return PublicError("NOT_FOUND", NOT_FOUND_MESSAGE)


def formatted(error: GraphQLError, subgraph: str) -> dict[str, Any]:
    """One entry of a response's `errors`.

    Errors without a path are about the client's own document or variables and are shown. Errors from
    resolvers are shown when they are a `PublicError`; all others are masked and logged with a trace id.
    """
    original = _cause(error)
    if isinstance(original, PublicError):
        return _entry(error, original.message, {**original.extensions, "code": original.code})
    if error.path is None and original is None:
        return _entry(error, error.message, {"code": _document_code(error)})
    failed_in = trace_id()
    log.error(
        "resolver failed in %s at %s (trace %s)",
        subgraph,
        "/".join(str(step) for step in error.path or ()),
        failed_in,
        exc_info=original or error,
    )
    return _entry(error, "internal error", {"code": "INTERNAL_SERVER_ERROR", "traceId": failed_in})


def _cause(error: GraphQLError) -> BaseException | None:
    original: BaseException | None = error.original_error
    while isinstance(original, GraphQLError):
        original = original.original_error
    return original


def _document_code(error: GraphQLError) -> str:
    syntax = error.message.startswith("Syntax Error")
    return "PARSING_ERROR" if syntax else "GRAPHQL_VALIDATION_FAILED"


def _entry(error: GraphQLError, message: str, extensions: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"message": message}
    if error.locations:
        entry["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    if error.path is not None:
        entry["path"] = list(error.path)
    entry["extensions"] = extensions
    return entry


def trace_id() -> str:
    """The current span's trace id, 32 hex digits; a fresh one where nothing is traced."""
    span_context = trace.get_current_span().get_span_context()
    return f"{span_context.trace_id:032x}" if span_context.is_valid else uuid.uuid4().hex


@classified(DataClass.PUBLIC)
@strawberry.federation.type(
    shareable=True, description="What the caller can mend in the input of a mutation."
)
class UserError:
    """One broken rule of a mutation's input; several may come at once."""

    code: str = strawberry.field(description="UPPER_SNAKE and stable.")
    message: str
    field: str | None = strawberry.field(default=None, description="The input field that is wrong.")
