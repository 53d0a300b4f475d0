"""Framing: a stream of answers as Server-Sent Events or as parts of one multipart response.

A part's closing delimiter leaves with the part: clients take it to be whole only then.
Source: graphql-sse, distinct connections mode; Apollo's `subscriptionSpec=1.0`; the incremental delivery
proposal over multipart, `deferSpec=20220824` and later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import lru_cache

from router.broadcast import Quiet
from router.edge.answers import Answer, answer_of_failure
from router.edge.feeds import Reading
from router.edge.negotiation import CONTENT_TYPES, IncrementalWire, Wire
from router.execution.returned import Returned
from router.telemetry import trace_id_of

SUBSCRIPTION_BOUNDARY = "graphql"
INCREMENTAL_BOUNDARY = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How one kind of stream is written: its content type, one answer, the sign of life, both ends."""

    content_type: str
    begin: bytes = b""
    frame: Callable[[Answer], bytes]
    heartbeat: bytes = b""
    end: bytes


@dataclass(frozen=True, slots=True)
class Stream:
    """Answers that follow one another in one response. What is `secret` is not compressed; `returned` are
    headers that subgraphs have for the client."""

    answers: AsyncIterator[Answer] | Reading
    framing: Framing
    returned: Returned | None = None
    secret: bool = False


def _event(answer: Answer) -> bytes:
    return b"event: next\ndata: " + answer.text() + b"\n\n"


def _part(text: bytes, boundary: str) -> bytes:
    head = b"\r\ncontent-type: application/json; charset=utf-8\r\n\r\n"
    return head + text + f"\r\n--{boundary}".encode()


def _payload(answer: Answer) -> bytes:
    if answer.code is not None:
        # the stream itself failed: told beside the payload, which the operation's own errors are inside
        return _part(b'{"payload":null,' + answer.text()[1:], SUBSCRIPTION_BOUNDARY)
    return _part(b'{"payload":' + answer.text() + b"}", SUBSCRIPTION_BOUNDARY)


def _increment(answer: Answer) -> bytes:
    return _part(answer.text(), INCREMENTAL_BOUNDARY)


EVENTS = Framing(
    content_type=CONTENT_TYPES[Wire.EVENTS],
    frame=_event,
    heartbeat=b":\n\n",
    end=b"event: complete\ndata:\n\n",
)
SUBSCRIPTION_PARTS = Framing(
    content_type=f'multipart/mixed; boundary="{SUBSCRIPTION_BOUNDARY}"; subscriptionSpec="1.0"',
    begin=f"\r\n--{SUBSCRIPTION_BOUNDARY}".encode(),
    frame=_payload,
    heartbeat=_part(b"{}", SUBSCRIPTION_BOUNDARY),
    end=b"--\r\n",
)


def framing_of(wire: Wire) -> Framing:
    """The framing of a subscription on this media type."""
    return EVENTS if wire is Wire.EVENTS else SUBSCRIPTION_PARTS


@lru_cache(maxsize=16)
def framing_of_increments(accepted: IncrementalWire) -> Framing:
    """The framing of an answer in parts, in the form that the client named."""
    if accepted.wire is Wire.EVENTS:
        return EVENTS
    named = f"; {accepted.named}" if accepted.named else ""
    return Framing(
        content_type=f'multipart/mixed; boundary="{INCREMENTAL_BOUNDARY}"{named}',
        begin=f"\r\n--{INCREMENTAL_BOUNDARY}".encode(),
        frame=_increment,
        end=b"--\r\n",
    )


def as_events(answer: Answer) -> Stream:
    """A single answer as a stream of one event."""

    async def one() -> AsyncIterator[Answer]:
        yield answer

    return Stream(one(), EVENTS, answer.returned, answer.secret)


def framed(
    answers: AsyncIterator[Answer] | Reading, framing: Framing, *, heartbeat_s: float
) -> AsyncIterator[bytes]:
    """The bytes of the stream, with a sign of life at once and after each quiet `heartbeat_s`."""
    if isinstance(answers, Reading):
        return _framed_events(answers, framing, heartbeat_s)
    return _framed_answers(answers, framing, heartbeat_s)


async def _framed_events(reading: Reading, framing: Framing, heartbeat_s: float) -> AsyncIterator[bytes]:
    """A subscription's: no task beside the reader's own. A failure is the last answer, worded or masked."""
    yield framing.begin + framing.heartbeat
    quiet_s = heartbeat_s if framing.heartbeat else None
    try:
        while (event := await reading.next(quiet_s=quiet_s)) is not None:
            yield framing.heartbeat if isinstance(event, Quiet) else event.framed(framing)
    except Exception as failure:
        yield framing.frame(answer_of_failure(failure, trace_id_of(None)))
    yield framing.end


async def _framed_answers(
    answers: AsyncIterator[Answer], framing: Framing, heartbeat_s: float
) -> AsyncIterator[bytes]:
    if framing.begin or framing.heartbeat:
        yield framing.begin + framing.heartbeat
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
