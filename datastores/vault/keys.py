"""Key-encryption keys: who holds them (a provider), and the provider that keeps them in one private file."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from datastores.errors import NotFound, StoreError, Unavailable
from datastores.folder import fsync_folder, is_private

_NONCE_BYTES = 12
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key, encrypted under the key-encryption key `kek_id`."""

    kek_id: str
    wrapped: bytes


class KeyProvider(Protocol):
    """Wraps and unwraps data keys; the key-encryption keys never leave it.

    `context` is authenticated: a wrapped key does not unwrap under another context.
    Errors: NotFound where a key-encryption key is gone, StoreError where a wrapped key was tampered with,
    Unavailable where the provider cannot be asked now.
    """

    async def open(self, *, create: bool) -> None:
        """Load the keys. Where there are none: make the first (`create`) or raise NotFound."""
        ...

    async def close(self) -> None:
        """Give back resources."""
        ...

    @property
    def current_kek_id(self) -> str:
        """Which key new wraps use."""
        ...

    async def wrap(self, key: bytes, *, context: bytes) -> WrappedKey:
        """`key` under the current key-encryption key."""
        ...

    async def unwrap(self, wrapped: WrappedKey, *, context: bytes) -> bytes:
        """The key that was wrapped."""
        ...

    async def add_key(self) -> str:
        """A new key-encryption key, current from now on; the older ones still unwrap."""
        ...

    async def retire_key(self, kek_id: str) -> None:
        """Destroy an older key-encryption key: what it wrapped can never be read again."""
        ...


class FileKeyProvider:
    """Keys in one JSON file of mode 0600, outside the database's file and its backups.

    Errors: StoreError where others may read the file or its content is not ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._current = ""
        self._read_at_ns = 0
        self._keys: dict[str, bytes] = {}

    async def open(self, *, create: bool) -> None:
        """Load the file; make it with a first key if it is missing and `create`."""
        try:
            await asyncio.to_thread(self._load)
        except FileNotFoundError:
            if not create:
                raise self._missing() from None
            await self.add_key()

    async def close(self) -> None:
        """Nothing is held between calls but the keys themselves, which a later call may need."""

    @property
    def current_kek_id(self) -> str:
        """Which key new wraps use."""
        return self._current

    async def wrap(self, key: bytes, *, context: bytes) -> WrappedKey:
        """`key` under the current key-encryption key, AES-256-GCM."""
        await asyncio.to_thread(self._load_if_changed)
        nonce = os.urandom(_NONCE_BYTES)
        cipher = AESGCM(self._keys[self._current])
        return WrappedKey(self._current, nonce + cipher.encrypt(nonce, key, context))

    async def unwrap(self, wrapped: WrappedKey, *, context: bytes) -> bytes:
        """The key that was wrapped."""
        kek = self._keys.get(wrapped.kek_id)
        if kek is None:
            await asyncio.to_thread(self._load_if_changed)
            kek = self._keys.get(wrapped.kek_id)
        if kek is None:
            raise NotFound(f"the key-encryption key `{wrapped.kek_id}` is not in `{self._path}`")
        nonce, sealed = wrapped.wrapped[:_NONCE_BYTES], wrapped.wrapped[_NONCE_BYTES:]
        try:
            return AESGCM(kek).decrypt(nonce, sealed, context)
        except InvalidTag:
            raise StoreError("a wrapped data key was tampered with or belongs to another patient") from None

    async def add_key(self) -> str:
        """A new key-encryption key, current from now on."""
        kek_id = f"kek-{secrets.token_hex(6)}"
        keys = {**self._keys, kek_id: secrets.token_bytes(_KEY_BYTES)}
        await asyncio.to_thread(self._save, kek_id, keys)
        return kek_id

    async def retire_key(self, kek_id: str) -> None:
        """Destroy an older key-encryption key."""
        if kek_id == self._current:
            raise ValueError("the current key-encryption key cannot be retired: add a new one first")
        keys = {name: key for name, key in self._keys.items() if name != kek_id}
        await asyncio.to_thread(self._save, self._current, keys)

    def _load_if_changed(self) -> None:
        """Follow another process that has rotated.  Errors: NotFound where the file is gone."""
        try:
            if self._path.stat().st_mtime_ns != self._read_at_ns:
                self._load()
        except FileNotFoundError:
            raise self._missing() from None

    def _missing(self) -> NotFound:
        return NotFound(
            f"the key file `{self._path}` is missing, and the vault is unreadable without it:"
            " put it back from its backup"
        )

    def _load(self) -> None:
        with self._path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not is_private(status):
                raise StoreError(f"others may read the key file: run `chmod 600 {self._path}`")
            content = file.read()
        try:
            document: dict[str, Any] = json.loads(content)
            keys = {name: base64.b64decode(key, validate=True) for name, key in document["keys"].items()}
            current = document["current"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StoreError(f"the key file `{self._path}` is damaged: restore it from its backup") from None
        if document.get("version") != 1 or current not in keys or any(map(_wrong_size, keys.values())):
            raise StoreError(f"the key file `{self._path}` is not one that this version of Stadion reads")
        self._keys, self._current, self._read_at_ns = keys, current, status.st_mtime_ns

    def _save(self, current: str, keys: dict[str, bytes]) -> None:
        """Replace the file as a whole: a crash leaves the old one or the new one."""
        encoded = {name: base64.b64encode(key).decode() for name, key in keys.items()}
        document = {"version": 1, "current": current, "keys": encoded}
        temporary = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
            fsync_folder(self._path.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise Unavailable(f"the key file `{self._path}` cannot be written: {error.strerror}") from error
        self._keys, self._current = keys, current
        self._read_at_ns = self._path.stat().st_mtime_ns


def _wrong_size(key: bytes) -> bool:
    return len(key) != _KEY_BYTES
