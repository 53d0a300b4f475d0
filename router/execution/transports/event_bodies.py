"""Subscriptions whose events come as one HTTP answer: server-sent events, or a multipart body.

Source: the GraphQL over SSE protocol, distinct connections mode; multipart subscriptions (version 1.0).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from email.message import Message
from typing import Any, Final

import orjson

from router.errors import SubgraphCallFailed
from router.execution.transports.http_stream import HttpStream, opened_stream
from router.execution.transports.http_wire import (
    ConnectFailed,
    ConnectionLost,
    Endpoint,
    NotHttp,
    TlsContext,
)

SSE_ACCEPT: Final = "text/event-stream"
MULTIPART_ACCEPT: Final = 'multipart/mixed;subscriptionSpec="1.0", application/json'
_JSON_TYPES: Final = frozenset({"application/graphql-response+json", "application/json"})
_BOUNDARY_CHARS_MAX: Final = 70
_MALFORMED: Final = "SUBREQUEST_MALFORMED_RESPONSE"


async def body_payloads(
    service: str,
    endpoint: Endpoint,
    headers: Mapping[str, str],
    body: bytes,
    *,
    open_timeout_s: float,
    event_bytes_max: int,
    tls_context: TlsContext,
) -> AsyncIterator[Any]:
    """Each event's JSON, until the subgraph completes.  Errors: `SubgraphCallFailed`.

    A subgraph that refuses the operation may answer one plain JSON response instead of a stream.
    """
    try:
        async with opened_stream(
            endpoint, headers, body, open_timeout_s=open_timeout_s, tls_context=tls_context
        ) as stream:
            if stream.media_type in _JSON_TYPES:
                yield _decoded(service, await stream.read(event_bytes_max))
                return
            async with aclosing(_events(service, stream, event_bytes_max)) as events:  # type: ignore[type-var]
                async for event in events:
                    yield event
    except TimeoutError:
        raise SubgraphCallFailed(service, "timed out") from None
    except ConnectFailed:
        raise SubgraphCallFailed(service, "could not be reached") from None
    except (ConnectionLost, NotHttp):
        raise SubgraphCallFailed(service, "the event stream was lost") from None


def _events(service: str, stream: HttpStream, event_bytes_max: int) -> AsyncIterator[Any]:
    if stream.status == 200 and stream.encoding in {"", "identity"}:
        if stream.media_type == SSE_ACCEPT:
            return _sse(service, stream, event_bytes_max)
        if stream.media_type == "multipart/mixed":
            return _multipart(service, stream, event_bytes_max)
    raise SubgraphCallFailed(service, "did not open an event stream", http_answer_status=stream.status)


async def _sse(service: str, stream: HttpStream, event_bytes_max: int) -> AsyncIterator[Any]:
    async with aclosing(sse_events(service, stream, event_bytes_max)) as events:  # type: ignore[type-var]
        async for name, text in events:
            if name == "complete":
                return
            if name == "next":
                yield _decoded(service, text)
    raise SubgraphCallFailed(service, "the event stream ended without completing")


async def sse_events(
    service: str, stream: AsyncIterator[bytes], event_bytes_max: int
) -> AsyncIterator[tuple[str, bytes]]:
    """Event name and data, by the event stream grammar: lines end in CR, LF or both; `:` is a comment."""
    name, lines, size = "", list[bytes](), 0
    async for line in _lines(service, stream, event_bytes_max):
        if not line:
            if name or lines:
                yield name or "message", b"\n".join(lines)
            name, lines, size = "", [], 0
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            size += len(value) + 1  # an endless row of empty ones is long, too
            if size > event_bytes_max:
                raise _too_long(service, event_bytes_max)
            lines.append(value)


async def _lines(service: str, stream: AsyncIterator[bytes], line_bytes_max: int) -> AsyncIterator[bytes]:
    """The stream's lines. A line that ends in CR is complete at once; an LF that follows belongs to it."""
    buffer = b""
    after_cr = False
    async for chunk in stream:
        text = chunk.removeprefix(b"\n") if after_cr else chunk
        after_cr = chunk.endswith(b"\r")
        text = buffer + text
        *complete, buffer = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        if len(buffer) > line_bytes_max:
            raise _too_long(service, line_bytes_max)
        for line in complete:
            yield line


async def _multipart(service: str, stream: HttpStream, event_bytes_max: int) -> AsyncIterator[Any]:
    """Each part's `payload`; `{}` is a sign of life, `payload: null` with errors ends the stream."""
    delimiter = b"\r\n--" + _boundary(service, stream.content_type)
    async with aclosing(_parts(service, stream, delimiter, event_bytes_max)) as parts:  # type: ignore[type-var]
        async for part in parts:
            message = _decoded(service, part)
            if not isinstance(message, dict):
                raise SubgraphCallFailed(service, "sent a part that is not an object", code=_MALFORMED)
            if message.get("payload") is not None:
                yield message["payload"]
            if message.get("errors"):
                yield {"errors": message["errors"]}
                return


async def _parts(
    service: str, stream: AsyncIterator[bytes], delimiter: bytes, part_bytes_max: int
) -> AsyncIterator[bytes]:
    """The parts' contents, each as soon as it is whole: some servers delimit it only when the next comes.

    A delimiter begins a line: most servers' boundary is `-`, and three of them may stand in any text.
    """
    buffer, inside, given = bytearray(b"\r\n"), False, False
    looked_until = 0
    async for chunk in stream:
        buffer += chunk
        while (at := buffer.find(delimiter, looked_until)) >= 0:
            end = at + len(delimiter)
            if len(buffer) < end + 2:
                break
            if inside and not given and (content := _content(buffer[:at])):
                yield content
            if buffer[end : end + 2] == b"--":
                return
            del buffer[:end]
            inside, given, looked_until = True, False, 0
        else:
            looked_until = max(len(buffer) - len(delimiter), 0)
            if inside and not given and _is_whole(content := _content(buffer)):
                given = True
                yield content
        if len(buffer) > part_bytes_max + 1_024:
            raise _too_long(service, part_bytes_max)
    raise SubgraphCallFailed(service, "the event stream ended without completing")


def _content(part: bytearray) -> bytes:
    return bytes(part).partition(b"\r\n\r\n")[2].strip()


def _is_whole(content: bytes) -> bool:
    """JSON says itself where it ends."""
    if not content.endswith(b"}"):
        return False
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return True


def _boundary(service: str, content_type: str) -> bytes:
    parsed = Message()
    parsed["content-type"] = content_type
    boundary = parsed.get_boundary("-")
    if not 0 < len(boundary) <= _BOUNDARY_CHARS_MAX or not boundary.isascii():
        raise SubgraphCallFailed(service, "did not open an event stream")
    return boundary.encode()


def _too_long(service: str, bytes_max: int) -> SubgraphCallFailed:
    return SubgraphCallFailed(service, f"sent an event of more than {bytes_max} bytes")


def _decoded(service: str, text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise SubgraphCallFailed(service, "sent an event that is not JSON", code=_MALFORMED) from None
