"""Running a compiled plan: fetch, then project. One answer, or one an event."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from authz.identity.subject import Subject
from router.errors import PlanInvariantBroken, SubgraphCallFailed
from router.execution.compiled import CompiledPlan
from router.execution.explain import Explanation, visible_path
from router.execution.null_reasons import null_reasons
from router.execution.projection import Projection
from router.execution.response import GraphQLResponse
from router.execution.run import DEFAULT_OPTIONS, ExecutionOptions, Run
from router.execution.subgraph_errors import report_failure
from router.execution.transport import SubgraphRequest, SubgraphResponse, SubgraphTransport

log = logging.getLogger(__name__)


async def execute(
    compiled: CompiledPlan,
    variables: Mapping[str, Any],
    subject: Subject,
    transport: SubgraphTransport,
    *,
    options: ExecutionOptions = DEFAULT_OPTIONS,
) -> GraphQLResponse:
    """The answer to a query or mutation. `variables` are coerced ones.

    Whatever a subgraph does ends in the answer's `errors`; raised is only what the router itself gets
    wrong. Cancelling cancels the fetches under way.
    """
    run = Run(variables=variables, subject=subject, transport=transport, options=options)
    whole = compiled.whole()
    if whole is not None:
        data = await whole.run_whole(run)
        if data is not None:
            return GraphQLResponse(data=data)
    elif compiled.step is not None:
        await compiled.step.run(run)
    return answer(compiled, run)


async def subscribe(
    compiled: CompiledPlan,
    variables: Mapping[str, Any],
    subject: Subject,
    transport: SubgraphTransport,
    *,
    options: ExecutionOptions = DEFAULT_OPTIONS,
) -> AsyncIterator[GraphQLResponse]:
    """One answer an event of the subscribed subgraph, each completed by the rest of the plan.

    Ends when the subgraph completes, or after one last answer with errors where its stream fails.
    Closing the iterator ends the subgraph's subscription. A deadline in `options` holds for each event.
    """
    event = compiled.event
    if event is None:
        raise PlanInvariantBroken("the plan is not a subscription's")

    def run_of_event() -> Run:
        return Run(variables=variables, subject=subject, transport=transport, options=options)

    try:
        async with aclosing(_events(transport, event.request(run_of_event()))) as events:
            async for response in events:
                run = run_of_event()
                event.merge(run, response, [run.root])
                if compiled.step is not None and response.data is not None:
                    await compiled.step.run(run)
                yield answer(compiled, run)
    except SubgraphCallFailed as failure:
        run = run_of_event()
        report_failure(run, failure, ())
        yield answer(compiled, run)


async def _events(transport: SubgraphTransport, request: SubgraphRequest) -> AsyncGenerator[SubgraphResponse]:
    """The subgraph's events.  Errors: `SubgraphCallFailed`, whatever went wrong on the way."""
    try:
        async with aclosing(transport.subscribe(request)) as events:  # type: ignore[type-var]
            async for response in events:
                yield response
    except SubgraphCallFailed:
        raise
    except Exception as error:
        # as for fetches: a fault of a transport or an in-process subgraph is that subgraph's failure
        log.exception("subscription to subgraph `%s` raised", request.service)
        raise SubgraphCallFailed(request.service, "internal error") from error


def answer(compiled: CompiledPlan, run: Run) -> GraphQLResponse:
    """The response tree of a finished run as the client's answer."""
    return answer_by(compiled, run, compiled.projection(run.variables, shared=run.shares))


def answer_by(compiled: CompiledPlan, run: Run, projection: Projection) -> GraphQLResponse:
    """As `answer`, in the shape of this projection of the plan."""
    add_introspected(compiled, run)
    return explained(compiled, run, projection, projection.project(run.root))


def add_introspected(compiled: CompiledPlan, run: Run) -> None:
    """Put what the router itself answers into the tree."""
    introspected = compiled.introspected(run.variables)
    if introspected is not None:
        run.root.update(introspected)


def explained(
    compiled: CompiledPlan, run: Run, projection: Projection, data: dict[str, Any] | None
) -> GraphQLResponse:
    """The answer with this data, which `projection` has made last, and with what the run tells of it."""
    errors = [_placed(entry, projection) for entry in run.errors]
    extensions: dict[str, Any] = {}
    if projection.irregular or compiled.allowed.denials:
        explanation = Explanation()
        explanation.of_object(run.root, projection.shape, ())
        # a null that follows from an error which is told already needs no second explanation
        if explanation.refusals and not errors and not explanation.denials:
            extensions["valueCompletion"] = explanation.refusals
        errors += explanation.denials
    if run.reasons:
        reasons = null_reasons(run.reasons, run.root, data, projection.shape)
        if reasons:
            extensions["nullReasons"] = reasons
    return GraphQLResponse(data=data, errors=tuple(errors), extensions=extensions)


def _placed(entry: dict[str, Any], projection: Projection) -> dict[str, Any]:
    path = entry.get("path")
    if path:
        visible = visible_path(projection.shape, path)
        if visible:
            entry["path"] = visible
        else:
            del entry["path"]
    return entry
