"""One way to reach Redis, for the cache and the events: bounds, retries with jitter, typed errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from redis import exceptions
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import FullJitterBackoff

from datastores.config import StoreUrlProblem
from datastores.errors import Unavailable

_REFUSALS = ("MISCONF", "LOADING", "MASTERDOWN", "NOREPLICAS", "OOM", "READONLY")


@dataclass(frozen=True, slots=True)
class RedisLimits:
    """Bounds of one client."""

    connections_max: int = 20
    connect_timeout_s: float = 2.0
    answer_timeout_s: float = 3.0
    turn_timeout_s: float = 10.0
    retries_max: int = 2
    backoff_first_s: float = 0.01
    backoff_max_s: float = 0.2


def redis_client(url: str, limits: RedisLimits) -> Any:
    """A client for `redis://` or `rediss://`; `?cluster=true` speaks to a cluster.

    Typed Any: the driver's own types tell the synchronous and the asynchronous answers not apart.
    Errors: StoreUrlProblem.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise StoreUrlProblem("a Redis URL looks like `redis://:password@host:6379/0` or `rediss://…`")
    options = parse_qs(parts.query)
    is_cluster = options.pop("cluster", ["false"])[-1] == "true"
    bare = urlunsplit(parts._replace(query=urlencode(options, doseq=True)))
    backoff = FullJitterBackoff(cap=limits.backoff_max_s, base=limits.backoff_first_s)
    settings: dict[str, Any] = {
        "socket_connect_timeout": limits.connect_timeout_s,
        "socket_timeout": limits.answer_timeout_s,
        "max_connections": limits.connections_max,
        "retry": Retry(backoff, limits.retries_max),
    }
    try:
        if is_cluster:
            return RedisCluster.from_url(bare, **settings)
        return Redis.from_url(bare, **settings)
    except (ValueError, TypeError):
        raise StoreUrlProblem("the Redis URL has a part that is not understood") from None


def place_of(url: str) -> str:
    """Host and port, for messages: never the password."""
    parts = urlsplit(url)
    return f"`{parts.hostname}:{parts.port or 6379}`"


class RedisTurns:
    """Lets as many through at once as there are connections; the driver would refuse the others."""

    def __init__(self, place: str, limits: RedisLimits) -> None:
        self._place = place
        self._timeout_s = limits.turn_timeout_s
        self._turns = asyncio.Semaphore(limits.connections_max)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One exchange with the server, its wait included. Errors: Unavailable."""
        with unavailable_where_redis_is(self._place):
            async with asyncio.timeout(self._timeout_s), self._turns:
                yield


@contextmanager
def unavailable_where_redis_is(place: str) -> Iterator[None]:
    """Turns what the driver says of a server that is away, starting, full or read-only into Unavailable."""
    away = (
        exceptions.ConnectionError,
        exceptions.TimeoutError,
        exceptions.ClusterError,
        OSError,
        TimeoutError,
    )
    full = (exceptions.OutOfMemoryError, exceptions.ReadOnlyError, exceptions.ClusterDownError)
    try:
        yield
    except (*away, *full) as error:
        raise Unavailable(f"Redis at {place} is unavailable: {type(error).__name__}") from None
    except exceptions.ResponseError as error:
        told = _told_by_redis(error)
        if told.startswith(_REFUSALS):
            raise Unavailable(f"Redis at {place} refuses: {told.split()[0]}") from None
        raise exceptions.ResponseError(told) from None


def _told_by_redis(error: Exception) -> str:
    """What Redis itself said: of a pipeline the driver puts the command in front, with the values in it."""
    return str(error).rpartition(" of pipeline caused error: ")[2].lstrip("(\"'")
