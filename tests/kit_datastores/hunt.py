"""The hunt for plaintext: a text in whatever disguise a file may hold it."""

from __future__ import annotations

import base64

CANARY = b"CANARY-leukaemia-4711"
CONTROL = "CONTROL-in-the-clear-0815"


def disguises(text: bytes) -> list[bytes]:
    """As a file may hold it: plain, in hex, as UTF-16, in base64 at each of the three alignments."""
    encoded = [base64.b64encode(b"x" * shift + text)[4:-4] for shift in range(3)]
    wide = text.decode().encode("utf-16-le")
    return [text, text.hex().encode(), text.hex().upper().encode(), wide, text[::-1], *encoded]


def found_in(content: bytes, text: bytes) -> bool:
    """Whether `content` holds `text` in any disguise."""
    return any(each in content for each in disguises(text))
