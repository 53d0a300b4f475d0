"""Streams: watched, and ended when the right ends, the schema changes under them or the router stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from authz.identity.subject import Subject
from router.edge.credentials import Credentials
from router.edge.drain import Drain
from router.errors import ClientError
from router.pipeline import GraphQLRequest

LOOK_S = 1.0
"""A quiet stream ends within this many seconds of its right; a busy one at its next event."""


class Ending(Protocol):
    """A stream that can be ended: nothing follows what was put into it before."""

    def end(self, failure: BaseException | None = None) -> None:
        """Say that nothing follows, or with what it failed."""
        ...


class Watch:
    """Ends streams whose right has ended, also the quiet ones: one look at all of them every LOOK_S.

    When the router stops, all end at once. One an app.
    """

    def __init__(self, credentials: Credentials, drain: Drain) -> None:
        self._credentials = credentials
        self._drain = drain
        self._streams: dict[Ending, tuple[Subject, GraphQLRequest]] = {}
        self._next: asyncio.TimerHandle | None = None
        drain.on_stop(self._end_all)

    def stands(self, subject: Subject) -> bool:
        """Whether this caller's streams may go on."""
        return self._credentials.stands(subject)

    def add(self, stream: Ending, subject: Subject, request: GraphQLRequest) -> None:
        """Look after one stream until it is removed."""
        self._streams[stream] = subject, request
        if self._next is None:
            self._look()

    def remove(self, stream: Ending) -> None:
        """It is closed."""
        self._streams.pop(stream, None)

    def _look(self) -> None:
        for queue, (subject, _) in tuple(self._streams.items()):
            if not self.stands(subject):
                del self._streams[queue]
                queue.end(expired())
        again = bool(self._streams)
        self._next = asyncio.get_running_loop().call_later(LOOK_S, self._look) if again else None

    async def keep_valid(self, read: Callable[[GraphQLRequest], Awaitable[object]]) -> None:
        """After a reload: streams go on, but for those whose operation the new schema does not have."""
        fits: dict[tuple[str, str | None], bool] = {}
        for queue, (_, request) in tuple(self._streams.items()):
            key = request.text, request.operation_name
            if key not in fits:
                fits[key] = await _is_read(read, request)
            if not fits[key] and self._streams.pop(queue, None) is not None:
                queue.end(outdated())

    def _end_all(self) -> None:
        while self._streams:
            queue, _ = self._streams.popitem()
            queue.end(stopping())


async def _is_read(read: Callable[[GraphQLRequest], Awaitable[object]], request: GraphQLRequest) -> bool:
    try:
        await read(request)
    except ClientError:
        return False
    return True


def expired() -> ClientError:
    """The last error of a stream whose caller may no longer read it."""
    return ClientError("the token that opened the stream is no longer valid", code="SUBSCRIPTION_EXPIRED")


def outdated() -> ClientError:
    """The last error of a stream that the schema in force has no place for."""
    return ClientError(
        "the schema has changed under the subscription; subscribe again", code="SUBSCRIPTION_SCHEMA_RELOAD"
    )


def stopping() -> ClientError:
    """The last error of a stream that ends because the router does."""
    return ClientError("the router is stopping; subscribe again", code="SERVICE_OVERLOADED")
