"""Subscriptions over WebSocket from subgraphs that break the protocol, fall silent or break off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from authz.identity.subject import ANONYMOUS
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest
from router.execution.transports.http import HttpTransport
from router.operation.model import OperationKind
from router.traffic import StreamProtocol, SubgraphTraffic, SubscriptionSource, Traffic

pytestmark = pytest.mark.timeout(30)
REQUEST = SubgraphRequest(
    service="a", kind=OperationKind.SUBSCRIPTION, query="subscription{tick}", variables={}, subject=ANONYMOUS
)
DIALECTS = {
    StreamProtocol.WEBSOCKET: ("graphql-transport-ws", "next"),
    StreamProtocol.WEBSOCKET_LEGACY: ("graphql-ws", "data"),
}
Fault = Callable[[ServerConnection, str], Awaitable[None]]


@asynccontextmanager
async def subgraph(
    fault: Fault, protocol: StreamProtocol, *, acknowledges: bool = True
) -> AsyncIterator[str]:
    """A subgraph that takes one subscription, sends one event, and then does what the test says."""
    name, event = DIALECTS[protocol]

    async def handle(socket: ServerConnection) -> None:
        assert json.loads(await socket.recv())["type"] == "connection_init"
        if acknowledges:
            await socket.send('{"type":"connection_ack"}')
            begun = json.loads(await socket.recv())
            await say(socket, event, id=begun["id"], payload={"data": {"tick": 1}})
        await fault(socket, event)

    async with serve(
        handle, "127.0.0.1", 0, subprotocols=[Subprotocol(name)], compression=None, ping_interval=None
    ) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/graphql"


async def say(socket: ServerConnection, type_: str, **more: Any) -> None:
    await socket.send(json.dumps({"type": type_, **more}))


def transport_to(url: str, protocol: StreamProtocol, **traffic: Any) -> HttpTransport:
    source = SubscriptionSource(protocol=protocol, shared=False, event_bytes_max=1_000)
    return HttpTransport({"a": url}, traffic=Traffic(all=SubgraphTraffic(subscriptions=source, **traffic)))


async def failure_of(transport: HttpTransport) -> tuple[list[Any], str, str]:
    """The events before the failure, its text and its code."""
    events: list[Any] = []
    with pytest.raises(SubgraphCallFailed) as raised:
        async for one in transport.subscribe(REQUEST):
            events.append(one.data)  # noqa: PERF401  # what came before the failure counts
    await transport.close()
    return events, raised.value.reason, raised.value.to_graphql()["extensions"]["code"]


async def cut_inside_a_message(socket: ServerConnection, _: str) -> None:
    socket.transport.write(b"\x81\x64" + b'{"type":"next"')  # a frame of 100 bytes, of which 14 come
    await asyncio.sleep(0)
    socket.transport.abort()


async def cut_between_fragments(socket: ServerConnection, _: str) -> None:
    socket.transport.write(b'\x01\x05{"typ')  # a first fragment, to be continued
    socket.transport.close()


async def other_id(socket: ServerConnection, event: str) -> None:
    await say(socket, event, id="2", payload={"data": {"tick": 2}})
    await socket.wait_closed()


async def completes_another(socket: ServerConnection, _: str) -> None:
    await say(socket, "complete", id="2")
    await socket.wait_closed()


async def error_of_no_id(socket: ServerConnection, _: str) -> None:
    await say(socket, "error", payload=[{"message": "no"}])
    await socket.wait_closed()


async def no_json(socket: ServerConnection, _: str) -> None:
    await socket.send("{{{")
    await socket.wait_closed()


async def no_text(socket: ServerConnection, _: str) -> None:
    socket.transport.write(b"\x81\x02\xff\xfe")
    await socket.wait_closed()


async def no_frame(socket: ServerConnection, _: str) -> None:
    socket.transport.write(b"\xff\xff\xff\xff\xff\xff\xff\xff")
    await socket.wait_closed()


async def too_long(socket: ServerConnection, event: str) -> None:
    await say(socket, event, id="1", payload={"data": {"tick": "x" * 2_000}})
    await socket.wait_closed()


async def leaves_politely(socket: ServerConnection, _: str) -> None:
    await socket.close(1000)


async def forbids(socket: ServerConnection, _: str) -> None:
    await socket.close(4403, "Forbidden")


FAULTS = [
    (cut_inside_a_message, "closed the WebSocket with code 1006"),
    (cut_between_fragments, "closed the WebSocket with code 1006"),
    (other_id, "answered a subscription that was not opened"),
    (completes_another, "answered a subscription that was not opened"),
    (error_of_no_id, "answered a subscription that was not opened"),
    (no_json, "sent a message that is not of the protocol"),
    (no_text, "sent a message that is not of the protocol"),
    (no_frame, "did not speak WebSocket"),
    (too_long, "sent an event of more than 1000 bytes"),
    (leaves_politely, "closed the WebSocket with code 1000"),
    (forbids, "closed the WebSocket with code 4403"),
]


@pytest.mark.parametrize("protocol", list(DIALECTS))
@pytest.mark.parametrize(("fault", "says"), FAULTS, ids=[one.__name__ for one, _ in FAULTS])
async def test_a_stream_that_breaks_says_how_after_the_events_that_came(
    fault: Fault, says: str, protocol: StreamProtocol
) -> None:
    async with subgraph(fault, protocol) as url:
        events, reason, code = await failure_of(transport_to(url, protocol))
    assert (events, reason, code) == ([{"tick": 1}], says, "SUBREQUEST_WEBSOCKET_ERROR")


async def test_a_subgraph_that_answers_no_ping_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.execution.transports.websocket.PING_S", 0.02)
    monkeypatch.setattr("router.execution.transports.websocket.PONG_S_MAX", 0.05)

    async def deaf(socket: ServerConnection, _: str) -> None:
        socket.transport.pause_reading()  # as one whose machine is gone: open, and nothing comes back
        await given_up.wait()
        socket.transport.abort()

    given_up = asyncio.Event()
    async with subgraph(deaf, StreamProtocol.WEBSOCKET) as url:
        events, reason, code = await failure_of(transport_to(url, StreamProtocol.WEBSOCKET))
        given_up.set()
    assert (events, reason, code) == ([{"tick": 1}], "answered no ping", "SUBREQUEST_WEBSOCKET_ERROR")


async def test_a_subgraph_that_does_not_acknowledge_in_time_is_given_up() -> None:
    async def silent(socket: ServerConnection, _: str) -> None:
        await socket.wait_closed()

    async with subgraph(silent, StreamProtocol.WEBSOCKET, acknowledges=False) as url:
        slow = transport_to(url, StreamProtocol.WEBSOCKET, connect_timeout_ms_max=100)
        assert await failure_of(slow) == ([], "timed out", "SUBREQUEST_WEBSOCKET_ERROR")


async def test_a_subgraph_that_takes_connections_and_says_nothing_is_given_up() -> None:
    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(nothing, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/graphql"
        slow = transport_to(url, StreamProtocol.WEBSOCKET, connect_timeout_ms_max=100)
        assert await failure_of(slow) == ([], "timed out", "SUBREQUEST_WEBSOCKET_ERROR")
        await ended.wait()


async def test_a_subgraph_that_refuses_the_connection_says_so() -> None:
    async def refusing(socket: ServerConnection, _: str) -> None:
        await say(socket, "connection_error", payload={"message": "no"})
        await socket.wait_closed()

    async with subgraph(refusing, StreamProtocol.WEBSOCKET_LEGACY, acknowledges=False) as url:
        found = await failure_of(transport_to(url, StreamProtocol.WEBSOCKET_LEGACY))
    assert found == ([], "refused the connection", "SUBREQUEST_WEBSOCKET_ERROR")


async def test_a_subgraph_of_another_subprotocol_is_not_spoken_to() -> None:
    async with subgraph(leaves_politely, StreamProtocol.WEBSOCKET_LEGACY) as url:
        events, reason, code = await failure_of(transport_to(url, StreamProtocol.WEBSOCKET))
    assert (events, code) == ([], "SUBREQUEST_WEBSOCKET_ERROR")
    assert reason in {"could not open a WebSocket", "does not speak graphql-transport-ws"}


async def test_pings_of_the_subgraph_are_answered_and_events_in_pieces_are_whole() -> None:
    answered: list[Any] = []

    async def slowly(socket: ServerConnection, event: str) -> None:
        await say(socket, "ping")
        answered.append(json.loads(await socket.recv()))
        text = json.dumps({"type": event, "id": "1", "payload": {"data": {"tick": 2}}})
        await socket.send(list(text))  # a frame a character
        await say(socket, "complete", id="1")
        await socket.wait_closed()

    async with subgraph(slowly, StreamProtocol.WEBSOCKET) as url:
        transport = transport_to(url, StreamProtocol.WEBSOCKET)
        assert [one.data async for one in transport.subscribe(REQUEST)] == [{"tick": 1}, {"tick": 2}]
        await transport.close()
    assert answered == [{"type": "pong"}]


async def test_a_subgraph_faster_than_its_reader_is_made_to_wait() -> None:
    """What nobody has read is not kept here without end: the connection fills up, and its sender waits."""
    sent = 0

    async def flood(socket: ServerConnection, event: str) -> None:
        nonlocal sent
        while True:
            await say(socket, event, id="1", payload={"data": {"tick": "x" * 900}})
            sent += 1

    async with subgraph(flood, StreamProtocol.WEBSOCKET) as url:
        transport = transport_to(url, StreamProtocol.WEBSOCKET)
        events = transport.subscribe(REQUEST)
        await anext(events)
        before = -1
        while before != sent:  # until it is stuck
            before = sent
            await asyncio.sleep(0.2)
        assert 0 < sent < 50_000
        await anext(events)
        await events.aclose()  # type: ignore[attr-defined]
        await transport.close()
