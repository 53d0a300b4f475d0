"""Clients that ask without a pause, while something changes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp


class Load:
    """Clients that ask without a pause; `answers` is what they were told, `failures` what went wrong."""

    def __init__(
        self,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        keep: bool = True,
        query: Callable[[int], str] = lambda number: f"{{ hello(n: {number}) }}",
        token: str = "",
    ) -> None:
        self.url = url
        self._query = query
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self.answers: list[Any] = []
        self.failures: list[Any] = []
        self._tls = tls
        self._keep = keep
        self._stop = False
        self._tasks: list[asyncio.Task[None]] = []

    async def end(self) -> None:
        """Send nothing more; what is under way is answered first."""
        self._stop = True
        await asyncio.gather(*self._tasks)

    @asynccontextmanager
    async def running(self, clients: int = 8) -> AsyncIterator[Load]:
        connector = aiohttp.TCPConnector(force_close=not self._keep, limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            self._tasks = [asyncio.create_task(self._ask(http, number)) for number in range(clients)]
            try:
                yield self
            finally:
                await self.end()

    async def _ask(self, http: aiohttp.ClientSession, client: int) -> None:
        count = 0
        while not self._stop:
            count += 1
            query = {"query": self._query(client * 1_000_000 + count)}
            try:
                async with http.post(
                    self.url, json=query, headers=self._headers, ssl=self._tls or True
                ) as answer:
                    body = await answer.json()
                if "errors" in body:
                    self.failures.append(body)
                else:
                    self.answers.extend(body["data"].values())
            except aiohttp.ClientError as error:
                self.failures.append(error)

    async def until(self, count: int, found: Callable[[Any], bool] = lambda _: True) -> None:
        """Wait for so many further answers."""
        begin = len(self.answers)
        while sum(map(found, self.answers[begin:])) < count:
            assert not self.failures, self.failures[0]
            await asyncio.sleep(0.005)
