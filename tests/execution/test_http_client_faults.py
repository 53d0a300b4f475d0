"""The HTTP client against servers that do what servers should not: raw bytes on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from router.execution.transports.http_client import HttpClient
from router.execution.transports.http_wire import (
    AnswerTooLong,
    ConnectFailed,
    ConnectionLost,
    Endpoint,
    HttpAnswer,
    NotHttp,
)

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
GOOD = OK + b"content-length: 2\r\n\r\n{}"
LIMIT_BYTES = 100_000


class Raw:
    """Answers each request with the next of `answers`, in pieces; None closes the connection."""

    def __init__(self, answers: Sequence[Sequence[bytes | None]]) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                await reader.readuntil(b"\r\n\r\n{}")
                self.requests += 1
                for piece in self.answers.pop(0):
                    if piece is None:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def talking(*answers: Sequence[bytes | None]) -> AsyncIterator[tuple[Raw, HttpClient, Endpoint]]:
    raw = Raw(answers)
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = HttpClient(
        connections_per_host_max=2, connect_timeout_s=5, keep_alive_s=30, answer_bytes_max=LIMIT_BYTES
    )
    try:
        yield raw, client, Endpoint.of(f"http://127.0.0.1:{port}/graphql")
    finally:
        client.close()
        server.close()
        await server.wait_closed()


async def post(client: HttpClient, endpoint: Endpoint, timeout_s: float = 5) -> HttpAnswer:
    return await client.post(endpoint, {"content-type": "application/json"}, b"{}", timeout_s=timeout_s)


@pytest.mark.parametrize(
    "answer",
    [
        [GOOD],
        [bytes([byte]) for byte in GOOD],
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + GOOD],
        [OK + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n", b"1;x=y\r\n}\r\n0\r\nx-sum: 1\r\n\r\n"],
        [OK + b"\r\n{", b"}", None],
    ],
)
async def test_every_way_to_end_a_body_is_understood(answer: Sequence[bytes | None]) -> None:
    async with talking(answer) as (_, client, endpoint):
        assert (await post(client, endpoint))._replace(headers=()) == HttpAnswer(
            200, "application/json", b"{}"
        )


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ([None], ConnectionLost),
        ([OK + b"content-length: 9\r\n\r\n{", None], ConnectionLost),
        ([OK + b"transfer-encoding: chunked\r\n\r\n5\r\n{", None], ConnectionLost),
        ([OK, None], ConnectionLost),
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], NotHttp),
        ([OK + b"transfer-encoding: chunked\r\n\r\nnot a size\r\n"], NotHttp),
        ([OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"], NotHttp),
        ([OK + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}"], NotHttp),
        ([OK + b"content-encoding: br\r\ncontent-length: 2\r\n\r\n{}"], NotHttp),
        ([OK + b"content-length: 200000\r\n\r\n" + b"x" * 200_000], AnswerTooLong),
        ([OK, *[b"x-more: " + b"x" * 60_000 + b"\r\n"] * 6], NotHttp),
        ([OK + b"x-long: ", *[b"x" * 60_000] * 6], NotHttp),
        ([OK + b"\r\n", b"x" * 60_000, b"x" * 60_000], AnswerTooLong),
    ],
)
async def test_every_fault_has_its_name(answer: Sequence[bytes | None], error: type[Exception]) -> None:
    async with talking(answer) as (_, client, endpoint):
        with pytest.raises(error):
            await post(client, endpoint)


async def test_a_body_that_stops_is_timed_out_and_its_connection_not_used_again() -> None:
    async with talking([OK + b"content-length: 9\r\n\r\n{"], [GOOD]) as (raw, client, endpoint):
        with pytest.raises(TimeoutError):
            await post(client, endpoint, timeout_s=0.05)
        assert (await post(client, endpoint)).status == 200
        assert raw.connections == 2


async def test_a_good_connection_is_kept_and_one_that_says_close_is_not() -> None:
    close = GOOD.replace(b"content-type", b"connection: close\r\ncontent-type")
    async with talking([GOOD], [GOOD], [close, None], [GOOD]) as (raw, client, endpoint):
        for _ in range(4):
            assert (await post(client, endpoint)).body == b"{}"
        assert raw.connections == 2


async def test_an_answer_that_nobody_asked_for_is_given_to_nobody() -> None:
    forged = OK + b"content-length: 3\r\n\r\nbad"
    async with talking([GOOD + forged], [GOOD]) as (_, client, endpoint):
        assert (await post(client, endpoint)).body == b"{}"
        assert (await post(client, endpoint)).body == b"{}"


async def test_calls_past_the_limit_wait_for_a_connection() -> None:
    async with talking(*[[GOOD]] * 8) as (raw, client, endpoint):
        answers = await asyncio.gather(*(post(client, endpoint) for _ in range(8)))
        assert [it.status for it in answers] == [200] * 8
        assert raw.connections == 2


async def test_a_caller_who_leaves_while_waiting_takes_no_place() -> None:
    async with talking([b""], [b""], [GOOD]) as (_, client, endpoint):
        held = [asyncio.create_task(post(client, endpoint)) for _ in range(2)]
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(post(client, endpoint))
        await asyncio.sleep(0)
        for task in (waiting, *held):
            task.cancel()
        await asyncio.gather(waiting, *held, return_exceptions=True)
        assert (await post(client, endpoint)).status == 200


async def test_who_is_not_there_cannot_be_connected_to() -> None:
    async with talking() as (_, client, endpoint):
        pass
    client = HttpClient(
        connections_per_host_max=1, connect_timeout_s=5, keep_alive_s=30, answer_bytes_max=LIMIT_BYTES
    )
    with pytest.raises(ConnectFailed):
        await post(client, endpoint)
    client.close()
