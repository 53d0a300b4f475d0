"""Long pieces of work take turns on the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from authz.identity.subject import ANONYMOUS
from router.config import RouterConfig
from router.execution.transports.in_process import InProcessTransport
from router.pipeline import GraphQLRequest, Router
from router.snapshot import snapshot_of
from router.stages import read_document
from router.turns import Turns
from tests.kit_edge.supergraphs import supergraph_of


async def test_one_goes_on_in_each_turn_of_the_loop_in_order() -> None:
    turns, log = Turns(), list[str]()

    async def work(name: str) -> None:
        await turns.turn()
        log.append(name)

    async def other() -> None:
        for _ in range(8):
            log.append("-")
            await asyncio.sleep(0)

    await asyncio.gather(other(), *(work(name) for name in "abcd"))
    works = [name for name in log if name != "-"]
    assert works == ["a", "b", "c", "d"]
    assert all("-" in log[log.index(one) : log.index(after)] for one, after in ("ab", "bc", "cd"))


async def test_who_is_alone_does_not_wait() -> None:
    turns = Turns()
    for _ in range(3):
        coroutine = turns.turn()
        try:
            coroutine.send(None)
        except StopIteration:
            pass
        else:
            raise AssertionError("it waited")
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_who_was_cancelled_takes_no_turn() -> None:
    turns, log = Turns(), list[int]()

    async def work(number: int) -> None:
        await turns.turn()
        log.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(4)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert log == [0, 3]
    await turns.turn()


async def test_a_text_that_many_ask_at_once_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(text: str, *rest: Any) -> Any:
        read.append(text)
        return read_document(text, *rest)

    monkeypatch.setattr("router.pipeline.read_document", counted)
    config = RouterConfig()
    router = Router(
        snapshot_of(supergraph_of("type Query { a: Int }"), config), InProcessTransport({}), config=config
    )
    requests = [GraphQLRequest(text=text) for text in ("{ a }", "{ b: a }") for _ in range(20)]
    answers = await asyncio.gather(*(router.handle(it, ANONYMOUS) for it in requests))
    assert len(answers) == 40
    assert sorted(read) == ["{ a }", "{ b: a }"]
    await router.close()
