"""A long answer's data as the bytes that came: checked to be JSON, never decoded."""

from __future__ import annotations

from typing import Final

import msgspec

from router.execution.transports.http_wire import HttpAnswer

WHOLE_BYTES_MIN: Final = 8 * 1024
"""Below, decoding and checking take less than a tenth of a millisecond."""

_JSON_TYPES: Final = frozenset({"application/graphql-response+json", "application/json"})


class _DataAlone(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    data: msgspec.Raw


_decoder: Final = msgspec.json.Decoder(_DataAlone)


def whole_data(answer: HttpAnswer) -> bytes | None:
    """The object under `data`, where the answer is long, went well and has no other member; else None."""
    body = answer.body
    if len(body) < WHOLE_BYTES_MIN or answer.status != 200 or answer.media_type not in _JSON_TYPES:
        return None
    try:
        if not body.isascii():
            body.decode()
        data = bytes(_decoder.decode(body).data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return data if data.startswith(b"{") else None
