"""Content codings: bodies packed, and unpacked no further than a limit; libraries are loaded when used.

Source: RFC 9110 §8.4; RFC 1950 to 1952 (deflate, gzip), RFC 7932 (br), RFC 8878 and RFC 9659 (zstd).
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Mapping
from typing import Final

GZIP_BITS: Final = 16 + zlib.MAX_WBITS
ZLIB_METHOD: Final = 8
ZSTD_WINDOW_BYTES_MAX: Final = 8 * 1024 * 1024
"""What a sender may make us hold of what was unpacked before."""
PIECE_BYTES: Final = 128 * 1024


class UnknownCoding(ValueError):
    """The coding is none of those that are read or written here."""


class UnpackedTooLong(ValueError):
    """More comes out of the body than is wanted; the rest was not unpacked."""


class Damaged(ValueError):
    """The body is not of its coding, incomplete, or followed by something else."""


def packed(body: bytes, coding: str) -> bytes:
    """The body in this coding, at the level that costs least time.  Errors: UnknownCoding."""
    packing = _PACKING.get(coding)
    if packing is None:
        raise UnknownCoding(coding)
    return packing(body)


def unpacked(body: bytes, coding: str, *, bytes_max: int) -> bytes:
    """The body behind one coding.  Errors: UnknownCoding, Damaged, UnpackedTooLong over `bytes_max`."""
    unpacking = _UNPACKING.get(coding)
    if unpacking is None:
        raise UnknownCoding(coding)
    plain = unpacking(body, bytes_max)
    if len(plain) > bytes_max:
        raise UnpackedTooLong
    return plain


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=1, mtime=0)


def _zstd(body: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=1).compress(body)


def _brotli(body: bytes) -> bytes:
    import brotli

    found: bytes = brotli.compress(body, quality=1)
    return found


def _of_gzip(body: bytes, bytes_max: int) -> bytes:
    return _inflated(body, GZIP_BITS, bytes_max)


def _of_deflate(body: bytes, bytes_max: int) -> bytes:
    is_bare = bool(body) and body[0] & 0x0F != ZLIB_METHOD  # as some read the name
    return _inflated(body, -zlib.MAX_WBITS if is_bare else zlib.MAX_WBITS, bytes_max)


def _inflated(body: bytes, bits: int, bytes_max: int) -> bytes:
    unpacking = zlib.decompressobj(bits)
    try:
        plain = unpacking.decompress(body, bytes_max + 1)
    except zlib.error:
        raise Damaged from None
    if len(plain) <= bytes_max and (not unpacking.eof or unpacking.unused_data):
        raise Damaged
    return plain


def _of_brotli(body: bytes, bytes_max: int) -> bytes:
    import brotli

    unpacking = brotli.Decompressor()
    try:
        plain: bytes = unpacking.process(body, output_buffer_limit=bytes_max + 1)
    except brotli.error:
        raise Damaged from None
    if len(plain) <= bytes_max and not unpacking.is_finished():
        raise Damaged
    return plain


def _of_zstd(body: bytes, bytes_max: int) -> bytes:
    """Twice over: the first time counts, because the library holds all that comes out of one piece."""
    import zstandard

    reading = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES_MAX)
    try:
        with reading.stream_reader(io.BytesIO(body)) as pieces:
            length, room = 0, bytearray(PIECE_BYTES)
            while count := pieces.readinto(room):
                length += count
                if length > bytes_max:
                    raise UnpackedTooLong
        unpacking = reading.decompressobj()
        plain = unpacking.decompress(body)
    except zstandard.ZstdError:
        raise Damaged from None
    if not unpacking.eof or unpacking.unused_data:
        raise Damaged
    return plain


_PACKING: Final[Mapping[str, Callable[[bytes], bytes]]] = {"zstd": _zstd, "br": _brotli, "gzip": _gzip}
_UNPACKING: Final[Mapping[str, Callable[[bytes, int], bytes]]] = {
    "gzip": _of_gzip,
    "x-gzip": _of_gzip,
    "deflate": _of_deflate,
    "br": _of_brotli,
    "zstd": _of_zstd,
}
WRITTEN: Final = tuple(_PACKING)
"""Codings that bodies are packed in, the cheapest first."""
READ: Final = frozenset(_UNPACKING)
"""Codings that bodies may come in."""
