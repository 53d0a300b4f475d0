"""Several processes of one command on one port: each serves by itself, the first one watches over them."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Callable, Sequence
from socket import socket
from types import FrameType

log = logging.getLogger("stadion.workers")

Serve = Callable[[socket, Callable[[], None]], None]
"""A worker's socket and what to call when requests are taken → serves until it is asked to stop."""


def run_workers(listening: Sequence[socket], serve: Serve, *, ready: Callable[[], None]) -> int:
    """Fork a worker for each socket and wait for them; SIGINT and SIGTERM go to all. The exit code.

    `ready` is called once all of them take requests. Where one ends unasked, all end, with exit code 1:
    what restarts services restarts the whole. What was loaded before is shared until it is written to.
    """
    reading, writing = os.pipe()
    gc.collect()
    gc.freeze()
    workers = {_fork(own, listening, serve, reading, writing) for own in listening}
    os.close(writing)
    for it in listening:
        it.close()  # a socket lives as long as its worker: nobody else could accept from it
    asked: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        asked.append(number)
        _tell(workers, signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if _all_ready(reading, len(listening)):
            ready()
        failed = False
        while workers:
            pid, status = os.wait()
            workers.discard(pid)
            if not asked or os.waitstatus_to_exitcode(status) != 0:
                failed = True
                _tell(workers, signal.SIGTERM)
        return int(failed)
    finally:
        os.close(reading)
        for number, handler in before.items():
            signal.signal(number, handler)


def _fork(own: socket, listening: Sequence[socket], serve: Serve, reading: int, writing: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.close(reading)
        for other in listening:
            if other is not own:
                other.close()
        serve(own, lambda: os.close(writing) if os.write(writing, b".") else None)
        code = 0
    except Exception:
        log.exception("a worker failed")
    finally:
        os._exit(code)


def _all_ready(reading: int, count: int) -> bool:
    """Wait for a byte from each; fewer come where a worker ended before it was ready."""
    seen = 0
    while seen < count:
        found = os.read(reading, count)
        if not found:
            return False
        seen += len(found)
    return True


def _tell(workers: set[int], number: int) -> None:
    for pid in workers:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
