"""One way to reach Redis, for the cache and the events: bounds, retries with jitter, typed errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from redis import exceptions
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import FullJitterBackoff

from datastores.config import StoreUrlProblem
from datastores.deadlines import Deadlines
from datastores.errors import Unavailable

T = TypeVar("T")
_REFUSALS = ("MISCONF", "LOADING", "MASTERDOWN", "NOREPLICAS", "OOM", "READONLY")
_UNAVAILABLE = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ClusterError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    OSError,
    TimeoutError,
)
_DRIVER_ERRORS = (*_UNAVAILABLE, exceptions.ResponseError)


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
    options.pop("cluster", None)
    bare = urlunsplit(parts._replace(query=urlencode(options, doseq=True)))
    backoff = FullJitterBackoff(cap=limits.backoff_max_s, base=limits.backoff_first_s)
    settings: dict[str, Any] = {
        "socket_connect_timeout": limits.connect_timeout_s,
        "socket_timeout": limits.answer_timeout_s,
        "max_connections": limits.connections_max,
        "retry": Retry(backoff, limits.retries_max),
    }
    try:
        if is_cluster(url):
            return RedisCluster.from_url(bare, **settings)
        return Redis.from_url(bare, **settings)
    except (ValueError, TypeError):
        raise StoreUrlProblem("the Redis URL has a part that is not understood") from None


def is_cluster(url: str) -> bool:
    """Whether the URL names a cluster: keys of one call then lie on several servers."""
    return parse_qs(urlsplit(url).query).get("cluster", ["false"])[-1] == "true"


def place_of(url: str) -> str:
    """Host and port, for messages: never the password."""
    parts = urlsplit(url)
    return f"`{parts.hostname}:{parts.port or 6379}`"


class RedisTurns:
    """Lets as many through at once as there are connections; the driver would refuse the others."""

    def __init__(self, place: str, limits: RedisLimits) -> None:
        self._place = place
        self._deadlines = Deadlines(limits.turn_timeout_s)
        self._turns = asyncio.Semaphore(limits.connections_max)

    async def take(self, exchange: Callable[[], Awaitable[T]]) -> T:
        """What `exchange` gives, in a turn of its own, the wait for it included.  Errors: Unavailable."""
        try:
            with self._deadlines:
                async with self._turns:
                    return await exchange()
        except _DRIVER_ERRORS as error:
            raise _translated(error, self._place) from None


@contextmanager
def unavailable_where_redis_is(place: str) -> Iterator[None]:
    """Turns what the driver says of a server that is away, starting, full or read-only into Unavailable."""
    try:
        yield
    except _DRIVER_ERRORS as error:
        raise _translated(error, place) from None


def _translated(error: Exception, place: str) -> Exception:
    if isinstance(error, _UNAVAILABLE):
        return Unavailable(f"Redis at {place} is unavailable: {type(error).__name__}")
    told = _told_by_redis(error)
    if told.startswith(_REFUSALS):
        return Unavailable(f"Redis at {place} refuses: {told.split()[0]}")
    return exceptions.ResponseError(told)


def _told_by_redis(error: Exception) -> str:
    """What Redis itself said: of a pipeline the driver puts the command in front, with the values in it."""
    return str(error).rpartition(" of pipeline caused error: ")[2].lstrip("(\"'")
