"""Where the wire's time goes: one scenario from a client's bytes to the answer's bytes, without a kernel.

Run: `python -m tests.benchmarks.gateway.profile_wire small --requests 4000 [--profile]`.
The router is served by its own protocol and calls subgraphs by its own client; both ends of both sides are
objects in this process. What a real run takes beyond this is the kernel's and the event loop's.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import pstats
import time
from collections.abc import Callable
from typing import Any

import uvicorn
import uvloop
from uvicorn.server import ServerState

from deploy.subgraph_side import urls_of
from deploy.transports import http_transport
from router.config import RouterConfig
from router.edge.app import build_app
from router.edge.quick_http import QuickProtocol
from router.pipeline import Router
from router.snapshot import snapshot_of
from tests.benchmarks.gateway.mock_subgraphs import answer
from tests.benchmarks.gateway.scenarios import HERE, SCENARIOS, Scenario

CHUNKS, ROUNDS = 20, 100


class Pipe(asyncio.Transport):
    """One end of a connection: what is written goes to `on_write`."""

    def __init__(self, on_write: Callable[[bytes], None]) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 4_000)})
        self._on_write = on_write

    def write(self, data: Any) -> None:
        """Whole messages only: both sides write a request or an answer at once."""
        self._on_write(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        """A head and its body."""
        self._on_write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Nothing to close."""

    def abort(self) -> None:
        """Nothing to close."""

    def pause_reading(self) -> None:
        """Nothing to pause."""

    def resume_reading(self) -> None:
        """Nothing was paused."""


class Loop(uvloop.Loop):
    """A loop whose connections lead to subgraphs that answer what they answered before, a turn later."""

    def __init__(self) -> None:
        super().__init__()
        self._answers: dict[bytes, bytes] = {}

    async def create_connection(  # type: ignore[override]
        self, factory: Any, *_: Any, **__: Any
    ) -> tuple[Any, Any]:
        """A connection without sockets."""
        protocol = factory()
        pipe = Pipe(lambda asked: self._answered(protocol, asked))
        protocol.connection_made(pipe)
        return pipe, protocol

    def _answered(self, protocol: Any, asked: bytes) -> None:
        body = asked.partition(b"\r\n\r\n")[2]
        known = self._answers.get(body)
        if known is None:
            text = answer(body)
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            known = self._answers[body] = head % len(text) + text
        self.call_soon(_received, protocol, known)


def _received(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    """Put bytes where the protocol wants them, as a loop does."""
    at = 0
    while at < len(data):
        buffer = memoryview(protocol.get_buffer(-1))
        count = min(len(buffer), len(data) - at)
        buffer[:count] = data[at : at + count]
        protocol.buffer_updated(count)
        at += count


async def profile(scenario: Scenario, requests: int, *, profiled: bool) -> None:
    """Warm up, measure in chunks, then profile."""
    loop = asyncio.get_running_loop()
    config = RouterConfig()
    snapshot = snapshot_of((HERE / "supergraph.graphql").read_text(encoding="utf-8"), config)
    transport = http_transport(urls_of(snapshot), None, config)
    app = build_app(Router(snapshot, transport, config=config))
    settings = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, date_header=False, proxy_headers=False
    )
    settings.load()
    answered: list[bytes] = []
    waiting: list[asyncio.Future[None]] = []

    def on_answer(data: bytes) -> None:
        answered.append(data)
        waiting.pop().set_result(None)

    connection = QuickProtocol(settings, ServerState(), {}, loop)
    connection.connection_made(Pipe(on_answer))

    def asked(number: int) -> bytes:
        body = scenario.body(number)
        head = (
            "POST /graphql HTTP/1.1\r\nhost: 127.0.0.1:4000\r\ncontent-type: application/json\r\n"
            f"accept: application/json\r\ncontent-length: {len(body)}\r\n{scenario.headers(number)}\r\n"
        )
        return head.encode() + body

    texts = [asked(number) for number in range(CHUNKS + 2 * requests)]

    async def ask(number: int) -> None:
        waiting.append(loop.create_future())
        connection.data_received(texts[number])
        await waiting[0]

    for number in range(CHUNKS):
        await ask(number)
        wrong = scenario.check(answered[-1].partition(b"\r\n\r\n")[2])
        assert wrong is None, wrong
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 10, 10)
    size = max(1, requests // ROUNDS)
    least_s = float("inf")
    for first in range(CHUNKS, CHUNKS + requests - size + 1, size):
        began = time.process_time()
        for number in range(first, first + size):
            await ask(number)
        least_s = min(least_s, (time.process_time() - began) / size)
    print(f"{scenario.name}: {1_000_000 * least_s:.1f} µs a request")
    if not profiled:
        return
    profiler = cProfile.Profile()
    profiler.enable()
    for number in range(CHUNKS + requests, CHUNKS + 2 * requests):
        await ask(number)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(60)


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scenario", choices=[one.name for one in SCENARIOS])
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    chosen = next(one for one in SCENARIOS if one.name == options.scenario)
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(profile(chosen, options.requests, profiled=options.profile))


if __name__ == "__main__":
    main()
