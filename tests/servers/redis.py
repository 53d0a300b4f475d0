"""Throw-away Redis servers: one, or a cluster of six processes, each on free ports in a temporary folder."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers.programs import ServerAbsent, ServerProcess, answers, free_port

HOW_TO_GET_IT = (
    "no Redis here: set STADION_TEST_REDIS_URL=redis://:password@host:6379/0,"
    " or install it (Debian: `apt-get install redis-server`)"
)


@dataclass
class RedisServer:
    """One server. What it acknowledged survives `stop(kill=True)`: it writes each command to its file."""

    url: str
    port: int
    _process: ServerProcess

    def start(self) -> None:
        """Start and wait until it answers."""
        self._process.start(lambda: answers(self.port), within_s=10)

    def stop(self, *, kill: bool = False) -> None:
        """Stop it."""
        self._process.stop(kill=kill)

    def has_ended(self) -> bool:
        """Whether it has stopped by itself, as it does where it must not go on."""
        return self._process.has_ended()


@contextlib.contextmanager
def running_redis(*more: str) -> Iterator[RedisServer]:
    """One server until the block ends, with `more` options. Errors: ServerAbsent."""
    with _folder() as folder:
        password = secrets.token_urlsafe(16)
        server = _server(folder, password, free_port(), *more)
        server.start()
        try:
            yield server
        finally:
            server.stop(kill=True)


@contextlib.contextmanager
def running_redis_cluster() -> Iterator[str]:
    """The URL of three primaries with a replica each. Errors: ServerAbsent."""
    with _folder() as folder, contextlib.ExitStack() as stack:
        password = secrets.token_urlsafe(16)
        ports = _cluster_ports(6)
        for port in ports:
            own = folder / str(port)
            own.mkdir()
            server = _server(
                own, password, port, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"
            )
            server.start()
            stack.callback(server.stop, kill=True)
        nodes = [f"127.0.0.1:{port}" for port in ports]
        command = ["redis-cli", "-a", password, "--no-auth-warning", "--cluster", "create", *nodes]
        made = subprocess.run(
            [*command, "--cluster-replicas", "1", "--cluster-yes"],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if made.returncode:
            raise RuntimeError(made.stdout[-2000:])
        for port in ports:
            _wait_until_joined(password, port)
        yield f"redis://:{password}@127.0.0.1:{ports[0]}?cluster=true"


def _wait_until_joined(password: str, port: int) -> None:
    """Until the server of `port` knows that every slot has a server."""
    asking = ["redis-cli", "-a", password, "--no-auth-warning", "-p", str(port), "cluster", "info"]
    pause = threading.Event()
    for _ in range(400):
        if "cluster_state:ok" in subprocess.run(asking, check=True, capture_output=True, text=True).stdout:
            return
        pause.wait(0.05)
    raise RuntimeError("the Redis cluster did not come together")


def _cluster_ports(count: int) -> list[int]:
    """Free ports whose bus port, 10 000 above, exists too."""
    ports: set[int] = set()
    while len(ports) < count:
        port = free_port()
        if port <= 55_000 and not answers(port + 10_000):
            ports.add(port)
    return sorted(ports)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    if shutil.which("redis-server") is None:
        raise ServerAbsent(HOW_TO_GET_IT)
    folder = Path(tempfile.mkdtemp(prefix="stadion-redis-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _server(folder: Path, password: str, port: int, *more: str) -> RedisServer:
    options = {"port": str(port), "bind": "127.0.0.1", "dir": str(folder), "save": ""}
    options |= {"appendonly": "yes", "appendfsync": "always", "requirepass": password, "masterauth": password}
    written = [word for name, value in options.items() for word in (f"--{name}", value)]
    process = ServerProcess(["redis-server", *written, *more], folder=folder)
    return RedisServer(f"redis://:{password}@127.0.0.1:{port}/0", port, process)
