"""Subscriptions from subgraphs: HTTP callbacks, shared streams, bodies that break off or say too much."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from starlette.applications import Starlette
from uvicorn import Config, Server

from authz.identity.subject import ANONYMOUS, Subject
from router.edge.callback_route import callback_route
from router.edge.serve import listen
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest
from router.execution.transports import http_stream
from router.execution.transports.callbacks import Callbacks
from router.execution.transports.http import HttpTransport
from router.execution.transports.http_wire import connected
from router.operation.model import OperationKind
from router.traffic import Joining, StreamProtocol, SubgraphTraffic, SubscriptionSource, Traffic

REQUEST = SubgraphRequest(
    service="a", kind=OperationKind.SUBSCRIPTION, query="subscription{tick}", variables={}, subject=ANONYMOUS
)


@asynccontextmanager
async def served(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/graphql", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/graphql"
    finally:
        await runner.cleanup()


def transport_to(url: str, protocol: StreamProtocol, callback_url: str = "", **source: Any) -> HttpTransport:
    settings = SubgraphTraffic(subscriptions=SubscriptionSource(protocol=protocol, **source))
    return HttpTransport({"a": url}, traffic=Traffic(all=settings, callback_url=callback_url))


class Emitter:
    """A subgraph that speaks the callback protocol: what it was told, and how its posts were answered."""

    def __init__(self) -> None:
        self.terms: dict[str, Any] = {}
        self.opened = asyncio.Event()
        self.checks = True
        self.refuses = False
        self.accept = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.accept = request.headers["accept"]
        self.terms = (await request.json())["extensions"]["subscription"]
        if self.refuses:
            return web.json_response({"errors": [{"message": "no"}]})
        if self.checks:
            assert await self.post("check") == (204, "callback/1.0")
        self.opened.set()
        return web.json_response({"data": None}, headers={"subscription-protocol": "callback/1.0"})

    async def post(self, action: str, **more: Any) -> tuple[int, str]:
        message = {
            "kind": "subscription",
            "action": action,
            "id": self.terms["subscriptionId"],
            "verifier": self.terms["verifier"],
            **more,
        }
        async with (
            aiohttp.ClientSession() as http,
            http.post(self.terms["callbackUrl"], json=message) as answer,
        ):
            return answer.status, answer.headers.get("subscription-protocol", "")


@asynccontextmanager
async def router_with(emitter: Emitter, **source: Any) -> AsyncIterator[HttpTransport]:
    """A router's transport, and its callback route on a socket."""
    listening = listen("127.0.0.1", 0)
    callback_url = f"http://127.0.0.1:{listening.getsockname()[1]}/callback"
    async with served(emitter.handle) as url:
        transport = transport_to(url, StreamProtocol.CALLBACK, callback_url, **source)
        assert transport.callbacks is not None
        app = Starlette(routes=[callback_route(transport.callbacks, event_bytes_max=1_000)])
        server = Server(Config(app, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0)
        try:
            yield transport
        finally:
            await transport.close()
            server.should_exit = True
            await serving
            listening.close()


async def test_events_come_by_callback_until_the_subgraph_completes() -> None:
    emitter = Emitter()
    async with router_with(emitter) as transport:
        events = transport.subscribe(REQUEST)
        first = asyncio.ensure_future(anext(events))
        await emitter.opened.wait()
        assert await emitter.post("next", payload={"data": {"tick": 1}}) == (200, "callback/1.0")
        assert (await first).data == {"tick": 1}
        assert (await emitter.post("check"))[0] == 204
        await emitter.post("next", payload={"data": {"tick": 2}})
        assert (await emitter.post("complete", errors=[{"message": "over"}]))[0] == 202
        rest = [(one.data, one.errors) async for one in events]
        assert rest == [({"tick": 2}, ()), (None, ({"message": "over"},))]
        assert (await emitter.post("next", payload={"data": {"tick": 3}}))[0] == 404
    assert emitter.accept.startswith("application/json;callbackSpec=1.0")
    assert emitter.terms["heartbeatIntervalMs"] == 5_000


async def test_a_reader_that_leaves_ends_the_subscription() -> None:
    emitter = Emitter()
    async with router_with(emitter) as transport:
        events = transport.subscribe(REQUEST)
        first = asyncio.ensure_future(anext(events))
        await emitter.opened.wait()
        await emitter.post("next", payload={"data": {"tick": 1}})
        await first
        await events.aclose()  # type: ignore[attr-defined]
        assert (await emitter.post("check"))[0] == 404


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"verifier": "guessed"}, 401),
        ({"verifier": None}, 401),
        ({"id": "another"}, 400),
        ({"kind": "query"}, 400),
        ({"action": "shutdown"}, 400),
        ({"payload": 3}, 400),
        ({"payload": {"data": "x" * 2_000}}, 413),
    ],
)
async def test_posts_of_others_are_refused(more: dict[str, Any], status: int) -> None:
    emitter = Emitter()
    async with router_with(emitter) as transport:
        events = transport.subscribe(REQUEST)
        first = asyncio.ensure_future(anext(events))
        await emitter.opened.wait()
        message = {"action": "next", "payload": {"data": {"tick": 1}}, **more}
        action = message.pop("action")
        assert (await emitter.post(action, **message))[0] == status
        await emitter.post("next", payload={"data": {"tick": 2}})
        assert (await first).data == {"tick": 2}
        await events.aclose()  # type: ignore[attr-defined]


