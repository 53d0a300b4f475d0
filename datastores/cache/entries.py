"""What a cache keeps under a key, and what a place for entries can do: `single_flight.py` builds on it."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

_HEADER = struct.Struct(">Bdf")
_HEADER_BYTES = _HEADER.size
_FORMAT = 1


class Entry(NamedTuple):
    """A value with the moment it ends and what it cost to make."""

    value: bytes
    expires_at_s: float
    cost_s: float = 0.0

    def packed(self) -> bytes:
        """As bytes for a server: a format byte, the end, the cost, the value."""
        return _HEADER.pack(_FORMAT, self.expires_at_s, self.cost_s) + self.value

    @staticmethod
    def unpacked(content: bytes) -> Entry | None:
        """The entry in `content`; None where another program or version wrote it."""
        if len(content) < _HEADER_BYTES:
            return None
        written_as, expires_at_s, cost_s = _HEADER.unpack_from(content)
        return Entry(content[_HEADER_BYTES:], expires_at_s, cost_s) if written_as == _FORMAT else None


def values_of(packed: Iterable[tuple[str, bytes | None]]) -> dict[str, bytes]:
    """The values of packed entries by key, without those that another program or version wrote."""
    return {
        key: content[_HEADER_BYTES:]
        for key, content in packed
        if content and content[0] == _FORMAT and len(content) >= _HEADER_BYTES
    }


class Entries(Protocol):
    """A place for entries: this process's memory or a server. All errors are Unavailable."""

    async def open(self) -> None:
        """Connect."""
        ...

    async def ready(self) -> None:
        """Raise Unavailable where it cannot serve now."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...

    async def read(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """The entries that are there and have not ended."""
        ...

    async def read_values(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """The values of the same entries: who reads many does not ask when each ends."""
        ...

    async def write(self, entries: Mapping[str, Entry], *, ttl_s: float) -> None:
        """Put `entries`, for `ttl_s` from now."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove `keys`."""
        ...

    async def claim(self, key: str, *, lease_s: float) -> str | None:
        """The right to make `key`, for `lease_s` at most; None where somebody else has it."""
        ...

    async def release(self, key: str, token: str) -> None:
        """Give the right back; nothing happens where it has passed to somebody else."""
        ...
