"""Several processes of one command on one port: each serves by itself, the first one watches over them."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from socket import socket
from typing import Final, TypeAlias

from router.edge.backlog import refuse_new

log = logging.getLogger("stadion.workers")

Serve: TypeAlias = Callable[[socket, Callable[[], None]], None]
"""A worker's socket and what to call when requests are taken → serves until it is asked to stop."""

START_S_MAX: Final = 120.0
"""A new worker that has not got ready by then is ended."""

_WATCHED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
_STOPS: Final = {signal.SIGINT, signal.SIGTERM}
_LOOK_MS: Final = 50
_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG


def run_workers(
    listening: Sequence[socket], serve: Serve, *, ready: Callable[[], None], serve_anew: Serve | None = None
) -> int:
    """Fork a worker for each socket and wait for them; SIGINT and SIGTERM go to all. The exit code.

    `ready` is called once all of them take requests. Where one ends unasked, all end, with exit code 1:
    what restarts services restarts the whole. What was loaded before is shared until it is written to.

    SIGHUP restarts them one after the other: a new process takes requests from the same socket, by
    `serve_anew` where it is given, before the old one is asked to stop; no connection is refused meanwhile.
    Where a new one does not get ready in START_S_MAX, the old ones stay. Where this process dies, the
    workers end as if they were asked to (on Linux).
    """
    gc.collect()
    gc.freeze()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        return _Workers(listening, serve, serve_anew or serve).run(ready)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Workers:
    """The processes: one in service for each socket, and those that were replaced and finish what they have.

    The sockets stay open here until the end: what waits to be accepted is not lost with a worker's copy.
    """

    def __init__(self, listening: Sequence[socket], serve: Serve, serve_anew: Serve) -> None:
        self._listening = listening
        self._serve = serve
        self._serve_anew = serve_anew
        self._serving: dict[int, socket] = {}
        self._retired: set[int] = set()
        self._asked = self._failed = False

    def run(self, ready: Callable[[], None]) -> int:
        started = [(own, *self._fork(own, self._serve)) for own in self._listening]
        self._serving = {pid: own for own, pid, _ in started}
        words = [_is_ready(reading) for _, _, reading in started]
        if all(words):
            ready()
        while self._serving or self._retired:
            match signal.sigwait(_WATCHED):
                case signal.SIGCHLD:
                    self._reap()
                case signal.SIGHUP:
                    self._restart()
                case _:
                    self._asked = True
                    self._stop()
        return int(self._failed)

    def _fork(self, own: socket, serve: Serve) -> tuple[int, int]:
        """The new process's id, and where it says that it is ready."""
        reading, writing = os.pipe()
        watching = os.getpid()
        pid = os.fork()
        if pid:
            os.close(writing)
            return pid, reading
        code = 1
        try:
            os.close(reading)
            for other in self._listening:
                if other is not own:
                    other.close()
            _end_with(watching)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            serve(own, lambda: os.close(writing) if os.write(writing, b".") else None)
            code = 0
        except Exception:
            log.exception("a worker failed")
        except SystemExit:
            log.error("a worker could not start")
        finally:
            os._exit(code)

    def _restart(self) -> None:
        """Each worker by a new one. A stop that is asked for meanwhile comes after."""
        if self._asked:
            return
        for old, own in list(self._serving.items()):
            new, reading = self._fork(own, self._serve_anew)
            if not _is_ready(reading):
                log.error("a new worker did not get ready: the workers of before stay")
                self._retired.add(new)
                _tell([new], signal.SIGKILL)  # it has taken nothing that it would have to finish
                return
            self._serving[new] = self._serving.pop(old)
            self._retired.add(old)
            _tell([old], signal.SIGTERM)
        log.info("all workers were restarted")

    def _reap(self) -> None:
        """Take note of all that have ended: several may have, for one signal."""
        while self._serving or self._retired:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            if pid in self._retired:
                self._retired.remove(pid)
                continue
            if self._serving.pop(pid, None) is None:
                continue
            if not self._asked or os.waitstatus_to_exitcode(status) != 0:
                self._failed = True
                self._stop()

    def _stop(self) -> None:
        for it in self._listening:
            refuse_new(it)  # what has connected is still answered, by the workers
            it.close()
        _tell([*self._serving, *self._retired], signal.SIGTERM)


def _is_ready(reading: int) -> bool:
    """Wait for a worker's word; none comes where it ended before, was too slow, or a stop is asked for."""
    until_s = time.monotonic() + START_S_MAX
    word = select.poll()
    word.register(reading, select.POLLIN)
    try:
        while not word.poll(_LOOK_MS):
            if time.monotonic() > until_s or not _STOPS.isdisjoint(signal.sigpending()):
                return False
        return bool(os.read(reading, 1))
    finally:
        os.close(reading)


def _end_with(watching: int) -> None:
    """Have this worker asked to stop when the process that watches over it dies, however that dies."""
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != watching:
        raise SystemExit(1)  # it has died already


def _tell(workers: Sequence[int], number: int) -> None:
    for pid in workers:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
