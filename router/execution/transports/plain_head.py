"""The head of an answer whose length it tells, read without the HTTP parser where it is plainly one."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from router.execution.transports.http_wire import HttpAnswer, media_type_of
from router.header_lines import HeaderLines, header_lines

STATUS_LINE: Final = b"HTTP/1.1 200 OK\r\n"
HEAD_BYTES_MAX: Final = 16_384
LENGTH_DIGITS_MAX: Final = 15
_PARSED_ELSEWHERE: Final = frozenset({"transfer-encoding", "content-encoding", "upgrade", "trailer"})


class PlainHead(NamedTuple):
    """An answer's headers, where its body begins in what was read, and how many bytes that has."""

    headers: HeaderLines
    begins: int
    length: int

    def answer(self, body: bytes) -> HttpAnswer:
        """The answer with this body."""
        pairs, headers = self.headers.pairs, self.headers.by_name
        return HttpAnswer(
            200,
            _media_type(headers.get("content-type", "")),
            body,
            headers.get("cache-control", ""),
            headers.get("retry-after", ""),
            pairs,
        )


def plain_head(data: bytes) -> PlainHead | None:
    """The head that `data` begins with, if the connection can be kept after its answer.

    None where it is not plainly one.
    """
    if not data.startswith(STATUS_LINE):
        return None
    end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
    if end < len(STATUS_LINE):
        return None
    read = header_lines(data[len(STATUS_LINE) : end].split(b"\r\n"))
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
    return PlainHead(read, end + 4, int(length))


@lru_cache(maxsize=256)
def _media_type(content_type: str) -> str:
    return media_type_of(content_type.encode("latin-1"))
