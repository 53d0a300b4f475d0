"""Memcached's text protocol on a few connections: exchanges in one go, and never half an answer left behind.

A connection whose exchange was broken off (an error, a time limit, a caller that left) is closed: the rest of
that answer would be read by the next caller as its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from datastores.errors import Unavailable

T = TypeVar("T")
Answer = Callable[[asyncio.StreamReader], Awaitable[T]]
# The longest line that a server sends is an answer's head with the key.
_LINE_BYTES_MAX = 2_048
_READ_BYTES = 256 * 1024


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


class Connection(NamedTuple):
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class MemcachedWire:
    """Connections to one server, made as they are needed and kept for the next exchange."""

    def __init__(self, host: str, port: int, limits: MemcachedLimits) -> None:
        self._host, self._port, self._limits = host, port, limits
        self._idle: list[Connection] = []
        self._turns = asyncio.Semaphore(limits.connections_max)

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, Kept]:
        """What is there of `keys`."""
        return await self._ask(b"gets " + b" ".join(keys) + b"\r\n", _values)

    async def set(self, values: Mapping[bytes, bytes], *, ends_in_s: int) -> None:
        """Put all `values`. One that is too large for the server is not kept, nor what was there before."""
        head = b"set %b 0 %d %d\r\n%b\r\n"
        commands = [head % (key, ends_in_s, len(value), value) for key, value in values.items()]
        await self._ask(b"".join(commands), _one_of(b"STORED", b"SERVER_ERROR", times=len(commands)))

    async def add(self, key: bytes, value: bytes, *, ends_in_s: int) -> bool:
        """Put `value` where nothing is; whether it was put."""
        command = b"add %b 0 %d %d\r\n%b\r\n" % (key, ends_in_s, len(value), value)
        return await self._ask(command, _one_of(b"STORED", b"NOT_STORED"), again=False) == b"STORED"

    async def delete(self, keys: Sequence[bytes]) -> None:
        """Remove `keys`."""
        commands = b"".join(b"delete %b\r\n" % key for key in keys)
        await self._ask(commands, _one_of(b"DELETED", b"NOT_FOUND", times=len(keys)))

    async def end_now(self, key: bytes, unique: bytes) -> bool:
        """Remove `key` where it is still what `unique` names; whether it was."""
        # A time in the past: the value that takes the place of the old one has ended already.
        command = b"cas %b 0 -1 0 %b\r\n\r\n" % (key, unique)
        answer = _one_of(b"STORED", b"EXISTS", b"NOT_FOUND")
        return await self._ask(command, answer, again=False) == b"STORED"

    async def version(self) -> bytes:
        """The server's version: a question that always has an answer."""
        return (await self._ask(b"version\r\n", _one_of(b"VERSION"))).removeprefix(b"VERSION ")

    async def close(self) -> None:
        """Close the idle connections; one that is in use closes when its exchange ends."""
        while self._idle:
            writer = self._idle.pop().writer
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                continue  # it was gone already

    async def _ask(self, request: bytes, answer: Answer[T], *, again: bool = True) -> T:
        """What `answer` reads after `request`; asked `again`, once, where a kept connection had ended.

        Errors: Unavailable.
        """
        with self._unavailable():
            async with asyncio.timeout(self._limits.connect_timeout_s + self._limits.answer_timeout_s):
                async with self._turns:
                    kept = self._kept_connection()
                    if kept is not None:
                        try:
                            return await self._exchange(kept, request, answer)
                        except (OSError, EOFError):
                            if not again:
                                raise
                    return await self._exchange(await self._new_connection(), request, answer)

    async def _exchange(self, connection: Connection, request: bytes, answer: Answer[T]) -> T:
        try:
            connection.writer.write(request)
            told = await answer(connection.reader)
        except BaseException:
            connection.writer.transport.abort()
            raise
        self._idle.append(connection)
        return told

    def _kept_connection(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.transport.abort()
        return None

    async def _new_connection(self) -> Connection:
        async with asyncio.timeout(self._limits.connect_timeout_s):
            opening = asyncio.open_connection(self._host, self._port, limit=_READ_BYTES)
            return Connection(*await opening)

    @contextmanager
    def _unavailable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, _Refused) as error:
            why = type(error).__name__ if not isinstance(error, _Refused) else "it refuses a command"
            raise Unavailable(f"Memcached at `{self._host}:{self._port}` is unavailable: {why}") from None


class _Refused(Exception):
    """An answer that no command of ours has; its text may hold a key and is told to nobody."""


async def _line(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readuntil(b"\r\n")
    return line[:-2]


async def _values(reader: asyncio.StreamReader) -> Mapping[bytes, Kept]:
    """The answer to `gets`, taken in as it comes: two waits a value would cost more than the values."""
    found: dict[bytes, Kept] = {}
    held, at = b"", 0
    while True:
        end = held.find(b"\r\n", at)
        if end < 0:
            if len(held) - at > _LINE_BYTES_MAX:
                raise _Refused
            held, at = held[at:] + await _more(reader), 0
            continue
        if held[at:end] == b"END":
            if end + 2 != len(held):
                raise _Refused
            return found
        words = held[at:end].split(b" ")
        if len(words) != 5 or words[0] != b"VALUE" or not words[3].isdigit():
            raise _Refused
        start, stop = end + 2, end + 2 + int(words[3])
        if len(held) < stop + 2:
            missing = stop + 2 - len(held)
            held += await reader.readexactly(missing)
        found[words[1]] = Kept(held[start:stop], words[4])
        at = stop + 2


async def _more(reader: asyncio.StreamReader) -> bytes:
    content = await reader.read(_READ_BYTES)
    if not content:
        raise EOFError
    return content


def _one_of(*expected: bytes, times: int = 1) -> Answer[bytes]:
    """Reads `times` lines that each begin with one of `expected`; the last of them."""

    async def read(reader: asyncio.StreamReader) -> bytes:
        line = b""
        for _ in range(times):
            line = await _line(reader)
            if line.split(b" ", 1)[0] not in expected:
                raise _Refused
        return line

    return read
