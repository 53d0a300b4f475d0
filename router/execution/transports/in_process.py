"""The subgraph port inside one process: no HTTP and no JSON; values pass as they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from authz.identity.subject import Subject
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.answers import read_answer


class LocalSubgraph(Protocol):
    """A subgraph in this process. Its answers are GraphQL response maps, owned by the caller once given.

    INVARIANT: the executor changes what it is given; an implementation must not keep or share it.
    """

    async def execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        """One query or mutation."""
        ...

    def subscribe(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> AsyncIterator[Mapping[str, Any]]:
        """One response map an event."""
        ...


class InProcessTransport:
    """Calls subgraphs as objects, by name, with the Subject itself."""

    __slots__ = ("_subgraphs",)

    def __init__(self, subgraphs: Mapping[str, LocalSubgraph]) -> None:
        self._subgraphs = dict(subgraphs)

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """As the port says; past `timeout_s` the call is cancelled."""
        subgraph = self._subgraph(request.service)
        call = subgraph.execute(request.query, request.variables, request.operation_name, request.subject)
        if request.timeout_s is None:
            return read_answer(request.service, await call)
        try:
            async with asyncio.timeout(request.timeout_s):
                answered = await call
        except TimeoutError:
            raise SubgraphCallFailed(request.service, "timed out") from None
        return read_answer(request.service, answered)

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """As the port says; `timeout_s` does not bound a stream."""
        subgraph = self._subgraph(request.service)
        stream = subgraph.subscribe(request.query, request.variables, request.operation_name, request.subject)
        async with aclosing(stream) as events:  # type: ignore[type-var]
            async for event in events:
                yield read_answer(request.service, event)

    async def close(self) -> None:
        """Nothing to give back: the subgraphs belong to who made them."""

    def _subgraph(self, service: str) -> LocalSubgraph:
        subgraph = self._subgraphs.get(service)
        if subgraph is None:
            raise SubgraphCallFailed(service, "is not part of this process")
        return subgraph
