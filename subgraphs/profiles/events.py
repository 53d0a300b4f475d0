"""What profiles publishes, and what it does about what others publish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from authz.facts.model import RELATIONSHIP_TOPIC
from datastores.events.outbox import new_event
from datastores.events.port import Event
from datastores.relational.port import Relational
from subgraphs.profiles import store
from subgraphs.profiles.model import CoachLink

CONSUMER = "profiles"
CONSUMED_TOPICS = ("user.registered",)


def relationship_changed(link: CoachLink, *, now: datetime) -> Event:
    """What decisions are to know of a coach link from now on; ordered by athlete."""
    return new_event(RELATIONSHIP_TOPIC, key=link.athlete_id, payload=link.fact(now).as_payload(), at_utc=now)


def consumer(relational: Relational) -> Callable[[Event], Awaitable[None]]:
    """The handler of `CONSUMED_TOPICS`: who registers has a profile, named by the handle at first.

    Idempotent: an event that comes again changes nothing.
    """

    async def handle(event: Event) -> None:
        user_id, handle = str(event.payload["user_id"]), str(event.payload["handle"])
        await relational.write(lambda c: store.ensure_profile(c, user_id, display_name=handle))

    return handle
