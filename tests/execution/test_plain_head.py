"""The reader of plain heads takes a strict part of HTTP, and takes it as the parser does."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.execution.transports.http_wire import HttpAnswer
from router.execution.transports.plain_head import STATUS_LINE, plain_head

BODY = b'{"data":{}}'
NAMES = st.sampled_from(
    [b"content-type", b"Content-Length", b"connection", b"transfer-encoding", b"content-encoding",
     b"set-cookie", b"cache-control", b"Retry-After", b"date", b"x b", b"", b"trailer", b"upgrade"]
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        [b"close", b"keep-alive", b"chunked", b"gzip", b"identity", b"Application/JSON; charset=utf-8",
         b"max-age=3", str(len(BODY)).encode(), b"11, 11", b"a\nb", b"a\rb", b"\xe9", b" x ", b""]
    ),
    st.binary(max_size=12),
)  # fmt: skip
LINES = st.lists(st.tuples(NAMES, st.sampled_from([b": ", b":", b" : "]), VALUES), max_size=6)


class Parsed:
    """What the HTTP parser makes of the same bytes."""

    def __init__(self, data: bytes) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.body, self.messages = b"", 0
        self.parser = httptools.HttpResponseParser(self)
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        assert name.lower() not in self.headers
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages += 1
        self.keeps_alive, self.status = self.parser.should_keep_alive(), self.parser.get_status_code()


def answer(*lines: bytes, body: bytes = BODY, length: int | None = None) -> bytes:
    announced = b"content-length: %d" % (len(body) if length is None else length)
    return STATUS_LINE + b"\r\n".join([*lines, announced, b"", b""]) + body


@given(lines=LINES, body=st.sampled_from([BODY, b"", BODY + STATUS_LINE]), announced=st.booleans())
def test_what_is_read_is_what_the_parser_reads(lines, body: bytes, announced: bool) -> None:
    joined = [name + colon + value for name, colon, value in lines]
    if announced:
        joined.append(b"content-length: %d" % len(body))
    data = STATUS_LINE + b"\r\n".join([*joined, b"", b""]) + body
    found = plain_head(data)
    if found is None or len(data) - found.begins != found.length:
        return
    read = found.answer(data[found.begins :])
    parsed = Parsed(data)
    assert (parsed.messages, parsed.status, parsed.keeps_alive) == (1, 200, True)
    assert read.body == parsed.body
    assert read.cache_control == parsed.headers.get(b"cache-control", b"").decode()
    assert read.retry_after == parsed.headers.get(b"retry-after", b"").decode()
    assert "content-encoding" not in {name.decode() for name in parsed.headers}


def test_a_plain_answer_is_read() -> None:
    lines = (b"Content-Type: application/JSON; charset=utf-8", b"cache-control: max-age=3", b"date: now")
    data = answer(*lines)
    found = plain_head(data)
    assert found is not None
    read = found.answer(data[found.begins :])
    assert read._replace(headers=()) == HttpAnswer(200, "application/json", BODY, "max-age=3", "")
    assert found.length == len(BODY)


@pytest.mark.parametrize(
    "data",
    [
        answer(b"transfer-encoding: chunked"),
        answer(b"content-encoding: gzip"),
        answer(b"connection: close"),
        answer(b"cache-control: no-store", b"cache-control: max-age=3"),
        answer(b"content-length: 11"),
        answer(length=10**15),
        answer().replace(b"200 OK", b"503 Service Unavailable"),
        answer().replace(b"HTTP/1.1", b"HTTP/1.0"),
        answer(b"folded: a", b" b"),
        b"HTTP/1.1 200 OK\r\n\r\n",
        answer(b"a: " + b"b" * 20_000),
    ],
    ids=range(11),
)
def test_all_else_is_left_to_the_parser(data: bytes) -> None:
    assert plain_head(data) is None
