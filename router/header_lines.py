"""Header lines read from lines that were read before, requests' and answers' alike.

Those who speak to us send the same lines again and again. What is read here is a strict part of HTTP/1.1: one
space after the colon, visible ASCII, no line folded, no header twice. All else is left to the HTTP parser,
so nothing is read here that it would read in another way.  Source: RFC 9112.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeAlias

LINES_MAX: Final = 4_096
"""Lines kept; they are forgotten together where there are more."""
LINE_BYTES_MAX: Final = 512
"""Longer lines are read anew each time."""
_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)")
SECRET_NAMES: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
"""Not kept: a token is nothing to leave in memory."""
_SECRET: Final = frozenset(name.encode() for name in SECRET_NAMES)

Line: TypeAlias = tuple[str, str, tuple[bytes, bytes]]
"""Name in lower case and value, as texts and as bytes."""
_known: Final[dict[bytes, Line]] = {}


class HeaderLines(NamedTuple):
    """Headers by lower-case name, and the same in their order as bytes."""

    by_name: dict[str, str]
    pairs: list[tuple[bytes, bytes]]


def header_lines(lines: list[bytes]) -> HeaderLines | None:
    """The headers that `lines`, without their ends, are; None where one is not plain, or comes twice."""
    by_name: dict[str, str] = {}
    pairs: list[tuple[bytes, bytes]] = []
    for line in lines:
        known = _known.get(line) or _read(line)
        if known is None:
            return None
        name, value, pair = known
        by_name[name] = value
        pairs.append(pair)
    return HeaderLines(by_name, pairs) if len(by_name) == len(pairs) else None


def _read(line: bytes) -> Line | None:
    matched = _LINE.fullmatch(line)
    if matched is None:
        return None
    name, value = matched[1].lower(), matched[2]
    read = name.decode("ascii"), value.decode("ascii"), (name, value)
    if name not in _SECRET and len(line) <= LINE_BYTES_MAX:
        if len(_known) >= LINES_MAX:
            _known.clear()
        _known[line] = read
    return read
