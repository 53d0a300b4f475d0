"""The reader of whole small requests takes a strict part of HTTP, and takes it as the parser does."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import header_lines
from router.edge import heads
from router.edge.heads import REQUEST_LINE, Heads

BODY = b'{"query":"{__typename}"}'
NAMES = st.sampled_from(
    [b"host", b"Accept", b"content-type", b"Content-Length", b"connection", b"transfer-encoding", b"expect",
     b"upgrade", b"authorization", b"x-a", b"te", b"Cookie", b"x b", b"", b"accept"]
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        [b"close", b"keep-alive", b"chunked", b"100-continue", b"websocket", b"text/event-stream", b"0",
         str(len(BODY)).encode(), b"+24", b"24, 24", b"application/json", b"a\tb", b"a\nb", b"a\rb",
         b"\xe9", b" x ", b""]
    ),
    st.binary(max_size=12),
)  # fmt: skip
LINES = st.lists(st.tuples(NAMES, st.sampled_from([b": ", b":", b" : ", b":  "]), VALUES), max_size=6)


class Parsed:
    """What the HTTP parser makes of the same bytes."""

    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body, self.messages = b"", 0
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages += 1
        self.keeps_alive = self.parser.should_keep_alive()


def request(*lines: bytes, body: bytes = BODY) -> bytes:
    return (
        REQUEST_LINE + b"\r\n".join([b"host: x", *lines, b"content-length: %d" % len(body), b"", b""]) + body
    )


@given(
    lines=LINES,
    body=st.sampled_from([BODY, b"", b"x", BODY + REQUEST_LINE]),
    announced=st.booleans(),
    has_host=st.booleans(),
)
def test_what_is_read_is_what_the_parser_reads(lines, body: bytes, announced: bool, has_host: bool) -> None:
    joined = [b"host: x"] * has_host + [name + colon + value for name, colon, value in lines]
    if announced:
        joined.append(b"content-length: %d" % len(body))
    data = REQUEST_LINE + b"\r\n".join([*joined, b"", b""]) + body
    reader = Heads(body_bytes_max=1_000)
    read, again = reader.read(data), reader.read(data)
    if read is None:
        assert again is None
        return
    assert again is not None
    assert (again.by_name, again.body) == (read.by_name, read.body)
    parsed = Parsed(data)
    assert parsed.messages == 1
    assert read.body == parsed.body
    assert sorted(read.pairs) == sorted(parsed.headers)
    assert read.by_name == {name.decode(): value.decode() for name, value in parsed.headers}
    assert parsed.keeps_alive
    assert not parsed.parser.should_upgrade()


def test_a_plain_request_is_read() -> None:
    read = Heads(body_bytes_max=100).read(request(b"accept: application/json"))
    assert read is not None
    assert read.by_name == {
        "host": "x",
        "accept": "application/json",
        "content-length": str(len(BODY)),
    }
    assert read.pairs[0] == (b"host", b"x")
    assert read.body == BODY


@pytest.mark.parametrize(
    "data",
    [
        request(b"transfer-encoding: chunked"),
        request(b"expect: 100-continue"),
        request(b"upgrade: websocket"),
        request(b"connection: close"),
        request(b"accept: text/event-stream"),
        request(b"host: a", b"host: b"),
        request(b"content-length: 3"),
        request(b" folded: line"),
        request(b"a: b\nc: d"),
        request(b"a:\x00b"),
        request()[:-1],
        request() + b"P",
        request(body=b""),
        request().replace(b"POST /graphql", b"POST /graphql/"),
        request().replace(b"HTTP/1.1", b"HTTP/1.0"),
        request().replace(b"host: x\r\n", b""),
        request(b"Host: y"),
        request(body=b"x" * 101),
        request(b"a: " + b"b" * heads.HEAD_BYTES_MAX),
    ],
    ids=range(19),
)
def test_all_else_is_left_to_the_parser(data: bytes) -> None:
    assert Heads(body_bytes_max=100).read(data) is None


def test_no_token_is_kept_and_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[bytes, header_lines.Line] = {}
    monkeypatch.setattr(header_lines, "_known", known)
    monkeypatch.setattr(header_lines, "LINES_MAX", 4)
    monkeypatch.setattr(heads, "HEADS_MAX", 3)
    reader = Heads(body_bytes_max=100)
    for number in range(20):
        token = b"authorization: Bearer s%d" % number
        for lines in ((token, b"cookie: s", b"y: " + b"z" * 600), (b"Authorization: s", b"x: %d" % number)):
            assert reader.read(request(*lines)) is not None
            assert len(known) <= 4
            assert 0 < len(reader._kept) <= 3 or number == 0
            assert not any(line.startswith((b"authorization", b"cookie", b"y")) for line in known)
            assert not any(b"uthorization" in text or b"cookie" in text for text in reader._kept)


def test_callers_with_one_head_keep_their_own_tokens() -> None:
    reader = Heads(body_bytes_max=100)
    for number in range(3):
        token = b"Bearer s%d" % number
        read = reader.read(request(b"authorization: " + token, b"accept: */*"))
        assert read is not None
        assert read.by_name["authorization"] == token.decode()
        assert (b"authorization", token) in read.pairs
    read = reader.read(request(b"accept: */*"))
    assert read is not None
    assert "authorization" not in read.by_name
    assert reader.read(request(b"authorization: a", b"authorization: b")) is None
    assert reader.read(request(b"authorization: a", b"AUTHORIZATION: b")) is None
    assert reader.read(request(b"authorization: a\x00")) is None
