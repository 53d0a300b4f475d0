"""Header lines: a request's by name, an answer's as they leave."""

from __future__ import annotations

from starlette.types import Scope


def headers_of(scope: Scope) -> dict[str, str]:
    """The request's headers by lower-case name; one sent several times has its values joined by commas."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def answer_lines(content_type: str, trace_id: str, kept: str) -> bytes:
    """The header lines of every answer. INVARIANT: none of the values is a client's own text, unchecked."""
    return (
        f"content-type: {content_type}\r\nstadion-trace-id: {trace_id}\r\ncache-control: {kept}\r\n"
        "vary: accept, accept-encoding, authorization\r\n"
    ).encode("latin-1")


def headers_of_lines(lines: bytes) -> list[tuple[bytes, bytes]]:
    """Header lines as ASGI has them."""
    pairs = (line.partition(b": ") for line in lines.splitlines())
    return [(name, value) for name, _, value in pairs]


BEARER = b"www-authenticate: Bearer\r\n"


def advice(status: int, method: str, retry_after_s: int, challenge: bytes = BEARER) -> bytes:
    """What HTTP asks a refusal to say about the next try, as header lines; `challenge` is what 401 says."""
    match status:
        case 401:
            return challenge
        case 405:
            return b"allow: POST\r\n" if method == "GET" else b"allow: GET, POST\r\n"
        case 429 | 503:
            return b"retry-after: %d\r\n" % retry_after_s
    return b""
