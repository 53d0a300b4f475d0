"""The safe: keys, kept apart from what they open, as they are now and never as they were.

A backup is a copy for good; an erased person's key must not be in one. So the vault's data keys, and the
keys of the installation, go into one sealed file that each backup replaces, with a list of whose key was
destroyed. That list only grows.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from datastores.backup.errors import BackupDamaged
from datastores.errors import NotFound, Unavailable
from datastores.folder import fsync_folder
from datastores.vault.key_rows import KeptKeys
from datastores.vault.keys import FileKeyProvider, KeyProvider, WrappedKey

KEY_FILE = "backup.json"
_ESCROW_FILE = "escrow.sealed"
_CONTEXT = b"stadion escrow 1"
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Escrow:
    """Everything that opens something: files of the installation's keys by name, the vault's wrapped keys."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    vault: KeptKeys = field(default_factory=KeptKeys)


class Safe:
    """A private folder with the key of the backups and the escrow. `keys` wraps with another provider."""

    def __init__(self, folder: Path, keys: KeyProvider | None = None) -> None:
        self._file = folder / _ESCROW_FILE
        self.keys = keys or FileKeyProvider(folder / KEY_FILE)

    async def put(self, escrow: Escrow) -> None:
        """Replace what is kept. Who was erased stays erased, whatever `escrow` says."""
        before = await self.take(create=True)
        merged = Escrow(escrow.files, escrow.vault.without(before.vault.shredded))
        key, nonce = os.urandom(32), os.urandom(_NONCE_BYTES)
        wrapped = await self.keys.wrap(key, context=_CONTEXT)
        sealed = nonce + AESGCM(key).encrypt(nonce, json.dumps(_document(merged)).encode(), _CONTEXT)
        _replace(
            self._file,
            {
                "version": 1,
                "kek_id": wrapped.kek_id,
                "wrapped": _text(wrapped.wrapped),
                "sealed": _text(sealed),
            },
        )

    async def take(self, *, create: bool = False) -> Escrow:
        """What is kept; nothing where it is new and `create`.  Errors: NotFound, BackupDamaged."""
        await self.keys.open(create=create)
        try:
            document = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            if create:
                return Escrow()
            raise NotFound(
                f"the escrow `{self._file}` is missing: without it nothing clinical can be read"
            ) from None
        except (OSError, ValueError):
            raise BackupDamaged(f"the escrow `{self._file}` cannot be read") from None
        try:
            wrapped = WrappedKey(document["kek_id"], base64.b64decode(document["wrapped"]))
            sealed = base64.b64decode(document["sealed"])
            key = await self.keys.unwrap(wrapped, context=_CONTEXT)
            text = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _CONTEXT)
            return _escrow(json.loads(text))
        except (InvalidTag, ValueError, KeyError, TypeError):
            raise BackupDamaged(f"the escrow `{self._file}` is damaged") from None


def _document(escrow: Escrow) -> dict[str, Any]:
    return {
        "files": {name: _text(content) for name, content in escrow.files.items()},
        "patients": {name: [key.kek_id, _text(key.wrapped)] for name, key in escrow.vault.patients.items()},
        "secrets": {name: [key.kek_id, _text(key.wrapped)] for name, key in escrow.vault.secrets.items()},
        "made": dict(escrow.vault.made),
        "shredded": dict(escrow.vault.shredded),
    }


def _escrow(document: Mapping[str, Any]) -> Escrow:
    def keys(kind: str) -> dict[str, WrappedKey]:
        return {
            name: WrappedKey(kek_id, base64.b64decode(wrapped))
            for name, (kek_id, wrapped) in document[kind].items()
        }

    files = {name: base64.b64decode(content) for name, content in document["files"].items()}
    vault = KeptKeys(keys("patients"), keys("secrets"), dict(document["made"]), dict(document["shredded"]))
    return Escrow(files, vault)


def _replace(file: Path, document: Mapping[str, Any]) -> None:
    """As a whole: a crash leaves the old one or the new one."""
    temporary = file.with_name(f"{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump(document, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
        fsync_folder(file.parent)
    except OSError as error:
        raise Unavailable(f"the safe `{file.parent}` cannot be written: {error.strerror}") from None


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
