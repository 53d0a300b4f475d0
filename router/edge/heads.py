"""Heads: a whole small `POST /graphql`, read without the HTTP parser where it is plainly one."""

from __future__ import annotations

from typing import Final, NamedTuple

from router.header_lines import HeaderLines, header_lines

REQUEST_LINE: Final = b"POST /graphql HTTP/1.1\r\n"
HEAD_BYTES_MAX: Final = 16_384
_STREAMED: Final = ("event-stream", "multipart")
_PARSED_ELSEWHERE: Final = frozenset({"transfer-encoding", "expect", "upgrade", "te", "trailer"})


class WholeRequest(NamedTuple):
    """Headers and body of one request."""

    headers: HeaderLines
    body: bytes


def whole_request(data: bytes, *, body_bytes_max: int) -> WholeRequest | None:
    """The request that `data` is, from its first byte to its last; None where it is not plainly one."""
    if not data.startswith(REQUEST_LINE):
        return None
    end = data.find(b"\r\n\r\n")
    if not 0 < end <= HEAD_BYTES_MAX:
        return None
    headers = header_lines(data[len(REQUEST_LINE) : end].split(b"\r\n"))
    if headers is None or not _keeps_to_the_plain(headers.by_name):
        return None
    body = data[end + 4 :]
    length = headers.by_name.get("content-length", "")
    if not length.isdigit() or int(length) != len(body):
        return None
    return WholeRequest(headers, body) if 0 < len(body) <= body_bytes_max else None


def _keeps_to_the_plain(headers: dict[str, str]) -> bool:
    """Whether no header asks for more of the connection than one answer in one piece."""
    if not _PARSED_ELSEWHERE.isdisjoint(headers):
        return False
    if headers.get("connection", "keep-alive").lower() != "keep-alive":
        return False
    accept = headers.get("accept", "")
    return not any(one in accept.lower() for one in _STREAMED)
