"""Drain: counts requests and streams under way, and lets them end when the process is asked to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from router.errors import ClientError


class _Request:
    """The block of any one request; it holds nothing of it, so there is one for all."""

    __slots__ = ("_drain", "_in_flight_max")

    def __init__(self, drain: Drain, in_flight_max: int) -> None:
        self._drain = drain
        self._in_flight_max = in_flight_max

    def __enter__(self) -> None:
        if self._drain.in_flight >= self._in_flight_max:
            raise overloaded()
        self._drain.in_flight += 1

    def __exit__(self, *_: object) -> None:
        self._drain.in_flight -= 1


class Drain:
    """The router's own lifetime, as its requests see it. One an app."""

    def __init__(self, *, in_flight_max: int, streams_max: int, streams_per_caller_max: int = 0) -> None:
        self.in_flight = 0
        self.streams = 0
        self._streams_by_caller: dict[str, int] = {}
        self._streams_per_caller_max = streams_per_caller_max
        self._request = _Request(self, in_flight_max)
        self._in_flight_max = in_flight_max
        self._streams_max = streams_max
        self._stopping = asyncio.Event()
        self._on_stop: list[Callable[[], None]] = []

    @property
    def stopping(self) -> bool:
        """Whether new work should go elsewhere."""
        return self._stopping.is_set()

    @property
    def full(self) -> bool:
        """Whether one request more would be refused now. Open streams do not count: they may stay long."""
        return self.in_flight >= self._in_flight_max

    def stop(self) -> None:
        """Turn readiness off and end all streams; requests under way finish. Once is enough."""
        if self.stopping:
            return
        self._stopping.set()
        for call in self._on_stop:
            call()

    def on_stop(self, call: Callable[[], None]) -> None:
        """Have `call` called when the router stops."""
        self._on_stop.append(call)

    async def stopped(self) -> None:
        """Return once `stop` was called."""
        await self._stopping.wait()

    def request(self) -> _Request:
        """One request under way. Errors: SERVICE_OVERLOADED past the limit, before any work."""
        return self._request

    @contextmanager
    def stream(self, caller: str | None = None) -> Iterator[None]:
        """One stream or connection that stays open; `caller` is whose it is.

        Errors: SERVICE_OVERLOADED past the limit for all, RATE_LIMITED past the one for a caller.
        """
        if self.streams >= self._streams_max or self.stopping:
            raise overloaded()
        with self.own(caller):
            self.streams += 1
            try:
                yield
            finally:
                self.streams -= 1

    @contextmanager
    def own(self, caller: str | None) -> Iterator[None]:
        """One stream or connection of one caller. Errors: RATE_LIMITED."""
        most, by_caller = self._streams_per_caller_max, self._streams_by_caller
        if caller is None or not most:
            yield
            return
        if by_caller.get(caller, 0) >= most:
            raise ClientError(f"at most {most} streams may be open at a time", code="RATE_LIMITED")
        by_caller[caller] = by_caller.get(caller, 0) + 1
        try:
            yield
        finally:
            by_caller[caller] -= 1
            if not by_caller[caller]:
                del by_caller[caller]


def overloaded() -> ClientError:
    """The refusal of work that would make all work slow."""
    return ClientError("the router is at its limit; retry later", code="SERVICE_OVERLOADED")
