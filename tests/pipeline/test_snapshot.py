"""Caches of a snapshot, and what a request of a progressive override sees."""

from __future__ import annotations

import asyncio

import pytest

from authz.identity.subject import ANONYMOUS, Subject
from router import snapshot
from router.config import CacheLimits, RouterConfig
from router.execution.transports.in_process import InProcessTransport
from router.pipeline import GraphQLRequest, Router
from router.snapshot import Cache, hottest, labels_on, snapshot_of
from tests.kit_edge.supergraphs import supergraph_of


async def test_a_value_is_made_once_however_many_ask() -> None:
    cache: Cache[str, int] = Cache("it", entries_max=2)
    made, gate = 0, asyncio.Event()

    async def make() -> int:
        nonlocal made
        made += 1
        await gate.wait()
        return 7

    asking = [asyncio.create_task(cache.get_or_make("a", make)) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [7] * 4
    assert made == 1


async def test_a_failed_making_is_not_kept_and_fails_all_who_wait() -> None:
    cache: Cache[str, int] = Cache("it", entries_max=2)

    async def fail() -> int:
        raise ValueError("no")

    answers = await asyncio.gather(*(cache.get_or_make("a", fail) for _ in range(2)), return_exceptions=True)
    assert [str(one) for one in answers] == ["no", "no"]
    assert cache.get("a") is None


def test_the_least_recently_used_value_goes() -> None:
    cache: Cache[str, int] = Cache("it", entries_max=2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert cache.get("b") is None
    assert (cache.get("a"), cache.get("c"), len(cache)) == (1, 3, 2)


def test_what_comes_once_pushes_out_nothing_that_comes_again() -> None:
    cache: Cache[int, int] = Cache("it", entries_max=100, once_max=3)
    cache.put(-1, 1)
    assert cache.get(-1) == 1
    for number in range(50):
        cache.put(number, number)
    assert cache.keys() == (49, 48, 47, -1)
    assert cache.get(-1) == 1


def test_what_is_made_for_the_second_time_is_kept_as_others() -> None:
    cache: Cache[int, int] = Cache("it", entries_max=100, once_max=3)
    for number in (*range(50), *range(50)):
        if cache.get(number) is None:
            cache.put(number, number)
    assert len(cache) == 50
    for number in range(100, 110):
        cache.put(number, number)
    assert all(cache.get(number) == number for number in range(50))


def test_heavy_entries_push_out_others_but_never_the_newest() -> None:
    cache: Cache[str, int] = Cache("it", entries_max=10, weigh=len, weight_max=6)
    for key in ("aaa", "bb", "bb", "c"):
        cache.put(key, 1)
    assert cache.keys() == ("c", "bb", "aaa")
    cache.put("dddd", 1)
    assert cache.keys() == ("dddd", "c")
    cache.put("far too heavy", 1)
    assert cache.keys() == ("far too heavy",)
    cache.put("e", 1)
    assert cache.keys() == ("e",)


async def test_a_new_supergraph_is_taken_with_its_plans_made() -> None:
    config = RouterConfig()
    text = "{ a b }"
    first = snapshot_of(supergraph_of("type Query { a: Int b: Int @authenticated c: Int }"), config)
    router = Router(first, InProcessTransport({}), config=config)
    for subject in (ANONYMOUS, Subject("anna")):
        await router.handle(GraphQLRequest(text=text), subject)
    await router.handle(GraphQLRequest(text="{ c }"), ANONYMOUS)
    second = snapshot_of(supergraph_of("type Query { a: Int b: Int @authenticated }"), config)
    await router.take(second)
    assert router.snapshot is second
    assert second.documents.keys() == ((text, None),)
    assert len(second.plans) == 2
    await router.handle(GraphQLRequest(text=text), Subject("ben"))
    assert len(second.plans) == 2
    await router.close()


async def test_the_hottest_operations_are_planned_anew_whatever_their_literals() -> None:
    config = RouterConfig(caches=CacheLimits(warmed_max=2))
    sdl = supergraph_of("type Query { a: Int b(n: Int): Int c: Int d: Int }")
    first, second = snapshot_of(sdl, config), snapshot_of(sdl, config)
    router = Router(first, InProcessTransport({}), config=config)
    for number in range(6):
        await router.handle(GraphQLRequest(text=f"{{ b(n: {number}) }}"), ANONYMOUS)
    for text in ("{ a }", "{ a }", "{ a }", "{ c }", "{ d }"):
        await router.handle(GraphQLRequest(text=text), ANONYMOUS)
    hot = [it.text for it in hottest(first, operations_max=2)]
    assert "{ a }" in hot
    assert any("$" in text and "b(n:" in text for text in hot)
    await router.take(second)
    planned = len(second.plans)
    assert planned == 2
    for text in ("{ b(n: 99) }", "{ b(n: 100) }", "{ a }"):
        await router.handle(GraphQLRequest(text=text), ANONYMOUS)
    assert len(second.plans) == planned + 1  # the first text of a form is read as it stands
    await router.close()


@pytest.mark.parametrize(
    ("drawn", "on"), [(5.0, {"percent(10)", "percent(20.5)"}), (15.0, {"percent(20.5)"}), (50.0, set())]
)
def test_one_draw_decides_all_percentages(monkeypatch, drawn, on) -> None:
    monkeypatch.setattr(snapshot.random, "uniform", lambda *_: drawn)
    labels = frozenset({"percent(10)", "percent(20.5)", "beta", "percent(x)"})
    assert labels_on(labels, ()) == on
    assert labels_on(labels, ("beta", "other")) == on | {"beta"}
