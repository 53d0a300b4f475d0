"""The short way for small POSTs on real sockets: bodies in parts, one after another, closed early."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, cast
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


async def test_requests_sent_together_have_each_its_own_headers() -> None:
    """A proxy may send the requests of several people on one connection."""
    seen: list[str] = []

    async def note(request: GraphQLRequest, _: Subject) -> GraphQLRequest:
        seen.append(request.headers["authorization"])
        return request

    async with running(RouterConfig(forward_headers=("authorization",))) as router:
        router.router.on_request = note
        reader, writer = await connect(router)
        callers = [b"authorization: Bearer %d" % number for number in range(4)]
        writer.write(
            b"".join(head(BODY, caller) + BODY for caller in callers) + head(BODY, b"authorization: x")[:-9]
        )
        assert [(await one(reader))[1] for _ in callers] == [GOOD] * 4
        writer.close()
    assert seen == [f"Bearer {number}" for number in range(4)]


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


class Timer(NamedTuple):
    """What `call_later` returns."""

    clock: Clock
    at_s: float
    call: Callable[[], None]

    def when(self) -> float:
        return self.at_s

    def cancel(self) -> None:
        self.clock.timers.remove(self)


class Clock:
    """The part of a loop that an idle connection uses. Tasks are never begun: their requests last."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        self.timers.append(timer := Timer(self, self.now_s + delay_s, call))
        return timer

    def create_task(self, coroutine: Coroutine[Any, Any, None]) -> Mock:
        coroutine.close()
        return Mock()

    def pass_until(self, now_s: float) -> None:
        while due := [it for it in self.timers if it.at_s <= now_s]:
            self.timers.remove(due[0])
            self.now_s = due[0].at_s
            due[0].call()
        self.now_s = now_s


def connected(clock: Clock) -> tuple[QuickProtocol, Mock]:
    settings = uvicorn.Config(lambda: None, log_config=None, timeout_keep_alive=75)
    settings.load()
    transport = Mock(**{"is_closing.return_value": False})
    connection = QuickProtocol(settings, ServerState(), {}, cast(Any, clock))
    connection.connection_made(transport)
    return connection, transport


def test_an_idle_connection_is_ended_and_one_in_use_is_not() -> None:
    clock = Clock()
    connection, transport = connected(clock)
    connection.on_response_complete()
    clock.pass_until(70)
    connection.data_received(head(BODY) + BODY[:5])  # a request under way, for longer than it may be idle
    clock.pass_until(200)
    assert not transport.close.called
    connection.cycle.response_complete = True
    connection.on_response_complete()
    clock.pass_until(270)
    assert not transport.close.called
    clock.pass_until(276)
    assert transport.close.call_count == 1


def test_a_client_that_reads_something_is_waited_for_and_one_that_reads_nothing_is_not() -> None:
    clock = Clock()
    connection, transport = connected(clock)
    for unread in (900_000, 400_000, 100_000):
        transport.get_write_buffer_size.return_value = unread
        if unread == 900_000:
            connection.pause_writing()
        clock.pass_until(clock.now_s + 59)
    connection.resume_writing()
    clock.pass_until(400)
    assert not transport.abort.called
    connection.pause_writing()
    clock.pass_until(459)
    assert not transport.abort.called
    clock.pass_until(460)
    assert transport.abort.call_count == 1


async def test_an_address_that_a_neighbour_claims_is_not_believed() -> None:
    asked: list[Subject] = []

    async def note(request: GraphQLRequest, subject: Subject) -> GraphQLRequest:
        asked.append(subject)
        return request

    async with running() as router:
        router.router.on_request = note
        await router.post({"query": "{__typename}"}, **{"x-forwarded-for": "203.0.113.9"})
        assert [one.client_address for one in asked] == ["127.0.0.1"]


