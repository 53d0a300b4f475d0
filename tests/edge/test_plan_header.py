"""A request that wants to see its plan gets it where the settings say so, and a dry run runs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from router.config import RouterConfig
from tests.kit_edge.running import Running, running

HELLO = {"query": "{ hello }"}


@pytest.fixture
async def router() -> AsyncIterator[Running]:
    async with running(RouterConfig(expose_query_plan=True)) as it:
        yield it


async def told(router: Running, wanted: str, request: dict[str, Any] | None = None) -> dict[str, Any]:
    _, body, _ = await router.post(request or HELLO, **{"apollo-expose-query-plan": wanted})
    assert isinstance(body, dict)
    return body


async def test_the_plan_stands_beside_the_answer(router: Running) -> None:
    body = await told(router, "true")
    assert body["data"] == {"hello": "hello world"}
    plan = body["extensions"]["apolloQueryPlan"]
    assert plan["text"].startswith("QueryPlan {")
    assert 'Fetch(service: "only")' in plan["text"]
    assert plan["object"]["kind"] == "QueryPlan"
    assert plan["object"]["node"]["kind"] == "Fetch"


async def test_a_dry_run_asks_no_subgraph_and_changes_nothing(router: Running) -> None:
    for query in ("{ slow }", "mutation { bump }"):
        body = await told(router, "dry-run", {"query": query})
        assert body["data"] is None
        assert "apolloQueryPlan" in body["extensions"]
    assert router.hall.bumps == 0
    assert not router.hall.started.is_set()


@pytest.mark.parametrize("wanted", ["false", "", "TRUE", "yes", "dry run"])
async def test_another_word_is_no_wish(router: Running, wanted: str) -> None:
    assert ("extensions" in await told(router, wanted)) is (wanted == "TRUE")


async def test_without_the_setting_nobody_sees_a_plan() -> None:
    async with running() as router:
        for wanted in ("true", "dry-run"):
            assert await told(router, wanted) == {"data": {"hello": "hello world"}}


async def test_who_wants_a_plan_shares_with_nobody_who_does_not(router: Running) -> None:
    plain, with_plan = (
        asyncio.create_task(router.post({"query": "{ slow }"}, **headers))
        for headers in ({}, {"apollo-expose-query-plan": "true"})
    )
    async with asyncio.timeout(10):
        while router.app.state.drain.in_flight < 2:
            await asyncio.sleep(0.001)
    router.hall.gate.set()
    answers = [(await one)[1] for one in (plain, with_plan)]
    assert ["extensions" in one for one in answers if isinstance(one, dict)] == [False, True]


async def test_a_refusal_stays_one(router: Running) -> None:
    body = await told(router, "dry-run", {"query": "{ nothing }"})
    assert body["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
