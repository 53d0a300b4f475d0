"""Streams in gzip: each frame leaves at once, as a block that refers to nothing before it.

A compressor of each stream's own would hold up to 256 KiB for as long as the stream lasts, and would let the
length of one event tell of another. A block by itself is made once for all who get the frame; of a stream,
only the checksum and the length are kept.  Source: RFC 1951 §3.2.3, RFC 1952.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import lru_cache
from typing import Final

THREAD_BYTES_MIN: Final = 512 * 1024
"""What is longer is packed in a thread: meanwhile others are answered."""
GZIP: Final = "gzip"
"""The one coding of streams: every client that reads streams knows it."""
KEPT_BYTES_MAX: Final = 32 * 1024
"""Shorter frames' blocks are kept for the other streams that get them now."""
KEPT_BLOCKS_MAX: Final = 128
STORED_BYTES_MAX: Final = 0xFFFF
_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK: Final = b"\x03\x00"


class Packing:
    """One stream. `bytes_min`: shorter frames are not made smaller, only wrapped."""

    __slots__ = ("_bytes_min", "_checksum", "_length")

    def __init__(self, *, bytes_min: int) -> None:
        self._bytes_min = bytes_min
        self._checksum = self._length = 0

    def begin(self) -> bytes:
        """What stands before the first block."""
        return _HEAD

    async def block(self, frame: bytes) -> bytes:
        """The frame as it leaves; a long one takes no time of the loop's."""
        self._checksum = zlib.crc32(frame, self._checksum)
        self._length += len(frame)
        if len(frame) < self._bytes_min and len(frame) <= STORED_BYTES_MAX:
            return stored(frame)
        if len(frame) <= KEPT_BYTES_MAX:
            return _kept(frame)
        if len(frame) < THREAD_BYTES_MIN:
            return deflated(frame)
        return await asyncio.to_thread(deflated, frame)

    def end(self) -> bytes:
        """What stands behind the last block."""
        length = self._length & 0xFFFFFFFF
        return _LAST_BLOCK + self._checksum.to_bytes(4, "little") + length.to_bytes(4, "little")


def deflated(frame: bytes) -> bytes:
    """A block of this frame alone, which can be read as soon as it is there."""
    packing = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    return packing.compress(frame) + packing.flush(zlib.Z_FULL_FLUSH)


def stored(frame: bytes) -> bytes:
    """The frame as it is, as a block: five bytes more."""
    length = len(frame)
    return b"\x00" + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little") + frame


_kept = lru_cache(maxsize=KEPT_BLOCKS_MAX)(deflated)


async def packed_frames(frames: AsyncIterator[bytes], *, bytes_min: int) -> AsyncIterator[bytes]:
    """The frames of one stream in gzip, one piece for each."""
    packing = Packing(bytes_min=bytes_min)
    before = packing.begin()
    async with aclosing(frames) as plain:  # type: ignore[type-var]
        async for frame in plain:
            yield before + await packing.block(frame)
            before = b""
    yield before + packing.end()
