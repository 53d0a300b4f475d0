"""Reloads under load: the supergraph's file is replaced again and again while clients ask."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import orjson
import uvloop

from tests.benchmarks.gateway.gateways import Graph, stadion
from tests.benchmarks.gateway.load import Outcome, run_load
from tests.benchmarks.gateway.scenarios import EQUALS_SMALL, SMALL, own_authorization, request, same_each_time

RELOADS = 5
SECONDS = 10.0
CONNECTIONS = 50


def reload_under_load(
    graph: Graph,
    *,
    core: int,
    wait: Callable[[int, str], float],
    end: Callable[[Sequence[subprocess.Popen[bytes]]], None],
) -> str:
    """What clients notice of five reloads, beside the same load without any."""
    gateway = stadion(graph, "--poll")
    process = gateway.start(core=core)
    try:
        wait(gateway.port, graph.name)
        calm = uvloop.run(_load(gateway.port, SECONDS / 2))
        busy, taken_s = uvloop.run(_reloaded(graph, gateway.port))
    finally:
        end([process])
    lines = ["| | requests | failed | p50 ms | p99 ms | longest ms | new schema served after s |"]
    lines.append("|---|---|---|---|---|---|---|")
    lines.append(_line("no reload", calm, "–"))
    lines.append(_line(f"{RELOADS} reloads", busy, f"{statistics.median(taken_s):.2f}"))
    return "\n".join(lines)


def _line(name: str, it: Outcome, taken: str) -> str:
    return (
        f"| {name} | {len(it.latencies_s)} | {len(it.failures)} | {it.percentile_ms(0.5):.1f} | "
        f"{it.percentile_ms(0.99):.1f} | {it.percentile_ms(1):.1f} | {taken} |"
    )


def _load(port: int, seconds: float) -> Coroutine[Any, Any, Outcome]:
    return run_load(
        port, same_each_time(SMALL), EQUALS_SMALL,
        seconds=seconds, connections=CONNECTIONS, headers=own_authorization,
    )  # fmt: skip


async def _reloaded(graph: Graph, port: int) -> tuple[Outcome, list[float]]:
    load = asyncio.ensure_future(_load(port, SECONDS))
    text = graph.supergraph.read_text(encoding="utf-8")
    taken_s = []
    for number in range(RELOADS):
        await asyncio.sleep(SECONDS / RELOADS / 3)
        field = f"reloaded{number}"
        changed = text.replace(
            "  me: User @join", f"  {field}: User @join__field(graph: ACCOUNTS)\n  me: User @join"
        )
        partial = graph.supergraph.with_suffix(".new")
        partial.write_text(changed, encoding="utf-8")
        partial.replace(graph.supergraph)
        begun = time.perf_counter()
        while not await _has(field, port):
            await asyncio.sleep(0.02)
        taken_s.append(time.perf_counter() - begun)
    return await load, taken_s


async def _has(field: str, port: int) -> bool:
    """Whether the schema that is served has this field of Query; no subgraph is asked."""
    body = request(f"{{ __typename {field} @skip(if: true) {{ __typename }} }}")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % len(body) + body
    )
    answered = await reader.read()
    writer.close()
    return "errors" not in orjson.loads(answered.partition(b"\r\n\r\n")[2])
