"""A throw-away FerretDB 1.24: it speaks MongoDB's protocol over SQLite. Built once by Go into a cache folder.

It stands in for MongoDB itself, which no package source of a plain machine has.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.servers.programs import ServerAbsent, ServerProcess, answers, cache_folder, free_port

VERSION = "v1.24.0"
_MODULE = "github.com/FerretDB/FerretDB"
HOW_TO_GET_IT = (
    "no server for MongoDB's protocol here: set STADION_TEST_MONGODB_URL=mongodb://host:27017/database,"
    " or install Go 1.22 or newer and run `python -m tests.servers.ferretdb` once, which builds FerretDB"
)


@dataclass
class MongodbServer:
    """One running server."""

    url: str
    port: int
    _process: ServerProcess

    def start(self) -> None:
        """Start and wait until it answers."""
        self._process.start(lambda: answers(self.port), within_s=20)

    def stop(self, *, kill: bool = False) -> None:
        """Stop it."""
        self._process.stop(kill=kill)


@contextlib.contextmanager
def running_ferretdb(*, fetch: bool = False) -> Iterator[MongodbServer]:
    """One server until the block ends; built first where it may `fetch`. Errors: ServerAbsent."""
    program = _program(fetch=fetch)
    folder = Path(tempfile.mkdtemp(prefix="stadion-ferretdb-"))
    try:
        port = free_port()
        options = {
            "handler": "sqlite",
            "sqlite-url": f"file:{folder}/",
            "state-dir": str(folder),
            "listen-addr": f"127.0.0.1:{port}",
            "debug-addr": "-",
            "telemetry": "disable",
        }
        command = [str(program), *(f"--{name}={value}" for name, value in options.items())]
        process = ServerProcess(command, folder=folder)
        server = MongodbServer(f"mongodb://127.0.0.1:{port}", port, process)
        server.start()
        try:
            yield server
        finally:
            server.stop(kill=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(*, fetch: bool) -> Path:
    """The built program; built where it is not there yet."""
    folder = cache_folder("ferretdb")
    program = folder / f"ferretdb-{VERSION}"
    if program.exists():
        return program
    if not fetch or shutil.which("go") is None:
        raise ServerAbsent(HOW_TO_GET_IT)
    building = Path(tempfile.mkdtemp(prefix="building-", dir=folder))
    go = partial(subprocess.run, check=True, capture_output=True, text=True, timeout=900)
    try:
        # From a copy of the module: its release build writes the version into a file that holds a
        # placeholder, and `go install` would ask for a list of versions, which some proxies refuse.
        told = go(["go", "mod", "download", "-json", f"{_MODULE}@{VERSION}"], cwd=building).stdout
        source = building / "source"
        shutil.copytree(json.loads(told)["Dir"], source, copy_function=shutil.copyfile)
        for each in (source, *source.rglob("*")):
            each.chmod(0o755)
        (source / "build" / "version" / "version.txt").write_text(f"{VERSION}\n")
        go(
            ["go", "build", "-tags=ferretdb_sqlite", "-o", str(building / "built"), "./cmd/ferretdb"],
            cwd=source,
        )
        (building / "built").rename(program)
    except (subprocess.SubprocessError, OSError) as error:
        raise ServerAbsent(f"FerretDB could not be built: {type(error).__name__}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return program


if __name__ == "__main__":
    with running_ferretdb(fetch=True) as running:
        print(f"FerretDB {VERSION} answers on port {running.port}")
