"""Answers: what leaves the router as a GraphQL response map, and what a failure looks like from outside."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from router.edge.negotiation import Wire
from router.error_lines import ErrorLines
from router.errors import ClientError, masked
from router.execution import GraphQLResponse
from router.execution.returned import Returned
from router.telemetry import errors_count

log = logging.getLogger("stadion.router.answers")
lines = ErrorLines(log)

NO_GRAPHQL_REQUEST = frozenset({"BAD_REQUEST", "BATCHING_NOT_SUPPORTED", "BATCH_PROCESSING_FAILED"})
"""Codes of requests that are not well-formed: 400 under every media type."""


_IN_TEXT: Final[Mapping[str, Any]] = {}


@dataclass(slots=True)
class Answer:
    """One GraphQL response map; `http_status` is the one under `application/graphql-response+json`.

    `json` is the body as text, where it was made already; `body` is empty where that is all that is known.
    `cache_control` says how long clients may keep it, where they may at all. What is `secret` is not
    compressed: its length would tell of it. `returned` are headers that subgraphs have for the client.
    """

    body: Mapping[str, Any]
    http_status: int = 200
    code: str | None = None
    json: bytes | None = None
    cache_control: str | None = None
    secret: bool = False
    returned: Returned | None = None

    def status_as(self, wire: Wire) -> int:
        """The HTTP status under a media type: legacy JSON answers 200 to every well-formed request."""
        if wire is Wire.JSON and self.http_status == 400 and self.code not in NO_GRAPHQL_REQUEST:
            return 200
        return self.http_status

    def text(self) -> bytes:
        """The answer as JSON, made once however many it is sent to."""
        if self.json is None:
            self.json = _as_json(self.body)
        return self.json


def answer_of(
    response: GraphQLResponse, *, cache_control: str | None = None, returned: Returned | None = None
) -> Answer:
    """The answer that a response is."""
    text = response.text
    body = response.body() if text is None else _IN_TEXT
    return Answer(body, json=text, cache_control=cache_control, returned=returned)


def _as_json(body: Mapping[str, Any]) -> bytes:
    """The body's text; the slow way for what nests over 254 levels, as scalars of subgraphs may."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body, separators=(",", ":")).encode()


def returned_lines(answers: Answer | Sequence[Answer]) -> bytes:
    """The header lines that subgraphs have for the client of one answer, or of a batch."""
    if isinstance(answers, Answer):
        return answers.returned.lines() if answers.returned is not None else b""
    together = Returned()
    for one in answers:
        if one.returned is not None:
            together.merge(one.returned)
    return together.lines()


def answer_of_failure(failure: BaseException, trace_id: str) -> Answer:
    """A refusal in its own words; anything else logged whole and masked under its trace id."""
    if isinstance(failure, ClientError):
        errors_count.add(1, {"code": failure.code})
        lines.say(logging.INFO, "request %s was refused: %s", trace_id, failure.code)
        return Answer({"errors": failure.all_to_graphql()}, failure.http_status, failure.code)
    log.error("request %s failed", trace_id, exc_info=failure)
    errors_count.add(1, {"code": "INTERNAL_SERVER_ERROR"})
    return Answer({"errors": [masked(trace_id=trace_id)]}, 500, "INTERNAL_SERVER_ERROR")
