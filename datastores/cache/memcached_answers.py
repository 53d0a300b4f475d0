"""What Memcached answers, put together from the parts that arrive; `memcached_wire.py` hands them over."""

from __future__ import annotations

from typing import Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)
# The longest line that a server sends is an answer's head with the key.
_LINE_BYTES_MAX = 2_048


class Refused(Exception):
    """An answer that no command of ours has; its text may hold a key and is told to nobody."""


class Answer(Protocol[T_co]):
    """One answer on its way."""

    @property
    def told(self) -> T_co:
        """What it says, once it is whole."""
        ...

    def take(self, content: bytes) -> bool:
        """Take in what has arrived; whether it is whole now.  Errors: Refused."""
        ...


class Lines:
    """`times` lines that each begin with one of `expected`; it tells the last of them."""

    def __init__(self, *expected: bytes, times: int = 1) -> None:
        self._expected = expected
        self._missing = times
        self._held = b""
        self.told = b""

    def take(self, content: bytes) -> bool:
        """Take in what has arrived."""
        *lines, self._held = (self._held + content).split(b"\r\n")
        for line in lines:
            if line.split(b" ", 1)[0] not in self._expected:
                raise Refused
            self.told = line
        self._missing -= len(lines)
        if self._missing < 0 or len(self._held) > _LINE_BYTES_MAX or (self._held and not self._missing):
            raise Refused
        return not self._missing


class Values:
    """The answer to `get` (4 words a head) or `gets` (5): values by key.

    Values are cut out as they arrive; of one that is not whole yet the parts are kept as they are, so that a
    large one is put together once.
    """

    def __init__(self, *, words: int = 4) -> None:
        self._words = words
        self._parts: list[bytes] = []
        self._held_bytes = 0
        self._wanted_bytes = 1
        self.told: dict[bytes, bytes] = {}
        self.uniques: dict[bytes, bytes] = {}

    def take(self, content: bytes) -> bool:
        """Take in what has arrived."""
        if self._parts or len(content) < self._wanted_bytes:
            self._parts.append(content)
            self._held_bytes += len(content)
            if self._held_bytes < self._wanted_bytes:
                return False
            content, self._parts = b"".join(self._parts), []
        at = self._cut_out(content)
        if at < 0:
            return True
        self._parts = [content[at:]] if at < len(content) else []
        self._held_bytes = len(content) - at
        self._wanted_bytes = max(self._wanted_bytes - at, self._held_bytes + 1)
        return False

    def _cut_out(self, held: bytes) -> int:
        """Take the whole values out of `held`: where the next one begins, -1 at the end of the answer."""
        at, told = 0, self.told
        while (end := held.find(b"\r\n", at)) >= 0:
            head = held[at:end]
            if head == b"END":
                if end + 2 != len(held):
                    raise Refused
                return -1
            words = head.split(b" ")
            if len(words) != self._words or words[0] != b"VALUE" or not words[3].isdigit():
                raise Refused
            start = end + 2
            stop = start + int(words[3])
            if stop + 2 > len(held):
                self._wanted_bytes = stop + 2
                return at
            if not held.startswith(b"\r\n", stop):
                raise Refused
            told[words[1]] = held[start:stop]
            if self._words > 4:
                self.uniques[words[1]] = words[4]
            at = stop + 2
        if len(held) - at > _LINE_BYTES_MAX:
            raise Refused
        self._wanted_bytes = 0
        return at
