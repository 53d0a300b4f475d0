"""From an HTTP answer to a `SubgraphResponse`."""

from __future__ import annotations

import orjson

from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphResponse
from router.execution.transports.answers import is_graphql_answer, read_answer
from router.execution.transports.http_wire import HttpAnswer
from router.execution.transports.lane import JSON_TYPES


def read_http_answer(service: str, answered: HttpAnswer) -> SubgraphResponse:
    """An error status comes first in the answer's errors; a GraphQL body is used all the same.

    Errors: `SubgraphCallFailed`. Source: `federation.md` (g) 5.
    """
    status = answered.status
    succeeded = 200 <= status < 300
    if answered.media_type not in JSON_TYPES:
        why = "answered a content type that is not GraphQL's" if succeeded else f"answered HTTP {status}"
        raise SubgraphCallFailed(service, why, http_answer_status=status)
    try:
        decoded = orjson.loads(answered.body)
    except orjson.JSONDecodeError:
        code = "SUBREQUEST_MALFORMED_RESPONSE" if succeeded else None
        raise SubgraphCallFailed(
            service, "answered what is not JSON", code=code, http_answer_status=status
        ) from None
    if succeeded:
        return read_answer(service, decoded, http_answer_status=status, cache_control=answered.cache_control)
    failure = SubgraphCallFailed(service, f"answered HTTP {status}", http_answer_status=status)
    if not is_graphql_answer(decoded):
        raise failure
    answer = read_answer(service, decoded, http_answer_status=status)
    return SubgraphResponse(
        data=answer.data,
        errors=(failure.to_graphql(), *answer.errors),
        extensions=answer.extensions,
        has_data=answer.has_data,
    )
