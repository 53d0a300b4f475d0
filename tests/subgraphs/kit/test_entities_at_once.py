"""Which ways to load an entity run without a task: only those that can never give way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from subgraphs.kit.entities import _alone, _run_at_once, _waits_for_nothing


async def plain(value: int = 7) -> int:
    return value + 1


async def failing() -> int:
    raise LookupError("gone")


async def awaits() -> None:
    await asyncio.sleep(0)


async def awaits_maybe(*, really: bool = False) -> None:
    if really:
        await asyncio.sleep(0)


@asynccontextmanager
async def around() -> AsyncIterator[None]:
    yield


async def enters() -> None:
    async with around():
        pass


async def goes_through() -> list[int]:
    return [each async for each in several()]


async def several() -> AsyncIterator[int]:
    yield 1


def not_a_coroutine() -> Any:
    return plain()


class Loaded:
    @classmethod
    async def resolve_reference(cls, id: str) -> str:
        return id


@pytest.mark.parametrize("function", [plain, failing, Loaded.resolve_reference])
def test_a_coroutine_without_an_await_waits_for_nothing(function: Callable[..., Any]) -> None:
    assert _waits_for_nothing(function)


@pytest.mark.parametrize(
    "function", [awaits, awaits_maybe, enters, goes_through, several, not_a_coroutine, len]
)
def test_whatever_may_give_way_or_is_no_coroutine_keeps_its_task(function: Callable[..., Any]) -> None:
    assert not _waits_for_nothing(function)


def test_its_result_and_its_fault_come_out() -> None:
    assert _run_at_once(plain(1)) == 2
    with pytest.raises(LookupError, match="gone"):
        _run_at_once(failing())


async def cancels_itself() -> None:
    await asyncio.sleep(0)
    raise asyncio.CancelledError


async def test_one_entity_that_has_to_be_waited_for_is_given_or_its_fault() -> None:
    assert await _alone(plain()) == 8
    assert isinstance(await _alone(failing()), LookupError)
    assert isinstance(await _alone(cancels_itself()), asyncio.CancelledError)


async def test_who_waits_for_one_entity_can_be_cancelled() -> None:
    waiting = asyncio.create_task(_alone(asyncio.Event().wait()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
