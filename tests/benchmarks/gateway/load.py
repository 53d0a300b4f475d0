"""A closed-loop HTTP load: N keep-alive connections, each sends its next request when its answer has come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools


@dataclass(slots=True)
class Outcome:
    """What one round of load saw. Latencies in seconds, in order of arrival."""

    latencies_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    elapsed_s: float = 0.0

    def percentile_ms(self, share: float) -> float:
        """The latency that `share` of the requests stay under, in milliseconds."""
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Client(asyncio.Protocol):
    """One connection of the load."""

    def __init__(
        self, feed: Callable[[], bytes | None], check: Callable[[bytes], str | None], out: Outcome
    ) -> None:
        self.feed, self.check, self.out = feed, check, out
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport = cast(asyncio.Transport, transport)
        self.send()

    def send(self) -> None:
        """Send the next request, or stop where the feed is dry."""
        request = self.feed()
        if request is None:
            self.transport.close()
            if not self.done.done():
                self.done.set_result(None)
            return
        self.parser = httptools.HttpResponseParser(self)
        self.body = bytearray()
        self.sent = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Check the answer, then go on."""
        self.out.latencies_s.append(time.perf_counter() - self.sent)
        wrong = self.check(bytes(self.body))
        if wrong:
            self.out.failures.append(wrong)
        asyncio.get_running_loop().call_soon(self.send)

    def connection_lost(self, exc: Exception | None) -> None:
        """A lost connection is a failure; the others go on."""
        if not self.done.done():
            self.out.failures.append(f"connection lost: {exc}")
            self.done.set_result(None)


async def run_load(
    port: int, bodies: Callable[[int], bytes], check: Callable[[bytes], str | None],
    *, seconds: float, connections: int, headers: Callable[[int], str], path: str = "/graphql",
) -> Outcome:  # fmt: skip
    """Load `path` for `seconds`; `bodies(i)` and `headers(i)` make the i-th request."""
    out = Outcome()
    start = time.perf_counter()
    counter = iter(range(1 << 62))

    def feed() -> bytes | None:
        if time.perf_counter() - start > seconds:
            return None
        i = next(counter)
        body = bodies(i)
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
            f"accept: application/json\r\ncontent-length: {len(body)}\r\n{headers(i)}\r\n"
        )
        return head.encode() + body

    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Client(feed, check, out), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(client.done for client in clients))
    out.elapsed_s = time.perf_counter() - start
    return out
