"""The Redis cache, on one server or a cluster: a key an entry, the end kept by the server itself."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datastores.cache.entries import Entry, values_of
from datastores.errors import Unavailable
from datastores.redis_client import RedisLimits, RedisTurns, is_cluster, place_of, redis_client

# Gives a claim back only where it is still ours: the lease may have passed to another process.
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisEntries:
    """`Entries` on Redis. Every key carries `prefix`, so that one server serves several deployments.

    Commands are given as words: the driver's own functions for them look at options that no command here has.
    """

    def __init__(
        self, url: str, *, prefix: str = "stadion:cache:", limits: RedisLimits | None = None
    ) -> None:
        limits = limits or RedisLimits()
        redis_client(url, limits)  # a URL that cannot be used is told of now, not at the first request
        self._url = url
        self._prefix = prefix
        self._limits = limits
        self._place = place_of(url)
        self._turns = RedisTurns(self._place, self._limits)
        self._is_cluster = is_cluster(url)
        self._client: Any = None

    async def open(self) -> None:
        """Connect and ask for an answer; raises Unavailable."""
        if self._client is not None:
            return
        self._client = redis_client(self._url, self._limits)
        try:
            await self.ready()
        except BaseException:
            await self.close()
            raise

    async def ready(self) -> None:
        """Raise Unavailable where the server does not answer a ping."""
        await self._turns.take(self._connected().ping)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def read(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """The entries that are there, in one round trip a server."""
        contents = zip(keys, await self._contents(keys), strict=True)
        found = ((key, Entry.unpacked(content)) for key, content in contents if content is not None)
        return {key: entry for key, entry in found if entry is not None}

    async def read_values(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """The values of the same entries."""
        return values_of(zip(keys, await self._contents(keys), strict=True))

    async def write(self, entries: Mapping[str, Entry], *, ttl_s: float) -> None:
        """Put `entries`, for `ttl_s` by the server's clock, to the millisecond."""
        prefix, ends_in_ms = self._prefix, max(1, int(ttl_s * 1000))
        await self._piped(
            ("SET", prefix + key, entry.packed(), "PX", ends_in_ms) for key, entry in entries.items()
        )

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove `keys`."""
        await self._piped(("DEL", self._prefix + key) for key in keys)

    async def claim(self, key: str, *, lease_s: float) -> str | None:
        """The right to make `key`, for `lease_s` at most; None where somebody else has it."""
        client, token = self._connected(), secrets.token_hex(16)
        name, lease_ms = self._claim_of(key), int(lease_s * 1000)
        claimed = await self._turns.take(lambda: client.set(name, token, nx=True, px=lease_ms))
        return token if claimed else None

    async def release(self, key: str, token: str) -> None:
        """Give the right back where it is still ours."""
        client = self._connected()
        await self._turns.take(lambda: client.eval(_RELEASE, 1, self._claim_of(key), token))

    async def _contents(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        client, prefix = self._connected(), self._prefix
        names = [prefix + key for key in keys]
        if len(names) == 1:
            return [await self._turns.take(lambda: client.execute_command("GET", names[0]))]
        if self._is_cluster:
            # Single GETs in a pipeline, not MGET: in a cluster the keys lie on different servers.
            return await self._piped(("GET", name) for name in names)
        contents: list[bytes | None] = await self._turns.take(lambda: client.execute_command("MGET", *names))
        return contents

    async def _piped(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        """The answers to `commands`, sent together."""
        pipeline = self._connected().pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = await self._turns.take(pipeline.execute)
        return answers

    def _claim_of(self, key: str) -> str:
        return f"{self._prefix}claim:{key}"

    def _connected(self) -> Any:
        if self._client is None:
            raise Unavailable(f"the cache at {self._place} is not open")
        return self._client
