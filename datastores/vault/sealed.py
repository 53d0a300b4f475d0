"""The vault adapter: a relational store of its own, and values sealed under a data key a patient.

plaintext -[data key of the patient]-> sealed value; data key -[key-encryption key of the provider]-> wrapped.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Literal, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from datastores.errors import NotFound, StoreError
from datastores.relational.port import Relational, glance
from datastores.vault import key_rows
from datastores.vault.keys import KeyProvider, WrappedKey

T = TypeVar("T")

# First byte of a sealed value: AES-256-GCM with a random 96-bit nonce before the ciphertext.
_FORMAT = b"\x01"
_FORMAT_BYTE = _FORMAT[0]
_NONCE_BYTES = 12
_HEAD_BYTES = 1 + _NONCE_BYTES
_SEALED_BYTES_MIN = _HEAD_BYTES + 16
_KEYS_CACHED_MAX = 1_000
_KEY_CACHED_S_MAX = 60.0
# Above this a batch leaves the event loop: AES-GCM does about 1 MB in a millisecond.
_INLINE_BYTES_MAX = 512 * 1024
_REWRAP_ROWS = 200
_VALUE = itemgetter(1)


class SealedVault:
    """`Vault` over any relational adapter and any key provider.

    A destroyed key acts at once here and within 60 s in other processes of the same vault, which keep
    unwrapped keys in memory for that long.
    """

    def __init__(
        self,
        relational: Relational,
        keys: KeyProvider,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._relational = relational
        self._keys = keys
        self._clock = clock
        self._monotonic_s = monotonic_s
        self._ciphers: OrderedDict[str, tuple[AESGCM, float]] = OrderedDict()
        self._index_key = b""

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """The dialect of the store below."""
        return self._relational.dialect

    async def open(self) -> None:
        """Open the rows, then the keys. Errors: NotFound where rows are sealed and the keys are gone."""
        await self._relational.open()
        try:
            await key_rows.prepare(self._relational)
            sealed_before = await self._relational.read(key_rows.any_key)
            await self._keys.open(create=not sealed_before)
            self._index_key = await self._open_index_key()
        except BaseException:
            await self._keys.close()
            await self._relational.close()
            raise

    async def ready(self) -> None:
        """Answer a trivial query or raise Unavailable."""
        await self._relational.ready()

    async def close(self) -> None:
        """Forget the keys, then close the rows."""
        self._ciphers.clear()
        self._index_key = b""
        await self._keys.close()
        await self._relational.close()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """As `Relational.read`."""
        return await self._relational.read(work)

    def glance(self, work: Callable[[Connection], T]) -> T | None:
        """As `Glances.glance`, where the rows' store has it."""
        return glance(self._relational, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """As `Relational.write`."""
        return await self._relational.write(work)

    async def seal(self, patient_id: str, values: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """Sealed bytes for each `(context, plaintext)`, in order; makes the data key on first use."""
        cipher = await self._cipher(patient_id, create=True)
        return await _off_loop_when_large(_seal_all, cipher, patient_id, values)

    async def unseal(self, patient_id: str, values: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """Plaintext for each `(context, sealed)`, in order."""
        cipher = await self._cipher(patient_id, create=False)
        return await _off_loop_when_large(_unseal_all, cipher, patient_id, values)

    async def unseal_each(self, values: Sequence[tuple[str, str, bytes]]) -> list[bytes | None]:
        """Plaintext for each `(patient_id, context, sealed)`, in order; None where the key was destroyed."""
        ciphers = {patient_id: self._cached(patient_id) for patient_id, _, _ in values}
        missing = [patient_id for patient_id, cipher in ciphers.items() if cipher is None]
        found = await self._wrapped_keys(missing)
        # At once: a provider that is a service takes a journey a key. Kept here and not looked up again, for
        # the cache may be smaller than the call.
        opened = await asyncio.gather(
            *(self._unwrapped(patient_id, wrapped) for patient_id, wrapped in found)
        )
        ciphers.update(zip((patient_id for patient_id, _ in found), opened, strict=True))
        return [
            None if (cipher := ciphers[patient_id]) is None else _unseal(cipher, patient_id, context, sealed)
            for patient_id, context, sealed in values
        ]

    async def shred(self, patient_id: str) -> None:
        """Destroy the patient's data key for good; sealing for this patient is refused from then on."""
        now_utc = self._clock()
        await self._relational.write(lambda c: key_rows.shred(c, patient_id, now_utc=now_utc))
        self._ciphers.pop(patient_id, None)
        await self.forget_old_pages()

    async def forget_old_pages(self) -> None:
        """Make the store overwrite what was deleted or replaced, where it can."""
        await key_rows.forget_old_pages(self._relational)

    def blind_index(self, name: str, value: str) -> str:
        """A keyed hash for equality look-ups: the same for the same `name` and `value`, telling nothing.

        `name` (table and column) keeps equal values of different columns apart.
        """
        if not self._index_key:
            raise StoreError("the vault is not open")
        message = f"{len(name)}:{name}:{value}".encode()
        return hmac.new(self._index_key, message, hashlib.sha256).hexdigest()[:32]

    async def rotate(self, *, before_destroying: Callable[[], Awaitable[object]] | None = None) -> int:
        """Make a new key-encryption key, wrap every data key with it, destroy the old ones; how many.

        `before_destroying` puts the new wraps where a backup finds them: those that it has open no more then.
        """
        retired = set(await self._relational.read(key_rows.kek_ids))
        current = await self._keys.add_key()
        count = 0
        while wrapped := await self._rewrap_some(current):
            count += wrapped
        if before_destroying is not None:
            await before_destroying()
        for kek_id in retired - {current}:
            await self._keys.retire_key(kek_id)
        return count

    async def _rewrap_some(self, current: str) -> int:
        rows = await self._relational.read(
            lambda c: key_rows.wrapped_by_others(c, current, limit=_REWRAP_ROWS)
        )
        rewrapped = [(row, await self._rewrap(row)) for row in rows]
        await self._relational.write(lambda c: key_rows.replace(c, rewrapped))
        return len(rows)

    async def _rewrap(self, row: key_rows.KeyRow) -> WrappedKey:
        context = _wrap_context(row.kind, row.name)
        return await self._keys.wrap(await self._keys.unwrap(row.wrapped, context=context), context=context)

    async def _open_index_key(self) -> bytes:
        context = _wrap_context("secret", "blind-index")
        fresh = await self._keys.wrap(os.urandom(32), context=context)
        stored = await self._relational.write(lambda c: key_rows.secret(c, "blind-index", first=fresh))
        return await self._keys.unwrap(stored, context=context)

    async def _cipher(self, patient_id: str, *, create: bool) -> AESGCM:
        cached = self._cached(patient_id)
        if cached is not None:
            return cached
        wrapped = await self._relational.read(lambda c: key_rows.data_key(c, patient_id))
        if wrapped is None:
            if not create:
                raise NotFound("no data key: nothing was ever sealed for this patient")
            wrapped = await self._make_data_key(patient_id)
        return await self._unwrapped(patient_id, wrapped)

    def _cached(self, patient_id: str) -> AESGCM | None:
        cached = self._ciphers.get(patient_id)
        if cached is None or cached[1] <= self._monotonic_s():
            return None
        self._ciphers.move_to_end(patient_id)
        return cached[0]

    async def _wrapped_keys(self, patient_ids: Sequence[str]) -> list[tuple[str, WrappedKey]]:
        if not patient_ids:
            return []
        return await self._relational.read(lambda c: key_rows.data_keys(c, patient_ids))

    async def _unwrapped(self, patient_id: str, wrapped: WrappedKey) -> AESGCM:
        cipher = AESGCM(await self._keys.unwrap(wrapped, context=_wrap_context("patient", patient_id)))
        self._ciphers[patient_id] = (cipher, self._monotonic_s() + _KEY_CACHED_S_MAX)
        while len(self._ciphers) > _KEYS_CACHED_MAX:
            self._ciphers.popitem(last=False)
        return cipher

    async def _make_data_key(self, patient_id: str) -> WrappedKey:
        fresh = await self._keys.wrap(os.urandom(32), context=_wrap_context("patient", patient_id))
        now_utc = self._clock()
        # Whoever comes first makes the key; the other's is thrown away unused.
        return await self._relational.write(
            lambda c: key_rows.keep_first(c, patient_id, fresh, now_utc=now_utc)
        )


def _seal_all(cipher: AESGCM, patient_id: str, values: Sequence[tuple[str, bytes]]) -> list[bytes]:
    whose = _whose(patient_id)
    sealed = []
    for context, plaintext in values:
        nonce = os.urandom(_NONCE_BYTES)
        sealed.append(_FORMAT + nonce + cipher.encrypt(nonce, plaintext, whose + context.encode()))
    return sealed


def _unseal_all(cipher: AESGCM, patient_id: str, values: Sequence[tuple[str, bytes]]) -> list[bytes]:
    whose, decrypt, opened, sealed = _whose(patient_id), cipher.decrypt, [], b""
    try:
        for context, sealed in values:
            if sealed[0] != _FORMAT_BYTE:
                raise StoreError(
                    f"a sealed value has format {sealed[0]}, which this version of Stadion does not read"
                )
            opened.append(decrypt(sealed[1:_HEAD_BYTES], sealed[_HEAD_BYTES:], whose + context.encode()))
    except (InvalidTag, ValueError, IndexError) as error:
        # Looked at only now: what is whole, as nearly all is, shows so by its tag.
        if len(sealed) < _SEALED_BYTES_MIN:
            raise StoreError("a sealed value is cut off") from None
        if isinstance(error, InvalidTag):
            raise StoreError("a sealed value was tampered with or moved to another place") from None
        raise
    return opened


def _unseal(cipher: AESGCM, patient_id: str, context: str, sealed: bytes) -> bytes:
    return _unseal_all(cipher, patient_id, [(context, sealed)])[0]


def _whose(patient_id: str) -> bytes:
    """What is authenticated before a value's context. Lengths first: no two pairs give the same bytes."""
    return b"stadion value 1 %d %b " % (len(patient_id), patient_id.encode())


def _wrap_context(kind: str, name: str) -> bytes:
    return b"stadion key 1 %d %b %b" % (len(kind), kind.encode(), name.encode())


async def _off_loop_when_large(
    work: Callable[[AESGCM, str, Sequence[tuple[str, bytes]]], list[bytes]],
    cipher: AESGCM,
    patient_id: str,
    values: Sequence[tuple[str, bytes]],
) -> list[bytes]:
    if sum(map(len, map(_VALUE, values))) <= _INLINE_BYTES_MAX:
        return work(cipher, patient_id, values)
    return await asyncio.to_thread(work, cipher, patient_id, values)
