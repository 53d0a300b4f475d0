"""Upload: a file that came with a request, on its way from the edge to the subgraph that asked for it.

In-process it is handed over as it is; over HTTP the transport sends it again as a multipart form.
Source: the GraphQL multipart request specification.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import BinaryIO

SMALL_READ_BYTES_MAX = 64 * 1024


class Upload:
    """One uploaded file. It lives as long as its request: read it before the resolver returns.

    `size` is in bytes; `filename` is what the client claims and never a path to use as it is.
    """

    __slots__ = ("_at", "_file", "_lock", "content_type", "filename", "size")

    def __init__(self, file: BinaryIO, *, filename: str, content_type: str, size: int) -> None:
        self._file = file
        self._at = 0
        self._lock = Lock()
        self.filename = filename
        self.content_type = content_type
        self.size = size

    def __repr__(self) -> str:
        return f"Upload({self.filename!r}, {self.content_type!r}, {self.size} bytes)"

    def for_another_place(self) -> Upload:
        """The same file, read from its beginning whatever was read of it elsewhere."""
        other = Upload(self._file, filename=self.filename, content_type=self.content_type, size=self.size)
        other._lock = self._lock
        return other

    async def read(self, size: int = -1) -> bytes:
        """At most `size` bytes from where the last read ended; all that is left when negative."""
        if 0 <= size <= SMALL_READ_BYTES_MAX or self.size <= SMALL_READ_BYTES_MAX:
            return self._read(size)
        return await asyncio.to_thread(self._read, size)

    def _read(self, size: int) -> bytes:
        with self._lock:
            self._file.seek(self._at)
            found = self._file.read(size)
            self._at += len(found)
        return found

    async def seek(self, offset: int) -> None:
        """Go on reading at byte `offset`."""
        self._at = offset

    def close(self) -> None:
        """Give the space back; the edge calls it when the request is over."""
        self._file.close()


def uploads_in(value: object, path: str = "variables") -> Iterator[tuple[str, Upload]]:
    """Every upload inside `value`, with its path in the multipart form's spelling: `variables.files.0`."""
    if isinstance(value, Upload):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from uploads_in(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from uploads_in(item, f"{path}.{index}")
