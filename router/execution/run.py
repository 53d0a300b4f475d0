"""One execution of one plan: the response tree and what all its fetches share."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from authz.identity.subject import Subject
from router.driven import Told, is_driven
from router.errors import RequestTimedOut, SubgraphCallFailed
from router.execution.transport import SubgraphRequest, SubgraphResponse, SubgraphTransport
from router.operation.model import OperationKind
from router.telemetry import request_waiting

log = logging.getLogger(__name__)

ERRORS_MAX: Final = 1_000
"""Entries in one answer's `errors`; the rest are counted in the log only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsShown:
    """What clients see of subgraphs' errors: `all_` of them, or those with one of `codes`; the others are
    masked. `extensions` are the members of theirs that are shown; None: all, of errors that are shown for
    their code alone `code` and `obligation`."""

    all_: bool = True
    codes: frozenset[str] = frozenset()
    extensions: frozenset[str] | None = None


ALL_SHOWN: Final = ErrorsShown()


@dataclass(slots=True, kw_only=True)
class ExecutionOptions:
    """How a plan is run. Not changed once it is made; not frozen, for each request makes one.

    `deadline_s` is a point of `clock`'s time that all fetches share; each gets the smaller of
    `subgraph_timeout_s` and what is left. `forwarded` are headers that go to every subgraph; `errors` is what
    clients see of subgraphs' errors. With `null_reasons` on, the answer says which fetch left which null.
    `first` is the outcome of the plan's only fetch, where that was begun before.
    """

    deadline_s: float | None = None
    subgraph_timeout_s: float | None = 30.0
    forwarded: Mapping[str, str] = field(default_factory=dict)
    errors: ErrorsShown = ALL_SHOWN
    null_reasons: bool = False
    first: Any = None
    clock: Callable[[], float] = time.monotonic


DEFAULT_OPTIONS: Final = ExecutionOptions()


class Run:
    """The state of one execution. `root` is the response tree that fetches read from and merge into."""

    __slots__ = (
        "errors",
        "errors_lost",
        "failed",
        "options",
        "reasons",
        "root",
        "shares",
        "subject",
        "transport",
        "variables",
    )

    def __init__(
        self,
        *,
        variables: Mapping[str, Any],
        subject: Subject,
        transport: SubgraphTransport,
        options: ExecutionOptions = DEFAULT_OPTIONS,
    ) -> None:
        self.root: dict[str, Any] = {}
        self.shares = False
        """Whether one object of the tree may stand at many places; see `sharing`."""
        self.errors: list[dict[str, Any]] = []
        self.errors_lost = 0
        self.variables = variables
        self.subject = subject
        self.options = options
        self.transport = transport
        self.failed: set[int] = set()
        """Identities of objects that a fetch failed for; stable, because objects live as long as the run."""
        self.reasons: dict[int, list[Any]] | None = {} if options.null_reasons else None
        """By the same identities, what did not come and why; see `null_reasons`."""

    def within(self, root: dict[str, Any]) -> Run:
        """This run on a view of its tree: what is fetched and what goes wrong is this run's."""
        run = Run(
            variables=self.variables, subject=self.subject, transport=self.transport, options=self.options
        )
        run.root, run.errors, run.failed, run.reasons = root, self.errors, self.failed, self.reasons
        return run

    async def call(self, request: SubgraphRequest) -> SubgraphResponse:
        """The subgraph's answer.  Errors: `SubgraphCallFailed`, whatever went wrong on the way."""
        try:
            with request_waiting.get():
                if is_driven() and request.kind is OperationKind.QUERY:
                    response = await self._straight(request)
                    if response is not None:
                        return response
                return await self.transport.fetch(request)
        except SubgraphCallFailed:
            raise
        except Exception as error:
            # a fault of a transport or an in-process subgraph costs that subgraph's fields, not the answer
            log.exception("call to subgraph `%s` raised", request.service)
            raise SubgraphCallFailed(request.service, "internal error") from error

    async def _straight(self, request: SubgraphRequest) -> SubgraphResponse | None:
        """The answer of a call that needs no waiting to begin; None where `fetch` has to make it, or go on
        from what has come of it."""
        begin = getattr(self.transport, "begin", None)
        if begin is None or request.first is not None:
            return None
        told: Told[Any] = Told()
        try:
            call = begin(request, told)
        except TypeError:
            return None  # files among the variables
        if call is None:
            return None
        try:
            outcome = await told
        except asyncio.CancelledError:
            call.drop()
            raise
        except Exception as failure:
            outcome = failure
        response: SubgraphResponse | None = call.read(outcome)
        if response is None:
            request.first = outcome
        return response

    def timeout_s(self, service: str) -> float | None:
        """How long the next call may take.  Errors: `SubgraphCallFailed` where no time is left."""
        own = self.options.subgraph_timeout_s
        if self.options.deadline_s is None:
            return own
        left = self.options.deadline_s - self.options.clock()
        if left <= 0:
            raise SubgraphCallFailed(service, "the request's deadline has passed", code=RequestTimedOut.code)
        return left if own is None else min(own, left)

    def add_error(self, entry: dict[str, Any]) -> None:
        """One more entry for `errors`, unless there are too many already."""
        if len(self.errors) < ERRORS_MAX:
            self.errors.append(entry)
        else:
            self.errors_lost += 1

    def mark_failed(self, it: dict[str, Any]) -> None:
        """A fetch for this object failed: what it lacks is unknown, not null."""
        self.failed.add(id(it))
