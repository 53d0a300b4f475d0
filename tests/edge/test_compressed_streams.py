"""Streams in gzip: each event can be read as soon as it is sent, and a stream takes next to no memory."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config import HttpLimits, RouterConfig, StreamLimits
from router.edge.packed_streams import KEPT_BYTES_MAX, THREAD_BYTES_MIN, Packing, packed_frames
from tests.kit_edge.running import Running, running

pytestmark = pytest.mark.timeout(30)
TICKS = {"query": "subscription { ticks }"}
LONG_TICKS = {"query": "subscription { longTicks }"}
SSE = "text/event-stream"
PARTS = 'multipart/mixed;subscriptionSpec="1.0"'
ON = RouterConfig(compression=True, http=HttpLimits(compressed_bytes_min=64))


def stream(router: Running, body: dict[str, str], accept: str = SSE, **headers: str):
    sent = {"accept": accept, "accept-encoding": "br, gzip", **headers}
    return router.http.post(router.url, json=body, headers=sent, auto_decompress=False)


class Reader:
    """What has come of a stream, unpacked as far as it came."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self._unpacking = zlib.decompressobj(wbits=31)
        self.text = ""
        self.packed_bytes = 0

    async def until(self, wanted: str) -> None:
        async with asyncio.timeout(10):
            while wanted not in self.text:
                piece = await self._answer.content.readany()
                assert piece, self.text
                self.packed_bytes += len(piece)
                self.text += self._unpacking.decompress(piece).decode()

    async def ended(self) -> bool:
        self.text += self._unpacking.decompress(await self._answer.content.read()).decode()
        return self._unpacking.eof


@given(st.lists(st.binary(max_size=300)), st.integers(0, 200))
def test_any_frames_come_back_each_as_soon_as_it_is_there(frames: list[bytes], bytes_min: int) -> None:
    async def pack() -> None:
        packing, unpacking = Packing(bytes_min=bytes_min), zlib.decompressobj(wbits=31)
        whole = packing.begin()
        unpacking.decompress(whole)
        for frame in frames:
            block = await packing.block(frame)
            assert unpacking.decompress(block) == frame
            whole += block
        assert gzip.decompress(whole + packing.end()) == b"".join(frames)

    asyncio.run(pack())


@pytest.mark.parametrize("length", [0, 1, KEPT_BYTES_MAX + 1, 0x10000, THREAD_BYTES_MIN + 1])
async def test_frames_of_any_length_come_back(length: int) -> None:
    frame = bytes(index * 31 % 251 for index in range(length))

    async def frames():
        yield frame
        yield frame

    pieces = [piece async for piece in packed_frames(frames(), bytes_min=10_000_000)]
    assert gzip.decompress(b"".join(pieces)) == frame * 2


async def test_a_stream_takes_next_to_no_memory_and_equal_frames_are_packed_once() -> None:
    frame = b"event: next\ndata: " + json.dumps({"data": list(range(2_000))}).encode()
    packings = [Packing(bytes_min=64) for _ in range(1_000)]
    first = await packings[0].block(frame)
    assert len(first) < len(frame) / 2
    tracemalloc.start()
    try:
        blocks = [await one.block(frame) for one in packings[1:]]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(one is first for one in blocks)
    assert taken / len(blocks) < 200  # a compressor of its own would hold 32 to 256 KiB


@pytest.mark.parametrize("accept", [SSE, PARTS])
async def test_each_event_can_be_read_before_the_next_one_is_there(accept: str) -> None:
    async with running(ON) as router, stream(router, TICKS, accept) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        reader = Reader(answer)
        for number in (1, 2, 3):
            router.hall.ticks.put_nowait(number)
            await reader.until(f'{{"data":{{"ticks":{number}}}}}')
        router.hall.ticks.put_nowait(None)
        assert await reader.ended()


async def test_a_sign_of_life_can_be_read_at_once() -> None:
    config = RouterConfig(compression=True, streams=StreamLimits(heartbeat_ms=20))
    async with running(config) as router, stream(router, TICKS) as answer:
        await Reader(answer).until(":\n\n:\n\n")


async def test_long_events_leave_short() -> None:
    async with running(ON) as router, stream(router, LONG_TICKS) as answer:
        router.hall.long_tick = "long " * 10_000
        router.hall.ticks.put_nowait(1)
        reader = Reader(answer)
        await reader.until('long "}}\n\n')
        assert reader.packed_bytes < len(reader.text) / 50


async def test_parts_of_one_answer_are_compressed_too() -> None:
    deferring = {"query": "{ hello ... @defer { nested { hello } } }"}
    async with running(ON) as router, stream(router, deferring, "multipart/mixed") as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert b'"hasNext":false' in gzip.decompress(await answer.read())


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (TICKS, {"accept-encoding": "identity"}),
        (TICKS, {"accept-encoding": "br"}),
        (TICKS, {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}),
        ({"query": "mutation { bump }"}, {}),  # answers to mutations hand out tokens
    ],
)
async def test_streams_that_no_client_takes_so_or_whose_length_may_tell_leave_as_they_are(
    body: dict[str, str], headers: dict[str, str]
) -> None:
    async with running(ON) as router:
        router.hall.ticks.put_nowait(1)
        router.hall.ticks.put_nowait(None)
        async with stream(router, body, **headers) as answer:
            assert "content-encoding" not in answer.headers
            assert (await answer.read()).endswith(b"event: complete\ndata:\n\n")


async def test_nothing_is_compressed_unless_it_is_asked_for() -> None:
    async with running() as router:
        router.hall.ticks.put_nowait(None)
        async with stream(router, TICKS) as answer:
            assert "content-encoding" not in answer.headers
