"""Idle streams on one process: memory a stream, and the work and time until an event has reached all of them.

Run it: `python tests/benchmarks/bench_streams.py [STREAMS]`. The router is a process of its own (uvloop, one
subgraph in the process whose event goes to every subscriber), and so are its clients, on raw sockets. `equal`
streams ask the same, `own` ones each something else: nothing of theirs is shared.
"""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
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

STREAMS, ROUNDS, OPENING = 2_000, 9, 50
SDL = "type Query { a: Int } type Subscription { tick(of: Int): Int }"
QUERY = "subscription ($of: Int) { tick(of: $of) }"


@dataclass(frozen=True, slots=True)
class Kind:
    """How the clients read: over which protocol, and whether all ask the same."""

    protocol: str
    equal: bool

    @property
    def name(self) -> str:
        return f"{self.protocol}, {'equal' if self.equal else 'own'}"

    def operation(self, number: int) -> dict[str, Any]:
        """What the client of this number asks."""
        return {"query": QUERY, "variables": {"of": 0 if self.equal else number}}


KINDS = tuple(Kind(protocol, equal) for protocol in ("sse", "websocket") for equal in (True, False))


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
    """The router's process: its port; then, as it is asked, `memory`, `cpu` (seconds), or a tick to all."""
    import uvloop

    async def run() -> None:
        ticker, loop = Ticker(), asyncio.get_running_loop()
        limits = StreamLimits(connections_max=streams + 10, per_caller_max=0, heartbeat_ms=600_000)
        config = RouterConfig(streams=limits)
        router = Router(
            snapshot_of(supergraph_of(SDL), config), InProcessTransport({"only": ticker}), config=config
        )
        listening, ready = listen("127.0.0.1", 0), asyncio.Event()
        app = build_app(router)
        server = draining_server(app, config, ready=ready.set)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await ready.wait()
        pipe.send(listening.getsockname()[1])
        while (asked := await loop.run_in_executor(None, pipe.recv)) is not None:
            if asked == "memory":
                pipe.send((resident_kib(), app.state.drain.streams))
            elif asked == "cpu":
                pipe.send(time.process_time())
            else:
                pipe.send((time.monotonic(), time.process_time()))
                ticker.tick(asked)
        server.should_exit = True
        await serving

    _unlimited(streams)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def read(pipe: Connection, port: int, kind: Kind, streams: int) -> None:
    """The clients' process: opens as many streams as it is told, then says when all have read each tick."""
    import uvloop

    async def run() -> None:
        loop = asyncio.get_running_loop()
        clients: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        number = 0
        while (asked := await loop.run_in_executor(None, pipe.recv)) is not None:
            while len(clients) < asked:
                some = range(len(clients), min(asked, len(clients) + OPENING))
                clients += await asyncio.gather(*(OPENED[kind.protocol](port, kind, one) for one in some))
            if asked == 0:
                awaited = f'{{"tick":{number}}}'.encode()
                number += 1
                pipe.send("reading")
                await asyncio.gather(*(reader.readuntil(awaited) for reader, _ in clients))
            pipe.send(time.monotonic())
        for _, writer in clients:
            writer.close()

    _unlimited(streams)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def open_sse(port: int, kind: Kind, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """One stream of server-sent events, open."""
    body = json.dumps(kind.operation(number)).encode()
    head = (
        "POST /graphql HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4_096)
    writer.write(head.encode() + body)
    await reader.readuntil(b":\n\n\r\n")
    return reader, writer


async def open_websocket(
    port: int, kind: Kind, number: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """One connection with one subscription."""
    key = base64.b64encode(os.urandom(16)).decode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4_096)
    writer.write(
        f"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n"
        f"sec-websocket-protocol: graphql-transport-ws\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.write(_frame({"type": "connection_init"}))
    await reader.readuntil(b'"connection_ack"}')
    writer.write(_frame({"id": "1", "type": "subscribe", "payload": kind.operation(number)}))
    writer.write(_frame({"type": "ping"}))
    await reader.readuntil(b'"pong"}')
    return reader, writer


def _frame(message: Mapping[str, Any]) -> bytes:
    """A text frame as a client sends it; its mask is zero."""
    text = json.dumps(message).encode()
    size = (
        bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
    )
    return b"\x81" + size + bytes(4) + text


OPENED = {"sse": open_sse, "websocket": open_websocket}


def measure(router: Connection, clients: Connection, streams: int) -> dict[str, float]:
    """The figures of one run."""

    def asked(pipe: Connection, question: Any) -> Any:
        pipe.send(question)
        return pipe.recv()

    def memory(expected: int) -> int:
        while True:
            found, open_now = asked(router, "memory")
            if open_now >= expected:
                return int(found)
            time.sleep(0.01)

    first = min(100, streams // 2)
    asked(clients, first)
    before = memory(first)
    asked(clients, streams)
    after = memory(streams)
    elapsed, cpu = [], []
    for number in range(ROUNDS):
        asked(clients, 0)  # they read from now on
        began_s, began_cpu_s = asked(router, number)
        elapsed.append(clients.recv() - began_s)
        cpu.append(asked(router, "cpu") - began_cpu_s)
    return {
        "memory_kib_a_stream": (after - before) / (streams - first),
        "router_cpu_us_an_event_and_stream": statistics.quantiles(cpu, n=4)[0] * 1e6 / streams,
        "fan_out_ms": statistics.quantiles(elapsed, n=4)[0] * 1_000,
    }


def figures(streams: int, kind: Kind) -> dict[str, float]:
    """One run with this many streams."""
    spawned = multiprocessing.get_context("spawn")
    ours, theirs = multiprocessing.Pipe()
    router = spawned.Process(target=serve, args=(theirs, streams))
    router.start()
    reading, their_reading = multiprocessing.Pipe()
    clients = spawned.Process(target=read, args=(their_reading, ours.recv(), kind, streams))
    clients.start()
    try:
        return measure(ours, reading, streams)
    finally:
        for pipe, process in ((reading, clients), (ours, router)):
            pipe.send(None)
            process.join(30)
            if process.is_alive():
                process.kill()


def _unlimited(streams: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, streams * 2 + 200), hard))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else STREAMS
    for it in KINDS:
        print(f"{count} streams, {it.name}")
        for name, value in figures(count, it).items():
            print(f"{name:>36} {value:,.1f}")
