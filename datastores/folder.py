"""The data folder of the embedded stores: one platform at a time, of a version that is known here."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from datastores.errors import SchemaTooNew, StoreError, Unavailable

# Raised when the folder's layout changes in a way that an older program would damage.
FOLDER_VERSION = 1


class DataFolder:
    """A claimed folder. The claim ends with `release` or with the process, however it dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._locks: list[int] = []
        self._preparing: int | None = None

    def claim(self, *, beside: str | None = None) -> None:
        """Make the folder if need be, and keep others out.

        With `beside`, the name of one part of the platform, processes of other parts are let in as well,
        each once; they wait until this one says `prepared`.
        Errors, each one clear line: Unavailable (not writable, in use), SchemaTooNew, StoreError (not ours).
        """
        try:
            if beside is None:
                self._lock("LOCK", fcntl.LOCK_EX)
            else:
                self._lock("LOCK", fcntl.LOCK_SH)
                self._lock(f"LOCK.{beside}", fcntl.LOCK_EX)
                self._preparing = self._opened("LOCK.prepare")
                fcntl.flock(self._preparing, fcntl.LOCK_EX)
            self._check_version()
        except BaseException:
            self.release()
            raise

    def prepared(self) -> None:
        """Let the next process prepare its stores: tables and keys are made by one at a time."""
        descriptor, self._preparing = self._preparing, None
        if descriptor is not None:
            os.close(descriptor)

    def release(self) -> None:
        """Let others in."""
        self.prepared()
        while self._locks:
            os.close(self._locks.pop())

    def _opened(self, name: str) -> int:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(f"the data folder `{self.path}` cannot be written: {error.strerror}") from None

    def _lock(self, name: str, kind: int) -> None:
        descriptor = self._opened(name)
        self._locks.append(descriptor)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            who = f"process {holder}" if holder else "another process"
            raise Unavailable(
                f"the data folder `{self.path}` is in use by {who}: stop it or choose another folder"
            ) from None
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise Unavailable(f"the data folder `{self.path}` cannot be written: {error.strerror}") from None

    def _check_version(self) -> None:
        file = self.path / "VERSION"
        try:
            text = file.read_text()
        except FileNotFoundError:
            _write_durably(file, f"{FOLDER_VERSION}\n")
            return
        if not text.strip().isdecimal():
            raise StoreError(f"`{file}` holds no version number: is `{self.path}` a data folder of Stadion?")
        if int(text) > FOLDER_VERSION:
            raise SchemaTooNew(
                f"the data folder `{self.path}` is of a newer Stadion (layout {int(text)}, this one knows"
                f" {FOLDER_VERSION}): start the newer version or choose another folder"
            )


def is_private(status: os.stat_result) -> bool:
    """Whether a file of secrets is its owner's alone; or root's, whom its group may read for it, as clusters
    lay secrets before a program that isn't root."""
    others = status.st_mode & 0o077
    return others == 0 or (others & ~stat.S_IRGRP == 0 and status.st_uid == 0 != os.geteuid())


def fsync_folder(folder: Path) -> None:
    """Make renames and new names in `folder` survive the loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_durably(file: Path, text: str) -> None:
    temporary = file.with_name(f"{file.name}.new")
    try:
        with temporary.open("w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
        fsync_folder(file.parent)
    except OSError as error:
        raise Unavailable(f"`{file}` cannot be written: {error.strerror}") from None