async def test_a_subgraph_that_does_not_check_or_refuses_opens_nothing() -> None:
    emitter = Emitter()
    async with router_with(emitter) as transport:
        emitter.checks = False
        with pytest.raises(SubgraphCallFailed, match="did not check"):
            await anext(transport.subscribe(REQUEST))
        emitter.refuses = True
        answers = [one async for one in transport.subscribe(REQUEST)]
    assert [one.errors for one in answers] == [({"message": "no"},)]


async def test_a_subgraph_that_falls_silent_is_given_up() -> None:
    emitter = Emitter()
    async with router_with(emitter, heartbeat_ms=10) as transport:
        with pytest.raises(SubgraphCallFailed, match="no sign of life"):
            await anext(transport.subscribe(REQUEST))


async def test_a_slow_reader_of_callbacks_keeps_the_latest_events() -> None:
    callbacks, told = Callbacks("http://router.invalid/callback", queue_events_max=2), {}

    async def ask(extensions: Any) -> None:
        told.update(extensions["subscription"])
        for action, payload in (("check", None), *(("next", {"data": {"tick": n}}) for n in range(5))):
            message = {"kind": "subscription", "action": action, "id": told["subscriptionId"],
                       "verifier": told["verifier"], "payload": payload}  # fmt: skip
            assert callbacks.take(told["subscriptionId"], message).status in {200, 204}

    events = callbacks.payloads("a", ask, heartbeat_ms=0)
    assert [await anext(events) for _ in range(2)] == [{"data": {"tick": 3}}, {"data": {"tick": 4}}]
    await events.aclose()  # type: ignore[attr-defined]


class Ticker:
    """A subgraph whose streams send what a test says."""

    def __init__(self) -> None:
        self.streams: list[web.StreamResponse] = []
        self.ended = 0
        self.opened = asyncio.Condition()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        self.streams.append(response)
        await response.write(b": hello\n\n")
        try:
            while request.transport is not None and not request.transport.is_closing():
                await asyncio.sleep(0.005)
        finally:
            self.ended += 1
        return response

    async def tick(self, number: int) -> None:
        for stream in self.streams[self.ended :]:
            await stream.write(f'event: next\ndata: {{"data":{{"tick":{number}}}}}\n\n'.encode())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


async def test_equal_subscriptions_share_one_stream_until_the_last_reader_leaves() -> None:
    ticker = Ticker()
    async with served(ticker.handle) as url:
        transport = transport_to(url, StreamProtocol.SSE)
        readers = [transport.subscribe(REQUEST) for _ in range(5)]
        firsts = [asyncio.ensure_future(anext(one)) for one in readers]
        await until(lambda: bool(ticker.streams))
        await asyncio.sleep(0.02)
        await ticker.tick(1)
        answers = await asyncio.gather(*firsts)
        assert [one.data for one in answers] == [{"tick": 1}] * 5
        answers[0].data["tick"] = "changed by its reader"
        assert answers[1].data == {"tick": 1}
        for one in readers[:4]:
            await one.aclose()  # type: ignore[attr-defined]
        assert ticker.ended == 0
        await ticker.tick(2)
        assert (await anext(readers[4])).data == {"tick": 2}
        await readers[4].aclose()  # type: ignore[attr-defined]
        await until(lambda: ticker.ended == 1)
        again = transport.subscribe(REQUEST)
        first = asyncio.ensure_future(anext(again))
        await until(lambda: len(ticker.streams) == 2)
        await asyncio.sleep(0.02)
        await ticker.tick(3)
        assert (await first).data == {"tick": 3}
        await again.aclose()  # type: ignore[attr-defined]
        await transport.close()
    assert len(ticker.streams) == 2


