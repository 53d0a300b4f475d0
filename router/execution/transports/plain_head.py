"""The head of an answer whose length it tells, read without the HTTP parser where it is plainly one."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from router.execution.transports.http_wire import HttpAnswer, media_type_of
from router.header_lines import SECRET_NAMES, header_lines

STATUS_LINE: Final = b"HTTP/1.1 200 OK\r\n"
HEAD_BYTES_MAX: Final = 16_384
HEADS_MAX: Final = 1_024
"""Heads kept; they are forgotten together where there are more."""
KEPT_BYTES_MAX: Final = 1_024
"""Longer heads are read anew each time."""
LENGTH_DIGITS_MAX: Final = 15
_PARSED_ELSEWHERE: Final = frozenset({"transfer-encoding", "content-encoding", "upgrade", "trailer"})


class PlainHead(NamedTuple):
    """What an answer's headers say, where its body begins in what was read, and how many bytes that has."""

    media_type: str
    cache_control: str
    retry_after: str
    pairs: list[tuple[bytes, bytes]]
    begins: int
    length: int

    def answer(self, body: bytes) -> HttpAnswer:
        """The answer with this body."""
        return HttpAnswer(200, self.media_type, body, self.cache_control, self.retry_after, self.pairs)


_heads: Final[dict[bytes, PlainHead]] = {}


def plain_head(data: bytes) -> PlainHead | None:
    """The head that `data` begins with, if the connection can be kept after its answer.

    None where it is not plainly one. Heads are kept: subgraphs say the same again and again.
    """
    end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
    if end < len(STATUS_LINE):
        return None
    text = data[:end]
    return _heads.get(text) or _read(text)


def _read(text: bytes) -> PlainHead | None:
    read = header_lines(text[len(STATUS_LINE) :].split(b"\r\n")) if text.startswith(STATUS_LINE) else None
    if read is None:
        return None
    headers = read.by_name
    length = headers.get("content-length", "")
    if not length.isdigit() or len(length) > LENGTH_DIGITS_MAX:
        return None
    if not _PARSED_ELSEWHERE.isdisjoint(headers):
        return None
    if headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    told = headers.get("cache-control", ""), headers.get("retry-after", "")
    media_type = _media_type(headers.get("content-type", ""))
    head = PlainHead(media_type, *told, read.pairs, len(text) + 4, int(length))
    if len(text) <= KEPT_BYTES_MAX and SECRET_NAMES.isdisjoint(headers):
        if len(_heads) >= HEADS_MAX:
            _heads.clear()
        _heads[text] = head
    return head


@lru_cache(maxsize=256)
def _media_type(content_type: str) -> str:
    return media_type_of(content_type.encode("latin-1"))
