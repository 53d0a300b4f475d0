"""The pipeline: one operation in, one response or one stream of responses out, on one screen.

parse → validate → normalise → authorise → plan → compile → execute → project. Caches and spans are put
around the stages here; a stage knows neither.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from authz.identity.subject import Subject
from router.admission import Told, class_of
from router.alike import document_alike, known_alike
from router.config import RouterConfig
from router.demand.gate import Admitted, gate_of
from router.directives import (
    allowed_by,
    allowed_without,
    enforced,
    first_noted,
    is_planned,
    noted,
    notes_on,
    told_as,
)
from router.driven import in_task
from router.errors import ClientError
from router.execution import (
    CompiledPlan,
    ErrorsShown,
    ExecutionOptions,
    GraphQLResponse,
    IncrementalFormat,
    OneFetch,
    begin,
    execute,
    execute_incrementally,
    subscribe,
)
from router.execution.transport import BeginningTransport, Handed, SubgraphTransport
from router.operation.authorize import NO_RIGHTS, Rights, denied_to
from router.operation.model import AllowedOperation
from router.operation.requirements import Requirement
from router.operation.variables import coerce
from router.planner import PlanTakesLong
from router.planner.print_plan import PlanShown, shown_plan
from router.snapshot import Document, Snapshot, hottest, labels_on
from router.stages import in_parts, plan_and_compile, read_document, suggests
from router.telemetry import (
    cache_count,
    request_trace_id,
    stage,
    traceparent_of,
    warmup_duration_s,
)
from router.turns import Turns

Value = TypeVar("Value")
_plan_was_known = cache_count.series({"cache": "plans", "found": True})
LONG_TEXT_CHARS = 8_192
"""Longer texts are parsed and validated off the event loop, and planned there."""
STEPS_AT_ONCE_MAX = 60
"""Steps that the search for a plan may take on the event loop: a few milliseconds."""


@dataclass(slots=True, kw_only=True)
class GraphQLRequest:
    """One operation as a client sent it; `headers` are those to hand on to subgraphs, lower case.

    `document_id` names a registered document; the edge puts its text into `text`. `first` is the outcome of
    its only fetch, where `Router.begin` has begun that. Not changed once it is made.
    """

    text: str
    operation_name: str | None = None
    document_id: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    extensions: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    plan: PlanShown = PlanShown.NO
    first: Any = None


class Router:
    """Answers operations on its current snapshot. One a process; `close` when it ends.

    `on_request` has the edge change each request before it is read; see `router/hooks.py`. `on_taken` are
    told of each new snapshot that serves.
    """

    on_request: Callable[[GraphQLRequest, Subject], Awaitable[GraphQLRequest]] | None = None
    on_taken: tuple[Callable[[Snapshot], Awaitable[None]], ...] = ()

    def __init__(
        self,
        snapshot: Snapshot,
        transport: SubgraphTransport,
        *,
        config: RouterConfig,
        rights: Rights = NO_RIGHTS,
    ) -> None:
        self.snapshot = snapshot
        self.config = config
        self._transport = transport
        self._rights = rights
        self._rules = config.authorization.directives
        self._errors_shown = ErrorsShown(
            all_=config.expose_subgraph_errors,
            codes=frozenset(config.exposed_error_codes),
            extensions=frozenset(config.error_extensions) or None,
        )
        self._suggests = suggests(config)
        self._gate = gate_of(config)
        self._counts_costs = self._gate is not None and self._gate.counts
        self._begins = cast(BeginningTransport, transport) if hasattr(transport, "begin") else None
        self._turns = Turns()
        self._planners = ThreadPoolExecutor(max_workers=1, thread_name_prefix="planner")

    async def handle(self, request: GraphQLRequest, subject: Subject) -> GraphQLResponse:
        """One request, one response. Errors: ClientError for a refusal; anything else is a fault."""
        graph = self.snapshot
        return await self.answer(request, await self.read(request, graph), subject, graph)

    async def read(self, request: GraphQLRequest, graph: Snapshot) -> Document:
        """What the text asks for, whoever asks: parse → validate → normalise, kept by text.

        Errors: ClientError where the text is no operation of this graph.
        """
        key = (request.text, request.operation_name)
        document = graph.documents.get(key) or document_alike(
            *key, graph, lambda text: read_document(text, request.operation_name, graph, self.config)
        )
        if document is not None:
            return document
        if len(request.text) <= LONG_TEXT_CHARS:
            if await self._turns.turn() and (document := graph.documents.get(key)) is not None:
                return document
            document = read_document(*key, graph, self.config)
            graph.documents.put(key, document)
            return document
        return await graph.documents.made(
            key, lambda: self._off_loop(lambda: read_document(*key, graph, self.config))
        )

    def known(self, request: GraphQLRequest, graph: Snapshot) -> Document | None:
        """As `read`, where nothing is to be made; None elsewhere."""
        key = (request.text, request.operation_name)
        return graph.documents.known(key) or known_alike(*key, graph)

    async def answer(
        self, request: GraphQLRequest, document: Document, subject: Subject, graph: Snapshot
    ) -> GraphQLResponse:
        """Authorise → plan → compile → execute, within the request's time."""
        variables = self._coerced(request, document, graph)
        compiled = await self._compiled(document, subject, graph)
        if request.plan is PlanShown.INSTEAD:
            return GraphQLResponse(data=None, extensions=shown_plan(compiled.plan))
        admitted = self._admitted(compiled, variables, subject, graph)
        deadline_s = time.monotonic() + self.config.request_timeout_ms_max / 1_000
        transport = self._transport if admitted is None else admitted.transport(self._transport)
        with stage("execute"):
            response = await execute(
                compiled, variables, subject, transport, options=self._options(request, deadline_s)
            )
        if admitted is not None:
            response = admitted.settled(response)
        if request.plan is PlanShown.BESIDE:
            response = replace(response, extensions={**response.extensions, **shown_plan(compiled.plan)})
        return noted(response, self._notes(document, subject, graph))

    def begin(
        self, request: GraphQLRequest, document: Document, subject: Subject, graph: Snapshot, waiter: Any
    ) -> OneFetch | None:
        """As `answer`, begun without a task, where that is one fetch that can be begun at once; else None.

        `waiter` is told the fetch's outcome.
        """
        begins, known = self._begins, self._known_plan(request, document, subject, graph)
        if begins is None or known is None:
            return None
        compiled, variables, options = known
        begun = begin(compiled, variables, subject, begins, options=options, waiter=waiter)
        if begun is not None:
            _plan_was_known()
        return begun

    def driven_answer(
        self, request: GraphQLRequest, document: Document, subject: Subject, graph: Snapshot
    ) -> Coroutine[Any, Any, GraphQLResponse]:
        """As `answer`, to be driven; with less on the way where the plan is known."""
        if self._begins is None:
            return as_task(self.answer(request, document, subject, graph))
        known = self._known_plan(request, document, subject, graph)
        if known is None:
            return self.answer(request, document, subject, graph)
        compiled, variables, options = known
        _plan_was_known()
        return execute(compiled, variables, subject, self._begins, options=options)

    def _coerced(self, request: GraphQLRequest, document: Document, graph: Snapshot) -> dict[str, Any]:
        given = {**request.variables, **document.lifted} if document.lifted else request.variables
        return coerce(given, document.normal.variables, graph.api_schema, suggestions=self._suggests)

    def _known_plan(
        self, request: GraphQLRequest, document: Document, subject: Subject, graph: Snapshot
    ) -> tuple[CompiledPlan, dict[str, Any], ExecutionOptions] | None:
        """What there is to run, where nothing but that is to be done for the answer."""
        if not document.ready or self._counts_costs or request.plan is not PlanShown.NO:
            return None
        if document.needed and denied_to(subject, document.needed, self._rights):
            return None
        try:
            variables = self._coerced(request, document, graph)
        except ClientError:
            return None
        options = self._options(request, time.monotonic() + self.config.request_timeout_ms_max / 1_000)
        return document.ready[0], variables, options

    async def events(
        self, request: GraphQLRequest, document: Document, subject: Subject, graph: Snapshot
    ) -> AsyncIterator[GraphQLResponse]:
        """The responses of a subscription, one an event. Errors before the first one: as `answer`.

        Where nothing of it is allowed, one response says so and nothing is subscribed to.
        """
        variables = self._coerced(request, document, graph)
        in_parts(document, variables, graph)  # refuses what a subscription cannot do
        compiled = await self._compiled(document, subject, graph)
        self._admitted(compiled, variables, subject, graph)
        if compiled.event is None:
            source = _once(await execute(compiled, variables, subject, self._transport))
        else:
            options = self._options(request)
            source = subscribe(compiled, variables, subject, self._transport, options=options)
        notes = self._notes(document, subject, graph)
        return first_noted(source, notes) if notes else source

    async def parts(
        self,
        request: GraphQLRequest,
        document: Document,
        subject: Subject,
        graph: Snapshot,
        format_: IncrementalFormat,
    ) -> AsyncIterator[GraphQLResponse]:
        """As `answer`, what is deferred or streamed in later responses; all within the request's time."""
        variables = self._coerced(request, document, graph)
        document = in_parts(document, variables, graph)
        compiled = await self._compiled(document, subject, graph)
        admitted = self._admitted(compiled, variables, subject, graph)
        transport = self._transport if admitted is None else admitted.transport(self._transport)
        options = self._options(request, time.monotonic() + self.config.request_timeout_ms_max / 1_000)
        source = execute_incrementally(
            compiled, variables, subject, transport, format_=format_, options=options
        )
        if admitted is not None:
            source = admitted.settled_in_parts(source)
        notes = self._notes(document, subject, graph)
        return first_noted(source, notes) if notes else source

    def _admitted(
        self, compiled: CompiledPlan, variables: Mapping[str, Any], subject: Subject, graph: Snapshot
    ) -> Admitted | None:
        """The operation within its budget; None where costs are not counted.  Errors: COST_*."""
        if self._gate is None:
            return None
        return self._gate.admitted(compiled, variables, subject, graph.supergraph)

    def _options(self, request: GraphQLRequest, deadline_s: float | None = None) -> ExecutionOptions:
        return ExecutionOptions(
            deadline_s=deadline_s,
            subgraph_timeout_s=self.config.subgraph_timeout_ms_max / 1_000,
            forwarded=Handed({**request.headers, "traceparent": traceparent_of(trace_id)})
            if (trace_id := request_trace_id.get())
            else request.headers,
            errors=self._errors_shown,
            null_reasons=self.config.null_reasons,
            first=request.first,
        )

    async def _compiled(self, document: Document, subject: Subject, graph: Snapshot) -> CompiledPlan:
        lacks_nothing = not document.needed or not denied_to(subject, document.needed, self._rights)
        if lacks_nothing and document.ready:
            _plan_was_known()
            return document.ready[0]
        allowed = self._allowed(document, subject, graph)
        compiled = await self._planned(allowed, graph, self._hidden(document, subject, graph))
        if lacks_nothing and not document.reads_schema and not graph.labels and not document.ready:
            document.ready.append(compiled)
        return compiled

    def _allowed(self, document: Document, subject: Subject, graph: Snapshot) -> AllowedOperation:
        if document.reads_schema and self.config.client_classes:
            own = class_of(subject, self.config.client_classes)
            if own is not None and not own[1].introspection:
                raise ClientError("introspection is off for this caller", code="INTROSPECTION_DISABLED")
        return allowed_by(document, denied_to(subject, document.needed, self._rights), graph, self._rules)

    def _notes(self, document: Document, subject: Subject, graph: Snapshot) -> list[dict[str, Any]]:
        """What the answer's extensions tell of denials."""
        if not self._rules.dry_run and self._rules.errors.response is Told.ERRORS:
            return []
        return notes_on(document, denied_to(subject, document.needed, self._rights), graph, self._rules)

    async def _planned(
        self, allowed: AllowedOperation, graph: Snapshot, hidden: frozenset[Requirement]
    ) -> CompiledPlan:
        labels = labels_on(graph.labels, self.config.override_labels)
        key = (allowed.normal.signature, labels, hidden)
        known = graph.plans.get(key)
        if known is not None:
            return known
        if len(allowed.normal.signature) <= LONG_TEXT_CHARS:
            with suppress(PlanTakesLong):
                known = plan_and_compile(allowed, graph, labels, hidden, steps_max=STEPS_AT_ONCE_MAX)
                graph.plans.put(key, known)
                return known
        return await graph.plans.made(
            key, lambda: self._off_loop(lambda: plan_and_compile(allowed, graph, labels, hidden))
        )

    def _hidden(self, document: Document, subject: Subject, graph: Snapshot) -> frozenset[Requirement]:
        """What of the schema this caller's introspection does not tell of."""
        if document.reads_schema and self.config.introspection_by_caller:
            return enforced(denied_to(subject, graph.all_requirements, self._rights), self._rules)
        return frozenset()

    async def _off_loop(self, work: Callable[[], Value]) -> Value:
        # in this request's context, so that its spans are part of the request's
        return await asyncio.get_running_loop().run_in_executor(self._planners, copy_context().run, work)

    async def take(self, graph: Snapshot) -> None:
        """Serve a new snapshot, once the hottest operations are planned on it for those who asked them.

        Requests and streams under way go on, on the snapshot that they began with.
        """
        old, began = self.snapshot, time.perf_counter()
        for hot in reversed(hottest(old, operations_max=self.config.caches.warmed_max)):
            with suppress(ClientError):  # an operation that is none any more is told so when it is asked
                request = GraphQLRequest(text=hot.text, operation_name=hot.operation_name)
                document = await self.read(request, graph)
                for denied in hot.denied:
                    if is_planned(denied, self._rules):
                        allowed = allowed_without(document, denied & document.needed, graph)
                        await self._planned(told_as(allowed, self._rules), graph, frozenset())
        warmup_duration_s.record(time.perf_counter() - began)
        self.snapshot = graph
        for told in self.on_taken:
            await told(graph)

    async def close(self) -> None:
        """Give back connections and threads; requests under way are cancelled."""
        self._planners.shutdown(wait=False, cancel_futures=True)
        await self._transport.close()


async def as_task(answering: Coroutine[Any, Any, GraphQLResponse]) -> GraphQLResponse:
    """The answer of what may need a task, to be driven."""
    await in_task()
    return await answering


async def _once(response: GraphQLResponse) -> AsyncIterator[GraphQLResponse]:
    yield response
