"""Where the router's own time goes: one scenario in this process, subgraphs without sockets, under cProfile.

Run: `python -m tests.benchmarks.gateway.profile_hot heavy-fresh --requests 400`.
Prints the least CPU milliseconds a request without the profiler, then the profile by own time.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import pstats
import time
from collections.abc import AsyncIterator

import orjson
import uvloop

from authz.identity.subject import ANONYMOUS
from router.config import RouterConfig
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.http_wire import HttpAnswer
from router.execution.transports.known_texts import KnownTexts
from router.execution.transports.raw import sent_data
from router.pipeline import GraphQLRequest, Router
from router.snapshot import snapshot_of
from tests.benchmarks.gateway.mock_subgraphs import answer
from tests.benchmarks.gateway.scenarios import HERE, SCENARIOS, Scenario

CHUNKS = 20


class Canned:
    """The mock subgraphs' answers, made once for each question."""

    def __init__(self) -> None:
        self._answers: dict[bytes, bytes] = {}
        self._known = KnownTexts()

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """As the port says."""
        asked = orjson.dumps({"query": request.query, "variables": request.variables})
        body = self._answers.get(asked)
        if body is None:
            body = self._answers[asked] = answer(asked)
        data = sent_data(HttpAnswer(200, "application/json", body), self._known) if request.whole else None
        if data is not None:
            return SubgraphResponse(data=None, sent=data)
        return SubgraphResponse(data=orjson.loads(body)["data"])

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """Not needed here."""
        raise NotImplementedError
        yield  # type: ignore[unreachable]  # makes it a generator

    async def close(self) -> None:
        """Nothing to give back."""


async def profile(scenario: Scenario, requests: int) -> None:
    """Warm up, measure in chunks, then profile."""
    config = RouterConfig()
    snapshot = snapshot_of((HERE / "supergraph.graphql").read_text(encoding="utf-8"), config)
    router = Router(snapshot, Canned(), config=config)
    texts = [orjson.loads(scenario.body(i))["query"] for i in range(2 * requests + CHUNKS)]

    async def ask(number: int) -> bytes:
        response = await router.handle(GraphQLRequest(text=texts[number]), ANONYMOUS)
        return orjson.dumps(response.body())

    for number in range(CHUNKS):
        assert scenario.check(await ask(number)) is None
    gc.collect()
    gc.freeze()
    size = max(1, requests // CHUNKS)
    least_s = float("inf")
    for first in range(CHUNKS, CHUNKS + requests - size + 1, size):
        began = time.process_time()
        for number in range(first, first + size):
            await ask(number)
        least_s = min(least_s, (time.process_time() - began) / size)
    print(f"{scenario.name}: {1000 * least_s:.3f} ms a request")
    profiler = cProfile.Profile()
    profiler.enable()
    for number in range(CHUNKS + requests, CHUNKS + 2 * requests):
        await ask(number)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)
    await router.close()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scenario", choices=[it.name for it in SCENARIOS])
    parser.add_argument("--requests", type=int, default=400)
    options = parser.parse_args()
    asyncio_loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    chosen = next(it for it in SCENARIOS if it.name == options.scenario)
    asyncio_loop.run_until_complete(profile(chosen, options.requests))
    asyncio_loop.close()


if __name__ == "__main__":
    main()
