"""A long answer's data as the bytes that came: checked to be JSON, never decoded."""

from __future__ import annotations

from typing import Final

import msgspec

from router.execution.transport import SentData
from router.execution.transports.http_wire import HttpAnswer
from router.execution.transports.known_texts import KnownTexts

WHOLE_BYTES_MIN: Final = 8 * 1024
"""Below, decoding and checking take less than a tenth of a millisecond."""

LONG_BYTES_MIN: Final = 1024 * 1024
"""Such answers are checked one a turn of the loop: it takes half a millisecond or more."""

_JSON_TYPES: Final = frozenset({"application/graphql-response+json", "application/json"})
_OTHER_MEMBERS: Final = (b'"errors"', b'"extensions"')


class _DataAlone(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    data: msgspec.Raw


_decoder: Final = msgspec.json.Decoder(_DataAlone)


def sent_data(answer: HttpAnswer, known: KnownTexts, *, trusted: bool = False) -> SentData | None:
    """The data, where the answer is long, went well and has no other member; else None.

    Of a `trusted` subgraph's answer it is not checked that what stands between its braces is JSON.
    """
    body = answer.body
    if len(body) < WHOLE_BYTES_MIN or answer.status != 200 or answer.media_type not in _JSON_TYPES:
        return None
    found = known.found(body)
    if found is not None:
        return found
    sent = SentData(body) if trusted and _looks_alone(body) else _checked(body)
    if sent is not None:
        known.keep(body, sent)
    return sent


def _checked(body: bytes) -> SentData | None:
    try:
        if not body.isascii():
            body.decode()
        data = _decoder.decode(body).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    length = len(memoryview(data))
    if body.startswith(b'{"data":{') and len(body) == len(SentData.BEFORE) + length + 1:
        return SentData(body)
    json = bytes(data)
    return SentData.of(json) if json.startswith(b"{") else None


def _looks_alone(body: bytes) -> bool:
    """Whether a body that is JSON has data and nothing else; if not sure, no."""
    return (
        body.startswith(b'{"data":{')
        and body.endswith(b"}}")
        and all(body.rfind(member) < 0 for member in _OTHER_MEMBERS)
    )
