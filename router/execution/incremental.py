"""Incremental delivery: a first answer without what `@defer` and `@stream` put off, then that.

Source: the GraphQL incremental delivery proposal, in the multipart form of 2022 and in its current form.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from authz.identity.subject import Subject
from router.execution.compiled import CompiledPlan
from router.execution.delivery import Delivery
from router.execution.execute import execute
from router.execution.payloads import IncrementalFormat
from router.execution.response import GraphQLResponse
from router.execution.run import DEFAULT_OPTIONS, ExecutionOptions, Run
from router.execution.transport import SubgraphTransport

__all__ = ["IncrementalFormat", "execute_incrementally"]


async def execute_incrementally(
    compiled: CompiledPlan,
    variables: Mapping[str, Any],
    subject: Subject,
    transport: SubgraphTransport,
    *,
    format_: IncrementalFormat,
    options: ExecutionOptions = DEFAULT_OPTIONS,
) -> AsyncIterator[GraphQLResponse]:
    """The answer in parts. One plain response where nothing is left to follow.

    A deferred fragment comes as soon as its own fetches are made, after what is around it; a streamed list's
    later items in batches. Each error is in the part that it belongs to. Closing the iterator ends all calls.
    """
    portions = compiled.portions()
    if portions is None:
        yield await execute(compiled, variables, subject, transport, options=options)
        return
    run = Run(variables=variables, subject=subject, transport=transport, options=options)
    async with aclosing(Delivery(compiled, portions, run, format_).parts()) as parts:  # type: ignore[type-var]
        async for part in parts:
            yield part
