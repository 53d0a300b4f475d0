"""What every throw-away server needs: a free port, a folder, a process that is surely ended."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path


class ServerAbsent(Exception):
    """This machine has no program for the server; the message says how to get it."""


# Below where systems take the ports of outgoing connections from (32768 on Linux): a port that was free
# a moment ago is then not lost to a client of another test before its server binds it.
_PORTS = range(10_240, 32_000)


def free_port(*, count: int = 1) -> int:
    """The first of `count` ports in a row that nothing listened on a moment ago."""
    for _ in range(1_000):
        first = secrets.choice(_PORTS)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for port in range(first, first + count):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise OSError(f"no {count} free ports in a row were found; end what listens on them")


def cache_folder(name: str) -> Path:
    """Where downloaded servers are kept between runs, outside the checkout."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "stadion" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def answers(port: int) -> bool:
    """Whether something accepts connections on `port`."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


class ServerProcess:
    """One server program, started in its own session with its log in a file."""

    def __init__(
        self, command: list[str], *, folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = command
        self._folder = folder
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, is_up: Callable[[], bool], *, within_s: float) -> None:
        """Start and wait until `is_up`; RuntimeError with the end of the log otherwise."""
        log_file = self._folder / "server.log"
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,
            )
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s and self._process.poll() is None:
            if is_up():
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
        self.stop(kill=True)
        raise RuntimeError(
            f"{self._command[0]} did not start: {log_file.read_text(errors='replace')[-2000:]}"
        )

    def has_ended(self) -> bool:
        """Whether it runs no more, by itself or because it was stopped."""
        return self._process is None or self._process.poll() is not None

    def stop(self, *, kill: bool = False) -> None:
        """End it at once: cleanly, or as a crash would (`kill`)."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
