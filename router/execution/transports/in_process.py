"""The subgraph port inside one process: no HTTP and no JSON; values pass as they are.

Equal queries of one caller that are under way together are executed once, as they are over HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from copy import deepcopy
from typing import Any, Final, Protocol

import orjson

from authz.identity.subject import Subject
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.answers import read_answer
from router.execution.transports.measures import SERVICE, shared_fetches_count
from router.execution.transports.return_rules import FRESHNESS, ReturnRules
from router.execution.transports.under_way import FetchesUnderWay
from router.operation.model import OperationKind
from router.traffic import Traffic

_NO_HEADERS: Final[Mapping[str, Sequence[str]]] = {}


class LocalSubgraph(Protocol):
    """A subgraph in this process. Its answers are GraphQL response maps, owned by the caller once given; one
    with `headers` (lower-case name → values) comes with a head, as an HTTP answer does.

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
    """Calls subgraphs as objects, by name, with the Subject itself. Of `traffic` the rules hold that say
    which headers of answers go on to clients."""

    __slots__ = ("_returns", "_subgraphs", "_traffic", "_under_way")

    def __init__(self, subgraphs: Mapping[str, LocalSubgraph], *, traffic: Traffic | None = None) -> None:
        self._subgraphs = dict(subgraphs)
        self._traffic = traffic or Traffic()
        self._under_way: FetchesUnderWay[Mapping[str, Any]] = FetchesUnderWay()
        self._returns = ReturnRules(self._traffic) if self._traffic.returns_headers else None

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """As the port says; past `timeout_s` the call is cancelled."""
        subgraph = self._subgraph(request.service)
        try:
            if request.kind is not OperationKind.QUERY:
                answered = await self._mutated(subgraph, request)
            else:
                answered = await self._shared(subgraph, request)
        except TimeoutError:
            raise SubgraphCallFailed(request.service, "timed out") from None
        headers = getattr(answered, "headers", _NO_HEADERS)
        if self._returns is not None:
            self._returns.tell_of(request.service, headers)
        response = read_answer(request.service, answered)
        if headers and (told := headers.get(FRESHNESS)):
            response.cache_control = ", ".join(told)
        return response

    async def _mutated(self, subgraph: LocalSubgraph, request: SubgraphRequest) -> Mapping[str, Any]:
        self._under_way.mutated()
        try:
            return await _executed(subgraph, request)
        finally:
            self._under_way.mutated()

    async def _shared(self, subgraph: LocalSubgraph, request: SubgraphRequest) -> Mapping[str, Any]:
        variables = _told(request.variables)
        # what a subgraph tells one caller in a header is no other's to get
        personal = self._returns is not None and self._traffic.of(request.service).returns_personal
        if variables is None or request.timeout_s is None or personal:
            return await _executed(subgraph, request)
        return await self._under_way.answer(
            (request.service, request.query, request.operation_name, variables, request.subject),
            lambda: _executed(subgraph, request),
            timeout_s=request.timeout_s,
            shared=lambda: shared_fetches_count.add(1, {SERVICE: request.service}),
            copied=_copied,
        )

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


async def _executed(subgraph: LocalSubgraph, request: SubgraphRequest) -> Mapping[str, Any]:
    """Errors: TimeoutError past `timeout_s`."""
    call = subgraph.execute(request.query, request.variables, request.operation_name, request.subject)
    if request.timeout_s is None:
        return await call
    async with asyncio.timeout(request.timeout_s):
        return await call


def _told(variables: dict[str, Any]) -> bytes | None:
    """Variables as a part of a key; None for what is no JSON, such as a file."""
    try:
        return orjson.dumps(variables) if variables else b""
    except TypeError:
        return None


def _copied(answer: Any) -> Any:
    """The same answer once more: objects and lists are the executor's to change, all else is not."""
    if answer.__class__ is dict:
        return {name: _copied(value) for name, value in answer.items()}
    if answer.__class__ is list:
        return [_copied(value) for value in answer]
    return deepcopy(answer) if isinstance(answer, Mapping | list) else answer
