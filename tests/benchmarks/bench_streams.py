"""Idle streams on one process: memory a stream, and the work and time until an event has reached all of them.

Run it: `python -m tests.benchmarks.bench_streams [STREAMS] [WORD…]` (the kinds whose name holds each word).
The router is a process of its own (uvloop, one subgraph in the process whose event goes to every
subscriber), and so are its clients, on raw sockets. `equal` streams ask the same, `own` ones each something
else: nothing of theirs is shared. A `short` event is one number, a `long` one about 2 KiB. `storm`: streams
leave, others come.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from itertools import product
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
from tests.benchmarks.stream_clients import Client, open_http, open_websocket
from tests.kit_edge.supergraphs import supergraph_of

STREAMS, ROUNDS, OPENING = 2_000, 9, 50
EVENT_BYTES_MAX = 16_384
SDL = """
type Query { a: Int }
type Tick { number: Int! entries: [Entry!]! }
type Entry { id: ID! name: String! value: Float! }
type Subscription { tick(of: Int): Tick }
"""
QUERIES = {
    "short": "subscription ($of: Int) { tick(of: $of) { number } }",
    "long": "subscription ($of: Int) { tick(of: $of) { number entries { id name value } } }",
}
ENTRIES = 32


@dataclass(frozen=True, slots=True)
class Kind:
    """How the clients read: over which protocol, in which coding, what of an event, whether all the same."""

    protocol: str
    coding: str
    event: str
    equal: bool

    @property
    def name(self) -> str:
        return f"{self.protocol} {self.coding or 'plain'} {self.event} {'equal' if self.equal else 'own'}"

    def operation(self, number: int) -> dict[str, Any]:
        """What the client of this number asks."""
        return {"query": QUERIES[self.event], "variables": {"of": 0 if self.equal else number}}

    async def opened(self, port: int, number: int) -> Client:
        """The client of this number, its stream open."""
        operation = self.operation(number)
        if self.protocol == "websocket":
            client = await open_websocket(port, operation, coding=self.coding, bytes_max=EVENT_BYTES_MAX)
        else:
            client = await open_http(
                port, operation, protocol=self.protocol, coding=self.coding, bytes_max=EVENT_BYTES_MAX
            )
        if client.packed != bool(self.coding):
            raise ConnectionError(f"the router did not agree to {self.name}")
        return client


CODINGS = {"sse": ("", "gzip"), "multipart": ("", "gzip"), "websocket": ("", "deflate")}
KINDS = tuple(
    Kind(protocol, coding, event, equal)
    for protocol, codings in CODINGS.items()
    for coding, event, equal in product(codings, QUERIES, (True, False))
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
                yield {"data": {"tick": tick_of(await queue.get(), whole="entries" in query)}}
        finally:
            self.queues.discard(queue)

    def tick(self, number: int) -> None:
        for queue in self.queues:
            queue.put_nowait(number)


def tick_of(number: int, *, whole: bool) -> dict[str, Any]:
    """The object of one event."""
    if not whole:
        return {"number": number}
    entries = [
        {
            "id": f"entry-{number * 31 + at * 7919}",
            "name": f"measure of {at % 5}",
            "value": (number + at) * 0.37,
        }
        for at in range(ENTRIES)
    ]
    return {"number": number, "entries": entries}


def resident_kib() -> int:
    """Memory of this process as the kernel counts it."""
    pages = int(Path(f"/proc/{os.getpid()}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // 1024


def serve(pipe: Connection, streams: int) -> None:
    """The router's process: its port; then, as it is asked, `memory`, `cpu` (seconds), or a tick to all."""
    import uvloop

    async def run() -> None:
        ticker, loop = Ticker(), asyncio.get_running_loop()
        limits = StreamLimits(
            connections_max=streams * 2, per_caller_max=0, heartbeat_ms=600_000, websocket_compression=True
        )
        config = RouterConfig(streams=limits, compression=True)
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
    """The clients' process. It is told: `open` so many streams; `read` the event of this number; `storm`: so
    many streams end, and as many others are opened. It answers with the time, or with bytes read."""
    import uvloop

    async def run() -> None:
        loop = asyncio.get_running_loop()
        clients: list[Client] = []
        opened_count = 0
        while (asked := await loop.run_in_executor(None, pipe.recv)) is not None:
            what, count = asked
            if what == "read":
                before = sum(one.bytes_read for one in clients)
                pipe.send("reading")
                awaited = f'"number":{count}'.encode()
                await asyncio.gather(*(one.read_until(awaited) for one in clients))
                pipe.send((time.monotonic(), sum(one.bytes_read for one in clients) - before))
                continue
            if what == "storm":
                leaving, clients = clients[:count], clients[count:]
                for one in leaving:
                    one.writer.close()
            for begin in range(0, count, OPENING):
                some = range(opened_count, opened_count + min(OPENING, count - begin))
                clients += await asyncio.gather(*(kind.opened(port, number) for number in some))
                opened_count += len(some)
            pipe.send(time.monotonic())
        for one in clients:
            one.writer.close()

    _unlimited(streams)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def measure(router: Connection, clients: Connection, streams: int) -> dict[str, float]:
    """The figures of one run."""

    def asked(pipe: Connection, question: Any) -> Any:
        pipe.send(question)
        return pipe.recv()

    def memory(expected: int) -> int:
        while True:
            found, open_now = asked(router, "memory")
            if open_now == expected:
                return int(found)
            time.sleep(0.01)

    first = min(100, streams // 2)
    asked(clients, ("open", first))
    before = memory(first)
    asked(clients, ("open", streams - first))
    after = memory(streams)
    elapsed, cpu, wire_bytes = [], [], 0
    for number in range(ROUNDS):
        asked(clients, ("read", number))  # they read from now on
        began_s, began_cpu_s = asked(router, number)
        ended_s, wire_bytes = clients.recv()
        elapsed.append(ended_s - began_s)
        cpu.append(asked(router, "cpu") - began_cpu_s)
    told = memory(streams)
    storm, began_cpu_s = streams // 4, asked(router, "cpu")
    asked(clients, ("storm", storm))
    memory(streams)
    return {
        "memory_kib_a_stream": (after - before) / (streams - first),
        "memory_kib_a_stream_after_events": (told - before) / (streams - first),
        "router_cpu_us_an_event_and_stream": statistics.quantiles(cpu, n=4)[0] * 1e6 / streams,
        "fan_out_ms": statistics.quantiles(elapsed, n=4)[0] * 1_000,
        "wire_bytes_an_event_and_stream": wire_bytes / streams,
        "storm_cpu_us_a_stream_that_comes_and_goes": (asked(router, "cpu") - began_cpu_s) * 1e6 / storm,
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
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, streams * 3 + 200), hard))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else STREAMS
    for it in KINDS:
        if all(word in it.name.split() for word in sys.argv[2:]):
            print(f"{count} streams, {it.name}", flush=True)
            for name, value in figures(count, it).items():
                print(f"{name:>42} {value:,.1f}", flush=True)
