"""Telemetry: the names of spans, metrics and log fields; the API only, the SDK is set up by `deploy`.

INVARIANT: nothing here carries a variable's value, a token, an address or a person's id.
"""

from __future__ import annotations

import random
import re
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from opentelemetry import metrics, trace

TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
tracer = trace.get_tracer("stadion.router")
meter = metrics.get_meter("stadion.router")

requests_duration_s = meter.create_histogram(
    "http.server.request.duration", unit="s", description="from the first byte read to the last one sent"
)
errors_count = meter.create_counter("stadion.router.graphql_error", description="errors answered, by code")
cache_count = meter.create_counter(
    "stadion.router.cache", description="look-ups, by cache and by hit or miss"
)
denials_count = meter.create_counter(
    "stadion.router.operations.authorization", description="fields taken out before planning, by code"
)
streams_open = meter.create_up_down_counter(
    "stadion.router.opened.subscriptions", description="subscriptions open towards clients"
)
lagged_count = meter.create_counter(
    "stadion.router.subscriptions.lagged_messages", description="events dropped for slow clients"
)


_NO_SPAN: Final = nullcontext()


def stage(name: str) -> AbstractContextManager[object]:
    """A span around one stage of the pipeline; nothing while no SDK is set up: an empty span takes time."""
    if not _is_traced():
        return _NO_SPAN
    return tracer.start_as_current_span(f"stadion.router.{name}", record_exception=False)


def _is_traced() -> bool:
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def trace_id_of(traceparent: str | None) -> str:
    """The id by which a client and the log speak of the same request. 32 hex digits.

    The current span's; else the caller's own from its `traceparent`; else a random one.
    Source: W3C Trace Context.
    """
    if _is_traced():
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return trace.format_trace_id(context.trace_id)
    given = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if given and given[1].strip("0"):
        return given[1]
    return f"{random.getrandbits(128):032x}"  # tells requests apart, guards nothing
