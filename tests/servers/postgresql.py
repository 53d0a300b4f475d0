"""A throw-away PostgreSQL: made in a temporary folder, on a free port, owned by a user who is not root.

Run it by hand with `python tests/servers/postgresql.py`; it prints its URL and stops at Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.programs import free_port

HOW_TO_GET_IT = (
    "no PostgreSQL here: set STADION_TEST_POSTGRESQL_URL=postgresql+asyncpg://user:password@host/database,"
    " or install one (Debian: `apt-get install postgresql`)"
)
_FOLDERS = ("/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/15/bin")


class NoPostgresql(Exception):
    """No server program on this machine."""


@dataclass
class PostgresqlServer:
    """One running server. `url` is a superuser's."""

    url: str
    folder: Path
    port: int
    _bin: Path
    _account: str | None
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        options = ["-D", str(self.folder / "cluster"), "-p", str(self.port), "-h", "127.0.0.1"]
        options += ["-k", str(self.folder), "-c", "max_connections=60", "-c", "shared_buffers=32MB"]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._bin / "postgres"), *options],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **_as_user(self._account),
            )
        waiting = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        for _ in range(200):
            if subprocess.run(waiting, check=False).returncode == 0:
                return
            if self._process.poll() is not None:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
        raise RuntimeError((self.folder / "server.log").read_text())

    def has_ended(self) -> bool:
        """Whether it has stopped by itself, as it does where it cannot write its log."""
        return self._process is None or self._process.poll() is not None

    def stop(self, *, kill: bool = False) -> None:
        """Stop at once: cleanly, or as a crash would (`kill`)."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if kill:
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        self._process = None


@contextlib.contextmanager
def running_postgresql() -> Iterator[PostgresqlServer]:
    """A fresh server until the block ends. Errors: NoPostgresql."""
    programs = _programs()
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="stadion-postgresql-"))
    try:
        if account is not None:
            shutil.chown(folder, account)
        password = secrets.token_urlsafe(16)
        password_file = folder / "password"
        password_file.write_text(password)
        password_file.chmod(0o600)
        if account is not None:
            shutil.chown(password_file, account)
        options = ["--pwfile", str(password_file), "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            [programs / "initdb", "-D", folder / "cluster", "-U", "stadion", "-A", "scram-sha-256", *options],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **_as_user(account),
        )
        port = free_port()
        url = f"postgresql+asyncpg://stadion:{password}@127.0.0.1:{port}/postgres"
        server = PostgresqlServer(url, folder, port, programs, account)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    for folder in map(Path, _FOLDERS):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    if found is None:
        raise NoPostgresql(HOW_TO_GET_IT)
    return Path(found).resolve().parent


def _account() -> str | None:
    """Who runs the server: PostgreSQL refuses root. None: whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NoPostgresql(HOW_TO_GET_IT + "; as root it needs an account such as `nobody`")


def _as_user(account: str | None) -> dict[str, Any]:
    if account is None:
        return {}
    entry = pwd.getpwnam(account)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


if __name__ == "__main__":
    with running_postgresql() as running:
        print(running.url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
