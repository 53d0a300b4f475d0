"""Bytes cut where their content says so: a change moves the cuts near it and no others.

What was backed up before is thus found again, in a file that grew in its middle as well.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

CHUNK_BYTES_MIN = 16 * 1024
CHUNK_BYTES_MAX = 256 * 1024
_LOOKED_AT_BYTES = 1024 * 1024
# A cut on average every 64 KiB: 16 bits of the rolling hash are zero, the upper ones, which all 32 bytes
# of the window reach.  Source: Xia et al., "FastCDC" (2016), the gear hash.
_CUT_BITS = np.uint32(0xFFFF0000)
_WINDOW_STEPS = (1, 2, 4, 8, 16)


class Chunker:
    """Bytes in, chunks out, in order. `gear` has 256 secret numbers: without them the cuts tell nothing."""

    def __init__(self, gear: NDArray[np.uint32]) -> None:
        self._gear = gear
        self._buffer = bytearray()

    def feed(self, content: bytes) -> Iterator[bytes]:
        """Take `content`; the chunks that are complete."""
        self._buffer += content
        if len(self._buffer) >= _LOOKED_AT_BYTES:
            yield from self._cut(at_end=False)

    def end(self) -> Iterator[bytes]:
        """No more content; the remaining chunks."""
        yield from self._cut(at_end=True)

    def _cut(self, *, at_end: bool) -> Iterator[bytes]:
        content = bytes(self._buffer)
        start = 0
        for end in self._ends(content):
            yield content[start:end]
            start = end
        if at_end and start < len(content):
            yield content[start:]
            start = len(content)
        del self._buffer[:start]

    def _ends(self, content: bytes) -> Iterator[int]:
        """Where chunks end that more content would not change."""
        cuts = np.flatnonzero((self._rolling(content) & _CUT_BITS) == 0) + 1
        start = 0
        while len(content) - start >= CHUNK_BYTES_MAX:
            place = int(np.searchsorted(cuts, start + CHUNK_BYTES_MIN))
            end = int(cuts[place]) if place < len(cuts) else len(content)
            end = min(end, start + CHUNK_BYTES_MAX)
            yield end
            start = end

    def _rolling(self, content: bytes) -> NDArray[np.uint32]:
        """The gear hash of the 32 bytes that end at each place."""
        hashes = self._gear[np.frombuffer(content, dtype=np.uint8)]
        for step in _WINDOW_STEPS:
            moved = hashes.copy()
            moved[step:] += hashes[:-step] << np.uint32(step)
            hashes = moved
        return hashes
