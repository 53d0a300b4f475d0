"""The short way for small POSTs on real sockets: bodies in parts, one after another, closed early."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any, cast
from unittest.mock import Mock
from urllib.parse import urlsplit

import pytest
import uvicorn
from uvicorn.server import ServerState

from authz.identity.subject import Subject
from router.config import HttpLimits, RouterConfig
from router.edge.quick_http import QuickProtocol
from router.pipeline import GraphQLRequest
from tests.kit_edge.running import Running, running

BODY = b'{"query":"{__typename}"}'
GOOD = b'{"data":{"__typename":"Query"}}'


def head(body: bytes, *more: bytes, path: bytes = b"/graphql") -> bytes:
    lines = [b"POST " + path + b" HTTP/1.1", b"host: x", b"content-type: application/json", *more]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", b""])


async def connect(router: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    at = urlsplit(router.url)
    return await asyncio.open_connection(at.hostname, at.port)


async def one(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of the next answer."""
    answered = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    length = next(it for it in answered.lower().split(b"\r\n") if it.startswith(b"content-length:"))
    return answered, await asyncio.wait_for(reader.readexactly(int(length.split(b":")[1])), 5)


async def test_a_body_may_come_in_parts() -> None:
    async with running() as router:
        reader, writer = await connect(router)
        for part in (head(BODY)[:20], head(BODY)[20:], BODY[:5], BODY[5:]):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        assert (await one(reader))[1] == GOOD
        writer.close()


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
async def test_a_connection_that_has_ended_waits_for_no_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[QuickProtocol]] = []
    begin = QuickProtocol.__init__

    def counted(self: QuickProtocol, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        made.append(weakref.ref(self))

    monkeypatch.setattr(QuickProtocol, "__init__", counted)
    async with running() as router:
        for parts in (head(BODY) + BODY,), (head(BODY), BODY):
            reader, writer = await connect(router)
            for _ in range(3):
                for part in parts:
                    writer.write(part)
                    await asyncio.sleep(0)
                assert (await one(reader))[1] == GOOD
            writer.close()
            await writer.wait_closed()
        while any(it() is not None for it in made):
            await asyncio.sleep(0.005)
    assert len(made) == 2


async def test_requests_sent_together_are_answered_in_order() -> None:
    other = b'{"query":"{again:__typename}"}'
    async with running() as router:
        reader, writer = await connect(router)
        writer.write(head(BODY) + BODY + head(other) + other + head(BODY) + BODY)
        answers = [(await one(reader))[1] for _ in range(3)]
        assert answers == [GOOD, b'{"data":{"again":"Query"}}', GOOD]
        writer.close()


async def test_a_connection_is_kept_or_closed_as_the_client_says() -> None:
    async with running() as router:
        reader, writer = await connect(router)
        writer.write(head(BODY) + BODY)
        assert b"connection: close" not in (await one(reader))[0]
        writer.write(head(BODY, b"connection: close") + BODY)
        assert b"connection: close" in (await one(reader))[0]
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever() -> None:
    async with running(RouterConfig(http=HttpLimits(body_wait_ms_max=20))) as router:
        reader, writer = await connect(router)
        writer.write(head(BODY))
        assert b"REQUEST_TIMEOUT" in (await one(reader))[1]
        writer.close()


async def test_a_body_over_the_limit_is_refused() -> None:
    async with running(RouterConfig(http=HttpLimits(body_bytes_max=10))) as router:
        reader, writer = await connect(router)
        writer.write(head(BODY) + BODY)
        assert b" 413 " in (await one(reader))[0]
        writer.close()


async def test_who_leaves_before_the_body_is_complete_costs_nothing() -> None:
    async with running() as router:
        _, writer = await connect(router)
        writer.write(head(BODY) + BODY[:3])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        status, answered, _ = await router.post({"query": "{__typename}"})
        assert (status, answered) == (200, {"data": {"__typename": "Query"}})


@pytest.mark.parametrize("more", [b"expect: 100-continue", b"accept: text/event-stream"])
async def test_what_is_not_for_the_short_way_is_answered_all_the_same(more: bytes) -> None:
    async with running() as router:
        reader, writer = await connect(router)
        writer.write(head(BODY, more, b"connection: close") + BODY)
        answered = await asyncio.wait_for(reader.read(), 5)
        assert GOOD in answered
        writer.close()


class Clock:
    """The part of a loop that an idle connection uses."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.timers.append((self.now_s + delay_s, call))

    def pass_until(self, now_s: float) -> None:
        for due in [it for it in self.timers if it[0] <= now_s]:
            self.timers.remove(due)
            self.now_s = due[0]
            due[1]()
        self.now_s = now_s


def test_an_idle_connection_is_ended_and_one_in_use_is_not() -> None:
    settings = uvicorn.Config(lambda: None, log_config=None, timeout_keep_alive=75)
    settings.load()
    clock, transport = Clock(), Mock(**{"is_closing.return_value": False})
    connection = QuickProtocol(settings, ServerState(), {}, cast(Any, clock))
    connection.connection_made(transport)
    connection.on_response_complete()
    clock.pass_until(70)
    connection.data_received(b"POST /graphql HT")  # a request under way, for longer than it may be idle
    clock.pass_until(200)
    assert not transport.close.called
    connection.on_response_complete()
    clock.pass_until(270)
    assert not transport.close.called
    clock.pass_until(276)
    assert transport.close.call_count == 1


async def test_an_address_that_a_neighbour_claims_is_not_believed() -> None:
    asked: list[Subject] = []

    async def note(request: GraphQLRequest, subject: Subject) -> GraphQLRequest:
        asked.append(subject)
        return request

    async with running() as router:
        router.router.on_request = note
        await router.post({"query": "{__typename}"}, **{"x-forwarded-for": "203.0.113.9"})
        assert [one.client_address for one in asked] == ["127.0.0.1"]