class Greeter(Ticker):
    """A subgraph whose streams begin with what is now: how many streams were opened before."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        self.streams.append(response)
        number = len(self.streams) * 100
        await response.write(f'event: next\ndata: {{"data":{{"tick":{number}}}}}\n\n'.encode())
        await asyncio.Event().wait()
        return response


@pytest.mark.parametrize(
    ("joining", "firsts", "opened"),
    [
        (Joining.BEFORE_FIRST, [100, 100, 200, 200], 2),
        (Joining.WITH_LATEST, [100, 100, 100, 100], 1),
        (Joining.FROM_NOW, [100, 100, 7, 7], 1),
    ],
)
async def test_a_reader_who_comes_later_gets_the_first_event_that_its_subgraph_promises(
    joining: Joining, firsts: list[int], opened: int
) -> None:
    greeter = Greeter()
    async with served(greeter.handle) as url:
        transport = transport_to(url, StreamProtocol.SSE, joining=joining)
        found: list[Any] = []
        readers: list[Any] = []
        for _ in range(2):  # two at a time, the second two when the first two have had their first event
            together = [transport.subscribe(REQUEST) for _ in range(2)]
            readers += together
            awaited = [asyncio.ensure_future(anext(one)) for one in together]
            if readers[2:] and joining is Joining.FROM_NOW:
                await asyncio.sleep(0)
                await greeter.tick(7)
            found += [one.data["tick"] for one in await asyncio.gather(*awaited)]
        assert found == firsts
        assert len(greeter.streams) == opened
        await greeter.tick(8)
        alive = readers if joining is not Joining.FROM_NOW else readers[2:]
        assert [(await anext(one)).data["tick"] for one in alive] == [8] * len(alive)
        for one in readers:
            await one.aclose()
        await transport.close()


async def test_with_signed_calls_subscriptions_of_two_people_are_two_streams() -> None:
    ticker = Ticker()
    async with served(ticker.handle) as url:
        settings = SubgraphTraffic(subscriptions=SubscriptionSource(protocol=StreamProtocol.SSE))
        transport = HttpTransport({"a": url}, traffic=Traffic(all=settings), sign=lambda *_: {"x": "y"})
        requests = [
            SubgraphRequest(
                service="a", kind=OperationKind.SUBSCRIPTION, query="subscription{tick}", variables={},
                subject=Subject(who),
            )
            for who in ("mira", "tomas", "mira")
        ]  # fmt: skip
        waiting = [asyncio.ensure_future(anext(transport.subscribe(one))) for one in requests]
        await until(lambda: len(ticker.streams) == 2)
        await asyncio.sleep(0.02)
        assert len(ticker.streams) == 2
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await transport.close()


async def test_a_stream_that_breaks_off_is_told_to_every_reader() -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'event: next\ndata: {"data":{"tick":1}}\n\n')
        await asyncio.sleep(0.02)
        assert request.transport is not None
        request.transport.abort()
        return response

    async with served(broken) as url:
        transport = transport_to(url, StreamProtocol.SSE)
        readers = [transport.subscribe(REQUEST) for _ in range(3)]
        assert [(await one).data for one in [asyncio.ensure_future(anext(it)) for it in readers]] == [
            {"tick": 1}
        ] * 3
        for one in readers:
            with pytest.raises(SubgraphCallFailed, match="lost"):
                await anext(one)
        await transport.close()


PART = b"\r\n--b\r\ncontent-type: application/json\r\n\r\n"


@pytest.mark.parametrize(
    ("text", "data", "failure"),
    [
        (PART + b'{"payload":{"data":{"tick":1}}}' + b"\r\n--b--", [{"tick": 1}], None),
        (PART + b"{}" + PART + b'{"payload":{"data":{"tick":1}}}\r\n--b--', [{"tick": 1}], None),
        (PART + b'{"payload":null,"errors":[{"message":"x"}]}\r\n--b--', [None], None),
        (PART + b'{"payload":{"data":{"tick":1}}}', [{"tick": 1}], "without completing"),
        (PART + b"[1]\r\n--b--", [], "not an object"),
        (PART + b"nonsense\r\n--b--", [], "not JSON"),
        (PART + b'{"payload":"' + b"x" * 9_000, [], "more than 5000 bytes"),
    ],
)
async def test_parts_are_read_in_any_pieces(text: bytes, data: list[Any], failure: str | None) -> None:
    for step in (1, 7, len(text)):

        async def drip(request: web.Request, step: int = step) -> web.StreamResponse:
            response = web.StreamResponse(headers={"content-type": 'multipart/mixed; boundary="b"'})
            await response.prepare(request)
            for start in range(0, len(text), step):
                await response.write(text[start : start + step])
            return response

        if len(text) > 1_000 and step == 1:
            continue
        async with served(drip) as url:
            transport = transport_to(url, StreamProtocol.MULTIPART, event_bytes_max=5_000)
            found: list[Any] = []
            try:
                async for one in transport.subscribe(REQUEST):
                    found += [one.data]
                told = None
            except SubgraphCallFailed as failed:
                told = failed.reason
            await transport.close()
        assert found == data
        assert (failure is None and told is None) or (failure is not None and failure in str(told))


@pytest.mark.parametrize("step", [1, 5, 10_000])
async def test_a_boundary_of_one_dash_is_found_at_the_begin_of_a_line_alone(step: int) -> None:
    """Most servers' boundary is `-`; a text may hold any number of them."""
    texts = ["a --- b", "---", "-----", "x\n---\ny", "\r\n-----\r\n"]
    parts = b"".join(
        b"\r\n---\r\ncontent-type: application/json\r\n\r\n"
        + json.dumps({"payload": {"data": {"x": one}}}).encode()
        for one in texts
    )
    whole = parts + b"\r\n-----\r\n"

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": 'multipart/mixed; boundary="-"'})
        await response.prepare(request)
        for start in range(0, len(whole), step):
            await response.write(whole[start : start + step])
        return response

    async with served(drip) as url:
        transport = transport_to(url, StreamProtocol.MULTIPART)
        assert [one.data async for one in transport.subscribe(REQUEST)] == [{"x": one} for one in texts]
        await transport.close()


