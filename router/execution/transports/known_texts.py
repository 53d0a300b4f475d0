"""Known texts: long answers that were checked a moment ago, so that an equal one is compared and not checked.

Clients that ask the same of data that seldom changes are answered the same bytes. To compare these takes a
thirtieth of the time that it takes to see whether they are JSON.
"""

from __future__ import annotations

import asyncio
from typing import Final

from router.execution.transport import SentData

TEXT_BYTES_MAX: Final = 1024 * 1024
"""Longer texts are not kept."""
TEXTS_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of all texts together; they are forgotten together where there are more."""
ENDS_MAX: Final = 1_024
"""Lengths whose last text's end is remembered."""
END_BYTES: Final = 128
KEPT_S: Final = 1.0
"""All are forgotten after that: they may be about somebody."""


class KnownTexts:
    """The texts of one transport, one for each length. Nobody is answered from here: equal ones only tell of
    each other what the check would. A text is kept when one of its length and end comes again: to keep what
    is always another would only take memory that the next ones could have, still warm."""

    __slots__ = ("_by_length", "_bytes", "_ends", "_timer")

    def __init__(self) -> None:
        self._by_length: dict[int, tuple[bytes, SentData]] = {}
        self._ends: dict[int, bytes] = {}
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def standing_at(self, received: bytearray, begins: int, length: int) -> bytes | None:
        """The known text that these received bytes are, so that they need not be copied; None: none is."""
        known = self._by_length.get(length)
        return known[0] if known is not None and received.startswith(known[0], begins) else None

    def found(self, text: bytes) -> SentData | None:
        """What an equal text was found to be."""
        known = self._by_length.get(len(text))
        return known[1] if known is not None and known[0] == text else None

    def keep(self, text: bytes, sent: SentData) -> None:
        """Remember what a text was found to be, if one like it was told here before."""
        length, end = len(text), text[-END_BYTES:]
        if length > TEXT_BYTES_MAX:
            return
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(KEPT_S, self.forget)
        if self._ends.get(length) != end:
            if len(self._ends) >= ENDS_MAX:
                self._ends.clear()
            self._ends[length] = end
            return
        if self._bytes + length > TEXTS_BYTES_MAX:
            self._by_length.clear()
            self._bytes = 0
        if length not in self._by_length:
            self._bytes += length
        self._by_length[length] = (text, sent)

    def forget(self) -> None:
        """Keep none of them any more."""
        self._by_length.clear()
        self._ends.clear()
        self._bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
