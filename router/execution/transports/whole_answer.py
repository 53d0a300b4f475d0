"""A whole answer in one piece, read without the HTTP parser where it is plainly one."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from router.execution.transports.http_wire import HttpAnswer, media_type_of
from router.execution.transports.known_texts import KnownTexts
from router.header_lines import header_lines

STATUS_LINE: Final = b"HTTP/1.1 200 OK\r\n"
HEAD_BYTES_MAX: Final = 16_384
_PARSED_ELSEWHERE: Final = frozenset({"transfer-encoding", "content-encoding", "upgrade", "trailer"})


def whole_answer(data: bytes, known: KnownTexts, *, answer_bytes_max: int) -> HttpAnswer | None:
    """The answer that `data` is, from its first byte to its last, if the connection can be kept after it.

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
    announced, length = headers.get("content-length", ""), len(data) - end - 4
    if not announced.isdigit() or int(announced) != length or length > answer_bytes_max:
        return None
    if not _PARSED_ELSEWHERE.isdisjoint(headers):
        return None
    if headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    return HttpAnswer(
        200,
        _media_type(headers.get("content-type", "")),
        known.at_end_of(data, length) or data[end + 4 :],
        headers.get("cache-control", ""),
        headers.get("retry-after", ""),
        read.pairs,
    )


@lru_cache(maxsize=256)
def _media_type(content_type: str) -> str:
    return media_type_of(content_type.encode("latin-1"))
