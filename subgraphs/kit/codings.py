"""Compressed calls of a router: bodies read within their limit, answers written as the router takes them.

Source: RFC 9110 §8.4; RFC 1950 to 1952.
"""

from __future__ import annotations

import gzip
import re
import zlib
from typing import Final

COMPRESSED_BYTES_MIN: Final = 1_024
_BITS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_REFUSED: Final = re.compile(r"q=0(\.0*)?")


class UnknownCoding(ValueError):
    """The coding is neither `gzip` nor `deflate`."""


class UnpackedTooLong(ValueError):
    """More comes out than the limit; the rest was not unpacked."""


class Damaged(ValueError):
    """The body is not of its coding, or not whole."""


def plain_body(body: bytes, coding: str, *, bytes_max: int) -> bytes:
    """The body without its coding.  Errors: UnknownCoding, UnpackedTooLong, Damaged."""
    name = coding.strip().lower()
    if name in {"", "identity"}:
        return body
    if name not in _BITS:
        raise UnknownCoding(name)
    unpacking = zlib.decompressobj(_BITS[name])
    try:
        plain = unpacking.decompress(body, bytes_max + 1)
    except zlib.error:
        raise Damaged from None
    if len(plain) > bytes_max:
        raise UnpackedTooLong
    if not unpacking.eof or unpacking.unused_data:
        raise Damaged
    return plain


def packed_answer(answer: bytes, accept_encoding: str) -> tuple[bytes, dict[str, str]]:
    """The answer with its headers: in `gzip` where it is long and the router takes that."""
    if len(answer) < COMPRESSED_BYTES_MIN or not _takes_gzip(accept_encoding):
        return answer, {}
    return gzip.compress(answer, compresslevel=1, mtime=0), {"content-encoding": "gzip"}


def _takes_gzip(accept_encoding: str) -> bool:
    for one in accept_encoding.lower().replace(" ", "").split(","):
        name, _, weight = one.partition(";")
        if name == "gzip":
            return _REFUSED.fullmatch(weight) is None
    return False
