"""Left out: a transport that does not ask subgraphs whose share of an operation is over their limit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest, SubgraphResponse, SubgraphTransport


class LeavingOut:
    """Calls all subgraphs but `without`. Lives as long as one request."""

    def __init__(self, inner: SubgraphTransport, without: frozenset[str]) -> None:
        self._inner = inner
        self._without = without

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """As the port says; a subgraph that is left out fails with its code."""
        self._check(request)
        return await self._inner.fetch(request)

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """As the port says."""
        self._check(request)
        async with aclosing(self._inner.subscribe(request)) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def close(self) -> None:
        """Nothing: the transport belongs to the router."""

    def _check(self, request: SubgraphRequest) -> None:
        if request.service in self._without:
            raise SubgraphCallFailed(
                request.service,
                "its share of the operation's cost is over its limit",
                code="SUBGRAPH_COST_ESTIMATED_TOO_EXPENSIVE",
            )
