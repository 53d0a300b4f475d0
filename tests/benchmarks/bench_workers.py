"""One worker beside two on one port: requests a second, CPU and memory, and how connections are spread.

Run it: `python -m tests.benchmarks.bench_workers [SECONDS]`. Both routers, the subgraph and the clients are
processes of their own; the routers are asked in turns, so that what else the machine does meets both alike.
On two cores clients and subgraph take theirs of the same cores: what two workers gain is then less than on a
machine with a core for each, and the CPU time a request is the figure that carries over.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from tests.kit_edge.supergraphs import supergraph_of

CONNECTIONS, ROUNDS, ROUND_S = 32, 7, 1.0
SDL = "type Query { hello(n: Int): String }"
OPERATIONS = {
    "the router's own part": "{ __typename }",
    "with one call to a subgraph": "query ($n: Int) { hello(n: $n) }",
}
ANSWER = b'{"data":{"hello":"there"}}'
TICKS = os.sysconf("SC_CLK_TCK")


class Subgraph(asyncio.Protocol):
    """Answers whatever is asked; a request is taken to come in one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(  # type: ignore[attr-defined]
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
            b"content-length: " + str(len(ANSWER)).encode() + b"\r\n\r\n" + ANSWER
        )


class Client(asyncio.Protocol):
    """Asks again as soon as it is answered, never twice the same; `answered` counts."""

    def __init__(self, operation: str, number: int) -> None:
        self._operation = operation
        self._number = number * 1_000_000
        self._rest = b""
        self.answered = 0
        self.is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._rest += data
        head, found, body = self._rest.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) if found else 0
        if not found or len(body) < length:
            return
        if b" 200 OK" not in head[:20] or b'"errors"' in body:
            raise SystemExit(f"not answered: {self._rest!r}")
        self._rest = b""
        self.answered += 1
        self._ask()

    def _ask(self) -> None:
        if self.is_over:
            self._transport.close()
        else:
            self._number += 1
            body = json.dumps({"query": self._operation, "variables": {"n": self._number}})
            self._transport.write(  # type: ignore[attr-defined]
                f"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\n\r\n{body}".encode()
            )


def serve_subgraph(pipe: Connection) -> None:
    """The subgraph's process: its port, until it is ended."""
    import uvloop

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Subgraph, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def ask_for(pipe: Connection) -> None:
    """The clients' process: for (port, operation, seconds), how many answers came."""
    import uvloop

    async def round_of(port: int, operation: str, seconds: float) -> int:
        clients = [Client(operation, number) for number in range(CONNECTIONS)]
        loop = asyncio.get_running_loop()
        for one in clients:
            await loop.create_connection(partial(_itself, one), "127.0.0.1", port)
        await asyncio.sleep(seconds)
        count = sum(one.answered for one in clients)
        for one in clients:
            one.is_over = True
        await asyncio.sleep(0.05)
        return count

    while (asked := pipe.recv()) is not None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            pipe.send(runner.run(round_of(*asked)))


def _itself(client: Client) -> Client:
    return client


class Router:
    """A router with so many workers, as a program."""

    def __init__(self, supergraph: Path, workers: int) -> None:
        command = (sys.executable, "-m", "deploy", "router", "--supergraph", str(supergraph), "--port", "0")
        self._process = subprocess.Popen(
            (*command, "--workers", str(workers)), stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().split(":")[-1].split("/")[0])
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        self.workers = [int(one) for one in children] or [pid]

    def cpu_s(self) -> list[float]:
        """CPU seconds of each worker so far."""
        texts = [Path(f"/proc/{one}/stat").read_text(encoding="ascii") for one in self.workers]
        return [sum(map(int, text.rpartition(")")[2].split()[11:13])) / TICKS for text in texts]

    def memory_mib(self) -> float:
        """Memory of all workers; pages that several share are counted once, in parts."""
        rolls = [Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii") for one in self.workers]
        return sum(int(roll.split("Pss:")[1].split()[0]) for roll in rolls) / 1024

    def stop(self) -> None:
        """Drain and end."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


def measure(routers: dict[int, Router], clients: Connection, operation: str, seconds: float) -> None:
    """Print the figures of all routers, asked in turns."""
    rates: dict[int, list[float]] = {count: [] for count in routers}
    cpu: dict[int, list[float]] = {count: [] for count in routers}
    share: dict[int, list[float]] = {count: [] for count in routers}
    for number in range(ROUNDS + 1):
        for count, router in routers.items():
            before, began = router.cpu_s(), time.monotonic()
            clients.send((router.port, operation, seconds))
            answered = clients.recv()
            used = [now - then for now, then in zip(router.cpu_s(), before, strict=True)]
            if number:  # the first round plans and connects
                rates[count].append(answered / (time.monotonic() - began))
                cpu[count].append(sum(used) / answered * 1e6)
                share[count].append(max(used) / sum(used))
    for count, router in routers.items():
        print(
            f"  {count} worker{'s' if count > 1 else ' '}"
            f"  {statistics.median(rates[count]):8,.0f} answers/s"
            f"  {statistics.quantiles(cpu[count], n=4)[0]:6.0f} us CPU of the workers an answer"
            f"  {statistics.median(share[count]):4.0%} of it in the busiest"
            f"  {router.memory_mib():6.1f} MiB"
        )


def main(seconds: float) -> None:
    """Both routers, one subgraph, one process of clients."""
    spawned = multiprocessing.get_context("spawn")
    ours, theirs = multiprocessing.Pipe()
    subgraph = spawned.Process(target=serve_subgraph, args=(theirs,), daemon=True)
    subgraph.start()
    asking, asked = multiprocessing.Pipe()
    clients = spawned.Process(target=ask_for, args=(asked,), daemon=True)
    clients.start()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "supergraph.graphql"
        file.write_text(supergraph_of(SDL, url=f"http://127.0.0.1:{ours.recv()}/graphql"), encoding="utf-8")
        routers = {count: Router(file, count) for count in (1, 2)}
        try:
            print(f"{os.cpu_count()} cores, {CONNECTIONS} connections")
            for name, operation in OPERATIONS.items():
                print(name)
                measure(routers, asking, operation, seconds)
        finally:
            for router in routers.values():
                router.stop()
            asking.send(None)
            subgraph.terminate()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else ROUND_S)
