"""Subscriptions over server-sent events, distinct connections mode: one POST, one stream.

Source: the GraphQL over SSE protocol.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp
import orjson

from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest

_JSON_TYPES: Final = frozenset({"application/graphql-response+json", "application/json"})


async def sse_payloads(
    session: aiohttp.ClientSession,
    request: SubgraphRequest,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    open_timeout_s: float,
    event_bytes_max: int,
) -> AsyncIterator[Any]:
    """Each `next` event's JSON, until `complete`.  Errors: `SubgraphCallFailed`.

    A subgraph that refuses the operation may answer one plain JSON response instead of a stream.
    """
    service = request.service
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=open_timeout_s)
    try:
        async with session.post(
            url, data=body, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            if response.content_type in _JSON_TYPES:
                yield _decoded(service, await response.content.read(event_bytes_max))
                return
            if response.status != 200 or response.content_type != "text/event-stream":
                raise SubgraphCallFailed(
                    service, "did not open an event stream", http_answer_status=response.status
                )
            async for name, text in _events(service, response.content, event_bytes_max):
                if name == "complete":
                    return
                if name == "next":
                    yield _decoded(service, text)
    except TimeoutError:
        raise SubgraphCallFailed(service, "timed out") from None
    except aiohttp.ClientError:
        raise SubgraphCallFailed(service, "the event stream was lost") from None
    raise SubgraphCallFailed(service, "the event stream ended without completing")


async def _events(
    service: str, stream: aiohttp.StreamReader, event_bytes_max: int
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
            size += len(value)
            if size > event_bytes_max:
                raise SubgraphCallFailed(service, f"sent an event of more than {event_bytes_max} bytes")
            lines.append(value)


async def _lines(service: str, stream: aiohttp.StreamReader, line_bytes_max: int) -> AsyncIterator[bytes]:
    """The stream's lines. A line that ends in CR is complete at once; an LF that follows belongs to it."""
    buffer = b""
    after_cr = False
    async for chunk in stream.iter_any():
        text = chunk.removeprefix(b"\n") if after_cr else chunk
        after_cr = chunk.endswith(b"\r")
        text = buffer + text
        *complete, buffer = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        if len(buffer) > line_bytes_max:
            raise SubgraphCallFailed(service, f"sent an event of more than {line_bytes_max} bytes")
        for line in complete:
            yield line


def _decoded(service: str, text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise SubgraphCallFailed(
            service, "sent an event that is not JSON", code="SUBREQUEST_MALFORMED_RESPONSE"
        ) from None
