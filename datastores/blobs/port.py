"""The blobs port: immutable bytes under a key, such as an uploaded file as it came.

A client may send bytes past this program: it is given an upload link, and what came by it waits, unseen by
readers, until `accept` has checked it and given it its key.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

KEY_CHARACTERS_MAX = 512
LINK_VALID_S_MAX = 7 * 24 * 3600.0
UPLOAD_KEPT_S = 24 * 3600.0
"""How long bytes that came by a link wait to be accepted, at least."""
_SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True, slots=True)
class Upload:
    """Where a client puts bytes, by one HTTP PUT to `url` with exactly these `headers`; `accept` takes its
    `id`."""

    id: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


class NotAsTold(ValueError):
    """What came is not of the size or hash that was told."""


@dataclass(frozen=True, slots=True)
class Download:
    """What a download link says besides its key. `file_name` is what a browser calls the file, `sha256` the
    hex of its content. `grant` names whose right the link stands for, to whoever serves it: the files store
    asks anew at each use, S3 cannot and only ends."""

    file_name: str = ""
    sha256: str = ""
    grant: str = ""


PLAIN = Download()


@dataclass(frozen=True, slots=True)
class Blob:
    """What is known of stored bytes. `sha256` is hex of the whole content."""

    key: str
    size_bytes: int
    sha256: str


class Blobs(Protocol):
    """Bytes by key. A put is atomic: a reader sees all of it or NotFound.

    Keys are relative slash paths of `[A-Za-z0-9._-]` segments; anything else is a ValueError. Where a store
    cannot have one key as the folder of others, the later of the two is a Conflict.
    Errors: Unavailable where bytes cannot be read or written now: nothing was stored.
    """

    async def open(self) -> None:
        """Make ready; raises Unavailable."""
        ...

    async def ready(self) -> None:
        """Raise Unavailable where bytes cannot be written now."""
        ...

    async def close(self) -> None:
        """Give back resources."""
        ...

    async def put(self, key: str, content: AsyncIterable[bytes], *, size_bytes_max: int) -> Blob:
        """Store; Conflict where the key exists with other bytes, ValueError past `size_bytes_max`."""
        ...

    def get(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` on and before `end`, as far as there are any, in chunks; NotFound."""
        ...

    def list_keys(self) -> AsyncIterator[str]:
        """Every key, in no promised order; one that comes or goes meanwhile may be in it or not."""
        ...

    async def download_link(self, key: str, *, valid_s: float, about: Download = PLAIN) -> str:
        """A URL by which anyone may read `key` for `valid_s`, at most 7 days; whether it is there is not
        looked at. What `about` says of it is told to the reader, as far as the store can."""
        ...

    async def upload_link(
        self, *, valid_s: float, size_bytes_max: int, size_bytes: int | None = None, sha256: str | None = None
    ) -> Upload:
        """A place where anyone who has its URL may put bytes for `valid_s`. With `size_bytes` or `sha256`
        (hex), just these: what else comes is refused, at the latest when it is accepted."""
        ...

    async def accept(
        self, upload_id: str, key: str, *, size_bytes_max: int, sha256: str | None = None
    ) -> Blob:
        """Store under `key` what came by a link, as `put` does, and forget the upload.

        NotFound where nothing came; ValueError where it is larger, or is not what `sha256` (hex) tells.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove; nothing happens where there is nothing."""
        ...


def check_key(key: str) -> None:
    """ValueError for a key that is no plain relative path."""
    segments = key.split("/")
    safe = all(_SEGMENT.fullmatch(segment) and segment.strip(".") for segment in segments)
    if not safe or len(key) > KEY_CHARACTERS_MAX:
        raise ValueError("a blob's key is made of `[A-Za-z0-9._-]` segments with slashes between them")


def check_valid_s(valid_s: float) -> None:
    """ValueError for a time out of bounds."""
    if not 0 < valid_s <= LINK_VALID_S_MAX:
        raise ValueError(f"a link is valid for over 0 and at most {LINK_VALID_S_MAX:g} s")


def check_range(start: int, end: int | None) -> None:
    """ValueError for a range that ends before it begins."""
    if start < 0 or (end is not None and end < start):
        raise ValueError("a range begins at 0 or later and does not end before it begins")
