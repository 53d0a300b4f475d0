"""Inflate: compressed request bodies, within the limit of bytes that plain ones have.

A bomb is never unpacked further than that. Source: RFC 9110, content codings; RFC 1950 to 1952.
"""

from __future__ import annotations

import zlib

from router.edge.requests import too_large
from router.errors import ClientError

GZIP_BITS = 16 + zlib.MAX_WBITS
CODINGS = {"gzip": GZIP_BITS, "x-gzip": GZIP_BITS, "deflate": zlib.MAX_WBITS}
ZLIB_METHOD = 8


def check_coding(coding: str) -> None:
    """Refuse a coding that is not known here, before the body is read. Errors: UNSUPPORTED_MEDIA_TYPE."""
    if coding not in CODINGS and coding != "identity":
        raise ClientError(
            "send the body as it is, or in the content encoding `gzip` or `deflate`",
            code="UNSUPPORTED_MEDIA_TYPE",
        )


def inflated(body: bytes, coding: str, *, bytes_max: int) -> bytes:
    """The body behind one content coding.

    Errors: REQUEST_TOO_LARGE once more than `bytes_max` have come out, BAD_REQUEST for what is damaged.
    """
    if coding == "identity":
        return body
    bits = CODINGS[coding]
    if coding == "deflate" and body and body[0] & 0x0F != ZLIB_METHOD:
        bits = -zlib.MAX_WBITS  # bare deflate, as some clients read the name
    unpacking = zlib.decompressobj(bits)
    try:
        plain = unpacking.decompress(body, bytes_max + 1)
    except zlib.error:
        raise _damaged(coding) from None
    if len(plain) > bytes_max:
        raise too_large(bytes_max)
    if not unpacking.eof or unpacking.unused_data:
        raise _damaged(coding)
    return plain


def _damaged(coding: str) -> ClientError:
    return ClientError(f"the request body is not in `{coding}`", code="BAD_REQUEST")
