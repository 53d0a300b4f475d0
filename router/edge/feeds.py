"""Feeds: a subscription runs once for all equal streams, and each of its events is put into words once.

INVARIANT: the key holds all that can change an event, as that of a shared query does: among it the caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from authz.identity.subject import Subject
from router.broadcast import Broadcast, Broadcasts, EventQueue, Quiet
from router.config import StreamLimits
from router.edge.answers import Answer
from router.edge.sharing import Key, key_of
from router.edge.streams import Watch, expired
from router.execution import GraphQLResponse
from router.pipeline import GraphQLRequest
from router.snapshot import Snapshot
from router.telemetry import streams_open

if TYPE_CHECKING:
    from router.edge.framing import Framing

JUDGED_S: Final = 0.1
"""An event that has waited longer than this for its client is not sent before the caller is judged anew."""


class Event:
    """One event of a subscription, as all its readers get it."""

    __slots__ = ("_frame", "_framing", "answer", "judged_at_s")

    def __init__(self, answer: Answer, judged_at_s: float) -> None:
        self.answer = answer
        self.judged_at_s = judged_at_s
        self._framing: Framing | None = None
        self._frame = b""

    def framed(self, framing: Framing) -> bytes:
        """Its bytes on a stream of this kind; made once for readers of one kind."""
        if self._framing is not framing:
            self._framing, self._frame = framing, framing.frame(self.answer)
        return self._frame


class _Judging:
    """Makes each response of a run an event, while its caller may read on: judged once, for all readers.

    The graph is kept as long as the run: the key names it by its address.
    """

    __slots__ = ("_graph", "_subject", "_time", "_watch")

    def __init__(self, subject: Subject, graph: Snapshot, watch: Watch) -> None:
        self._subject = subject
        self._graph = graph
        self._watch = watch
        self._time = asyncio.get_running_loop().time

    def __call__(self, response: GraphQLResponse) -> Event:
        """Errors: SUBSCRIPTION_EXPIRED."""
        if not self._watch.stands(self._subject):
            raise expired()
        return Event(Answer(response.body()), self._time())


class Feeds:
    """The subscriptions that run. One an app.

    A stream joins a run that has given nothing yet: whoever comes later may be promised a first event.
    """

    def __init__(self, watch: Watch, limits: StreamLimits, *, shared: bool) -> None:
        self.watch = watch
        self.limits = limits
        self._shared = shared
        self._broadcasts: Broadcasts[Event] = Broadcasts()

    def reading(
        self,
        source: AsyncIterator[GraphQLResponse],
        request: GraphQLRequest,
        subject: Subject,
        graph: Snapshot,
    ) -> Reading:
        """A stream of this subscription. `source` is run where no equal one can be joined."""
        return Reading(self, source, request, subject, graph)

    def joined(
        self, reading: Reading, queue: EventQueue[Event], source: AsyncIterator[GraphQLResponse]
    ) -> Broadcast[Event]:
        """The run that this stream reads."""
        judging = _Judging(reading.subject, reading.graph, self.watch)
        return self._broadcasts.joined(self._key(reading), queue, lambda: source, judging)

    def _key(self, reading: Reading) -> Key:
        if not self._shared:
            return (object(),)
        try:
            return key_of(reading.request, reading.subject, reading.graph)
        except TypeError:  # variables that JSON has no word for
            return (object(),)


class Reading:
    """One client's stream: it begins with the first `next`, and `aclose` ends it.

    Ends where the source ends, the caller's right ends (SUBSCRIPTION_EXPIRED), or the router stops.
    """

    __slots__ = ("_broadcast", "_feeds", "_queue", "_source", "graph", "request", "subject")

    def __init__(
        self,
        feeds: Feeds,
        source: AsyncIterator[GraphQLResponse],
        request: GraphQLRequest,
        subject: Subject,
        graph: Snapshot,
    ) -> None:
        self.request = request
        self.subject = subject
        self.graph = graph
        self._feeds = feeds
        self._source: AsyncIterator[GraphQLResponse] | None = source
        self._broadcast: Broadcast[Event] | None = None
        self._queue: EventQueue[Event] = EventQueue(
            events_max=feeds.limits.queue_events_max, lost_max=feeds.limits.lost_events_max
        )

    async def next(self, *, quiet_s: float | None = None) -> Event | Quiet | None:
        """As the queue's `get`; an event that waited for its client is read by those alone who still may."""
        if self._source is not None:
            self._begin(self._source)
        event = await self._queue.get(quiet_s=quiet_s)
        if (
            isinstance(event, Event)
            and event.judged_at_s + JUDGED_S < asyncio.get_running_loop().time()
            and not self._feeds.watch.stands(self.subject)
        ):
            raise expired()
        return event

    def _begin(self, source: AsyncIterator[GraphQLResponse]) -> None:
        self._source = None
        self._broadcast = self._feeds.joined(self, self._queue, source)
        self._feeds.watch.add(self._queue, self.subject, self.request)
        streams_open.add(1)

    async def aclose(self) -> None:
        """End the stream; the subgraph's ends with its last reader."""
        self._source = None
        broadcast, self._broadcast = self._broadcast, None
        if broadcast is not None:
            streams_open.add(-1)
            self._feeds.watch.remove(self._queue)
            await broadcast.leave(self._queue)
