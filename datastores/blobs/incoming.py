"""Where bytes of the files store are written before they have a name: a folder of its own for each opener.

`incoming/LOCK` is held while one folder is made, and while those of the dead are looked for and removed. A
folder's own `LOCK` is held for as long as its opener lives, however that ends: the kernel lets go of it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
STRAY_KEPT_S = 24 * 3600.0
"""So long a file that lies in no opener's folder is left alone: a program before this one wrote there."""
LOCK = "LOCK"


class IncomingFolder:
    """A folder below `root` that nobody else writes to or sweeps. Locks are advisory ones of the kernel:
    `root` lies on a local disk, or on a network file system that has them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder: Path | None = None
        self._lock: int | None = None

    def open(self) -> None:
        """Sweep what the dead left half written, then make the folder; again is nothing.  Errors: OSError."""
        self._root.mkdir(parents=True, exist_ok=True)
        with _alone(self._root / LOCK):
            for entry in list(self._root.iterdir()):
                _sweep(entry)
            if self._lock is None:
                folder = self._root / f"{os.getpid()}-{secrets.token_hex(8)}"
                folder.mkdir(mode=0o700)
                self._lock = _opened(folder / LOCK)
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._folder = folder

    def close(self) -> None:
        """Remove the folder with what is in it; again is nothing."""
        folder, lock, self._folder, self._lock = self._folder, self._lock, None, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)

    def new_file(self) -> Path:
        """A name in the folder that is not taken.  Errors: FileNotFoundError where it is not open."""
        if self._folder is None:
            raise FileNotFoundError(2, "the store is not open")
        return self._folder / secrets.token_hex(16)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    descriptor = _opened(lock)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opened(lock: Path) -> int:
    return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _sweep(entry: Path) -> None:
    """Remove what nobody holds. Everything is held or swept under `root`'s lock, so none is half made."""
    if entry.name == LOCK:
        return
    if not entry.is_dir():
        if entry.stat().st_mtime < time.time() - STRAY_KEPT_S:
            entry.unlink(missing_ok=True)
        return
    descriptor = _opened(entry / LOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # its opener lives
    else:
        shutil.rmtree(entry, ignore_errors=True)
    finally:
        os.close(descriptor)


class IncomingFile:
    """A file that is being written aside, by one thread after the other and never the event loop's.

    The lock is for a caller who leaves: what removes the file must not close it under a write that goes on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self.is_gone = False

    def append(self, chunks: Sequence[bytes]) -> None:
        """Write and hash `chunks`; the file is made with the first."""
        with self._lock:
            self._append(chunks)

    def finish(self, chunks: Sequence[bytes], name: Callable[[Path, str], T]) -> T:
        """Write the last `chunks`, and all to the disk; then what `name` makes of the file and the hash of
        the whole, in hex. The file is gone after it, where it has no other name."""
        with self._lock:
            try:
                self._append(chunks)
                os.fsync(self._descriptor)
                return name(self._path, self._digest.hexdigest())
            finally:
                self._remove()

    def remove(self) -> None:
        """Give back the file, and take its name away; again is nothing."""
        with self._lock:
            self._remove()

    def _append(self, chunks: Sequence[bytes]) -> None:
        if self.is_gone:
            raise FileNotFoundError(errno.ENOENT, "the upload was given up")
        if self._descriptor < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
        for chunk in chunks:
            self._digest.update(chunk)
            # Straight to the system: a buffer of ours would be one more copy of each chunk.
            written = os.write(self._descriptor, chunk)
            while written < len(chunk):
                written += os.write(self._descriptor, memoryview(chunk)[written:])

    def _remove(self) -> None:
        descriptor, self._descriptor, self.is_gone = self._descriptor, -1, True
        if descriptor >= 0:
            os.close(descriptor)
            self._path.unlink(missing_ok=True)
