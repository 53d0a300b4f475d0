"""From decoded JSON to a `SubgraphResponse`, checked: what every transport does with what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphResponse

_MALFORMED: Final = "SUBREQUEST_MALFORMED_RESPONSE"


def read_answer(
    service: str, body: object, *, http_answer_status: int | None = None, cache_control: str = ""
) -> SubgraphResponse:
    """The answer, where `body` is a GraphQL response map.  Errors: `SubgraphCallFailed`, malformed."""
    if body.__class__ is not dict and not isinstance(body, Mapping):
        raise _malformed(service, "the answer is not an object", http_answer_status)
    data, errors = body.get("data"), body.get("errors")
    if data is not None and not isinstance(data, dict):
        raise _malformed(service, "`data` is not an object", http_answer_status)
    if errors is not None and not _is_list_of_errors(errors):
        raise _malformed(service, "`errors` is not a list of errors", http_answer_status)
    if "data" not in body and not errors:
        raise _malformed(service, "the answer has neither `data` nor `errors`", http_answer_status)
    extensions = body.get("extensions")
    return SubgraphResponse(
        data=data,
        errors=tuple(errors) if errors else (),
        extensions=extensions if extensions and isinstance(extensions, Mapping) else _NOTHING,
        has_data="data" in body,
        cache_control=cache_control,
    )


def is_graphql_answer(body: object) -> bool:
    """Whether a body that came with an error status is a GraphQL response all the same."""
    return isinstance(body, dict) and ("data" in body or _is_list_of_errors(body.get("errors")))


_NOTHING: Final[Mapping[str, Any]] = {}


def _is_list_of_errors(errors: object) -> bool:
    return isinstance(errors, list) and all(isinstance(it, Mapping) for it in errors)


def _malformed(service: str, why: str, http_answer_status: int | None) -> SubgraphCallFailed:
    return SubgraphCallFailed(service, why, code=_MALFORMED, http_answer_status=http_answer_status)
