"""Heads: a whole small `POST /graphql`, read without the HTTP parser where it is plainly one.

A client sends the same head again and again but for its token, so that heads without it are kept.
"""

from __future__ import annotations

from typing import Any, Final

from router.header_lines import header_lines

REQUEST_LINE: Final = b"POST /graphql HTTP/1.1\r\n"
HEAD_BYTES_MAX: Final = 16_384
HEADS_MAX: Final = 1_024
"""Heads kept; they are forgotten together where there are more."""
KEPT_BYTES_MAX: Final = 2_048
"""Longer heads are read anew each time."""
_TOKENS: Final = (b"\r\nauthorization: ", b"\r\nAuthorization: ")
_STREAMED: Final = ("event-stream", "multipart")
_PARSED_ELSEWHERE: Final = frozenset({"transfer-encoding", "expect", "upgrade", "te", "trailer"})
_NOT_KEPT: Final = frozenset({"cookie", "proxy-authorization", "dpop", "traceparent", "tracestate"})
"""Headers that are secret, or another time others."""


class Head:
    """The headers of a plain request, all but its `authorization`; not to be changed."""

    __slots__ = ("body_bytes", "by_name", "known", "pairs")

    def __init__(self, by_name: dict[str, str], pairs: list[tuple[bytes, bytes]], body_bytes: int) -> None:
        self.by_name = by_name
        self.pairs = pairs
        self.body_bytes = body_bytes
        self.known: Any = None
        """What its reader has made of it."""


class WholeRequest:
    """Headers and body of one request."""

    __slots__ = ("asked", "authorization", "body", "head")

    def __init__(self, head: Head, authorization: str | None, body: bytes) -> None:
        self.asked: Any = None
        """What its reader has made of the body."""
        self.head = head
        self.authorization = authorization
        self.body = body

    @property
    def by_name(self) -> dict[str, str]:
        """All headers by lower-case name."""
        if self.authorization is None:
            return self.head.by_name
        return {**self.head.by_name, "authorization": self.authorization}

    @property
    def pairs(self) -> list[tuple[bytes, bytes]]:
        """All headers as bytes."""
        if self.authorization is None:
            return self.head.pairs
        return [*self.head.pairs, (b"authorization", self.authorization.encode("ascii"))]


class Heads:
    """Reads whole requests. One an app: what is made of a head depends on the app's settings."""

    __slots__ = ("_body_bytes_max", "_kept")

    def __init__(self, *, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._kept: dict[bytes, Head] = {}

    def read(self, data: bytes) -> WholeRequest | None:
        """The request that `data` is, from its first byte to its last; None where it is not plainly one."""
        end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
        if end < 0:
            return None
        at = data.find(_TOKENS[0], 0, end)
        if at < 0:
            at = data.find(_TOKENS[1], 0, end)
        authorization: str | None = None
        if at < 0:
            text = data[:end]
        else:
            line_ends = data.find(b"\r\n", at + 2, end + 2)
            text = data[:at] + data[line_ends:end]
            authorization = _value(data[at + 2 : line_ends])
            if authorization is None:
                return None
        head = self._kept.get(text) or self._read(text)
        if head is None or len(data) - end - 4 != head.body_bytes:
            return None
        return WholeRequest(head, authorization, data[end + 4 :])

    def _read(self, text: bytes) -> Head | None:
        """A head without its token line; None where it asks for more than one answer in one piece."""
        if not text.startswith(REQUEST_LINE):
            return None
        headers = header_lines(text[len(REQUEST_LINE) :].split(b"\r\n"))
        if headers is None or not _keeps_to_the_plain(headers.by_name):
            return None
        length = headers.by_name.get("content-length", "")
        if not length.isdigit() or not 0 < int(length) <= self._body_bytes_max:
            return None
        head = Head(headers.by_name, headers.pairs, int(length))
        if len(text) <= KEPT_BYTES_MAX and _NOT_KEPT.isdisjoint(headers.by_name):
            if len(self._kept) >= HEADS_MAX:
                self._kept.clear()
            self._kept[text] = head
        return head


def _value(line: bytes) -> str | None:
    """The value of one header line; None where it is not plain."""
    read = header_lines([line])
    return read.by_name["authorization"] if read is not None else None


def _keeps_to_the_plain(headers: dict[str, str]) -> bool:
    """Whether no header asks for more of the connection than one answer in one piece."""
    if not _PARSED_ELSEWHERE.isdisjoint(headers) or "authorization" in headers or "host" not in headers:
        return False
    if headers.get("connection", "keep-alive").lower() != "keep-alive":
        return False
    accept = headers.get("accept", "")
    return not any(one in accept.lower() for one in _STREAMED)
