"""`make bench`: our router and its peers on one pinned core, rounds interleaved, every answer checked.

The router runs on core 0; the load and the mock subgraphs on core 1. CPU a request is that of the whole
process tree. Options: `--rounds 3 --seconds 4 --connections 50 --only NAME,… --peers`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

import uvloop

from tests.benchmarks.gateway.load import Outcome, run_load
from tests.benchmarks.gateway.measure import cpu_s, resident_mib
from tests.benchmarks.gateway.scenarios import SCENARIOS, Scenario

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0))


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(command: list[str], *, core: int, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """A process pinned to one core."""
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, {core})
    return process


def wait_for_answer(port: int, *, seconds: float = 60) -> float:
    """Seconds until a query is answered."""
    begun = time.perf_counter()
    body = json.dumps({"query": "{ me { id } }"}).encode()
    while time.perf_counter() - begun < seconds:
        try:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/graphql", body, {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=5) as response:
                if b'"me"' in response.read():
                    return time.perf_counter() - begun
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"no answer on port {port} in {seconds} s")


def supergraph_at(port: int, folder: Path) -> Path:
    """The benchmark's supergraph, its subgraphs pointing at our mocks."""
    text = (
        (HERE / "supergraph.graphql").read_text(encoding="utf-8").replace("0.0.0.0:4200", f"127.0.0.1:{port}")
    )
    target = folder / "supergraph.graphql"
    target.write_text(text, encoding="utf-8")
    return target


def gateways(supergraph: Path, folder: Path, *, peers: bool) -> dict[str, tuple[list[str], Path | None, int]]:
    """Each gateway's command, working folder and port."""
    port = free_port()
    stadion = [sys.executable, "-m", "deploy", "router", "--supergraph", str(supergraph), "--port", str(port)]
    found: dict[str, tuple[list[str], Path | None, int]] = {
        "stadion": ([*stadion, "--forward-header", "authorization"], None, port)
    }
    if peers:
        for name in ("package.json", "apollo.mjs"):
            shutil.copy(HERE / "peers" / name, folder)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
        port = free_port()
        found["apollo"] = (["node", "apollo.mjs", str(supergraph), str(port)], folder, port)
    return found


def stats(port: int, path: str) -> int:
    """Requests that the mock subgraphs have answered since the last reset."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
        return int(json.loads(response.read()).get("requests", 0))


def one_round(
    scenario: Scenario, port: int, pid: int, mocks: int, options: argparse.Namespace
) -> dict[str, float]:
    """One scenario against one gateway: its figures."""
    load = lambda seconds: run_load(  # noqa: E731
        port, scenario.body, scenario.check,
        seconds=seconds, connections=options.connections, headers=scenario.headers,
        path="/" if options.root_path else "/graphql",
    )  # fmt: skip
    uvloop.run(load(0.5))
    stats(mocks, "/reset")
    before = cpu_s(pid)
    outcome: Outcome = uvloop.run(load(options.seconds))
    used, count = cpu_s(pid) - before, len(outcome.latencies_s)
    return {
        "cpu_ms": 1000 * used / max(1, count),
        "rps": count / outcome.elapsed_s,
        "p50_ms": outcome.percentile_ms(0.5),
        "p99_ms": outcome.percentile_ms(0.99),
        "rss_mib": resident_mib(pid),
        "fetches": stats(mocks, "/stats") / max(1, count),
        "wrong": float(len(outcome.failures)),
    }


def table(results: dict[tuple[str, str], list[dict[str, float]]]) -> str:
    """Medians over the rounds, one line a scenario and gateway."""
    lines = ["| scenario | gateway | CPU ms/req | req/s | p50 ms | p99 ms | RSS MiB | fetches/req | wrong |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for (scenario, gateway), rounds in results.items():
        m = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
        lines.append(
            f"| {scenario} | {gateway} | {m['cpu_ms']:.3f} | {m['rps']:.0f} | {m['p50_ms']:.1f} | "
            f"{m['p99_ms']:.1f} | {m['rss_mib']:.0f} | {m['fetches']:.2f} | "
            f"{sum(r['wrong'] for r in rounds):.0f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run all rounds; 1 where any answer was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--only", default="")
    parser.add_argument("--peers", action="store_true")
    parser.set_defaults(root_path=False)
    options = parser.parse_args()
    chosen = [s for s in SCENARIOS if not options.only or s.name in options.only.split(",")]
    mocks_port = free_port()
    results: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    os.sched_setaffinity(0, {CORES[-1]})
    running: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            mocks = [
                sys.executable,
                "-m",
                "tests.benchmarks.gateway.mock_subgraphs",
                "--port",
                str(mocks_port),
            ]
            running.append(start(mocks, core=CORES[-1]))
            found = gateways(supergraph_at(mocks_port, folder), folder, peers=options.peers)
            processes = {}
            for gateway, (command, cwd, port) in found.items():
                running.append(start(command, core=CORES[0], cwd=cwd))
                processes[gateway] = (running[-1].pid, port)
                print(f"{gateway}: first answer after {wait_for_answer(port):.2f} s", flush=True)
            for number in range(options.rounds):
                for scenario in chosen:
                    for gateway, (pid, port) in processes.items():
                        figures = one_round(scenario, port, pid, mocks_port, options)
                        results[scenario.name, gateway].append(figures)
                        print(
                            f"round {number + 1} {scenario.name} {gateway}: {figures['cpu_ms']:.3f} ms",
                            flush=True,
                        )
        finally:
            for process in running:
                process.terminate()
    print(table(results))
    return int(any(r["wrong"] for rounds in results.values() for r in rounds))


if __name__ == "__main__":
    sys.exit(main())
