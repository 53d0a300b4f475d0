"""Processes that share a port, as the process that watches over them sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="workers share a port on Linux alone"),
]
PROGRAM = r"""
import logging, os, signal, sys
from deploy.workers import run_workers
from router.edge.serve import listen

logging.basicConfig(format="%(message)s")

def serve(own, ready):
    def stop(*_):
        raise SystemExit(0)
    signal.signal(signal.SIGTERM, stop)
    try:
        ready()  # from here on it may be asked to stop, and says so
        while True:
            signal.pause()
    except SystemExit:
        os.write(1, b"ended\n")

def serve_anew(own, ready):
    os.write(1, b"anew\n")
    match sys.argv[1]:
        case "hangs":
            while True:
                signal.pause()
        case "fails":
            raise SystemExit(1)
        case "ready":
            serve(own, ready)

listening = [listen("127.0.0.1", 0, shared=True) for _ in range(2)]
sys.exit(run_workers(listening, serve, ready=lambda: os.write(1, b"ready\n"), serve_anew=serve_anew))
"""


@asynccontextmanager
async def started(new_workers: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, new_workers,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield process, process.stdout
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_stop_is_heard_while_a_new_worker_does_not_get_ready() -> None:
    async with started("hangs") as (process, said):
        process.send_signal(signal.SIGHUP)
        assert await said.readline() == b"anew\n"
        process.send_signal(signal.SIGTERM)
        assert await said.read() == b"ended\nended\n"
        assert await process.wait() == 0


async def test_new_workers_that_fail_leave_the_old_ones_however_often() -> None:
    async with started("fails") as (process, said):
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            assert await said.readline() == b"anew\n"
        process.send_signal(signal.SIGTERM)
        assert (await said.read()).count(b"ended\n") == 2
        assert await process.wait() == 0


async def test_each_worker_is_replaced_once_and_asked_to_end() -> None:
    async with started("ready") as (process, said):
        process.send_signal(signal.SIGHUP)
        assert sorted([await said.readline() for _ in range(4)]) == [b"anew\n"] * 2 + [b"ended\n"] * 2
        process.send_signal(signal.SIGTERM)
        assert await said.read() == b"ended\nended\n"
        assert await process.wait() == 0


async def test_all_end_with_an_error_where_one_dies_unasked() -> None:
    async with started("ready") as (process, said):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        assert await said.read() == b"ended\n"
        assert await process.wait() == 1
