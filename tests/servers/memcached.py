"""A throw-away Memcached on a free port."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers.programs import ServerAbsent, ServerProcess, answers, free_port

HOW_TO_GET_IT = (
    "no Memcached here: set STADION_TEST_MEMCACHED_URL=memcached://host:11211,"
    " or install it (Debian: `apt-get install memcached`)"
)


@dataclass
class MemcachedServer:
    """One server. It forgets everything when it stops."""

    url: str
    port: int
    _process: ServerProcess

    def start(self) -> None:
        """Start and wait until it answers."""
        self._process.start(lambda: answers(self.port), within_s=10)

    def stop(self, *, kill: bool = False) -> None:
        """Stop it."""
        self._process.stop(kill=kill)


@contextlib.contextmanager
def running_memcached() -> Iterator[MemcachedServer]:
    """One server until the block ends. Errors: ServerAbsent."""
    if shutil.which("memcached") is None:
        raise ServerAbsent(HOW_TO_GET_IT)
    folder = Path(tempfile.mkdtemp(prefix="stadion-memcached-"))
    try:
        port = free_port()
        command = ["memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "64"]
        if os.geteuid() == 0:
            command += ["-u", "nobody"]
        server = MemcachedServer(f"memcached://127.0.0.1:{port}", port, ServerProcess(command, folder=folder))
        server.start()
        try:
            yield server
        finally:
            server.stop(kill=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
