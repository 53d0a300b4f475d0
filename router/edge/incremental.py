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
    pending = _Pending()
    async with aclosing(rest) as following:  # type: ignore[type-var]
        yield Answer(pending.after(first).body())
        try:
            async for part in following:
                yield Answer(pending.after(part).body())
        except Exception as failure:
            yield Answer(pending.ended(answer_of_failure(failure, trace_id)))


class _Pending:
    """What is announced and not completed, in the form that announces; None in the other one."""

    def __init__(self) -> None:
        self._ids: dict[str, None] | None = None

    def after(self, part: GraphQLResponse) -> GraphQLResponse:
        """The part, with note taken of what it says."""
        members = part.incremental or {}
        if "pending" in members or "completed" in members:
            announced = (it["id"] for it in members.get("pending", ()))
            self._ids = {**(self._ids or {}), **dict.fromkeys(announced)}
            for it in members.get("completed", ()):
                self._ids.pop(it["id"], None)
        return part

    def ended(self, failed: Answer) -> dict[str, Any]:
        """The last part where a failure ends everything."""
        errors = failed.body["errors"]
        if self._ids is None:
            return {"errors": errors, "hasNext": False}
        return {"completed": [{"id": it, "errors": errors} for it in self._ids], "hasNext": False}
