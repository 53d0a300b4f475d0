"""Framing: a stream of answers as Server-Sent Events or as parts of one multipart response.

Source: graphql-sse, distinct connections mode; Apollo's `subscriptionSpec=1.0`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from router.edge.answers import Answer
from router.edge.negotiation import CONTENT_TYPES, Wire

BOUNDARY = "graphql"


@dataclass(frozen=True, slots=True)
class Framing:
    """How one kind of stream is written: its content type, one answer, the sign of life, the end."""

    content_type: str
    frame: Callable[[Answer], bytes]
    heartbeat: bytes
    end: bytes


def _event(answer: Answer) -> bytes:
    return b"event: next\ndata: " + answer.text() + b"\n\n"


def _part(text: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n".encode()
    return head + text + b"\r\n"


def _payload(answer: Answer) -> bytes:
    if answer.code is not None:
        # the stream itself failed: told beside the payload, which the operation's own errors are inside
        return _part(b'{"payload":null,' + answer.text()[1:])
    return _part(b'{"payload":' + answer.text() + b"}")


EVENTS = Framing(
    content_type=CONTENT_TYPES[Wire.EVENTS],
    frame=_event,
    heartbeat=b":\n\n",
    end=b"event: complete\ndata:\n\n",
)
SUBSCRIPTION_PARTS = Framing(
    content_type=f'multipart/mixed; boundary="{BOUNDARY}"; subscriptionSpec="1.0"',
    frame=_payload,
    heartbeat=_part(b"{}"),
    end=f"--{BOUNDARY}--\r\n".encode(),
)


def framing_of(wire: Wire) -> Framing:
    """The framing of a subscription on this media type."""
    return EVENTS if wire is Wire.EVENTS else SUBSCRIPTION_PARTS


async def framed(
    answers: AsyncIterator[Answer], framing: Framing, *, heartbeat_s: float
) -> AsyncIterator[bytes]:
    """The bytes of the stream, with a sign of life at once and after each quiet `heartbeat_s`."""
    if framing.heartbeat:
        yield framing.heartbeat
    following = asyncio.ensure_future(anext(answers, None))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=heartbeat_s)
            if not done:
                if framing.heartbeat:
                    yield framing.heartbeat
                continue
            answer = following.result()
            if answer is None:
                break
            yield framing.frame(answer)
            following = asyncio.ensure_future(anext(answers, None))
        yield framing.end
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
