"""Error lines: what the log says of errors that clients were told, so many lines a second at most.

Errors come with requests, as many as anybody sends: without a bound, a log is a way to fill a disk.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Final

LINES_PER_SECOND_MAX: Final = 50
LINES_AT_ONCE_MAX: Final = 500
MESSAGE_CHARS_MAX: Final = 500
_QUOTED: Final = re.compile(r"`[^`]*`|\"[^\"]*\"|'[^']*'|“[^”]*”|\S+@\S+|[\d.:+-]*\d[\d.:+-]*")
"""What a message may have from the request or from a row: texts in quotes, addresses, numbers."""


_COORDINATE: Final = re.compile(r"`[A-Z]\w{0,100}\.\w{1,100}`")


class ErrorLines:
    """The lines of one logger. Those over the bound are counted, and their number is told with the next."""

    def __init__(self, log: logging.Logger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._left = float(LINES_AT_ONCE_MAX)
        self._at_s = clock()
        self.left_out = 0

    def say(self, level: int, message: str, *parts: object) -> None:
        """One line, unless there were too many of late or nobody reads such lines."""
        if not self._log.isEnabledFor(level):
            return
        now_s = self._clock()
        earned = (now_s - self._at_s) * LINES_PER_SECOND_MAX
        self._left, self._at_s = min(self._left + earned, LINES_AT_ONCE_MAX), now_s
        if self._left < 1:
            self.left_out += 1
            return
        self._left -= 1
        if self.left_out:
            left_out, self.left_out = self.left_out, 0
            self._log.warning(
                "%d lines on errors were left out: over %d a second", left_out, LINES_PER_SECOND_MAX
            )
        self._log.log(level, message, *parts)


def without_values(message: str, *, coordinates: bool = False) -> str:
    """A message as the log may keep it: what it quotes from a request or a row is `…`. `coordinates` stay
    where whoever worded it quotes nothing else that looks like one."""

    def kept(quoted: re.Match[str]) -> str:
        return quoted[0] if coordinates and _COORDINATE.fullmatch(quoted[0]) else "…"

    return _QUOTED.sub(kept, message[:MESSAGE_CHARS_MAX])