async def test_a_first_delimiter_may_stand_at_the_very_begin() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        text = b'---\r\ncontent-type: application/json\r\n\r\n{"payload":{"data":{"x":1}}}\r\n-----'
        return web.Response(body=text, headers={"content-type": 'multipart/mixed; boundary="-"'})

    async with served(answer) as url:
        transport = transport_to(url, StreamProtocol.MULTIPART)
        assert [one.data async for one in transport.subscribe(REQUEST)] == [{"x": 1}]
        await transport.close()


async def test_an_event_of_endless_empty_lines_is_too_long() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"event: next\n" + b"data:\n" * 2_000)
        return response

    async with served(endless) as url:
        transport = transport_to(url, StreamProtocol.SSE, event_bytes_max=1_000)
        with pytest.raises(SubgraphCallFailed, match="more than 1000 bytes"):
            await anext(transport.subscribe(REQUEST))
        await transport.close()


async def test_the_other_end_of_a_silent_stream_is_asked_whether_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []

    async def kept(*args: Any) -> Any:
        transport, stream = await connected(*args)
        made.append(transport.get_extra_info("socket"))
        return transport, stream

    monkeypatch.setattr(http_stream, "connected", kept)

    async def one_event(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'event: next\ndata: {"data":{"tick":1}}\n\n')
        await asyncio.Event().wait()
        return response

    async with served(one_event) as url:
        transport = transport_to(url, StreamProtocol.SSE)
        events = transport.subscribe(REQUEST)
        assert (await anext(events)).data == {"tick": 1}
        (connection,) = made
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == http_stream.KEEP_ALIVE_S
        await events.aclose()  # type: ignore[attr-defined]
        await transport.close()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("text/html", "<p>"), ("multipart/mixed", ""), ('multipart/mixed; boundary="é"', "")],
)
async def test_what_is_no_stream_is_said_so(content_type: str, body: str) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body.encode(), headers={"content-type": content_type})

    async with served(answer) as url:
        transport = transport_to(url, StreamProtocol.MULTIPART)
        with pytest.raises(SubgraphCallFailed):
            await anext(transport.subscribe(REQUEST))
        await transport.close()


async def test_an_event_that_is_too_long_ends_its_stream_before_it_is_held() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"event: next\ndata: " + json.dumps({"data": "x" * 10_000}).encode())
        return response

    async with served(endless) as url:
        transport = transport_to(url, StreamProtocol.SSE, event_bytes_max=1_000)
        with pytest.raises(SubgraphCallFailed, match="more than 1000 bytes"):
            await anext(transport.subscribe(REQUEST))
        await transport.close()
