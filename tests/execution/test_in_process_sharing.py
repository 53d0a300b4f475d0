"""Equal fetches of one caller that are under way together, in one process: executed once, owned by each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from authz.identity.subject import Subject
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.in_process import InProcessTransport
from router.operation.model import OperationKind

MIRA, TOMAS = Subject("mira"), Subject("tomas")
HELLO = "query ($n: Int) { hello(n: $n) }"


class Gated:
    """A subgraph that answers once its gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked: list[tuple[str, Any, str | None]] = []

    async def execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        self.asked.append((query, variables.get("n"), subject.id))
        await self.gate.wait()
        return {"data": {"hello": [{"to": subject.id}]}, "errors": [{"message": "late", "path": ["hello"]}]}

    def subscribe(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> AsyncIterator[Mapping[str, Any]]:
        raise NotImplementedError


def call(
    subject: Subject = MIRA,
    *,
    n: object = 1,
    kind: OperationKind = OperationKind.QUERY,
    timeout_s: float | None = 30.0,
) -> SubgraphRequest:
    return SubgraphRequest("a", kind, HELLO, {"n": n}, subject, timeout_s=timeout_s)


async def answered(
    subgraph: Gated, *requests: SubgraphRequest, asked: int
) -> list[SubgraphResponse | BaseException]:
    """What comes of requests that are under way together, of which the subgraph is to see `asked`."""
    transport = InProcessTransport({"a": subgraph})
    calls = [asyncio.create_task(transport.fetch(each)) for each in requests]
    while len(subgraph.asked) < asked:
        await asyncio.sleep(0)
    subgraph.gate.set()
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_equal_queries_of_one_caller_are_executed_once_and_each_owns_its_answer() -> None:
    subgraph = Gated()
    found = await answered(subgraph, call(), call(), call(), asked=1)
    assert subgraph.asked == [(HELLO, 1, "mira")]
    responses = [each for each in found if isinstance(each, SubgraphResponse)]
    assert [each.data for each in responses] == [{"hello": [{"to": "mira"}]}] * 3
    parts = [
        (each.data, each.data["hello"], each.data["hello"][0], each.errors[0])
        for each in responses
        if each.data
    ]
    assert len({id(part) for answer in parts for part in answer}) == 12


async def test_who_made_a_fetch_may_change_it_before_the_others_read_theirs() -> None:
    subgraph = Gated()
    transport = InProcessTransport({"a": subgraph})

    async def changing() -> None:
        response = await transport.fetch(call())
        assert response.data is not None
        response.data["hello"][0]["to"] = "somebody else"

    calls = [asyncio.create_task(changing()), asyncio.create_task(transport.fetch(call()))]
    while not subgraph.asked:
        await asyncio.sleep(0)
    subgraph.gate.set()
    _, response = await asyncio.gather(*calls)
    assert response is not None
    assert response.data == {"hello": [{"to": "mira"}]}


async def test_another_caller_or_other_variables_have_their_own() -> None:
    subgraph = Gated()
    found = await answered(subgraph, call(), call(TOMAS), call(n=2), asked=3)
    assert [each.data for each in found if isinstance(each, SubgraphResponse)] == [
        {"hello": [{"to": "mira"}]},
        {"hello": [{"to": "tomas"}]},
        {"hello": [{"to": "mira"}]},
    ]
    assert len(subgraph.asked) == 3


async def test_mutations_share_nothing_and_no_query_shares_across_one() -> None:
    subgraph = Gated()
    change = call(kind=OperationKind.MUTATION)
    await answered(subgraph, call(), change, change, call(), asked=4)
    assert len(subgraph.asked) == 4


async def test_what_is_no_json_or_has_no_time_limit_is_not_shared() -> None:
    subgraph = Gated()
    await answered(subgraph, *[call(n=object())] * 2, *[call(timeout_s=None)] * 2, asked=4)
    assert len(subgraph.asked) == 4


async def test_who_leaves_takes_nobody_along() -> None:
    subgraph = Gated()
    transport = InProcessTransport({"a": subgraph})
    first = asyncio.create_task(transport.fetch(call()))
    while not subgraph.asked:
        await asyncio.sleep(0)
    second = asyncio.create_task(transport.fetch(call()))
    await asyncio.sleep(0)
    first.cancel()
    while len(subgraph.asked) < 2:
        await asyncio.sleep(0)
    subgraph.gate.set()
    assert (await second).data == {"hello": [{"to": "mira"}]}


async def test_a_call_past_its_time_fails_for_all_who_share_it() -> None:
    transport = InProcessTransport({"a": Gated()})
    calls = [transport.fetch(call(timeout_s=0.01)) for _ in range(2)]
    for failure in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(failure, SubgraphCallFailed)
        assert "timed out" in str(failure)


@pytest.mark.parametrize("answer", [{"data": {"hello": "there"}}])
async def test_one_alone_is_given_what_the_subgraph_made(answer: dict[str, Any]) -> None:
    class Plain(Gated):
        async def execute(self, *_: Any) -> Mapping[str, Any]:
            return answer

    response = await InProcessTransport({"a": Plain()}).fetch(call())
    assert response.data is answer["data"]
