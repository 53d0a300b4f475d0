"""What a process tree costs: CPU time and resident memory, read from /proc (Linux), and how it stalls."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def tree(pid: int) -> list[int]:
    """`pid` and all its descendants."""
    found, rest = [], [pid]
    while rest:
        current = rest.pop()
        found.append(current)
        for task in Path(f"/proc/{current}/task").glob("*/children"):
            try:
                rest.extend(int(child) for child in task.read_text(encoding="ascii").split())
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def cpu_s(pid: int) -> float:
    """User and system seconds of the tree so far."""
    total = 0
    for member in tree(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident_mib(pid: int) -> float:
    """Resident memory of the tree, in MiB."""
    pages = 0
    for member in tree(pid):
        try:
            pages += int(Path(f"/proc/{member}/statm").read_text(encoding="ascii").split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pages * PAGE_BYTES / 2**20


def longest_stall_ms(metrics_port: int | None) -> float:
    """The longest stall of the gateway's event loop since the last call, as it tells itself; else NaN.

    Only the time counts that it was running: others use the machine too.
    """
    if metrics_port is None:
        return float("nan")
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=30) as response:
        for line in response.read().decode().splitlines():
            if line.startswith("stadion_router_event_loop_stall_longest") and '"processor"' in line:
                return 1_000 * float(line.rsplit(" ", 1)[1])
    return float("nan")
