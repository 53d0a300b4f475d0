"""Chooses the cache by URL: `memory://`, `redis://…` or `memcached://…`."""

from __future__ import annotations

from urllib.parse import urlsplit

from datastores.cache.memory import MemoryEntries
from datastores.cache.port import Cache
from datastores.cache.single_flight import SharedCache
from datastores.config import StoreUrlProblem


def open_cache(url: str) -> Cache:
    """The cache for `url`, not yet open: `memory://`, `redis://:password@host:6379/0`, `rediss://…`;
    `?cluster=true` for a Redis cluster; `memcached://host:11211`.

    Errors: StoreUrlProblem, which never repeats the password.
    """
    scheme = urlsplit(url).scheme
    if scheme == "memory":
        return SharedCache(MemoryEntries())
    if scheme in ("redis", "rediss"):
        from datastores.cache.redis import RedisEntries

        return SharedCache(RedisEntries(url))
    if scheme == "memcached":
        from datastores.cache.memcached import MemcachedEntries

        return SharedCache(MemcachedEntries(url))
    raise StoreUrlProblem(
        f"no cache for `{scheme}://`: use `memory://`, `redis://…`, `rediss://…` or `memcached://…`"
    )
