"""Inflate: compressed request bodies, within the limit of bytes that plain ones have.

A bomb is never unpacked further than that.
"""

from __future__ import annotations

from router.codings import READ, Damaged, UnpackedTooLong, unpacked
from router.edge.requests import too_large
from router.errors import ClientError


def check_coding(coding: str) -> None:
    """Refuse a coding that is not known here, before the body is read. Errors: UNSUPPORTED_MEDIA_TYPE."""
    if coding not in READ and coding != "identity":
        raise ClientError(
            "send the body as it is, or in one content encoding: `gzip`, `deflate`, `br` or `zstd`",
            code="UNSUPPORTED_MEDIA_TYPE",
        )


def inflated(body: bytes, coding: str, *, bytes_max: int) -> bytes:
    """The body behind one content coding.

    Errors: REQUEST_TOO_LARGE once more than `bytes_max` have come out, BAD_REQUEST for what is damaged.
    """
    if coding == "identity":
        return body
    try:
        return unpacked(body, coding, bytes_max=bytes_max)
    except UnpackedTooLong:
        raise too_large(bytes_max) from None
    except Damaged:
        raise ClientError(f"the request body is not in `{coding}`", code="BAD_REQUEST") from None
