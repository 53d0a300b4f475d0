"""The Redis cache, on one server or a cluster: a key an entry, the end kept by the server itself."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from datastores.cache.entries import Entry
from datastores.errors import Unavailable
from datastores.redis_client import RedisLimits, RedisTurns, place_of, redis_client

# Gives a claim back only where it is still ours: the lease may have passed to another process.
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisEntries:
    """`Entries` on Redis. Every key carries `prefix`, so that one server serves several deployments."""

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
        async with self._turns.turn():
            await self._connected().ping()

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def read(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """The entries that are there, in one round trip a server."""
        async with self._turns.turn():
            client = self._connected()
            if len(keys) == 1:  # a pipeline takes half as long again
                contents = [await client.get(self._prefix + keys[0])]
            else:
                # Single GETs in a pipeline, not MGET: in a cluster the keys lie on different servers.
                pipeline = client.pipeline(transaction=False)
                for key in keys:
                    pipeline.get(self._prefix + key)
                contents = await pipeline.execute()
        found = {}
        for key, content in zip(keys, contents, strict=True):
            entry = None if content is None else Entry.unpacked(content)
            if entry is not None:
                found[key] = entry
        return found

    async def write(self, entries: Mapping[str, Entry], *, ttl_s: float) -> None:
        """Put `entries`, for `ttl_s` by the server's clock, to the millisecond."""
        async with self._turns.turn():
            pipeline = self._connected().pipeline(transaction=False)
            for key, entry in entries.items():
                pipeline.set(self._prefix + key, entry.packed(), px=max(1, int(ttl_s * 1000)))
            await pipeline.execute()

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove `keys`."""
        async with self._turns.turn():
            pipeline = self._connected().pipeline(transaction=False)
            for key in keys:
                pipeline.delete(self._prefix + key)
            await pipeline.execute()

    async def claim(self, key: str, *, lease_s: float) -> str | None:
        """The right to make `key`, for `lease_s` at most; None where somebody else has it."""
        token = secrets.token_hex(16)
        async with self._turns.turn():
            claimed = await self._connected().set(self._claim_of(key), token, nx=True, px=int(lease_s * 1000))
        return token if claimed else None

    async def release(self, key: str, token: str) -> None:
        """Give the right back where it is still ours."""
        async with self._turns.turn():
            await self._connected().eval(_RELEASE, 1, self._claim_of(key), token)

    def _claim_of(self, key: str) -> str:
        return f"{self._prefix}claim:{key}"

    def _connected(self) -> Any:
        if self._client is None:
            raise Unavailable(f"the cache at {self._place} is not open")
        return self._client
