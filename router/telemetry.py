"""Telemetry: the names of spans, metrics and log fields. Where they go is set up by `deploy`.

Metrics are numbers in this process, read when somebody scrapes them. Spans are the OpenTelemetry API's:
without an SDK there are none. INVARIANT: nothing here carries a variable's value, a literal, a token, an
address or a person's id.
"""

from __future__ import annotations

import random
import re
import time
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace

from router.instruments import COST_BUCKETS, OVERHEAD_BUCKETS, Instruments

TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
instruments: Final = Instruments()
meter: Final = instruments
"""For what is measured elsewhere, by the words of OpenTelemetry's meter."""

requests_duration_s = instruments.distribution(
    "http.server.request.duration",
    "from a request's head to the last byte of its answer",
    unit="s",
    labels=("http.route", "http.request.method", "http.response.status_code"),
)
overhead_s = instruments.distribution(
    "stadion.router.overhead",
    "a request or a socket's operation answered whole, less its waiting for subgraphs and for the body",
    unit="s",
    bounds=OVERHEAD_BUCKETS,
)
in_flight = instruments.level("http.server.active_requests", "requests under way")
errors_count = instruments.counter("stadion.router.graphql_error", "errors answered", labels=("code",))
operations_count = instruments.counter(
    "stadion.router.operations", "operations read, by kind and by class of client", labels=("kind", "client")
)
cache_count = instruments.counter(
    "stadion.router.cache", "look-ups, by cache and by hit or miss", labels=("cache", "found")
)
cache_size = instruments.level("stadion.router.cache.size", "entries kept", labels=("cache",))
plan_duration_s = instruments.distribution(
    "stadion.router.query_planning.plan.duration", "to plan and compile one operation", unit="s"
)
warmup_duration_s = instruments.distribution(
    "stadion.router.query_planning.warmup.duration", "to plan the hottest operations on a new graph", unit="s"
)
stall_s = instruments.distribution(
    "stadion.router.event_loop.stall", "how late the event loop came to what was due, from 1 ms on", unit="s"
)
longest_stall_s = instruments.level(
    "stadion.router.event_loop.stall.longest",
    "the longest of them since the last reading: as time went by, and as far as the loop itself was running",
    unit="s",
    labels=("clock",),
)
reloads_count = instruments.counter(
    "stadion.router.supergraph.reload",
    "things read anew while serving, by what and by outcome",
    labels=("what", "outcome"),
)
denials_count = instruments.counter(
    "stadion.router.operations.authorization", "fields denied before planning", labels=("code", "outcome")
)
streams_open = instruments.level("stadion.router.opened.subscriptions", "subscriptions open towards clients")
connections_open = instruments.level(
    "stadion.router.session.count.active", "streams and WebSocket connections open"
)
lagged_count = instruments.counter(
    "stadion.router.subscriptions.lagged_messages", "events dropped for slow clients"
)
dropped_count = instruments.counter(
    "stadion.router.subscriptions.dropped_clients", "streams ended because their client read too slowly"
)
cost_estimated = instruments.distribution(
    "stadion.router.demand_control.cost.estimated",
    "of one operation, before it runs",
    labels=("result",),
    bounds=COST_BUCKETS,
)
cost_actual = instruments.distribution(
    "stadion.router.demand_control.cost.actual",
    "of one answer",
    labels=("result",),
    bounds=COST_BUCKETS,
)
cost_delta = instruments.distribution(
    "stadion.router.demand_control.cost.delta",
    "estimated less actual",
    bounds=(-1_000, -100, 0, *COST_BUCKETS),
)

NAME_CHARS_MAX: Final = 100
SPANS: Final = {
    "parse": "query_parsing",
    "validate": "query_validation",
    "normalize": "query_normalization",
    "authorize": "query_authorization",
    "plan": "query_planning",
    "execute": "execution",
}
"""Stage → the name of its span; `router` is around all of them and `fetch` around each call."""
_NO_SPAN: Final = nullcontext()


