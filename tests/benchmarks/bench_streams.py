"""Idle streams on one process: memory a stream, and the time until an event has reached all of them.

Run it: `python tests/benchmarks/bench_streams.py [STREAMS]`. The router is a process of its own (uvloop, SSE,
one subgraph in the process whose event goes to every subscriber); the clients are raw sockets here.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from authz.identity.subject import Subject
from router.config import RouterConfig, StreamLimits
from router.edge.app import build_app
from router.edge.serve import draining_server, listen
from router.execution.transports.in_process import InProcessTransport
from router.pipeline import Router
from router.snapshot import snapshot_of
from tests.kit_edge.supergraphs import supergraph_of

STREAMS, ROUNDS, OPENING = 2_000, 5, 50
SDL = "type Query { a: Int } type Subscription { tick: Int }"
BODY = json.dumps({"query": "subscription { tick }"}).encode()
REQUEST = (
    b"POST /graphql HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\ncontent-type: application/json\r\n"
    + f"content-length: {len(BODY)}\r\n\r\n".encode()
    + BODY
)


class Ticker:
    """A subgraph that sends each tick to every subscriber."""

    def __init__(self) -> None:
        self.queues: set[asyncio.Queue[int]] = set()

    async def execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        return {"data": {"a": 1}}

    async def subscribe(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> AsyncIterator[Mapping[str, Any]]:
        queue: asyncio.Queue[int] = asyncio.Queue()
        self.queues.add(queue)
        try:
            while True:
                yield {"data": {"tick": await queue.get()}}
        finally:
            self.queues.discard(queue)

    def tick(self, number: int) -> None:
        for queue in self.queues:
            queue.put_nowait(number)


def resident_kib() -> int:
    """Memory of this process as the kernel counts it."""
    pages = int(Path(f"/proc/{os.getpid()}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // 1024


def serve(pipe: Connection, streams: int) -> None:
    """The router's process: its port, then, for each number that comes, a tick to all."""
    import uvloop

    async def run() -> None:
        ticker, loop = Ticker(), asyncio.get_running_loop()
        limits = StreamLimits(connections_max=streams + 10, per_caller_max=0, heartbeat_ms=600_000)
        config = RouterConfig(streams=limits)
        router = Router(
            snapshot_of(supergraph_of(SDL), config), InProcessTransport({"only": ticker}), config=config
        )
        listening, ready = listen("127.0.0.1", 0), asyncio.Event()
        server = draining_server(build_app(router), config, ready=ready.set)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await ready.wait()
        pipe.send(listening.getsockname()[1])
        while (asked := await loop.run_in_executor(None, pipe.recv)) is not None:
            if asked == "memory":
                pipe.send((resident_kib(), len(ticker.queues)))
            else:
                began = time.process_time()
                ticker.tick(asked)
                pipe.send(began)
        server.should_exit = True
        await serving

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def measure(pipe: Connection, streams: int) -> dict[str, float]:
    """The figures of one run, as the clients see them."""
    loop = asyncio.get_running_loop()
    port = await loop.run_in_executor(None, pipe.recv)

    async def memory(expected: int) -> int:
        while True:
            pipe.send("memory")
            found, open_now = await loop.run_in_executor(None, pipe.recv)
            if open_now >= expected:
                return int(found)

    async def opened() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4_096)
        writer.write(REQUEST)
        await reader.readuntil(b":\n\n\r\n")
        return reader, writer

    first = await opened()
    before = await memory(1)
    clients = [first]
    while len(clients) < streams:
        clients += await asyncio.gather(*(opened() for _ in range(min(OPENING, streams - len(clients)))))
    after = await memory(streams)
    fan_out: list[float] = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        pipe.send(number)
        awaited = f'{{"tick":{number}}}'.encode()
        await asyncio.gather(*(reader.readuntil(awaited) for reader, _ in clients))
        fan_out.append(time.perf_counter() - began)
        await loop.run_in_executor(None, pipe.recv)
    for _, writer in clients:
        writer.close()
    return {
        "streams": streams,
        "memory_kib_a_stream": (after - before) / (streams - 1),
        "fan_out_ms_median": sorted(fan_out)[ROUNDS // 2] * 1_000,
        "fan_out_us_a_stream": sorted(fan_out)[ROUNDS // 2] * 1e6 / streams,
    }


def figures(streams: int) -> dict[str, float]:
    """One run with this many streams."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, streams * 2 + 200), hard))
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, streams))
    process.start()
    try:
        return asyncio.run(measure(ours, streams))
    finally:
        ours.send(None)
        process.join(30)
        if process.is_alive():
            process.terminate()


if __name__ == "__main__":
    for name, value in figures(int(sys.argv[1]) if len(sys.argv) > 1 else STREAMS).items():
        print(f"{name:>22} {value:,.1f}")
