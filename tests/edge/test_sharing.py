"""Equal queries under way at the same time are answered once, and only where that cannot be told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from authz.errors import InvalidToken
from authz.identity.subject import Subject
from router.config import RouterConfig
from router.edge.answers import Answer
from router.edge.credentials import Credentials
from router.edge.sharing import SharedQueries, key_of
from router.errors import ClientError
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.in_process import InProcessTransport
from router.pipeline import GraphQLRequest
from tests.kit_edge.running import Running, running

pytestmark = pytest.mark.timeout(20)


class Work:
    """A query's run, counted, waiting for its gate."""

    def __init__(self) -> None:
        self.runs = 0
        self.gate = asyncio.Event()

    async def __call__(self) -> Answer:
        self.runs += 1
        number = self.runs
        await self.gate.wait()
        return Answer({"data": {"run": number}})


async def begun(
    shared: SharedQueries, key: tuple, run: Callable[[], Awaitable[Answer]]
) -> asyncio.Task[Answer]:
    task = asyncio.create_task(shared.answer(key, run))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_equal_queries_run_once_and_later_ones_anew() -> None:
    shared, work = SharedQueries(on=True), Work()
    tasks = [await begun(shared, ("a",), work) for _ in range(5)]
    other = await begun(shared, ("b",), work)
    work.gate.set()
    assert [(await task).body for task in tasks] == [{"data": {"run": 1}}] * 5
    assert (await other).body == {"data": {"run": 2}}
    assert (await shared.answer(("a",), work)).body == {"data": {"run": 3}}


async def test_a_query_after_a_mutation_never_shares_with_one_from_before() -> None:
    shared, work = SharedQueries(on=True), Work()
    before = await begun(shared, ("a",), work)
    with shared.mutation():
        during = await begun(shared, ("a",), work)
    after = await begun(shared, ("a",), work)
    work.gate.set()
    assert [(await one).body["data"]["run"] for one in (before, during, after)] == [1, 2, 3]


async def test_when_the_first_client_leaves_the_next_one_runs_the_query() -> None:
    shared, work = SharedQueries(on=True), Work()
    first, second = await begun(shared, ("a",), work), await begun(shared, ("a",), work)
    first.cancel()
    work.gate.set()
    assert (await second).body == {"data": {"run": 2}}
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_sharing_client_that_leaves_disturbs_nobody() -> None:
    shared, work = SharedQueries(on=True), Work()
    first, second = await begun(shared, ("a",), work), await begun(shared, ("a",), work)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    work.gate.set()
    assert (await first).body == {"data": {"run": 1}}
    assert work.runs == 1


async def test_a_failure_is_everybodys() -> None:
    shared, gate = SharedQueries(on=True), asyncio.Event()

    async def fail() -> Answer:
        await gate.wait()
        raise ClientError("no")

    tasks = [await begun(shared, ("a",), fail) for _ in range(2)]
    gate.set()
    assert [str(one) for one in await asyncio.gather(*tasks, return_exceptions=True)] == ["no", "no"]


def test_all_that_can_change_an_answer_is_in_the_key() -> None:
    graph = object()
    base = {"text": "{ a }", "variables": {"x": 1, "y": [2]}, "headers": {"x-tenant": "1"}}
    key = key_of(GraphQLRequest(**base), Subject("a"), graph)
    assert key_of(GraphQLRequest(**{**base, "variables": {"y": [2], "x": 1}}), Subject("a"), graph) == key
    others = [
        key_of(GraphQLRequest(**{**base, "text": "{ b }"}), Subject("a"), graph),
        key_of(GraphQLRequest(**{**base, "operation_name": "A"}), Subject("a"), graph),
        key_of(GraphQLRequest(**{**base, "variables": {"x": True, "y": [2]}}), Subject("a"), graph),
        key_of(GraphQLRequest(**{**base, "headers": {"x-tenant": "2"}}), Subject("a"), graph),
        key_of(GraphQLRequest(**base), Subject("b"), graph),
        key_of(GraphQLRequest(**base), Subject("a", scopes=frozenset({"s"})), graph),
        key_of(GraphQLRequest(**base), Subject("a"), object()),
    ]
    assert len({key, *others}) == len(others) + 1


async def by_name(token: str) -> Subject:
    if token == "bad":
        raise InvalidToken
    return Subject(token)


async def asked(router: Running, count: int, **headers: str) -> list[asyncio.Task]:
    tasks = [asyncio.create_task(router.post({"query": "{ slow me }"}, **headers)) for _ in range(count)]
    async with asyncio.timeout(10):
        while router.app.state.drain.in_flight < len(tasks):
            await asyncio.sleep(0.001)
    return tasks


class Alone(InProcessTransport):
    """Each call made by itself."""

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        return await super().fetch(replace(request, timeout_s=None))


@pytest.mark.parametrize(("on", "runs"), [(True, 1), (False, 4)])
async def test_the_router_runs_equal_queries_once_for_all(on, runs) -> None:
    async with running(RouterConfig(shared_queries=on)) as router:
        if not on:  # their equal fetches would be made once all the same
            router.router._transport = Alone({"only": router.hall})
        tasks = await asked(router, 4)
        while router.hall.slow_count < runs:
            await asyncio.sleep(0.001)
        router.hall.gate.set()
        assert [(await task)[1]["data"]["slow"] for task in tasks] == ["at last"] * 4
        assert router.hall.slow_count == runs


async def test_no_caller_ever_gets_another_callers_answer() -> None:
    async with running(credentials=Credentials(authenticate=by_name)) as router:
        tasks = [
            asyncio.create_task(router.post({"query": "{ slow me }"}, authorization=f"Bearer {name}"))
            for name in ("anna", "ben", "anna")
        ]
        while router.hall.slow_count < 2:
            await asyncio.sleep(0.001)
        router.hall.gate.set()
        assert [(await task)[1]["data"]["me"] for task in tasks] == ["anna", "ben", "anna"]
        assert router.hall.slow_count == 2
