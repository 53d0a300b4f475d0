"""The platform in one process beside the same platform over HTTP: requests a second and CPU of both.

Run: `python -m tests.benchmarks.bench_in_process [--seconds 4] [--rounds 3]`. Both serve the same seeded
people, callers are logged in, and each is pinned to one core with all of its processes; the load runs on the
other. Over twenty connections of one caller equal fetches are under way together and made once, on both
sides; over one connection nothing is shared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import uvloop

from tests.benchmarks.gateway.load import Outcome, run_load
from tests.benchmarks.gateway.measure import cpu_s
from tests.kit_platform.client import log_in
from tests.kit_platform.own_processes import own_processes
from tests.kit_platform.process import stadion_up

CORES = sorted(os.sched_getaffinity(0))
CONNECTIONS = (20, 1)
VARIANTS = 64
"""Texts of one query that differ in an alias: queries in flight together are not answered together."""
QUERIES = {
    "me, one subgraph": "{ %s: me { id handle } }",
    "me, two subgraphs": "{ %s: me { id handle profile { displayName } } }",
    "athlete, four subgraphs": (
        '{ %s: user(id: "demo-athlete") { profile { displayName } clearance { status }'
        " activities(first: 3) { nodes { name sport } } } }"
    ),
}


def check(body: bytes) -> str | None:
    """Data and no errors."""
    return None if body.startswith(b'{"data":{') and b'"errors"' not in body else f"wrong: {body[:200]!r}"


def measured(
    url: str, token: str, pids: Sequence[int], text: str, *, seconds: float, connections: int
) -> tuple[float, float]:
    """Requests a second, and CPU milliseconds a request of all `pids`."""
    at = urlsplit(url)
    bodies = [orjson.dumps({"query": text % f"alias{number}"}) for number in range(VARIANTS)]

    def load(seconds: float) -> Outcome:
        return uvloop.run(
            run_load(
                at.port or 80, lambda i: bodies[i % VARIANTS], check,
                seconds=seconds, connections=connections,
                headers=lambda _: f"authorization: Bearer {token}\r\n",
            )
        )  # fmt: skip

    load(0.5)
    before = sum(map(cpu_s, pids))
    outcome = load(seconds)
    used, count = sum(map(cpu_s, pids)) - before, max(len(outcome.latencies_s), 1)
    if outcome.failures:
        raise SystemExit(outcome.failures[0])
    return count / outcome.elapsed_s, 1_000 * used / count


def pinned(pids: Sequence[int]) -> None:
    """All of them, with their threads, on the first core."""
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {CORES[0]})


def main() -> None:
    """Print one line a query."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "apart").mkdir()
        with own_processes(folder / "apart") as apart, stadion_up(folder / "one") as one:
            apart_pids = [process.pid for process in apart.running.values()]
            pinned([*apart_pids, one.process.pid])
            os.sched_setaffinity(0, {CORES[-1]})
            tokens = log_in(one.graphql, "mira").token, log_in(apart.graphql, "mira").token
            head = "in one process, req/s | over HTTP, req/s | times | CPU ms | CPU ms over HTTP"
            print(f"| query | connections | {head} |")
            print("|---|---|---|---|---|---|---|")
            for (label, text), count in product(QUERIES.items(), CONNECTIONS):
                ask = partial(measured, text=text, seconds=options.seconds, connections=count)
                rounds: list[tuple[float, float, float, float]] = []
                for _ in range(options.rounds):
                    ours = ask(one.graphql, str(tokens[0]), [one.process.pid])
                    theirs = ask(apart.graphql, str(tokens[1]), apart_pids)
                    rounds.append((*ours, *theirs))
                columns = zip(*rounds, strict=True)
                rps, ms, rps_apart, ms_apart = (statistics.median(column) for column in columns)
                figures = f"{rps:.0f} | {rps_apart:.0f} | {rps / rps_apart:.1f} | {ms:.2f} | {ms_apart:.2f}"
                print(f"| {label} | {count} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
