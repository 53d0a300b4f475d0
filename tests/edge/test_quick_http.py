"""The short way for small POSTs on real sockets: bodies in parts, one after another, closed early."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from router.config import HttpLimits, RouterConfig
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
