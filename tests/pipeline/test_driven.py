"""Coroutines that run without a task: they end as a task's do, whatever comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from router.driven import Driven, Told, all_cancelled, begun, in_task, is_driven, waiter

Ended = list[tuple[Any, BaseException | None]]
colour: ContextVar[str] = ContextVar("colour", default="none")


def drive(coroutine: Coroutine[Any, Any, Any]) -> tuple[Driven, Ended]:
    ended: Ended = []
    driven = Driven(coroutine, copy_context(), lambda value, failure: ended.append((value, failure)))
    driven.go_on()
    return driven, ended


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_it_goes_on_where_its_outcome_is_told() -> None:
    first, second = Told[str](), Told[str]()

    async def work() -> str:
        return await first + await second

    driven, ended = drive(work())
    second.set_result("b")
    assert not ended
    first.set_result("a")
    assert ended == [("ab", None)]
    assert driven.done()
    assert not driven.cancel()


async def test_what_went_wrong_is_raised_where_it_waits() -> None:
    told, again = Told[str](), Told[str]()

    async def work() -> str:
        try:
            return await told
        except ValueError:
            return await again

    _, ended = drive(work())
    told.set_exception(ValueError("no"))
    again.set_exception(KeyError("never"))
    assert [type(failure) for _, failure in ended] == [KeyError]


async def test_what_is_told_before_it_is_awaited_is_not_lost() -> None:
    told = Told[int]()
    told.set_result(7)

    async def work() -> int:
        return await told

    assert drive(work())[1] == [(7, None)]
    assert await told == 7


async def test_within_a_task_an_outcome_is_awaited_as_a_future() -> None:
    told = Told[int]()
    asyncio.get_running_loop().call_soon(told.set_result, 7)
    assert await told == 7
    assert isinstance(waiter(), asyncio.Future)
    assert not is_driven()


async def test_cancelled_it_ends_where_it_waits_and_what_comes_later_is_nobody_s() -> None:
    told, seen = Told[int](), []

    async def work() -> None:
        try:
            await told
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    driven, ended = drive(work())
    assert driven.cancel()
    assert seen == ["cancelled"]
    assert isinstance(ended[0][1], asyncio.CancelledError)
    assert told.done()
    told.set_result(1)
    assert len(ended) == 1


async def test_where_it_needs_a_task_it_becomes_one_in_the_middle_of_its_way() -> None:
    told, steps = Told[int](), []

    async def work() -> int:
        steps.append(is_driven())
        await told
        await in_task()
        steps.append(is_driven())
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        return len(steps)

    _, ended = drive(work())
    told.set_result(1)
    assert not ended
    await until(lambda: ended)
    assert (ended, steps) == ([(2, None)], [True, False])


async def test_a_future_that_it_awaits_makes_it_a_task() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> int:
        return await future + await asyncio.sleep(0, 1)

    _, ended = drive(work())
    future.set_result(1)
    await until(lambda: ended)
    assert ended == [(2, None)]


@pytest.mark.parametrize("failure", [ValueError("no"), asyncio.CancelledError()])
async def test_as_a_task_it_fails_and_is_cancelled_as_one(failure: BaseException) -> None:
    async def work() -> None:
        await in_task()
        await asyncio.sleep(0)
        if isinstance(failure, ValueError):
            raise failure
        await asyncio.Event().wait()

    driven, ended = drive(work())
    await asyncio.sleep(0)
    if not isinstance(failure, ValueError):
        driven.cancel()
    await until(lambda: ended)
    assert type(ended[0][1]) is type(failure)


async def test_those_beside_it_are_driven_with_it_and_share_its_context() -> None:
    gates = [Told[str]() for _ in range(3)]

    async def part(gate: Told[str]) -> str:
        return f"{await gate} {colour.get()}"

    async def work() -> list[str]:
        colour.set("blue")
        beside = [begun(part(gate)) for gate in gates]
        return [await one for one in beside]

    _, ended = drive(work())
    for number, gate in reversed(list(enumerate(gates))):
        assert not ended
        gate.set_result(str(number))
    assert ended == [(["0 blue", "1 blue", "2 blue"], None)]
    assert colour.get() == "none"


@pytest.mark.parametrize("as_task", [False, True], ids=["driven", "become a task"])
async def test_cancelling_it_ends_those_beside_it(as_task: bool) -> None:
    seen: list[str] = []

    async def part(name: str, *, slowly: bool) -> None:
        try:
            if slowly:
                await in_task()
                await asyncio.sleep(0)
                await asyncio.Event().wait()
            await Told[None]()
        except asyncio.CancelledError:
            seen.append(name)
            raise

    async def work() -> None:
        beside = [begun(part("a", slowly=False)), begun(part("b", slowly=True))]
        try:
            if as_task:
                await in_task()
            for one in beside:
                await one
        except asyncio.CancelledError:
            await all_cancelled(beside)
            raise

    driven, ended = drive(work())
    for _ in range(3):
        await asyncio.sleep(0)
    driven.cancel()
    await until(lambda: ended)
    assert sorted(seen) == ["a", "b"]
    assert isinstance(ended[0][1], asyncio.CancelledError)


async def test_one_that_fails_beside_it_is_told_where_it_is_awaited() -> None:
    gate = Told[None]()

    async def part() -> None:
        await gate
        raise ValueError("no")

    async def work() -> str:
        one = begun(part())
        try:
            await one
        except ValueError:
            return "told"
        return "not told"

    _, ended = drive(work())
    gate.set_result(None)
    assert ended == [("told", None)]


async def test_one_request_s_end_may_let_another_go_on() -> None:
    gates = Told[int](), Told[int]()
    ended: list[str] = []

    async def first() -> None:
        await gates[0]
        gates[1].set_result(1)  # the other goes on a turn later, in its own context
        ended.append(f"first {colour.get()}")

    async def second() -> None:
        colour.set("red")
        await gates[1]
        ended.append(f"second {colour.get()}")

    drive(second())
    drive(first())
    gates[0].set_result(1)
    await until(lambda: len(ended) == 2)
    assert ended == ["first none", "second red"]