class Waiting:
    """How long one request waited for others: the time inside at least one of its `with` blocks."""

    __slots__ = ("_calls", "_since_s", "total_s")

    def __init__(self) -> None:
        self.total_s = 0.0
        self._calls = 0
        self._since_s = 0.0

    def __enter__(self) -> None:
        if not self._calls:
            self._since_s = time.perf_counter()
        self._calls += 1

    def __exit__(self, *_: object) -> None:
        self._calls -= 1
        if not self._calls:
            self.total_s += time.perf_counter() - self._since_s


request_waiting: Final[ContextVar[Waiting]] = ContextVar("request_waiting", default=Waiting())  # noqa: B039
"""The waiting of the request that this task serves; where there is none, one that nobody reads."""


@dataclass(slots=True)
class Tracing:
    """Where spans go; `deploy` says so. Without a tracer there are none."""

    tracer: trace.Tracer | None = None


TRACING: Final = Tracing()
request_trace_id: Final[ContextVar[str]] = ContextVar("request_trace_id", default="")
"""The id of the request that this task serves, for the log."""


def stage(name: str) -> AbstractContextManager[object]:
    """A span around one stage of the pipeline; nothing while no SDK is set up: an empty span takes time."""
    if TRACING.tracer is None:
        return _NO_SPAN
    return TRACING.tracer.start_as_current_span(
        SPANS[name], record_exception=False, set_status_on_exception=False
    )


def request_span(traceparent: str | None, method: str) -> AbstractContextManager[trace.Span | None]:
    """The span around a whole request, below the caller's own; nothing while no SDK is set up."""
    if TRACING.tracer is None:
        return nullcontext()
    return TRACING.tracer.start_as_current_span(
        "router",
        context=_context_of(traceparent),
        kind=trace.SpanKind.SERVER,
        attributes={"http.request.method": method, "http.route": "/graphql"},
        record_exception=False,
        set_status_on_exception=False,
    )


def request_answered(status: str) -> None:
    """Tell the request's span how it was answered."""
    if TRACING.tracer is not None:
        span = trace.get_current_span()
        span.set_attribute("http.response.status_code", int(status))
        if status.startswith("5"):
            span.set_status(trace.StatusCode.ERROR)


def operation_named(name: str | None, kind: str) -> None:
    """Tell the request's span what was asked: name and kind, nothing of the document."""
    if TRACING.tracer is not None:
        span = trace.get_current_span()
        span.set_attribute("graphql.operation.type", kind)
        if name:
            span.set_attribute("graphql.operation.name", name[:NAME_CHARS_MAX])


def call_span(service: str) -> AbstractContextManager[trace.Span]:
    """The span around one call to a subgraph."""
    tracer = TRACING.tracer or trace.get_tracer("stadion.router")
    return tracer.start_as_current_span(
        "fetch",
        kind=trace.SpanKind.CLIENT,
        attributes={"subgraph.name": service},
        record_exception=False,
        set_status_on_exception=False,
    )


def _context_of(traceparent: str | None) -> Any:
    given = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if not given or not given[1].strip("0") or not given[2].strip("0"):
        return None
    remote = trace.SpanContext(
        int(given[1], 16),
        int(given[2], 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(given[3], 16) & 1),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(remote))


def traceparent_of(trace_id: str) -> str:
    """What subgraphs are told: the current span where there is one, else this request's id alone.

    Source: W3C Trace Context.
    """
    if TRACING.tracer is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            flags = int(context.trace_flags)
            return f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"
    return f"00-{trace_id}-{random.getrandbits(64) or 1:016x}-00"  # tells calls apart, guards nothing


def trace_id_of(traceparent: str | None) -> str:
    """The id by which a client and the log speak of the same request. 32 hex digits.

    The current span's; else the caller's own from its `traceparent`; else a random one.
    Source: W3C Trace Context.
    """
    if TRACING.tracer is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return trace.format_trace_id(context.trace_id)
    given = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if given and given[1].strip("0"):
        return given[1]
    return f"{random.getrandbits(128):032x}"  # tells requests apart, guards nothing
