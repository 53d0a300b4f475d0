"""`stadion …` as a child process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = re.compile(r"http://[0-9.]+:[0-9]+")


@dataclass
class Running:
    """A started platform: where it is, and what it has printed."""

    process: subprocess.Popen[str]
    address: str
    lines: list[str] = field(default_factory=list)

    @property
    def graphql(self) -> str:
        """The one endpoint."""
        return f"{self.address}/graphql"

    def stop(self, *, timeout_s: float = 20) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(10)


def run_stadion(*arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "deploy", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False, env=environment(),
    )  # fmt: skip


def environment() -> dict[str, str]:
    """The test's environment without settings of Stadion."""
    return {name: value for name, value in os.environ.items() if not name.startswith("STADION_")}


@contextmanager
def stadion_up(data: Path, *arguments: str) -> Iterator[Running]:
    """`stadion up` on a free port; stopped at the end, if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "deploy", "up", "--port", "0", "--data", str(data), *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(),
    )  # fmt: skip
    try:
        lines: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            found = ADDRESS.search(line)
            if found and "is up" in line:
                running = Running(process, found.group(), lines)
                reader = threading.Thread(target=_collect, args=(process, lines), daemon=True)
                reader.start()
                yield running
                return
        raise AssertionError(f"`stadion up` did not start:\n{''.join(lines)}")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


def _collect(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None
    try:
        lines.extend(process.stdout)
    except ValueError:
        return  # closed while reading: the test is over