async def told(router: Running, *pieces: bytes) -> bytes:
    """All that is answered to these pieces until the router ends the connection."""
    reader, writer = await connect(router)
    for piece in pieces:
        writer.write(piece)
        with suppress(ConnectionError):
            await writer.drain()
    answered = b""
    with suppress(ConnectionError):
        while piece := await asyncio.wait_for(reader.read(1_000), 10):
            answered += piece
    writer.close()
    return answered


LONG = b"x-long: " + b"a" * 70_000
ENDLESS = [b"POST /graphql HTTP/1.1\r\nx-long: ", *[b"a" * 1_000] * 400]


@pytest.mark.parametrize(
    "pieces",
    [[head(BODY, LONG) + BODY], [head(BODY, *[b"x-%d: a" % n for n in range(20_000)]) + BODY], ENDLESS],
    ids=["one header", "many headers", "without an end"],
)
async def test_a_head_over_its_bound_is_431(pieces: list[bytes]) -> None:
    async with running() as router:
        answered = await told(router, *pieces)
        assert answered.startswith(b"HTTP/1.1 431 ")
        assert answered.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [(b"", 75), (b"P", 10), (head(BODY)[:40], 10)],
    ids=["nothing", "letter", "half"],
)
def test_a_head_that_does_not_come_is_not_waited_for_for_ever(said: bytes, wait_s: float) -> None:
    clock = Clock()
    connection, transport = connected(clock)
    clock.pass_until(20)
    if said:
        connection.data_received(said)
        wait_s += 20
    clock.pass_until(wait_s - 1)
    assert not transport.close.called
    clock.pass_until(wait_s + 1)
    assert transport.close.call_count == 1


async def test_the_half_head_of_a_next_request_does_not_end_the_one_under_way() -> None:
    async with running(RouterConfig(http=HttpLimits(head_wait_ms_max=20))) as router:
        reader, writer = await connect(router)
        slow = b'{"query":"{slow}"}'
        writer.write(head(slow) + slow + head(BODY)[:30])
        await router.hall.started.wait()
        await asyncio.sleep(0.1)  # several times what half a head is waited for
        router.hall.gate.set()
        assert (await one(reader))[1] == b'{"data":{"slow":"at last"}}'
        writer.write(head(BODY)[30:] + BODY)
        assert (await one(reader))[1] == GOOD
        writer.close()


@pytest.mark.parametrize("cut", [0, 30, 170], ids=["whole", "in its head", "in its body"])
async def test_a_wish_for_another_protocol_is_passed_over(cut: int) -> None:
    wish = [b"connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAAB"]
    async with running() as router:
        reader, writer = await connect(router)
        for _ in range(2):
            request = head(BODY, *wish) + BODY
            for piece in (request[:cut], request[cut:]):
                writer.write(piece)
                await writer.drain()
            assert (await one(reader))[1] == GOOD
        writer.close()
        assert (await told(router, b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_no_address_is_redirected_to_the_host_that_a_request_names() -> None:
    async with running() as router:
        reader, writer = await connect(router)
        writer.write(head(BODY, path=b"/graphql/") + BODY)
        assert (await one(reader))[0].startswith(b"HTTP/1.1 404 ")
        writer.close()


@pytest.mark.parametrize("body", [b"", BODY], ids=["get", "post"])
@pytest.mark.parametrize("hosts", [[], [b"host: a", b"host: b"], [b"Host: a", b"host: a"]])
async def test_a_request_says_once_to_which_host_it_goes(hosts: list[bytes], body: bytes) -> None:
    first = [b"POST /graphql HTTP/1.1" if body else b"GET /health/live HTTP/1.1", *hosts]
    lines = [*first, b"content-type: application/json", b"content-length: %d" % len(body), b"", b""]
    async with running() as router:
        answered = await told(router, b"\r\n".join(lines) + body)
    assert answered.startswith(b"HTTP/1.1 400 ")


async def test_a_request_of_the_first_version_needs_no_host() -> None:
    async with running() as router:
        assert (await told(router, b"GET /health/live HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
