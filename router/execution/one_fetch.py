"""An answer that one fetch makes, begun without a task: most requests of most clients are of this kind.

What does not go straight is left to `execute`, with what has come of the fetch (`ExecutionOptions.first`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authz.identity.subject import Subject
from router.errors import SubgraphCallFailed
from router.execution.compiled import CompiledPlan
from router.execution.execute import answer
from router.execution.fetches import RootFetch
from router.execution.response import GraphQLResponse
from router.execution.run import ExecutionOptions, Run
from router.execution.transport import BeginningTransport, BegunCall


class OneFetch:
    """An execution under way; who began it is told the fetch's outcome, and then calls `answer` or `drop`."""

    __slots__ = ("_call", "_compiled", "_fetch", "_run", "drop")

    def __init__(self, compiled: CompiledPlan, fetch: RootFetch, run: Run, call: BegunCall) -> None:
        self._compiled = compiled
        self._fetch = fetch
        self._run = run
        self._call = call
        self.drop = call.drop

    def answer(self, outcome: Any) -> GraphQLResponse | None:
        """The answer; None where `execute` has to go on from this outcome."""
        response = self._call.read(outcome)
        if response is None:
            return None
        if response.sent is not None:
            return GraphQLResponse(data=response.sent)
        self._fetch.merge(self._run, response, [self._run.root])
        return answer(self._compiled, self._run)


def begin(
    compiled: CompiledPlan,
    variables: Mapping[str, Any],
    subject: Subject,
    transport: BeginningTransport,
    *,
    options: ExecutionOptions,
    waiter: Any,
) -> OneFetch | None:
    """The answer's only fetch, begun; None where it has others, or has to be waited for.

    `waiter` is told the fetch's outcome, as a future is.
    """
    fetch = compiled.only_fetch()
    if fetch is None:
        return None
    whole = compiled.whole()
    if whole is None and fetch.shares_answers():
        return None
    run = Run(variables=variables, subject=subject, transport=transport, options=options)
    try:
        call = transport.begin(fetch.request(run, whole=whole is not None), waiter)
    except (SubgraphCallFailed, TypeError):
        return None
    return None if call is None else OneFetch(compiled, fetch, run, call)
