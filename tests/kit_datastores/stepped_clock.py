"""A wall clock that a test may step, for servers that it starts: a few lines of C before their library."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.servers.absent import absent

HOW_TO_GET_IT = "no C compiler here, which steps a server's clock (Debian: `apt-get install gcc libc6-dev`)"
_SOURCE = Path(__file__).parents[1] / "servers" / "stepped_clock.c"
_DAY_S = 86_400


class SteppedClock:
    """The clock of programs that are started while it is in force, `folder` be readable by each."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            absent(HOW_TO_GET_IT)
        library, self._file = folder / "clock.so", folder / "clock"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE], check=True, timeout=60)
        self._file.write_bytes(struct.pack("@l", 0))
        monkeypatch.setenv("LD_PRELOAD", str(library))
        monkeypatch.setenv("STEPPED_CLOCK_FILE", str(self._file))

    def step(self, *, days: int) -> None:
        """Be so many days ahead of the machine's clock, or behind it, from now on."""
        with self._file.open("r+b") as file:  # in place: the servers look at this very page
            file.write(struct.pack("@l", days * _DAY_S))
