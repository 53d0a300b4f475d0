"""What is measured of calls to subgraphs: names that router users know. Nothing here tells of a person."""

from __future__ import annotations

from typing import Final

from router.telemetry import instruments

SERVICE: Final = "subgraph.name"
"""The label that names the subgraph."""

call_duration_s = instruments.distribution(
    "http.client.request.duration",
    "one call to a subgraph, its retries included",
    unit="s",
    labels=(SERVICE,),
)
retries_count = instruments.counter(
    "stadion.router.subgraph.retries", "queries sent once more", labels=(SERVICE, "reason")
)
breaker_state = instruments.level(
    "stadion.router.circuit_breaker.state", "0 closed, 1 half-open, 2 open", labels=(SERVICE,)
)
refused_count = instruments.counter(
    "stadion.router.circuit_breaker.short_circuits",
    "calls not made because the breaker was open",
    labels=(SERVICE,),
)
shared_fetches_count = instruments.counter(
    "stadion.router.subgraph.shared_fetches", "fetches that had another one's answer", labels=(SERVICE,)
)
shared_streams_count = instruments.counter(
    "stadion.router.subgraph.shared_subscriptions",
    "subscriptions that joined another's stream",
    labels=(SERVICE,),
)
