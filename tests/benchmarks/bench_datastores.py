"""What each port costs beside its driver used bare: `python -m tests.benchmarks.bench_datastores`.

Each pair does the same work on the same server with the same durability, bulk and concurrency. The bare side
is what somebody would write who needs just this call and no promises: no typed errors, time limits, retries.
Rounds are interleaved. The figure to trust is the CPU time of this process a call, for wall time depends on
the disk and on who else uses the machine. The goal is at most 1.3 times the driver.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import datastore_pairs

GOAL = 1.3


class Pair(NamedTuple):
    """One row: ours and the driver's, each doing `calls` calls in one go."""

    port: str
    adapter: str
    what: str
    calls: int
    ours: Callable[[], Awaitable[object]]
    bare: Callable[[], Awaitable[object]]


class Cost(NamedTuple):
    """Microseconds a call."""

    cpu_us: float
    wall_us: float


async def measured(work: Callable[[], Awaitable[object]], calls: int) -> Cost:
    """One round."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    await work()
    return Cost((time.process_time() - cpu_s) / calls * 1e6, (time.perf_counter() - wall_s) / calls * 1e6)


async def compare(pair: Pair, rounds: int) -> tuple[Cost, Cost]:
    """The least of interleaved rounds, after one that is thrown away: others on the machine only ever add."""
    ours: list[Cost] = []
    bare: list[Cost] = []
    for turn in range(rounds + 1):
        for costs, work in ((ours, pair.ours), (bare, pair.bare)):
            cost = await measured(work, pair.calls)
            if turn:
                costs.append(cost)
    return _least(ours), _least(bare)


def _least(costs: list[Cost]) -> Cost:
    return Cost(*(min(each) for each in zip(*costs, strict=True)))


async def run(only: str, rounds: int) -> int:
    """Print the table; how many rows miss the goal."""
    print("| port | adapter | work | ours, calls/s | CPU µs ours | CPU µs bare | ratio | wall ratio |")
    print("|---|---|---|---|---|---|---|---|")
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for opening in datastore_pairs.ALL:
            if only and only not in opening.__name__:
                continue
            async with _opened(opening, Path(folder) / opening.__name__) as pairs:
                # As the platform does once it has started: what is loaded by then is no garbage to look for.
                gc.collect()
                gc.freeze()
                for pair in pairs:
                    ours, bare = await compare(pair, rounds)
                    ratio = ours.cpu_us / bare.cpu_us
                    missed += ratio > GOAL
                    cells = (
                        pair.port,
                        pair.adapter,
                        pair.what,
                        f"{1e6 / ours.wall_us:,.0f}",
                        f"{ours.cpu_us:.0f}",
                        f"{bare.cpu_us:.0f}",
                        f"{ratio:.2f}" + (" (!)" if ratio > GOAL else ""),
                        f"{ours.wall_us / bare.wall_us:.2f}",
                    )
                    print(f"| {' | '.join(cells)} |", flush=True)
    return missed


@contextlib.asynccontextmanager
async def _opened(opening: datastore_pairs.Opening, folder: Path) -> AsyncIterator[list[Pair]]:
    folder.mkdir()
    try:
        async with opening(folder) as pairs:
            yield [Pair(*pair) for pair in pairs]
    except datastore_pairs.ABSENT as why:
        print(f"left out: {why}")
        yield []


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of the name of a server, such as redis")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    missed = asyncio.run(run(options.only, options.rounds))
    print(
        f"\n{missed} rows over {GOAL} times the driver" if missed else f"\nall within {GOAL} times the driver"
    )


if __name__ == "__main__":
    main()
