"""A disk that is soon full: a small tmpfs, and a file on it that takes up room until it is thrown off."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

MEGABYTE = 1_048_576


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own at `folder`; a skip for who may not mount one."""
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small tmpfs: run the tests as root, or in a container of your own")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Ballast:
    """A file that takes up room until it is thrown off."""

    def __init__(self, folder: Path, *, leaving_bytes: int) -> None:
        self._path = folder / "ballast"
        free_bytes = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        self._path.write_bytes(bytes(max(0, free_bytes - leaving_bytes)))

    def throw_off(self) -> None:
        self._path.unlink()
