"""Headers that go back to the client: what the calls of one request let through, merged as the rules say.

A streamed answer has no head left for them, and one event belongs to many: nothing is collected there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from router.header_settings import Merging

COOKIES: Final = "set-cookie"
"""Each of its values is a line of its own: they hold commas.  Source: RFC 6265 §3."""
BYTES_MAX: Final = 8_192
"""Bytes of all these lines of one answer; what comes after them is left out."""


class Returned:
    """The headers of one client's answer. `is_personal`: some are about whoever asked, so that nobody else
    may be given this answer."""

    __slots__ = ("_bytes", "_values", "is_personal")

    def __init__(self) -> None:
        self._values: dict[str, tuple[Merging, list[str]]] = {}
        self._bytes = 0
        self.is_personal = False

    def add(self, name: str, values: Sequence[str], merging: Merging) -> None:
        """What one call lets through under this name, of calls in the order of their answers."""
        if name == COOKIES:
            merging = Merging.APPEND
        known = self._values.get(name)
        if known is not None and merging is Merging.FIRST:
            return
        size = sum(len(name) + len(value) + 4 for value in values)
        if self._bytes + size > BYTES_MAX:
            return
        self._bytes += size
        before = known[1] if known is not None and merging is Merging.APPEND else []
        self._values[name] = merging, [*before, *values]

    def merge(self, other: Returned) -> None:
        """Those of another operation of the same request."""
        for name, (merging, values) in other._values.items():
            self.add(name, values, merging)
        self.is_personal = self.is_personal or other.is_personal

    def lines(self) -> bytes:
        """The header lines. INVARIANT: names and values were checked when they were added."""
        lines = [
            f"{name}: {value}\r\n"
            for name, (_, values) in self._values.items()
            for value in (values if name == COOKIES else (", ".join(values),))
        ]
        return "".join(lines).encode("latin-1")


_returned: Final[ContextVar[Returned | None]] = ContextVar("returned_headers", default=None)


@contextmanager
def returning() -> Iterator[Returned]:
    """Inside the block, the headers that calls let through are collected."""
    returned = Returned()
    token = _returned.set(returned)
    try:
        yield returned
    finally:
        _returned.reset(token)


def returned_now() -> Returned | None:
    """Where headers of this request's calls go; None where no answer would carry them."""
    return _returned.get()
