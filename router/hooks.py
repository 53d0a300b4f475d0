"""Hooks: a deployment's own async functions at each stage of a request. Without any, nothing is called.

request → parsed → authorised → planned → subgraph request(s) → response(s). A hook that raises `ClientError`
refuses the operation in its words; anything else that it raises is masked and logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from authz.identity.subject import Subject
from router.config import RouterConfig
from router.execution import CompiledPlan, GraphQLResponse, IncrementalFormat, OneFetch
from router.execution.transport import SentData, SubgraphRequest, SubgraphResponse, SubgraphTransport
from router.operation.authorize import NO_RIGHTS, Rights
from router.operation.model import AllowedOperation
from router.pipeline import GraphQLRequest, Router, as_task
from router.planner.plan import QueryPlan
from router.snapshot import Document, Snapshot

Returned = TypeVar("Returned")
OnRequest: TypeAlias = Callable[[GraphQLRequest, Subject], Awaitable[GraphQLRequest]]
"""Sees the request as it came and returns the one to serve."""
OnParsed: TypeAlias = Callable[[GraphQLRequest, Document, Subject], Awaitable[None]]
"""Sees the valid, normalised operation; may refuse it."""
OnAuthorised: TypeAlias = Callable[[AllowedOperation, Subject], Awaitable[None]]
"""Sees what is left for this caller and what was denied, before it is planned."""
OnPlanned: TypeAlias = Callable[[QueryPlan, Subject], Awaitable[None]]
"""Sees the plan, before any subgraph is asked."""
OnSubgraphRequest: TypeAlias = Callable[[SubgraphRequest], Awaitable[SubgraphRequest]]
"""Sees each call to a subgraph and returns the one to make. Raise `SubgraphCallFailed` to make none."""
Grants: TypeAlias = Callable[[Subject, str], bool]
"""Whether a caller holds the policy of this name, that some `@policy` asks for. Asked before planning, for
each request: it must be quick, and no coroutine."""
Forbids: TypeAlias = Callable[[Subject, str], bool]
"""Whether a caller may not hold the policy of this name, whoever grants it. Asked as `Grants` is."""
OnResponse: TypeAlias = Callable[[GraphQLRequest, GraphQLResponse, Subject], Awaitable[GraphQLResponse]]
"""Sees each response, event or deferred part and returns the one to send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """The hooks of one router, each stage's called in order.

    Queries that share one run (`shared_queries`) share its hooks from `parsed` on; `request` is called for
    each. Refusals before execution are not responses: no hook sees them. A policy is held where one of
    `grants`, or what the router asks otherwise, says so, and neither one of `forbids` nor a rule denies it.
    """

    request: tuple[OnRequest, ...] = ()
    parsed: tuple[OnParsed, ...] = ()
    authorised: tuple[OnAuthorised, ...] = ()
    planned: tuple[OnPlanned, ...] = ()
    subgraph_request: tuple[OnSubgraphRequest, ...] = ()
    response: tuple[OnResponse, ...] = ()
    grants: tuple[Grants, ...] = ()
    forbids: tuple[Forbids, ...] = ()


class HookCancelled(RuntimeError):
    """A hook ended in a cancellation that nobody had asked for: its own, which is a fault like any other."""


async def _called(hook: Awaitable[Returned]) -> Returned:
    try:
        return await hook
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise HookCancelled("a hook was cancelled from within") from None


