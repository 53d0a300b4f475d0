"""Blobs of a patient, such as a scan or a letter: sealed under the patient's data key, in any store of blobs.

content -> pieces of 256 KiB -[data key of the patient]-> records of one length -> one blob. Destroying the
key makes every copy unreadable: in the store, in its versions, in backups.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import aclosing
from typing import TypeVar

from datastores.blobs.port import Blob, Blobs, check_key, check_range
from datastores.errors import StoreError
from datastores.vault.port import Sealer

T = TypeVar("T")
PIECE_BYTES = 256 * 1024
_SEALED_MORE_BYTES = 29
"""What sealing adds to a piece: format, nonce, tag."""
_RECORD_BYTES = 1 + PIECE_BYTES + _SEALED_MORE_BYTES
_MORE, _LAST = b"\x00", b"\x01"
_PIECES_AT_ONCE = 4


class SealedBlobs:
    """Blobs that only `sealer` opens, in `blobs`, which is opened and closed by others.

    Each piece is bound to its key, its place and whether it is the last: pieces that were changed, moved,
    left out or cut off do not open. A key is put once, for the same content is sealed into other bytes each
    time. There are no links: bytes that a client puts or gets past this program are not sealed.
    Errors: those of `Blobs` and `Sealer`; NotFound also where the patient's key was destroyed.
    """

    def __init__(self, sealer: Sealer, blobs: Blobs) -> None:
        self._sealer = sealer
        self._blobs = blobs

    async def put(
        self, patient_id: str, key: str, content: AsyncIterable[bytes], *, size_bytes_max: int
    ) -> Blob:
        """Store, all or nothing; Conflict where the key exists, ValueError past `size_bytes_max`. What it
        gives is of the content and not of what is stored."""
        check_key(key)
        plain = _Counted(content, size_bytes_max)
        sealed_bytes_max = (size_bytes_max // PIECE_BYTES + 1) * _RECORD_BYTES
        records = self._records(patient_id, key, plain.pieces())
        await self._blobs.put(key, records, size_bytes_max=sealed_bytes_max)
        return Blob(key, plain.size_bytes, plain.digest.hexdigest())

    async def get(
        self, patient_id: str, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """The content from `start` on and before `end`, as far as there is any, in pieces; NotFound.

        Errors: StoreError where it is not what was put, before anything of the piece in question is given.
        """
        check_range(start, end)
        first = start // PIECE_BYTES
        stop = None if end is None else -(-end // PIECE_BYTES)
        stored = self._blobs.get(
            key, start=first * _RECORD_BYTES, end=None if stop is None else stop * _RECORD_BYTES
        )
        at = first * PIECE_BYTES
        async with aclosing(self._opened(patient_id, key, _records_of(stored), first, stop)) as pieces:
            async for piece in pieces:
                cut = piece[max(0, start - at) : None if end is None else max(0, end - at)]
                at += len(piece)
                if cut:
                    yield cut

    async def delete(self, key: str) -> None:
        """Remove; nothing happens where there is nothing."""
        await self._blobs.delete(key)

    async def _records(
        self, patient_id: str, key: str, pieces: AsyncIterator[tuple[bytes, bool]]
    ) -> AsyncIterator[bytes]:
        number = 0
        async for some in _several(pieces):
            flags = [_LAST if is_last else _MORE for _, is_last in some]
            values = [
                (_context(key, number + at, flag), piece)
                for at, (flag, (piece, _)) in enumerate(zip(flags, some, strict=True))
            ]
            sealed = await self._sealer.seal(patient_id, values)
            yield b"".join(flag + record for flag, record in zip(flags, sealed, strict=True))
            number += len(some)

    async def _opened(
        self, patient_id: str, key: str, records: AsyncIterator[bytes], first: int, stop: int | None
    ) -> AsyncGenerator[bytes, None]:
        number, is_last = first, False
        async for some in _several(records):
            flags = [record[:1] for record in some]
            if is_last or _LAST in flags[:-1]:
                raise StoreError("a sealed blob goes on behind its end")
            values = [
                (_context(key, number + at, flag), record[1:])
                for at, (flag, record) in enumerate(zip(flags, some, strict=True))
            ]
            for piece in await self._sealer.unseal(patient_id, values):
                yield piece
            number, is_last = number + len(some), flags[-1] == _LAST
        if not is_last and (stop is None or number < stop) and (number > first or first == 0):
            raise StoreError("a sealed blob is cut off")


class _Counted:
    """Content on its way: in pieces of one length, counted, hashed, and refused where it is too long."""

    def __init__(self, content: AsyncIterable[bytes], size_bytes_max: int) -> None:
        self._content = content
        self._size_bytes_max = size_bytes_max
        self.size_bytes = 0
        self.digest = hashlib.sha256()

    async def pieces(self) -> AsyncIterator[tuple[bytes, bool]]:
        """Each piece, and whether it is the last. All but the last are whole; of no content there is one."""
        held = bytearray()
        async for chunk in self._content:
            self.size_bytes += len(chunk)
            if self.size_bytes > self._size_bytes_max:
                raise ValueError(f"the content is larger than {self._size_bytes_max} bytes")
            self.digest.update(chunk)
            held += chunk
            while len(held) > PIECE_BYTES:
                yield bytes(held[:PIECE_BYTES]), False
                del held[:PIECE_BYTES]
        yield bytes(held), True


async def _records_of(stored: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What is stored, cut where its records were."""
    held = bytearray()
    async for chunk in stored:
        held += chunk
        while len(held) >= _RECORD_BYTES:
            yield bytes(held[:_RECORD_BYTES])
            del held[:_RECORD_BYTES]
    if held:
        yield bytes(held)


async def _several(items: AsyncIterator[T]) -> AsyncIterator[Sequence[T]]:
    """A few at once: the sealer is asked less often, and memory stays bounded."""
    some: list[T] = []
    async for item in items:
        some.append(item)
        if len(some) == _PIECES_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _context(key: str, number: int, flag: bytes) -> str:
    return f"blob {len(key)} {key} {number} {'last' if flag == _LAST else 'more'}"
