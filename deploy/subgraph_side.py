"""The side towards subgraphs: the transport with what is kept of answers, with callbacks and certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.forgotten import by_neighbours, telling_by_events, told_by_events
from deploy.router_command import fail
from deploy.transports import http_transport

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from datastores.cache.port import Cache
    from datastores.events.redis import RedisEvents
    from deploy.settings import Settings
    from deploy.surroundings import Surroundings
    from router.config import RouterConfig
    from router.edge.invalidation import Tell
    from router.execution.answer_cache.cached import CachedTransport
    from router.execution.transport import SubgraphTransport
    from router.execution.transports.http import HttpTransport
    from router.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class SubgraphSide:
    """`transport` is what the router calls with. `routes` and `background` belong to its app."""

    transport: SubgraphTransport
    http: HttpTransport
    cached: CachedTransport | None
    routes: tuple[BaseRoute, ...]
    background: tuple[Callable[[], Awaitable[None]], ...]

    def take(self, snapshot: Snapshot) -> None:
        """Call the subgraphs where this snapshot says that they are, and read its hints and tags."""
        self.http.readdress(urls_of(snapshot))
        if self.cached is not None:
            self.cached.follow(snapshot.supergraph)


def subgraph_side(
    snapshot: Snapshot, config: RouterConfig, settings: Settings, around: Surroundings | None = None
) -> SubgraphSide:
    """The side as the settings have it; one clear line and exit code 1 where they cannot be used. `around` is
    where other workers of the same port are found."""
    key = settings.internal_key
    secret = key.get_secret_value().encode() if key else None
    events = _events(settings) if config.subgraphs.needs_events or _tells_others(config, settings) else None
    try:
        http = http_transport(urls_of(snapshot), secret, config, events)
    except (OSError, ssl.SSLError) as error:
        fail(f"a certificate file of `subgraphs` cannot be used: {error.strerror or error}")
    routes: list[BaseRoute] = []
    background: list[Callable[[], Awaitable[None]]] = [http.follow_certificates]
    if events is not None:
        background.append(lambda: _held_open(events))
    if http.callbacks is not None:
        from router.edge.callback_route import callback_route

        limit = max(one.subscriptions.event_bytes_max for one in config.subgraphs.each())
        routes.append(callback_route(http.callbacks, event_bytes_max=limit))
    if not config.subgraphs.keeps_answers:
        return SubgraphSide(http, http, None, tuple(routes), tuple(background))
    store = _store(settings)
    cached = _cached(http, store, snapshot, config)
    background.append(lambda: _held_open(store))
    others = []
    if events is not None:
        background.append(told_by_events(cached.cache, events, config, urls_of(snapshot)))
        others.append(telling_by_events(events))
    if around is not None:
        told, tell = by_neighbours(cached.cache, around)
        background.append(told)
        others.append(tell)
    routes += _invalidation(cached, settings, others)
    return SubgraphSide(cached, http, cached, tuple(routes), tuple(background))


def urls_of(snapshot: Snapshot) -> dict[str, str]:
    """Subgraph name → URL, as the supergraph names them."""
    return {one.name: one.url for one in snapshot.supergraph.subgraphs.values()}


def _store(settings: Settings) -> Cache:
    from datastores.cache.opening import open_cache
    from datastores.config import StoreUrlProblem

    given = settings.cache_url
    try:
        return open_cache(given.get_secret_value() if given else "memory://")
    except StoreUrlProblem as error:
        fail(f"`STADION_CACHE_URL`: {error}")


def _events(settings: Settings) -> RedisEvents:
    from datastores.events.redis import RedisEvents

    if settings.events_url is None:
        fail("subscriptions by events and `forget_on` need `STADION_EVENTS_URL`, where all events pass")
    return RedisEvents(settings.events_url.get_secret_value(), {})


def _cached(http: HttpTransport, store: Cache, snapshot: Snapshot, config: RouterConfig) -> CachedTransport:
    from router.execution.answer_cache.cached import AnswerCache, CachedTransport

    return CachedTransport(http, AnswerCache(store), snapshot.supergraph, config.subgraphs)


def _tells_others(config: RouterConfig, settings: Settings) -> bool:
    """Whether what this router is asked to forget is told to others on the event bus, and theirs heard."""
    return config.subgraphs.keeps_answers and settings.events_url is not None


def _invalidation(cached: CachedTransport, settings: Settings, others: Sequence[Tell]) -> list[BaseRoute]:
    from router.edge.invalidation import invalidation_route

    key = settings.cache_invalidation_key
    if key is None:
        return []
    try:
        return [invalidation_route(cached.cache, key=key.get_secret_value(), others=others)]
    except ValueError as error:
        fail(f"`STADION_CACHE_INVALIDATION_KEY`: {error}")


async def _held_open(store: Cache | RedisEvents) -> None:
    """The store, open as long as the app runs; while it cannot be had, nothing is kept."""
    from datastores.errors import StoreError

    while True:
        try:
            await store.open()
            break
        except StoreError:
            await asyncio.sleep(1)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await store.close()
