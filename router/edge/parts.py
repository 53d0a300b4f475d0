"""What every endpoint of the edge works with; one value an app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from router.config import RouterConfig
from router.edge.addresses import Addresses
from router.edge.credentials import Credentials
from router.edge.door import Door
from router.edge.drain import Drain
from router.edge.feeds import Feeds
from router.edge.persisted import PersistedDocuments, Registered
from router.edge.possession import Possessions
from router.edge.rate import Rate, SharedRates
from router.edge.sharing import SharedQueries
from router.edge.streams import Watch
from router.pipeline import Router
from router.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The router and what guards it."""

    router: Router
    credentials: Credentials
    drain: Drain
    door: Door
    shared: SharedQueries
    watch: Watch
    feeds: Feeds
    persisted: PersistedDocuments

    @property
    def config(self) -> RouterConfig:
        """The settings."""
        return self.router.config


def parts_of(
    router: Router,
    credentials: Credentials | None,
    drain: Drain | None,
    registered: Registered | Mapping[str, str],
    rates: SharedRates | None = None,
) -> Parts:
    """The parts as the router's settings ask for them."""
    config = router.config
    credentials = credentials or Credentials()
    drain = drain or Drain(
        in_flight_max=config.http.in_flight_max,
        streams_max=config.streams.connections_max,
        streams_per_caller_max=config.streams.per_caller_max,
    )
    watch = Watch(credentials, drain)

    async def keep_valid(graph: Snapshot) -> None:
        await watch.keep_valid(lambda request: router.read(request, graph))

    router.on_taken = (*router.on_taken, keep_valid)
    return Parts(
        router=router,
        credentials=credentials,
        drain=drain,
        watch=watch,
        feeds=Feeds(watch, config.streams, shared=config.shared_queries),
        door=Door(
            config,
            credentials,
            Addresses(config.proxies),
            Rate(config.rate, shared=rates),
            Possessions(config.public_urls, shared=rates, nonces=config.proof_nonces, clock=credentials.now),
        ),
        # what a subgraph tells one caller in a header is no other's to get
        shared=SharedQueries(on=config.shared_queries and not config.subgraphs.returns_personal),
        persisted=PersistedDocuments(
            config.persisted, registered, entries_max=config.caches.persisted_documents_max
        ),
    )
