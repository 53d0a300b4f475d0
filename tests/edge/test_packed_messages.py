"""WebSocket messages, compressed: each by itself, an event for many once, and no secret among them."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Frame, Opcode

from router.config import HttpLimits, RouterConfig, StreamLimits
from router.edge import packed_messages
from router.edge.packed_messages import PackedMessages, packed_message
from router.edge.packed_streams import KEPT_BYTES_MAX
from tests.kit_edge.running import Running, running

pytestmark = pytest.mark.timeout(30)
ON = RouterConfig(streams=StreamLimits(websocket_compression=True), http=HttpLimits(compressed_bytes_min=64))
END = b"\x00\x00\xff\xff"


class Watched(PerMessageDeflate):
    """A client's half of the extension, which tells what of each message came compressed."""

    packed: list[bool]

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        if frame.opcode is Opcode.TEXT:
            self.packed.append(frame.rsv1)
        return super().decode(frame, max_size=max_size)


@asynccontextmanager
async def connected(router: Running, **offer: Any) -> AsyncIterator[ClientConnection]:
    """A connection that is acknowledged."""
    async with connect(
        router.socket_url,
        subprotocols=["graphql-transport-ws"],
        extensions=[ClientPerMessageDeflateFactory(**offer)],
        compression=None,
    ) as socket:
        for extension in socket.protocol.extensions:
            extension.__class__ = Watched
            extension.packed = []
        await socket.send('{"type":"connection_init"}')
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        yield socket


async def asked(socket: ClientConnection, query: str, id_: str = "1", **variables: Any) -> Any:
    """What a query or mutation is answered."""
    payload = {"query": query, "variables": variables}
    await socket.send(json.dumps({"id": id_, "type": "subscribe", "payload": payload}))
    answer = json.loads(await socket.recv())["payload"]
    assert json.loads(await socket.recv())["type"] == "complete"
    return answer


HELLO = "query($n: String) { hello(name: $n) }"


async def test_nothing_is_compressed_unless_that_is_set() -> None:
    async with running() as router, connected(router) as socket:
        assert socket.protocol.extensions == []
        assert await asked(socket, HELLO, n="long " * 500) == {"data": {"hello": "hello " + "long " * 500}}


@pytest.mark.parametrize(
    "offer",
    [
        {},
        {"server_max_window_bits": 9},
        {"server_max_window_bits": 15, "client_max_window_bits": 9},
        {"client_max_window_bits": None},
        {"server_no_context_takeover": True, "client_no_context_takeover": True},
    ],
)
async def test_whatever_a_client_offers_it_can_read_and_be_read(offer: dict[str, Any]) -> None:
    async with running(ON) as router, connected(router, **offer) as socket:
        extension = socket.protocol.extensions[0]
        assert (extension.remote_no_context_takeover, extension.local_no_context_takeover) == (True, True)
        for number in range(3):
            name = f"{number} " * 4_000
            assert await asked(socket, HELLO, n=name) == {"data": {"hello": f"hello {name}"}}
        assert extension.packed == [False, *[True, False] * 3]  # what is short leaves as it is


async def test_a_mutations_answer_is_not_compressed_and_what_follows_is() -> None:
    query = "mutation {" + " ".join(f"alias{number}: bump" for number in range(40)) + "}"
    async with running(ON) as router, connected(router) as socket:
        answer = await asked(socket, query)
        assert len(answer["data"]) == 40
        assert (await asked(socket, HELLO, n="x" * 500))["data"]["hello"] == "hello " + "x" * 500
        assert socket.protocol.extensions[0].packed == [False, False, False, True, False]


async def test_an_event_for_many_is_packed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    packed_message(b"x" * 100, 15)
    before = packed_messages._kept.cache_info()
    async with running(ON) as router, AsyncExitStack() as open_ones:
        router.hall.long_tick = "a tick and another " * 30
        sockets = [await open_ones.enter_async_context(connected(router)) for _ in range(5)]
        for number, socket in enumerate(sockets):
            payload = {"query": "subscription { longTicks }"}
            await socket.send(json.dumps({"id": f"own {number}", "type": "subscribe", "payload": payload}))
            await socket.send('{"type":"ping"}')
            assert json.loads(await socket.recv()) == {"type": "pong"}
        await router.hall.ticks.put(1)
        for number, told in enumerate(await asyncio.gather(*(one.recv() for one in sockets))):
            assert json.loads(told)["id"] == f"own {number}"
            assert json.loads(told)["payload"] == {"data": {"longTicks": router.hall.long_tick}}
    after = packed_messages._kept.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 4)


@given(
    st.text(max_size=300),
    st.sampled_from(["next", "data"]),
    st.text(max_size=2_000) | st.integers(0, KEPT_BYTES_MAX * 2).map(lambda count: "ab" * count),
    st.integers(9, 15),
)
def test_any_message_is_read_by_a_client_of_any_window(id_: str, kind: str, tick: str, bits: int) -> None:
    text = json.dumps({"id": id_, "type": kind, "payload": {"tick": tick}}, separators=(",", ":")).encode()
    reading = zlib.decompressobj(-bits)
    assert reading.decompress(packed_message(text, bits) + END) == text
    assert reading.decompress(packed_message(text, bits) + END) == text  # nor does a kept context hurt


def test_a_connection_keeps_no_compressor() -> None:
    extension = PackedMessages(bytes_min=10, local_bits=15, remote_bits=15)
    packed = extension.encode(Frame(Opcode.TEXT, b'{"payload":' + b"x" * 4_000 + b"}"))
    assert packed.rsv1
    assert extension.decode(packed).data == b'{"payload":' + b"x" * 4_000 + b"}"
    assert not hasattr(extension, "encoder")
    assert not hasattr(extension, "decoder")
    assert extension.encode(Frame(Opcode.PING, b"x" * 100)).data == b"x" * 100
