"""Memcached's text protocol on a few connections: exchanges in one go, and never half an answer left behind.

A connection whose exchange was broken off (an error, a time limit, a caller that left) is closed: the rest of
that answer would be read by the next caller as its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from datastores.cache.memcached_answers import Answer, Lines, Refused, Values
from datastores.deadlines import Deadlines
from datastores.errors import Unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MemcachedLimits:
    """Bounds of one client."""

    connections_max: int = 20
    connect_timeout_s: float = 2.0
    answer_timeout_s: float = 3.0


class Kept(NamedTuple):
    """What the server has under a key. `unique` changes with every write of it."""

    value: bytes
    unique: bytes


class MemcachedWire:
    """Connections to one server, made as they are needed and kept for the next exchange."""

    def __init__(self, host: str, port: int, limits: MemcachedLimits) -> None:
        self._host, self._port, self._limits = host, port, limits
        self._deadlines = Deadlines(limits.connect_timeout_s + limits.answer_timeout_s)
        self._idle: list[_Connection] = []
        self._turns = asyncio.Semaphore(limits.connections_max)

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """What is there of `keys`."""
        return await self._ask(b"get %b\r\n" % b" ".join(keys), Values)

    async def get_kept(self, key: bytes) -> Kept | None:
        """What is there of one key, with what tells its writes apart."""
        answer = Values(words=5)
        found = await self._ask(b"gets %b\r\n" % key, lambda: answer)
        return Kept(found[key], answer.uniques[key]) if key in found else None

    async def set(self, values: Mapping[bytes, bytes], *, ends_in_s: int) -> None:
        """Put all `values`. One that is too large for the server is not kept, nor what was there before."""
        head = b"set %b 0 %d %d\r\n%b\r\n"
        commands = [head % (key, ends_in_s, len(value), value) for key, value in values.items()]
        await self._ask(b"".join(commands), lambda: Lines(b"STORED", b"SERVER_ERROR", times=len(commands)))

    async def add(self, key: bytes, value: bytes, *, ends_in_s: int) -> bool:
        """Put `value` where nothing is; whether it was put."""
        command = b"add %b 0 %d %d\r\n%b\r\n" % (key, ends_in_s, len(value), value)
        return await self._ask(command, lambda: Lines(b"STORED", b"NOT_STORED"), again=False) == b"STORED"

    async def delete(self, keys: Sequence[bytes]) -> None:
        """Remove `keys`."""
        commands = b"".join(b"delete %b\r\n" % key for key in keys)
        await self._ask(commands, lambda: Lines(b"DELETED", b"NOT_FOUND", times=len(keys)))

    async def end_now(self, key: bytes, unique: bytes) -> bool:
        """Remove `key` where it is still what `unique` names; whether it was."""
        # A time in the past: the value that takes the place of the old one has ended already.
        command = b"cas %b 0 -1 0 %b\r\n\r\n" % (key, unique)
        told = await self._ask(command, lambda: Lines(b"STORED", b"EXISTS", b"NOT_FOUND"), again=False)
        return told == b"STORED"

    async def version(self) -> bytes:
        """The server's version: a question that always has an answer."""
        return (await self._ask(b"version\r\n", lambda: Lines(b"VERSION"))).removeprefix(b"VERSION ")

    async def close(self) -> None:
        """Close the idle connections; one that is in use closes when its exchange ends."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        for connection in idle:
            await connection.gone

    async def _ask(self, request: bytes, answer: Callable[[], Answer[T]], *, again: bool = True) -> T:
        """What `answer` makes of what comes after `request`; asked `again`, once, where a kept connection had
        ended.

        Errors: Unavailable.
        """
        try:
            with self._deadlines:
                await self._turns.acquire()
                try:
                    kept = self._kept_connection()
                    if kept is not None:
                        try:
                            return await self._exchange(kept, request, answer())
                        except (OSError, EOFError):
                            if not again:
                                raise
                    return await self._exchange(await self._new_connection(), request, answer())
                finally:
                    self._turns.release()
        except (OSError, EOFError, Refused) as error:
            why = type(error).__name__ if not isinstance(error, Refused) else "it refuses a command"
            raise Unavailable(f"Memcached at `{self._host}:{self._port}` is unavailable: {why}") from None

    async def _exchange(self, connection: _Connection, request: bytes, answer: Answer[T]) -> T:
        try:
            await connection.asked(request, answer)
        except BaseException:
            connection.abort()
            raise
        self._idle.append(connection)
        return answer.told

    def _kept_connection(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.gone.done():
                return connection
        return None

    async def _new_connection(self) -> _Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._limits.connect_timeout_s):
            _, made = await loop.create_connection(_Connection, self._host, self._port)
            return made


class _Connection(asyncio.Protocol):
    """One connection. The answer is taken in where it arrives, without a stream between: that would wake its
    reader for each part of it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._transport: Any = None
        self._answer: Answer[Any] | None = None
        self._whole: asyncio.Future[None] | None = None

    def asked(self, request: bytes, answer: Answer[Any]) -> asyncio.Future[None]:
        """Send; done when `answer` is whole.  Errors: OSError, EOFError, Refused: then it is of no use any
        more, as where who waits is cancelled."""
        self._whole = whole = self._loop.create_future()
        self._answer = answer
        self._transport.write(request)
        return whole

    def close(self) -> None:
        """End it in order."""
        self._transport.close()

    def abort(self) -> None:
        """End it at once, with what has not been read."""
        self._answer = None
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio's protocols have it."""
        self._transport = transport

    def data_received(self, content: bytes) -> None:
        """As asyncio's protocols have it. What comes unasked is of no exchange, and ends the connection."""
        answer, whole = self._answer, self._whole
        if answer is None or whole is None:
            return self.abort()
        try:
            is_whole = answer.take(content)
        except Refused as error:
            self._answer = None
            if not whole.done():
                whole.set_exception(error)
            return None
        if is_whole:
            self._answer = None
            if not whole.done():
                whole.set_result(None)
        return None

    def connection_lost(self, error: Exception | None) -> None:
        """As asyncio's protocols have it."""
        if not self.gone.done():
            self.gone.set_result(None)
        if self._whole is not None and not self._whole.done():
            self._whole.set_exception(error or EOFError())
