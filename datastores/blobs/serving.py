"""Serves signed links to files over HTTP, as an S3 server does: GET and HEAD with ranges, PUT.

A link that stands for somebody's right (`Terms.grant`) is good only for as long as they have it: `still` is
asked each time it is used.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

from datastores.blobs.files import FileBlobs
from datastores.blobs.links import SignedLinks, Terms
from datastores.blobs.port import NotAsTold
from datastores.errors import Conflict, NotFound, Unavailable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
# What was uploaded is shown to nobody's browser as a page of ours.
_HEADERS: Headers = [
    (b"content-type", b"application/octet-stream"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"private, no-store"),
    (b"referrer-policy", b"no-referrer"),
]


async def no_grants(grant: str) -> bool:
    """Where no link stands for anybody's right."""
    del grant
    return False


@dataclass(frozen=True, slots=True)
class _Part:
    """What of a file is asked for: the bytes from `start` on and before `end`."""

    start: int
    end: int
    whole: bool


class BlobLinks:
    """An ASGI application, to be mounted where `links` points to. `still` says whether a grant holds now.

    Whoever has no genuine link, or no right any more, is answered 403, also where nothing is there. An upload
    is 413 where it is too large, 422 where it is not what its link tells, 409 where something came before.
    """

    def __init__(
        self,
        blobs: FileBlobs,
        links: SignedLinks,
        *,
        still: Callable[[str], Awaitable[bool]] = no_grants,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._blobs = blobs
        self._links = links
        self._still = still
        self._clock_s = clock_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        method = scope["method"]
        name = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        if method not in ("GET", "HEAD", "PUT"):
            await _answer(send, 405)
            return
        given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        signed_for = "PUT" if method == "PUT" else "GET"
        terms = self._links.allowed(signed_for, name, given, now_s=self._clock_s())
        try:
            if terms is None or (terms.grant and not await self._still(terms.grant)):
                await _answer(send, 403)
            elif method == "PUT":
                await self._put(name, terms, receive, send)
            else:
                wanted = dict(scope["headers"]).get(b"range", b"").decode("latin-1")
                await self._read(name, terms, wanted, send, body=method == "GET")
        except Unavailable:
            await _answer(send, 503)

    async def _put(self, upload_id: str, terms: Terms, receive: Receive, send: Send) -> None:
        try:
            await self._blobs.receive(
                upload_id,
                _body(receive),
                size_bytes_max=terms.size_bytes_max or 0,
                size_bytes=terms.size_bytes,
                sha256=terms.sha256 or None,
            )
        except ConnectionAbortedError:
            return  # nobody is there to be told
        except NotAsTold:
            await _answer(send, 422)
        except ValueError:
            await _answer(send, 413)
        except Conflict:
            await _answer(send, 409)
        else:
            await _answer(send, 200)

    async def _read(self, key: str, terms: Terms, wanted: str, send: Send, *, body: bool) -> None:
        try:
            size_bytes = await self._blobs.size_bytes(key)
        except NotFound:
            await _answer(send, 404)
            return
        part = _part(wanted, size_bytes)
        if part is None:
            await _answer(send, 416, [(b"content-range", f"bytes */{size_bytes}".encode())])
            return
        chunks = self._blobs.get(key, start=part.start, end=part.end) if body else _nothing()
        begun = False
        try:
            async for chunk in chunks:
                if not begun:
                    await send(_head(206 if not part.whole else 200, _described(part, size_bytes, terms)))
                begun = True
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except NotFound:  # deleted since
            if begun:
                raise
            await _answer(send, 404)
            return
        except Unavailable as error:
            if begun:  # the server breaks the connection off: a short answer must not look whole
                raise RuntimeError("a file could not be read to its end") from error
            raise
        if not begun:
            await send(_head(206 if not part.whole else 200, _described(part, size_bytes, terms)))
        await send({"type": "http.response.body", "body": b""})


async def _nothing() -> AsyncIterator[bytes]:
    none: tuple[bytes, ...] = ()
    for chunk in none:
        yield chunk


def _part(wanted: str, size_bytes: int) -> _Part | None:
    """The one range of a request; None where it lies outside.  Source: RFC 9110, 14.1.2 and 14.2."""
    whole = _Part(0, size_bytes, whole=True)
    found = _RANGE.fullmatch(wanted)
    if found is None or not (found[1] or found[2]):
        return whole  # none, several, or of another unit: all of it may be sent
    if not found[1]:
        last = int(found[2])
        return None if last == 0 else _Part(max(0, size_bytes - last), size_bytes, whole=False)
    start = int(found[1])
    end = size_bytes if not found[2] else min(size_bytes, int(found[2]) + 1)
    if found[2] and int(found[2]) < start:
        return whole  # no range at all
    return None if start >= size_bytes else _Part(start, end, whole=False)


def _described(part: _Part, size_bytes: int, terms: Terms) -> Headers:
    """How long it is, which part of what, what it is to be called, and the hash of the whole."""
    called = f"attachment; filename*=UTF-8''{quote(terms.file_name, safe='')}"
    headers: Headers = [
        (b"content-length", str(part.end - part.start).encode()),
        (b"accept-ranges", b"bytes"),
        (b"content-disposition", called.encode() if terms.file_name else b"attachment"),
    ]
    if not part.whole:
        headers.append((b"content-range", f"bytes {part.start}-{part.end - 1}/{size_bytes}".encode()))
    if terms.sha256:
        told = base64.b64encode(bytes.fromhex(terms.sha256)).decode()
        headers += [(b"repr-digest", f"sha-256=:{told}:".encode()), (b"etag", f'"{terms.sha256}"'.encode())]
    return headers


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionAbortedError("the sender has left")
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _head(status: int, headers: Headers) -> MutableMapping[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [*_HEADERS, *headers]}


async def _answer(send: Send, status: int, headers: Headers | None = None) -> None:
    length = (b"content-length", b"0")
    await send(_head(status, [length, *(headers or [])]))
    await send({"type": "http.response.body", "body": b""})
