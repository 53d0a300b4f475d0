"""What HTTP/1.1 and HTTP/2 calls have in common: addresses, answers, failures, decompression."""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

from router.codings import Damaged, UnknownCoding, UnpackedTooLong, unpacked

TlsContext: TypeAlias = Callable[[], ssl.SSLContext]
"""The TLS settings for a connection that is opened now."""

TRACEPARENT: Final = "traceparent"
_FORBIDDEN: Final = ("\r", "\n", "\0")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")


class CallFailed(Exception):
    """A call that brought no answer."""


class ConnectFailed(CallFailed):
    """No connection could be opened: nothing was sent. `refused`: nobody listens there at the moment."""

    def __init__(self, *, refused: bool = False) -> None:
        super().__init__()
        self.refused = refused


class ConnectionLost(CallFailed):
    """The connection ended before the answer did; whether the server acted is unknown."""


class AnswerTooLong(CallFailed):
    """The answer, decompressed, is over the limit."""


class NotHttp(CallFailed):
    """What came back is not an answer of the protocol."""


class HttpAnswer(NamedTuple):
    """Status, media type in lower case without parameters, and the decompressed body, a `bytearray` where it
    came in pieces.

    `cache_control` and `retry_after` are those headers as they came, empty where they did not; `headers` are
    all, in their order.
    """

    status: int
    media_type: str
    body: bytes
    cache_control: str = ""
    retry_after: str = ""
    headers: Sequence[tuple[bytes, bytes]] = ()


class Waiter(Protocol):
    """Who waits for an answer: a future, or what does with less."""

    def done(self) -> bool:
        """Whether the outcome was told."""
        ...

    def set_result(self, answer: HttpAnswer, /) -> None:
        """The answer is here."""
        ...

    def set_exception(self, failure: Exception, /) -> None:
        """There will be none: one of `HttpClient.post`'s errors."""
        ...


class CallHeaders(dict[str, str]):
    """Headers of calls, lower case, with what is made of them once; not changed after that."""

    __slots__ = ("_lines", "_telling")
    _lines: bytes
    _telling: tuple[tuple[str, str], ...]

    @property
    def lines(self) -> bytes:
        """As HTTP/1.1 has them."""
        try:
            return self._lines
        except AttributeError:
            self._lines = lines_of(self)
            return self._lines

    @property
    def telling(self) -> tuple[tuple[str, str], ...]:
        """Those that an answer may depend on: whose trace a call belongs to changes none."""
        try:
            return self._telling
        except AttributeError:
            self._telling = tuple([it for it in self.items() if it[0] != TRACEPARENT])
            return self._telling


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL taken apart once, for requests of one method."""

    host: str
    port: int
    tls: bool
    head: bytes
    """Request line and `host` header of HTTP/1.1."""
    authority: str
    target: str
    method: str
    socket: str = ""
    """Path of the Unix socket that is connected to instead of host and port."""

    @classmethod
    def of(cls, url: str, *, method: str = "POST", socket: str = "") -> Endpoint:
        """Errors: ValueError where the URL is not `http` or `https` with a host."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("a subgraph URL starts with http:// or https:// and names a host")
        tls = parts.scheme == "https"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        authority = parts.netloc.rpartition("@")[2]
        head = f"{method} {target} HTTP/1.1\r\nhost: {authority}\r\n".encode("ascii", "strict")
        port = parts.port or (443 if tls else 80)
        return cls(parts.hostname, port, tls, head, authority, target, method, socket)

    def request(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """The request's bytes."""
        lines = headers.lines if headers.__class__ is CallHeaders else lines_of(headers)
        return b"%b%bcontent-length: %d\r\n\r\n%b" % (self.head, lines, len(body), body)


Made = TypeVar("Made", bound=asyncio.BaseProtocol)


async def connected(
    endpoint: Endpoint, make: Callable[[], Made], tls: ssl.SSLContext | None
) -> tuple[asyncio.Transport, Made]:
    """A connection to the endpoint, over its socket where it has one.  Errors: OSError."""
    loop = asyncio.get_running_loop()
    if not endpoint.socket:
        return await loop.create_connection(make, endpoint.host, endpoint.port, ssl=tls)
    name = endpoint.host if tls is not None else None
    return await loop.create_unix_connection(make, endpoint.socket, ssl=tls, server_hostname=name)


@functools.cache
def system_tls() -> ssl.SSLContext:
    """TLS with the system's authorities, read once: that takes tens of milliseconds."""
    return ssl.create_default_context()


def lines_of(headers: Mapping[str, str]) -> bytes:
    """Headers as HTTP/1.1 has them. INVARIANT: none can end its line, whatever a client sent."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if is_line(name, value)]
    return "".join(lines).encode("utf-8", "replace")


def is_line(name: str, value: str) -> bool:
    """Whether a header is one: its name is a token, its value stays within its line.  Source: RFC 9110 §5."""
    if not _is_name(name):
        return False
    return value.isprintable() or not any(it in value for it in _FORBIDDEN)


@functools.lru_cache(maxsize=1_024)
def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def plain_body(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """The body without its content encoding.

    Errors: `AnswerTooLong` before more than the limit is held, `NotHttp` for what cannot be read.
    """
    if encoding in {"", "identity"}:
        return body
    try:
        return unpacked(body, encoding, bytes_max=bytes_max)
    except UnpackedTooLong:
        raise AnswerTooLong from None
    except (Damaged, UnknownCoding):
        raise NotHttp from None


def media_type_of(content_type: bytes) -> str:
    """A `content-type` header's media type in lower case, without parameters."""
    return content_type.partition(b";")[0].strip().lower().decode("latin-1")
