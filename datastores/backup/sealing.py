"""What leaves for a backup is sealed here: AES-256-GCM a chunk, names that tell nothing about content."""

from __future__ import annotations

import hashlib
import hmac
import os
import zlib

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from datastores.backup.errors import BackupDamaged

KEY_BYTES = 32
_FORMAT = b"\x01"
_NONCE_BYTES = 12


class RepositoryKey:
    """One repository's key, parted by use. Of random nonces it bears 2^32 chunks, some 280 TB."""

    def __init__(self, key: bytes) -> None:
        self._names = _derived(key, b"names")
        self._cuts = _derived(key, b"cuts")
        self._seal = AESGCM(_derived(key, b"seal"))
        self._words = _derived(key, b"words")

    def name_of(self, content: bytes) -> str:
        """64 hex digits, the same for the same content and nothing to who has not the key."""
        return hmac.new(self._names, content, hashlib.sha256).hexdigest()

    def seal(self, name: str, content: bytes) -> bytes:
        """`content`, compressed and sealed to the place `name`."""
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._seal.encrypt(nonce, zlib.compress(content, 1), name.encode())

    def unseal(self, name: str, sealed: bytes) -> bytes:
        """The content.  Errors: BackupDamaged."""
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if sealed[:1] != _FORMAT:
            raise BackupDamaged(f"`{name}` of the backup is damaged: it has no known format")
        try:
            return zlib.decompress(self._seal.decrypt(nonce, ciphertext, name.encode()))
        except (InvalidTag, ValueError):
            raise BackupDamaged(f"`{name}` of the backup is damaged, or is of another repository") from None

    def signature(self, text: bytes) -> str:
        """Proof that who has the key wrote `text`."""
        return hmac.new(self._words, text, hashlib.sha256).hexdigest()

    @property
    def gear(self) -> NDArray[np.uint32]:
        """The table of the chunker."""
        numbers = b"".join(
            hmac.new(self._cuts, bytes([byte]), hashlib.sha256).digest()[:4] for byte in range(256)
        )
        return np.frombuffer(numbers, dtype=np.uint32)


def _derived(key: bytes, use: bytes) -> bytes:
    return hmac.new(key, b"stadion backup 1 " + use, hashlib.sha256).digest()
