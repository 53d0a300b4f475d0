"""What each port costs beside its driver used bare: `python -m tests.benchmarks.bench_datastores`.

Each pair does the same work on the same server with the same durability, bulk and concurrency. The bare side
is what somebody would write who needs just this call and no promises: no typed errors, no checks, and only
the time limits and retries that the driver has by itself. The figure to trust is the CPU time of this
process a call, for wall time depends on the disk and on who else uses the machine. Rounds are short and
interleaved: the ratio is the median of the rounds' ratios, whose two sides ran right after each other; times
are the least of all rounds. The goal is at most 1.3 times the driver's CPU time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.datastore_pairs.caches import memcached, redis
from tests.benchmarks.datastore_pairs.embedded import files, samples, sealing
from tests.benchmarks.datastore_pairs.events import outboxes, redis_events
from tests.benchmarks.datastore_pairs.pair import ABSENT, Opening, Pair, Work
from tests.benchmarks.datastore_pairs.postgresql import postgresql
from tests.benchmarks.datastore_pairs.servers import mongodb, neo4j, s3
from tests.benchmarks.datastore_pairs.sqlite import sqlite, sqlite_documents, sqlite_graph

GOAL = 1.3
OPENINGS: tuple[Opening, ...] = (
    *(sqlite, sqlite_documents, sqlite_graph, outboxes, sealing, samples, files),
    *(postgresql, redis, redis_events, memcached, mongodb, neo4j, s3),
)


class Cost(NamedTuple):
    """Microseconds a call."""

    cpu_us: float
    wall_us: float


async def measured(work: Work, calls: int) -> Cost:
    """One round."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    await work()
    return Cost((time.process_time() - cpu_s) / calls * 1e6, (time.perf_counter() - wall_s) / calls * 1e6)


async def compare(pair: Pair, rounds: int) -> list[tuple[Cost, Cost]]:
    """Ours and the driver's in each of interleaved rounds, after one that is thrown away."""
    found = []
    for _ in range(rounds + 1):
        ours = await measured(pair.ours, pair.calls)
        found.append((ours, await measured(pair.bare, pair.calls)))
    return found[1:]


async def run(only: str, rounds: int) -> list[float]:
    """Print the table; the ratio of each row."""
    print("| port | adapter | work | ours, calls/s | CPU µs ours | CPU µs bare | ratio | goal | wall ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for opening in OPENINGS:
            if only and only not in opening.__name__:
                continue
            async with _opened(opening, Path(folder) / opening.__name__) as pairs:
                # As the platform does once it has started: what is loaded by then is no garbage to look for.
                gc.collect()
                gc.freeze()
                for pair in pairs:
                    found = await compare(pair, rounds)
                    ratios.append(statistics.median(ours.cpu_us / bare.cpu_us for ours, bare in found))
                    print(_line(pair, found, ratios[-1]), flush=True)
    return ratios


def _line(pair: Pair, found: list[tuple[Cost, Cost]], ratio: float) -> str:
    wall_ratio = statistics.median(ours.wall_us / bare.wall_us for ours, bare in found)
    cells = (
        *(pair.port, pair.adapter, pair.what),
        f"{1e6 / min(ours.wall_us for ours, _ in found):,.0f}",
        f"{min(ours.cpu_us for ours, _ in found):.0f}",
        f"{min(bare.cpu_us for _, bare in found):.0f}",
        *(f"{ratio:.2f}", "met" if ratio <= GOAL else "missed", f"{wall_ratio:.2f}"),
    )
    return f"| {' | '.join(cells)} |"


@contextlib.asynccontextmanager
async def _opened(opening: Opening, folder: Path) -> AsyncIterator[list[Pair]]:
    folder.mkdir()
    try:
        async with opening(folder) as pairs:
            yield pairs
    except ABSENT as why:
        print(f"left out: {why}")
        yield []


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", help="part of a name: of a server such as redis, or sealing, samples, files"
    )
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    ratios = asyncio.run(run(options.only, options.rounds))
    met = sum(ratio <= GOAL for ratio in ratios)
    print(f"\n{met} of {len(ratios)} rows at the goal of {GOAL} times the driver, or below")


if __name__ == "__main__":
    main()
