"""The Memcached cache: within its limits of 250 bytes a key, 1 MB a value, 30 days, and whole seconds."""

from __future__ import annotations

import hashlib
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from datastores.cache.entries import Entry
from datastores.cache.memcached_wire import MemcachedLimits, MemcachedWire
from datastores.cache.port import TTL_S_MAX
from datastores.config import StoreUrlProblem
from datastores.errors import Unavailable

_KEYS_PER_EXCHANGE = 200
_WRITE_BYTES_MAX = 4 * 1_048_576
_PORT = 11_211


class MemcachedEntries:
    """`Entries` on a Memcached server. `prefix` parts the deployments that share it.

    Keys are hashed: Memcached takes neither spaces nor more than 250 bytes. The server's clock ticks in
    seconds, so that each entry's own end, to the millisecond, decides. A value of just 1 MiB is more than
    the server takes with its head, and is not kept.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "stadion:cache:",
        limits: MemcachedLimits | None = None,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._host, self._port = _place(url)
        self._prefix = prefix
        self._limits = limits or MemcachedLimits()
        self._clock_s = clock_s
        self._wire: MemcachedWire | None = None

    async def open(self) -> None:
        """Connect and ask for an answer; raises Unavailable."""
        if self._wire is not None:
            return
        self._wire = MemcachedWire(self._host, self._port, self._limits)
        try:
            await self.ready()
        except BaseException:
            await self.close()
            raise

    async def ready(self) -> None:
        """Raise Unavailable where the server does not answer."""
        await self._connected().version()

    async def close(self) -> None:
        """Close the connections."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()

    async def read(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """The entries that are there and have not ended."""
        wire, now_s = self._connected(), self._clock_s()
        if len(keys) == 1:
            content = (await wire.get((name := self._name(keys[0]),))).get(name)
            entry = None if content is None else Entry.unpacked(content)
            return {keys[0]: entry} if entry is not None and entry.expires_at_s > now_s else {}
        by_name = {self._name(key): key for key in keys}
        found = {}
        for some in _portions(list(by_name)):
            for name, content in (await wire.get(some)).items():
                entry = Entry.unpacked(content)
                if entry is not None and entry.expires_at_s > now_s:
                    found[by_name[name]] = entry
        return found

    async def read_values(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """The values of the same entries."""
        return {key: entry.value for key, entry in (await self.read(keys)).items()}

    async def write(self, entries: Mapping[str, Entry], *, ttl_s: float) -> None:
        """Put `entries`; the server forgets them at the second after their end."""
        wire = self._connected()
        ends_in_s = min(math.ceil(ttl_s) + 1, TTL_S_MAX)
        some: dict[bytes, bytes] = {}
        size_bytes = 0
        for key, entry in entries.items():
            some[self._name(key)] = entry.packed()
            size_bytes += len(entry.value)
            if len(some) == _KEYS_PER_EXCHANGE or size_bytes > _WRITE_BYTES_MAX:
                await wire.set(some, ends_in_s=ends_in_s)
                some, size_bytes = {}, 0
        if some:
            await wire.set(some, ends_in_s=ends_in_s)

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove `keys`."""
        for some in _portions([self._name(key) for key in keys]):
            await self._connected().delete(some)

    async def claim(self, key: str, *, lease_s: float) -> str | None:
        """The right to make `key`, for `lease_s` rounded up to seconds; None where somebody else has it."""
        token = secrets.token_hex(16)
        ends_in_s = min(math.ceil(lease_s) + 1, TTL_S_MAX)
        claimed = await self._connected().add(self._claim_of(key), token.encode(), ends_in_s=ends_in_s)
        return token if claimed else None

    async def release(self, key: str, token: str) -> None:
        """Give the right back where it is still ours."""
        wire, name = self._connected(), self._claim_of(key)
        kept = await wire.get_kept(name)
        if kept is not None and kept.value == token.encode():
            await wire.end_now(name, kept.unique)

    def _name(self, key: str) -> bytes:
        return hashlib.sha256(f"{self._prefix}{key}".encode()).hexdigest().encode()

    def _claim_of(self, key: str) -> bytes:
        return b"claim:" + self._name(key)

    def _connected(self) -> MemcachedWire:
        if self._wire is None:
            raise Unavailable(f"the cache at `{self._host}:{self._port}` is not open")
        return self._wire


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port or _PORT
    except ValueError:
        port = 0
    plain = not parts.username and not parts.query and parts.path in ("", "/")
    if parts.scheme != "memcached" or not parts.hostname or not port or not plain:
        raise StoreUrlProblem("a Memcached URL looks like `memcached://host:11211`")
    return parts.hostname, port


def _portions(names: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [names[at : at + _KEYS_PER_EXCHANGE] for at in range(0, len(names), _KEYS_PER_EXCHANGE)]
