"""The blobs port: immutable bytes under a key, such as an uploaded file as it came."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Blob:
    """What is known of stored bytes. `sha256` is hex of the whole content."""

    key: str
    size_bytes: int
    sha256: str


class Blobs(Protocol):
    """Bytes by key. A put is atomic: a reader sees all of it or NotFound.

    Keys are relative slash paths of `[A-Za-z0-9._-]` segments; anything else is a ValueError.
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

    def get(self, key: str) -> AsyncIterator[bytes]:
        """The bytes in chunks; NotFound."""
        ...

    def list_keys(self) -> AsyncIterator[str]:
        """Every key, in no promised order; one that comes or goes meanwhile may be in it or not."""
        ...

    async def delete(self, key: str) -> None:
        """Remove; nothing happens where there is nothing."""
        ...
