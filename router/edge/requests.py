"""Bytes of an HTTP request → `GraphQLRequest`s; what is not one is refused here, with its reason."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive

from router.config import HttpLimits
from router.errors import ClientError
from router.pipeline import GraphQLRequest

KINDS: Mapping[type, str] = {str: "a text", dict: "an object"}
PARAMETERS = ("query", "documentId", "variables", "operationName", "extensions")
NESTING_SURE = 200
"""Levels that can be written whatever they stand in."""
_QUOTED = tuple(f'"{name}"'.encode() for name in PARAMETERS)
PARTS_OF_MESSAGES = ("id", "type", "payload")
_QUOTED_IN_MESSAGES = (*_QUOTED, *(f'"{name}"'.encode() for name in PARTS_OF_MESSAGES))


class ClientGone(Exception):
    """The client closed the connection before its request was complete: nobody is left to answer."""


async def chunks(receive: Receive, *, bytes_max: int) -> AsyncIterator[bytes]:
    """The request body as it arrives.

    Errors: REQUEST_TOO_LARGE as soon as more than `bytes_max` have come, ClientGone.
    """
    total = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        total += len(chunk)
        if total > bytes_max:
            raise too_large(bytes_max)
        yield chunk
        if not message.get("more_body", False):
            return


async def body(receive: Receive, limits: HttpLimits, *, announced: str | None) -> bytes:
    """The whole request body; one that announces too much is refused unread.

    Errors: REQUEST_TOO_LARGE, REQUEST_TIMEOUT where it takes too long to arrive.
    """
    bytes_max = limits.body_bytes_max
    if announced is not None and announced.isdigit() and int(announced) > bytes_max:
        raise too_large(bytes_max)
    async with arriving(limits.body_wait_ms_max):
        return b"".join([chunk async for chunk in chunks(receive, bytes_max=bytes_max)])


@asynccontextmanager
async def arriving(wait_ms_max: int) -> AsyncIterator[None]:
    """Bounds how long a body may take to arrive: a slow sender holds a place among those under way."""
    try:
        async with asyncio.timeout(wait_ms_max / 1_000):
            yield
    except TimeoutError:
        raise ClientError("the request body took too long to arrive", code="REQUEST_TIMEOUT") from None


def too_large(bytes_max: int) -> ClientError:
    """The refusal of a body over its limit."""
    return ClientError(f"the request body is over {bytes_max} bytes", code="REQUEST_TOO_LARGE")


def from_json(
    text: bytes, limits: HttpLimits, headers: Mapping[str, str]
) -> list[GraphQLRequest] | GraphQLRequest:
    """One request, or the list of a batch.

    Errors: BAD_REQUEST, BATCHING_NOT_SUPPORTED, BATCH_PROCESSING_FAILED over the cap.
    """
    decoded = decode(text)
    if isinstance(decoded, list):
        return batch_of(decoded, limits, headers)
    return request_of(decoded, headers)


def batch_of(decoded: list[object], limits: HttpLimits, headers: Mapping[str, str]) -> list[GraphQLRequest]:
    """The requests of a client batch within its cap."""
    operations_max = limits.batch_operations_max
    if operations_max == 0:
        raise ClientError("batches are off; send one operation", code="BATCHING_NOT_SUPPORTED")
    if not 0 < len(decoded) <= operations_max:
        raise ClientError(
            f"a batch has 1 to {operations_max} operations, not {len(decoded)}",
            code="BATCH_PROCESSING_FAILED",
        )
    return [request_of(one, headers) for one in decoded]


def decode(text: bytes) -> object:
    """Strict JSON: UTF-8 only, no parameter twice (a gateway before us may have judged the other one)."""
    decoded = _read(text)
    if b"\\u" in text or _may_repeat(text, _QUOTED):
        pairs = _pairs_of(text)
        for one in pairs if type(pairs) is list else [pairs]:
            _check_once(one, PARAMETERS)
    check_nesting(decoded, brackets=text.count(b"[") + text.count(b"{"))
    return decoded


def decode_message(text: bytes) -> object:
    """A WebSocket's message, as strict: no part of it twice, nor of what it asks or says of its client.

    What `connection_init` says are headers: those are one name in whatever case. Errors: BAD_REQUEST.
    """
    decoded = _read(text)
    if b"\\u" in text or b"connection_init" in text or _may_repeat(text, _QUOTED_IN_MESSAGES):
        pairs = _pairs_of(text)
        _check_once(pairs, PARTS_OF_MESSAGES)
        payload = dict(pairs).get("payload") if isinstance(pairs, _Pairs) else None
        _check_once(payload, PARAMETERS)
        if isinstance(decoded, dict) and decoded.get("type") == "connection_init":
            _check_each_once(payload)
    check_nesting(decoded, brackets=text.count(b"[") + text.count(b"{"))
    return decoded


def _read(text: bytes) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _bad("the request body is not JSON in UTF-8") from None


def check_nesting(decoded: object, *, brackets: int) -> None:
    """Refuse what was read, but could not be written again for a subgraph: over some 250 levels.

    Errors: BAD_REQUEST. `brackets` is how many stand in the text: few of them cannot nest so deeply.
    """
    if brackets < NESTING_SURE:
        return
    try:
        orjson.dumps([[[[decoded]]]])  # what it may come to stand in
    except TypeError:
        raise _bad("the request nests too deeply") from None


def _may_repeat(text: bytes, quoted: Sequence[bytes]) -> bool:
    for name in quoted:
        at = text.find(name)
        if at >= 0 and text.find(name, at + 1) >= 0:
            return True
    return False


class _Pairs(list[tuple[str, object]]):
    """The members of a JSON object, each name as often as it stands there."""


def _pairs_of(text: bytes) -> object:
    """Slow path: only taken where a duplicate is possible."""
    try:
        return json.loads(text, object_pairs_hook=_Pairs)
    except RecursionError:
        raise _bad("the request nests too deeply") from None


def _check_once(pairs: object, names: Sequence[str]) -> None:
    """Refuse one of `names` that stands twice. What stands deeper may: the last value counts."""
    if not isinstance(pairs, _Pairs):
        return
    standing = [name for name, _ in pairs]
    for name in names:
        if standing.count(name) > 1:
            raise _bad(f"`{name}` stands twice in the request")


def _check_each_once(pairs: object) -> None:
    standing = [name.lower() for name, _ in pairs] if isinstance(pairs, _Pairs) else []
    if len(set(standing)) < len(standing):
        raise _bad("a name stands twice in the payload")


def from_url(query_string: bytes, limits: HttpLimits, headers: Mapping[str, str]) -> GraphQLRequest:
    """The request that a GET's URL holds; `variables` and `extensions` are JSON texts."""
    if len(query_string) > limits.url_bytes_max:
        raise ClientError(f"the URL is over {limits.url_bytes_max} bytes", code="REQUEST_TOO_LARGE")
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50
        )
    except (UnicodeDecodeError, ValueError):
        raise _bad("the URL parameters are not UTF-8") from None
    parameters: dict[str, Any] = {}
    for name, value in pairs:
        if name in PARAMETERS and name in parameters:
            raise _bad(f"`{name}` stands twice in the URL")
        parameters[name] = value
    for name in ("variables", "extensions"):
        if parameters.get(name):
            parameters[name] = decode(parameters[name].encode())
        else:
            parameters.pop(name, None)
    return request_of(parameters, headers)


def request_of(decoded: object, headers: Mapping[str, str]) -> GraphQLRequest:
    """A decoded request with its parts checked. Errors: BAD_REQUEST naming the part."""
    if not isinstance(decoded, dict):
        raise _bad("the request must be a JSON object with `query`")
    get = decoded.get
    text, variables, extensions = get("query"), get("variables"), get("extensions")
    document_id, operation_name = get("documentId"), get("operationName")
    _check("query", text, str)
    _check("variables", variables, dict)
    _check("extensions", extensions, dict)
    _check("documentId", document_id, str)
    _check("operationName", operation_name, str)
    if not text and not document_id and (extensions is None or "persistedQuery" not in extensions):
        raise _bad("the request has no `query`")
    return GraphQLRequest(
        text=text or "",
        operation_name=operation_name or None,
        document_id=document_id or None,
        variables=variables or {},
        extensions=extensions or {},
        headers=headers,
    )


def _check(name: str, value: object, kind: type) -> None:
    if value is not None and value.__class__ is not kind:
        raise _bad(f"`{name}` must be {KINDS[kind]}")


def _bad(message: str) -> ClientError:
    return ClientError(message, code="BAD_REQUEST")
