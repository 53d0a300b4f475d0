"""What stands around a router's app: the port for metrics, the way of traces, rates shared with others."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.telemetry import send_traces, serve_metrics

if TYPE_CHECKING:
    from socket import socket

    from deploy.settings import Settings
    from deploy.shared_rates import RedisRates
    from router.admission import TelemetryConfig
    from router.config import RouterConfig
    from router.execution.transport import SubgraphTransport
    from router.execution.transports.callbacks import Callbacks
    from router.execution.transports.neighbours import Neighbours

SERVICE = "stadion-router"


@dataclass(slots=True)
class Surroundings:
    """Made before the process forks its workers; `worker` is then set in each of them."""

    telemetry: TelemetryConfig
    metrics: tuple[socket, ...] = ()
    rates: RedisRates | None = None
    worker: int = field(default=0)
    workers: int = 1
    folder: Path | None = None
    """Where workers find each other's sockets; nobody else may enter it."""

    @property
    def background(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """What runs beside the app for as long as it does."""
        tasks: list[Callable[[], Awaitable[None]]] = []
        if self.metrics:
            from router.edge.stalls import watch_stalls

            tasks += [lambda: serve_metrics(self.metrics[self.worker]), watch_stalls]
        if self.telemetry.otlp_endpoint:
            tasks.append(lambda: send_traces(self.telemetry, service=SERVICE))
        if self.rates is not None:
            tasks.append(self.rates.open_until_cancelled)
        return tuple(tasks)

    def shared_callbacks(self, callbacks: Callbacks, config: RouterConfig) -> Callable[[], Awaitable[None]]:
        """What has each of several workers take the callbacks that came to another."""
        bytes_max = max(one.subscriptions.event_bytes_max for one in config.subgraphs.each()) + 1_024
        neighbours = self.neighbours("callbacks", bytes_max=bytes_max)
        return lambda: callbacks.share(neighbours())

    def neighbours(self, kind: str, *, bytes_max: int) -> Callable[[], Neighbours]:
        """The workers of this port, for what one kind of thing hands over; asked for once a worker runs."""
        from router.execution.transports.neighbours import Neighbours

        self.folder = self.folder or Path(tempfile.mkdtemp(prefix="stadion-workers-"))
        folder = self.folder / kind
        folder.mkdir(mode=0o700, exist_ok=True)
        return lambda: Neighbours(folder, self.worker, bytes_max=bytes_max)

    def forget(self) -> None:
        """Leave nothing behind when all workers have ended."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def traced(self, transport: SubgraphTransport) -> SubgraphTransport:
        """The transport, with spans around its calls where traces go somewhere."""
        if not self.telemetry.otlp_endpoint:
            return transport
        from router.execution.transports.traced import TracedTransport

        return TracedTransport(transport)


def surroundings(config: RouterConfig, environment: Settings, *, workers: int = 1) -> Surroundings:
    """As settings and environment say; the environment wins.

    Errors: AddressUnusable where the port of the metrics cannot be had.
    """
    telemetry = replace(
        config.telemetry,
        metrics_address=environment.metrics_address or config.telemetry.metrics_address,
        otlp_endpoint=environment.otlp_endpoint or config.telemetry.otlp_endpoint,
    )
    rates = None
    if environment.rate_url is not None:
        from deploy.shared_rates import RedisRates

        rates = RedisRates(environment.rate_url.get_secret_value())
    return Surroundings(telemetry, _listening(telemetry.metrics_address, workers), rates, workers=workers)


def _listening(address: str, workers: int) -> tuple[socket, ...]:
    """A socket a worker: the address itself, then the ports after it."""
    if not address:
        return ()
    from router.edge.serve import listen

    host, _, port = address.rpartition(":")
    host, first = host.strip("[]"), int(port)
    return tuple(listen(host, first + number if first else 0) for number in range(workers))
