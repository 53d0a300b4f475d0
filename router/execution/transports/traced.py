"""Traced calls: a span around each call to a subgraph, and its trace handed on, where traces go somewhere.

Source: W3C Trace Context.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from opentelemetry import trace

from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest, SubgraphResponse, SubgraphTransport
from router.telemetry import call_span, traceparent_of

TRACEPARENT_HEADER = "traceparent"


class TracedTransport:
    """A transport whose calls are spans named `fetch`. Lives as long as its router."""

    def __init__(self, inner: SubgraphTransport) -> None:
        self._inner = inner

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """One query or mutation, one answer."""
        with call_span(request.service) as span:
            try:
                response = await self._inner.fetch(_told(request))
            except SubgraphCallFailed as failure:
                span.set_status(trace.StatusCode.ERROR)
                span.set_attribute("error.type", failure.code)
                raise
            if response.errors:
                span.set_attribute("graphql.error.count", len(response.errors))
            return response

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """One answer an event; the stream is told the trace that opened it."""
        source = self._inner.subscribe(_told(request))
        async with aclosing(source) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def close(self) -> None:
        """Close the transport."""
        await self._inner.close()


def _told(request: SubgraphRequest) -> SubgraphRequest:
    return replace(request, headers={**request.headers, TRACEPARENT_HEADER: traceparent_of("")})
