"""The secrets of one installation: random bytes, one file each, readable by its owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from datastores.errors import StoreError
from datastores.folder import is_private

SECRET_BYTES = 32
NAMES = (
    "audit-pseudonyms",
    "audit-seal",
    "cursors",
    "file-links",
    "internal-calls",
    "refresh-tokens",
    "regions",
    "second-factors",
)
"""Every secret of an installation that is not a key of another kind: tokens are signed, and vaults sealed, by
their own."""


def kept_secret(folder: Path, name: str) -> bytes:
    """The 32 bytes kept under `name`; made on the first call.

    Errors: StoreError where the file is damaged, others can read it, or it can be made neither.
    """
    file = folder / f"{name}.key"
    if file.exists():
        return _read(file)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(file)
    except OSError as error:
        raise StoreError(
            f"there is no key `{file}`, and none can be made: {error.strerror}; `stadion keys make` makes all"
        ) from None
    fresh = secrets.token_bytes(SECRET_BYTES)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(fresh)
        stream.flush()
        os.fsync(stream.fileno())
    return fresh


def _read(file: Path) -> bytes:
    if not is_private(file.stat()):
        raise StoreError(f"others can read the key `{file}`: run `chmod 600` on it")
    kept = file.read_bytes()
    if len(kept) != SECRET_BYTES:
        raise StoreError(f"the key `{file}` is damaged: put it back from its backup")
    return kept
