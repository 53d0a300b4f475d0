"""`make bench`: our router and its peers on one pinned core, rounds interleaved, every answer checked.

The gateways run on core 0; the load and the mock subgraphs on core 1. CPU a request is that of the whole
process tree. Options: `--rounds 3 --seconds 4 --connections 50 --only NAME,… --peers [NAME,…] --plot FILE`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import uvloop

from tests.benchmarks.gateway.gateways import (
    NAMES,
    Gateway,
    Graph,
    install,
    peer,
    public_graph,
    relay,
    stadion,
    stadion_on,
    stadion_trusting,
    wide_graph,
)
from tests.benchmarks.gateway.load import Outcome, run_load
from tests.benchmarks.gateway.measure import cpu_s, longest_stall_ms, resident_mib
from tests.benchmarks.gateway.plot import bars
from tests.benchmarks.gateway.reload import reload_under_load
from tests.benchmarks.gateway.results import Results, medians, start_table, table
from tests.benchmarks.gateway.scenarios import SCENARIOS, Scenario
from tests.servers.programs import free_port

CORES = sorted(os.sched_getaffinity(0))
STARTS = 3
PROBES = {"public": "{ me { id } }", "wide": "{ item { id } }"}


def wait_for_answer(port: int, graph: str, *, seconds: float = 60) -> float:
    """Seconds until a query is answered."""
    begun = time.perf_counter()
    body = json.dumps({"query": PROBES[graph]}).encode()
    while time.perf_counter() - begun < seconds:
        try:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/graphql", body, {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=5) as response:
                if b'"id"' in response.read():
                    return time.perf_counter() - begun
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"no answer on port {port} in {seconds} s")


def stats(port: int, path: str) -> int:
    """Requests that the mock subgraphs have answered since the last reset."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
        return int(json.loads(response.read()).get("requests", 0))


def one_round(
    scenario: Scenario, gateway: Gateway, pid: int, mocks: int, options: argparse.Namespace
) -> dict[str, float]:
    """One scenario against one gateway: its figures."""
    connections = scenario.connections or options.connections

    def load(seconds: float) -> Coroutine[Any, Any, Outcome]:
        return run_load(
            gateway.port, scenario.body, scenario.check,
            seconds=seconds, connections=connections, headers=scenario.headers,
        )  # fmt: skip

    uvloop.run(load(0.5))
    stats(mocks, "/reset")
    longest_stall_ms(gateway.metrics_port)  # from now on
    before = cpu_s(pid)
    outcome: Outcome = uvloop.run(load(options.seconds))
    used, count = cpu_s(pid) - before, len(outcome.latencies_s)
    return {
        "cpu_ms": 1000 * used / max(1, count),
        "rps": count / outcome.elapsed_s,
        "p50_ms": outcome.percentile_ms(0.5),
        "p99_ms": outcome.percentile_ms(0.99),
        "rss_mib": resident_mib(pid),
        "stall_ms": longest_stall_ms(gateway.metrics_port),
        "fetches": stats(mocks, "/stats") / max(1, count),
        "wrong": float(len(outcome.failures)),
    }


def rounds_of(
    gateways: Sequence[Gateway], scenarios: Sequence[Scenario], mocks: int, options: argparse.Namespace
) -> Results:
    """All rounds on one graph, its gateways side by side."""
    results: Results = defaultdict(list)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for gateway in gateways:
            running.append(gateway.start(core=CORES[0]))
            wait_for_answer(gateway.port, scenarios[0].graph)
        for number in range(options.rounds):
            for scenario in scenarios:
                for gateway, process in zip(gateways, running, strict=True):
                    if gateway.relays and not scenario.relayed:
                        continue
                    figures = one_round(scenario, gateway, process.pid, mocks, options)
                    results[scenario.name, gateway.name].append(figures)
                    print(f"round {number + 1} {scenario.name} {gateway.name}: {figures['cpu_ms']:.3f} ms",
                          flush=True)  # fmt: skip
    finally:
        end(running)
    return results


def starts_of(gateways: Sequence[Gateway], graph: str) -> dict[tuple[str, str], list[float]]:
    """Seconds from each start to the first answer, in turns."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(STARTS):
        for gateway in gateways:
            begun = time.perf_counter()
            process = gateway.start(core=CORES[0])
            try:
                wait_for_answer(gateway.port, graph)
                found[graph, gateway.name].append(time.perf_counter() - begun)
            finally:
                end([process])
    return found


def end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """Stop processes; those that do not stop are killed."""
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def gateways_of(
    graph: Graph, folder: Path, peers: Sequence[str], options: argparse.Namespace
) -> list[Gateway]:
    """Ours and the peers before one graph."""
    ours = [stadion(graph)]
    if options.trusting:
        ours.append(stadion_trusting(graph, folder))
    if options.python:
        ours.append(stadion_on(options.python, graph))
    if options.relay:
        ours.append(relay(graph))
    return [*ours, *(peer(name, graph, folder) for name in peers)]


def options_of() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--only", default="", help="names of scenarios, `start`, `reload`")
    parser.add_argument("--peers", nargs="?", const=",".join(NAMES), default="")
    parser.add_argument("--trusting", action="store_true", help="ours once more, with `trusted_answers`")
    parser.add_argument("--python", metavar="PATH", help="ours once more, run by another interpreter")
    parser.add_argument("--relay", action="store_true", help="what copying bytes costs, beside it")
    parser.add_argument("--plot", type=Path, help="where the picture is written")
    return parser.parse_args()


def _show(results: Results, plot: Path | None) -> None:
    """The table, and the picture where one is wished for."""
    if results:
        print(table(results), flush=True)
    if plot and results:
        cpu_ms = {key: figures["cpu_ms"] for key, figures in medians(results).items()}
        plot.write_text(bars(cpu_ms, "CPU ms a request, one core, log scale"), encoding="utf-8")


def main() -> int:
    """Run all rounds; 1 where any answer was wrong."""
    options = options_of()
    only = [name for name in options.only.split(",") if name]
    peers = [name for name in options.peers.split(",") if name]
    mocks_port = free_port()
    os.sched_setaffinity(0, {CORES[-1]})
    results: Results = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if peers:
            install(folder)
        command = [sys.executable, "-m", "tests.benchmarks.gateway.mock_subgraphs", "--port", str(mocks_port)]
        mocks = Gateway("stadion", command, mocks_port).start(core=CORES[-1])
        try:
            graphs = {
                one.name: one for one in (public_graph(mocks_port, folder), wide_graph(mocks_port, folder))
            }
            for graph in graphs.values():
                gateways = gateways_of(graph, folder, peers, options)
                chosen = [it for it in SCENARIOS if it.graph == graph.name and (not only or it.name in only)]
                if chosen:
                    results.update(rounds_of(gateways, chosen, mocks_port, options))
                if not only or "start" in only:
                    print(start_table(starts_of(gateways, graph.name)), flush=True)
            _show(results, options.plot)
            if not only or "reload" in only:
                print(reload_under_load(graphs["public"], core=CORES[0], wait=wait_for_answer, end=end))
        finally:
            end([mocks])
    return int(any(r["wrong"] for rounds in results.values() for r in rounds))


if __name__ == "__main__":
    sys.exit(main())
