"""Incremental answers: the first part at once, the deferred ones as they come, judged anew before each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from authz.identity.subject import Subject
from router.edge.answers import Answer, answer_of_failure
from router.edge.streams import Watch, expired
from router.execution import GraphQLResponse


async def standing(
    parts: AsyncIterator[GraphQLResponse], subject: Subject, watch: Watch
) -> AsyncIterator[GraphQLResponse]:
    """The parts, as long as their caller may read. Errors: SUBSCRIPTION_EXPIRED.

    No part is ever dropped: each belongs to those before it. Closing the iterator stops the fetches.
    """
    async with aclosing(parts) as source:  # type: ignore[type-var]
        async for part in source:
            if not watch.stands(subject):
                raise expired()
            yield part


async def increments(
    first: GraphQLResponse, rest: AsyncIterator[GraphQLResponse], trace_id: str
) -> AsyncIterator[Answer]:
    """Every part as an answer. A failure ends what is pending with its error, worded or masked."""
    async with aclosing(rest) as following:  # type: ignore[type-var]
        yield Answer(first.body())
        try:
            async for part in following:
                yield Answer(part.body())
        except Exception as failure:
            yield Answer(_ended(first, answer_of_failure(failure, trace_id)))


def _ended(first: GraphQLResponse, failed: Answer) -> dict[str, Any]:
    errors = failed.body["errors"]
    pending = (first.incremental or {}).get("pending")
    if pending is None:
        return {"errors": errors, "hasNext": False}
    return {"completed": [{"id": it["id"], "errors": errors} for it in pending], "hasNext": False}