class HookedRouter(Router):
    """A Router that calls hooks. One a process; `close` when it ends."""

    def __init__(
        self,
        snapshot: Snapshot,
        transport: SubgraphTransport,
        *,
        config: RouterConfig,
        hooks: Hooks,
        rights: Rights = NO_RIGHTS,
    ) -> None:
        called = _HookedTransport(transport, hooks.subgraph_request) if hooks.subgraph_request else transport
        super().__init__(snapshot, called, config=config, rights=_with_policies_of(hooks, rights))
        self._hooks = hooks
        if hooks.request:
            self.on_request = self._on_request

    async def handle(self, request: GraphQLRequest, subject: Subject) -> GraphQLResponse:
        """As `Router.handle`, from the request hooks on."""
        return await super().handle(await self._on_request(request, subject), subject)

    async def answer(
        self, request: GraphQLRequest, document: Document, subject: Subject, graph: Snapshot
    ) -> GraphQLResponse:
        """As `Router.answer`, with hooks."""
        await self._on_parsed(request, document, subject)
        return await self._on_response(
            request, await super().answer(request, document, subject, graph), subject
        )

    def driven_answer(
        self, request: GraphQLRequest, document: Document, subject: Subject, graph: Snapshot
    ) -> Coroutine[Any, Any, GraphQLResponse]:
        """As a task from the start: hooks may need one."""
        return as_task(self.answer(request, document, subject, graph))

    def begin(
        self, request: GraphQLRequest, document: Document, subject: Subject, graph: Snapshot, waiter: Any
    ) -> OneFetch | None:
        """None: hooks are awaited, so a task has to answer."""
        return None

    async def events(
        self, request: GraphQLRequest, document: Document, subject: Subject, graph: Snapshot
    ) -> AsyncIterator[GraphQLResponse]:
        """As `Router.events`, with hooks; the response hooks for each event."""
        await self._on_parsed(request, document, subject)
        return self._each(request, await super().events(request, document, subject, graph), subject)

    async def parts(
        self,
        request: GraphQLRequest,
        document: Document,
        subject: Subject,
        graph: Snapshot,
        format_: IncrementalFormat,
    ) -> AsyncIterator[GraphQLResponse]:
        """As `Router.parts`, with hooks; the response hooks for each part."""
        await self._on_parsed(request, document, subject)
        return self._each(request, await super().parts(request, document, subject, graph, format_), subject)

    async def _compiled(self, document: Document, subject: Subject, graph: Snapshot) -> CompiledPlan:
        allowed = self._allowed(document, subject, graph)
        for hook in self._hooks.authorised:
            await _called(hook(allowed, subject))
        compiled = await self._planned(allowed, graph, self._hidden(document, subject, graph))
        for on_plan in self._hooks.planned:
            await _called(on_plan(compiled.plan, subject))
        return compiled

    async def _on_request(self, request: GraphQLRequest, subject: Subject) -> GraphQLRequest:
        for hook in self._hooks.request:
            request = await _called(hook(request, subject))
        return request

    async def _on_parsed(self, request: GraphQLRequest, document: Document, subject: Subject) -> None:
        for hook in self._hooks.parsed:
            await _called(hook(request, document, subject))

    async def _on_response(
        self, request: GraphQLRequest, response: GraphQLResponse, subject: Subject
    ) -> GraphQLResponse:
        if self._hooks.response and isinstance(response.data, SentData):
            # passed on as a subgraph sent it: hooks see values, not text
            response = replace(response, data=response.data.decoded())
        for hook in self._hooks.response:
            response = await _called(hook(request, response, subject))
        return response

    async def _each(
        self, request: GraphQLRequest, source: AsyncIterator[GraphQLResponse], subject: Subject
    ) -> AsyncIterator[GraphQLResponse]:
        async with aclosing(source) as responses:  # type: ignore[type-var]
            async for response in responses:
                yield await self._on_response(request, response, subject)


def _with_policies_of(hooks: Hooks, rights: Rights) -> Rights:
    """The rights, with what hooks grant and forbid: a hook's grant never opens what a rule denies."""
    return replace(
        rights, grants=_any_of(rights.grants, hooks.grants), forbids=_any_of(rights.forbids, hooks.forbids)
    )


def _any_of(first: Grants | None, others: tuple[Grants, ...]) -> Grants | None:
    if not others:
        return first
    asked = others if first is None else (first, *others)
    return lambda subject, policy: any(one(subject, policy) for one in asked)


class _HookedTransport:
    """A transport whose calls go through hooks first. Lives as long as its router."""

    def __init__(self, inner: SubgraphTransport, hooks: tuple[OnSubgraphRequest, ...]) -> None:
        self._inner = inner
        self._hooks = hooks

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """One query or mutation, one answer."""
        return await self._inner.fetch(await self._hooked(request))

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """One answer an event."""
        source = self._inner.subscribe(await self._hooked(request))
        async with aclosing(source) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def close(self) -> None:
        """Close the transport."""
        await self._inner.close()

    async def _hooked(self, request: SubgraphRequest) -> SubgraphRequest:
        for hook in self._hooks:
            request = await _called(hook(request))
        return request
