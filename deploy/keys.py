"""The secrets of one installation: random bytes, one file each, readable by its owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from datastores.errors import StoreError

SECRET_BYTES = 32


def kept_secret(folder: Path, name: str) -> bytes:
    """The 32 bytes kept under `name`; made on the first call.

    Errors: StoreError where the file is damaged or others can read it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / f"{name}.key"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(file)
    fresh = secrets.token_bytes(SECRET_BYTES)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(fresh)
        stream.flush()
        os.fsync(stream.fileno())
    return fresh


def _read(file: Path) -> bytes:
    if file.stat().st_mode & 0o077:
        raise StoreError(f"others can read the key `{file}`: run `chmod 600` on it")
    kept = file.read_bytes()
    if len(kept) != SECRET_BYTES:
        raise StoreError(f"the key `{file}` is damaged: put it back from its backup")
    return kept
