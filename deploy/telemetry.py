"""Telemetry of a process: where metrics are scraped, where traces go, how the log is written.

What is not asked for is not even imported.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import orjson

from router.instruments import Counter, Distribution, Kind
from router.telemetry import TRACING, instruments, request_trace_id

if TYPE_CHECKING:
    import socket

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from router.admission import TelemetryConfig

METRICS_PATH = "/metrics"
UNITS = {"s": "seconds"}
FLUSH_MS_MAX = 5_000
PLAIN_LOG = "%(levelname)s %(name)s %(message)s"


def set_up_log(level: str, *, json_lines: bool) -> None:
    """Write the log to standard error: as text, or as one JSON object a line."""
    logging.basicConfig(level=level.upper(), format=PLAIN_LOG)
    if json_lines:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())


class JsonLines(logging.Formatter):
    """One JSON object a line; with the trace id of the request that the line is about."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace_id := request_trace_id.get():
            line["trace_id"] = trace_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


async def send_traces(config: TelemetryConfig, *, service: str) -> None:
    """Send spans to the collector until this task is cancelled; what is left is sent then."""
    with tracing(config, service=service):
        await asyncio.Event().wait()


@contextmanager
def tracing(config: TelemetryConfig, *, service: str) -> Iterator[None]:
    """Spans go to the collector inside the block. A collector that is away costs no request anything."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # an absent collector is no news
    provider = TracerProvider(
        resource=Resource({"service.name": service, "service.version": version("stadion")}),
        sampler=ParentBased(TraceIdRatioBased(config.traced_percent / 100)),
        shutdown_on_exit=False,
    )
    endpoint = f"{config.otlp_endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=5)))
    TRACING.tracer = provider.get_tracer("stadion.router")
    try:
        yield
    finally:
        TRACING.tracer = None
        provider.force_flush(FLUSH_MS_MAX)
        provider.shutdown()


async def serve_metrics(listening: socket.socket) -> None:
    """Answer scrapes of `/metrics` on this socket until the task is cancelled."""
    async with metrics_server(listening):
        await asyncio.Event().wait()


@asynccontextmanager
async def metrics_server(listening: socket.socket) -> AsyncIterator[None]:
    """Scrapes are answered inside the block."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    registry = metrics_registry()

    async def scrape(_: Request) -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    app = Starlette(routes=[Route(METRICS_PATH, scrape)])
    settings = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, lifespan="off")
    settings.load()
    server = uvicorn.Server(settings)
    server.lifespan = settings.lifespan_class(settings)
    await server.startup(sockets=[listening])
    try:
        yield
    finally:
        await server.shutdown(sockets=[listening])


def metrics_registry() -> CollectorRegistry:
    """Everything that this process counts, and the process itself, for Prometheus."""
    from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
    from prometheus_client.registry import Collector

    class Ours(Collector):
        """The router's instruments as they are now."""

        def collect(self) -> Iterator[Metric]:
            return (metric_of(one) for one in instruments.read())

    registry = CollectorRegistry()
    registry.register(Ours())
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def prometheus_name(instrument: Counter | Distribution) -> str:
    """The name under which Prometheus has an instrument; its own suffixes come after it."""
    name = instrument.name.replace(".", "_")
    return f"{name}_{UNITS[instrument.unit]}" if instrument.unit in UNITS else name


def metric_of(instrument: Counter | Distribution) -> Metric:
    """One instrument as Prometheus takes it."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    name, text = prometheus_name(instrument), instrument.description
    labels = [one.replace(".", "_") for one in instrument.labels]
    if isinstance(instrument, Distribution):
        distribution = HistogramMetricFamily(name, text, labels=labels)
        for key, measured in tuple(instrument.values.items()):
            buckets, total = [], 0
            bounds = [*(str(float(one)) for one in instrument.bounds), "+Inf"]
            for bound, count in zip(bounds, measured.counts, strict=True):
                total += count
                buckets.append((bound, total))
            distribution.add_metric(_texts(key, labels), buckets, measured.total)
        return distribution
    family = CounterMetricFamily if instrument.kind is Kind.COUNTER else GaugeMetricFamily
    metric = family(name, text, labels=labels)
    for key, value in tuple(instrument.values.items()):
        metric.add_metric(_texts(key, labels), value)
    return metric


def _texts(key: tuple[object, ...], labels: list[str]) -> list[str]:
    texts = [str(one).lower() if isinstance(one, bool) else str(one) for one in key]
    return (texts + [""] * len(labels))[: len(labels)]
