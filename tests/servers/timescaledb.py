"""A throw-away PostgreSQL 17 with TimescaleDB (Apache edition): Debian 13's packages, unpacked, by chroot.

Debian 12 has no package of it, and Debian 13's do not install there: they need its C library, which the
unpacked folder brings along. Nothing of the machine is changed. Needs apt, and root for chroot.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers.programs import ServerAbsent, ServerProcess, cache_folder, free_port

VERSION = "17-2.19"
HOW_TO_GET_IT = (
    "no TimescaleDB here: set STADION_TEST_TIMESCALEDB_URL=postgresql+asyncpg://user:password@host/database"
    " of a database with the extension, or run `python -m tests.servers.timescaledb` once as root on Debian"
    " 12 or 13, which fetches the packages of Debian 13"
)
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SOURCE = f"deb [signed-by={_KEYRING}] http://deb.debian.org/debian trixie main\n"
_PROGRAMS = "/usr/lib/postgresql/17/bin"
# Of what the packages depend on, the server needs the libraries only; LLVM is for its compiler of queries.
_UNPACKED = ("lib", "postgresql-17", "postgresql-client-17", "dash", "tzdata", "zlib1g")
_LEFT_OUT = ("libllvm", "libperl", "libz3", "libio-", "libipc", "libjson", "libpam-", "libtext")
_NOBODY = 65534


@dataclass
class TimescaledbServer:
    """One running server. `url` is a superuser's, of a database that has the extension."""

    url: str
    port: int
    _root: Path
    _process: ServerProcess

    def start(self) -> None:
        """Start and wait until it answers."""
        asking = [*_inside(self._root, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        self._process.start(lambda: subprocess.run(asking, check=False).returncode == 0, within_s=30)

    def stop(self, *, kill: bool = False) -> None:
        """Stop it."""
        self._process.stop(kill=kill)


@contextlib.contextmanager
def running_timescaledb(*, fetch: bool = False) -> Iterator[TimescaledbServer]:
    """A fresh server until the block ends; unpacked first where it may `fetch`. Errors: ServerAbsent."""
    root = _root(fetch=fetch)
    folder = Path(tempfile.mkdtemp(prefix="stadion-", dir=root / "srv"))
    try:
        os.chown(folder, _NOBODY, _NOBODY)
        password, port, inside = secrets.token_urlsafe(16), free_port(), f"/srv/{folder.name}"
        (folder / "password").write_text(password)
        os.chown(folder / "password", _NOBODY, _NOBODY)
        options = ["-U", "stadion", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]
        _run(root, "initdb", "-D", f"{inside}/cluster", "--pwfile", f"{inside}/password", *options)
        settings = {
            "max_connections": "60",
            "shared_buffers": "32MB",
            "dynamic_shared_memory_type": "mmap",  # the folder has no /dev/shm
            "shared_preload_libraries": "timescaledb",
            "timescaledb.telemetry_level": "off",
            "jit": "off",
        }
        written = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        place = ["-D", f"{inside}/cluster", "-p", str(port), "-h", "127.0.0.1", "-k", inside]
        process = ServerProcess([*_inside(root, "postgres"), *place, *written], folder=folder)
        url = f"postgresql+asyncpg://stadion:{password}@127.0.0.1:{port}/postgres"
        server = TimescaledbServer(url, port, root, process)
        server.start()
        try:
            _extend(root, port, password)
            yield server
        finally:
            server.stop(kill=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _extend(root: Path, port: int, password: str) -> None:
    _run(
        root,
        "psql",
        f"postgresql://stadion:{password}@127.0.0.1:{port}/postgres",
        "-qc",
        "CREATE EXTENSION timescaledb",
    )


def _run(root: Path, program: str, *arguments: str) -> None:
    done = subprocess.run(
        [*_inside(root, program), *arguments], check=False, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        raise RuntimeError(f"{program}: {done.stderr[-1000:]}")


def _inside(root: Path, program: str) -> list[str]:
    return ["chroot", f"--userspec={_NOBODY}:{_NOBODY}", str(root), f"{_PROGRAMS}/{program}"]


def _root(*, fetch: bool) -> Path:
    """The unpacked folder; made where it is not there yet."""
    if os.geteuid() != 0 or shutil.which("chroot") is None:
        raise ServerAbsent(HOW_TO_GET_IT)
    root = cache_folder("timescaledb") / VERSION
    if root.is_dir():
        return root
    if not fetch or not _KEYRING.exists() or shutil.which("apt-get") is None:
        raise ServerAbsent(HOW_TO_GET_IT)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=root.parent))
    try:
        for package in _downloaded(making / "apt"):
            if package.name.startswith(_UNPACKED) and not package.name.startswith(_LEFT_OUT):
                subprocess.run(["dpkg-deb", "-x", package, making / "root"], check=True, timeout=60)
        _furnish(making / "root")
        with contextlib.suppress(OSError):  # another run was first
            (making / "root").rename(root)
    except (subprocess.SubprocessError, OSError) as error:
        raise ServerAbsent(f"TimescaleDB could not be fetched: {type(error).__name__}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return root


def _downloaded(folder: Path) -> list[Path]:
    """Debian 13's packages with all that they need, by an apt that knows nothing of this machine."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "sources.list").write_text(_SOURCE)
    (folder / "status").touch()
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-qq", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    wanted = ["install", "-y", "--download-only", "postgresql-17-timescaledb", "dash"]
    for arguments in (["update"], wanted):
        subprocess.run([*apt, *arguments], check=True, capture_output=True, timeout=300)
    return sorted((folder / "cache" / "archives").glob("*.deb"))


def _furnish(root: Path) -> None:
    """What a running system adds to its packages, as far as the server needs it."""
    for name in ("bin", "lib", "lib64"):
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    if not (root / "bin/sh").exists():
        (root / "bin/sh").symlink_to("dash")
    for name, minor in (("null", 3), ("urandom", 9)):
        (root / "dev").mkdir(exist_ok=True)
        os.mknod(root / "dev" / name, 0o020666, os.makedev(1, minor))
        (root / "dev" / name).chmod(0o666)
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/passwd").write_text(f"nobody:x:{_NOBODY}:{_NOBODY}:nobody:/srv:/bin/sh\n")
    (root / "srv").mkdir(exist_ok=True)
    (root / "srv").chmod(0o755)
    (root / "usr/lib64").mkdir(exist_ok=True)


if __name__ == "__main__":
    with running_timescaledb(fetch=True) as running:
        print(f"TimescaleDB {VERSION} answers on port {running.port}")
