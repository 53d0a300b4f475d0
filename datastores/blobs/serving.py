"""Serves signed links to files over HTTP, as an S3 server serves presigned ones: GET with ranges, PUT."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from datastores.blobs.files import FileBlobs
from datastores.blobs.links import SignedLinks
from datastores.errors import Conflict, NotFound, Unavailable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?")
# What was uploaded is shown to nobody's browser as a page of ours.
_HEADERS = [
    (b"content-type", b"application/octet-stream"),
    (b"content-disposition", b"attachment"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"private, no-store"),
]


class BlobLinks:
    """An ASGI application, to be mounted where `links` points to."""

    def __init__(
        self, blobs: FileBlobs, links: SignedLinks, *, clock_s: Callable[[], float] = time.time
    ) -> None:
        self._blobs = blobs
        self._links = links
        self._clock_s = clock_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Whoever has no genuine link is answered 403, also where nothing is there."""
        if scope["type"] != "http":
            return
        method = scope["method"]
        name = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if method not in ("GET", "PUT"):
            await _answer(send, 405)
        elif not self._links.allows(method, name, query, now_s=self._clock_s()):
            await _answer(send, 403)
        elif method == "GET":
            await self._read(name, dict(scope["headers"]).get(b"range", b"").decode("latin-1"), send)
        else:
            await self._put(name, int(query["size"]), receive, send)

    async def _put(self, upload_id: str, size_bytes_max: int, receive: Receive, send: Send) -> None:
        try:
            await self._blobs.receive(upload_id, _body(receive), size_bytes_max=size_bytes_max)
        except ConnectionAbortedError:
            return  # nobody is there to be told
        except ValueError:
            await _answer(send, 413)
        except Conflict:
            await _answer(send, 409)
        except Unavailable:
            await _answer(send, 503)
        else:
            await _answer(send, 200)

    async def _read(self, key: str, wanted: str, send: Send) -> None:
        found = _RANGE.fullmatch(wanted)
        start = int(found[1]) if found else 0
        end = int(found[2]) + 1 if found and found[2] else None
        begun = False
        try:
            async for chunk in self._blobs.get(key, start=start, end=max(end, start) if end else None):
                if not begun:
                    await send(_head(206 if found else 200))
                begun = True
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except NotFound:
            await _answer(send, 404)
        except Unavailable:
            if begun:
                raise  # the server breaks the connection off: a short answer must not look whole
            await _answer(send, 503)
        else:
            if not begun:
                await send(_head(416 if found else 200))
            await send({"type": "http.response.body", "body": b""})


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionAbortedError("the sender has left")
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _head(status: int) -> MutableMapping[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": _HEADERS}


async def _answer(send: Send, status: int) -> None:
    await send(_head(status))
    await send({"type": "http.response.body", "body": b""})
