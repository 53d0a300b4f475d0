"""The events port: facts that a domain publishes, delivered at least once, in order per key.

A domain appends events in the transaction that makes them true (`Outbox.append`); a relay carries them on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Event:
    """One fact. `id` is unique (UUIDv7 text); `key` orders: events of one key arrive in order."""

    id: str
    topic: str
    key: str
    payload: Mapping[str, Any]
    at_utc: datetime


class Outbox(Protocol):
    """Appends events in a domain's own transaction."""

    def append(self, connection: Connection, events: Sequence[Event]) -> None:
        """Write `events` beside the change that they tell of; they are relayed after the commit."""
        ...


class LiveEvents(Protocol):
    """An async iterator of the events from `subscribe` on. Ends when either side closes it."""

    def __aiter__(self) -> AsyncIterator[Event]:
        """Itself."""
        ...

    async def __anext__(self) -> Event:
        """The next event, waited for."""
        ...

    async def aclose(self) -> None:
        """Take no more; a waiting reader ends."""
        ...


class Events(Protocol):
    """Delivery. At least once: a consumer is idempotent by `Event.id`."""

    async def open(self) -> None:
        """Start relaying what the outboxes hold, first what an earlier process left."""
        ...

    async def ready(self) -> None:
        """Raise Unavailable where events cannot be delivered now."""
        ...

    async def close(self) -> None:
        """Stop; what is not yet delivered stays in the outboxes."""
        ...

    def subscribe(self, topics: Sequence[str], *, key: str | None = None) -> LiveEvents:
        """Live events from now on (of one key, if given), until the iterator is closed. A slow consumer
        whose queue (128 events) is full loses the oldest and the loss is counted."""
        ...

    def consume(self, group: str, topics: Sequence[str], handler: Callable[[Event], Awaitable[None]]) -> None:
        """Register a durable consumer before `open`: `handler` sees each event of `topics` at least once,
        also those published while it was away. After 5 failures an event goes to the dead letters;
        Unavailable is no failure of the event and is tried again until it goes away."""
        ...

    async def lag(self, group: str) -> int:
        """At most how many events `group` is not done with; 0 means it is done with all."""
        ...

    async def dead_letters(self, group: str) -> list[tuple[Event, str]]:
        """What `group` gave up on, in that order, each with the kind of its last failure."""
        ...

    async def retry_dead_letters(self, group: str) -> int:
        """Hand each dead letter to its consumer once more; those it takes go, and are counted.
        ValueError where this process has not registered `group`."""
        ...

    async def replay(self, group: str, *, since_utc: datetime) -> None:
        """Deliver again to `group` all that was published since then and is still kept (7 days at least)."""
        ...
