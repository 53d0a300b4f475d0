"""A throw-away S3 server (moto), in an environment of its own: it holds python-dateutil at an old version."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers.programs import ServerAbsent, ServerProcess, answers, cache_folder, free_port

HOW_TO_GET_IT = (
    "no S3 server here: set STADION_TEST_S3_URL=s3+http://key:secret@host:9000/bucket, or run"
    " `python -m tests.servers.s3` once, which installs moto into a folder of its own from PyPI"
)
_LOCK = Path(__file__).with_name("s3-requirements.lock")


@dataclass
class S3Server:
    """One running server. It keeps objects in memory: what it had is gone when it stops."""

    url: str
    port: int
    _process: ServerProcess

    def start(self) -> None:
        """Start, wait until it answers, and make the bucket."""
        self._process.start(lambda: answers(self.port), within_s=30)
        making = urllib.request.Request(f"http://127.0.0.1:{self.port}/stadion", method="PUT")
        making.add_header(
            "authorization", "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request"
        )
        with urllib.request.urlopen(making, timeout=10):
            pass

    def stop(self, *, kill: bool = False) -> None:
        """Stop it."""
        self._process.stop(kill=kill)


@contextlib.contextmanager
def running_s3(*, fetch: bool = False) -> Iterator[S3Server]:
    """One server with an empty bucket until the block ends; installed first where it may `fetch`.

    Errors: ServerAbsent.
    """
    program = _program(fetch=fetch)
    folder = Path(tempfile.mkdtemp(prefix="stadion-s3-"))
    try:
        port = free_port()
        process = ServerProcess([str(program), "-H", "127.0.0.1", "-p", str(port)], folder=folder)
        server = S3Server(f"s3+http://key:secret@127.0.0.1:{port}/stadion", port, process)
        server.start()
        try:
            yield server
        finally:
            server.stop(kill=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(*, fetch: bool) -> Path:
    """The installed program; installed where it is not there yet in the version of the lock."""
    version = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]
    environment = cache_folder("s3") / f"moto-{version}"
    program = environment / "bin" / "moto_server"
    if (environment / "whole").exists():
        return program
    if not fetch:
        raise ServerAbsent(HOW_TO_GET_IT)
    # Made in its place, for an environment cannot be moved; `whole` is written last.
    shutil.rmtree(environment, ignore_errors=True)
    install = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    install += ["--no-deps", "--require-hashes"]
    try:
        for command in ([sys.executable, "-m", "venv", str(environment)], [*install, "-r", str(_LOCK)]):
            subprocess.run(command, check=True, capture_output=True, timeout=600)
        (environment / "whole").touch()
    except (subprocess.SubprocessError, OSError) as error:
        raise ServerAbsent(f"the S3 server could not be installed: {type(error).__name__}") from error
    return program


if __name__ == "__main__":
    with running_s3(fetch=True) as running:
        print(f"moto answers on port {running.port}")
