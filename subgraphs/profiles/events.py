"""What profiles publishes, and what it does about what others publish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from authz.facts.model import RELATIONSHIP_TOPIC
from datastores.events.outbox import new_event
from datastores.events.port import Event, Outbox
from datastores.relational.port import Relational
from subgraphs.profiles import store
from subgraphs.profiles.model import CoachLink, LinkState

CONSUMER = "profiles"
USER_ERASED = "user.erased"
CONSUMED_TOPICS = ("user.registered", USER_ERASED)


def relationship_changed(link: CoachLink, *, now: datetime) -> Event:
    """What decisions are to know of a coach link from now on; ordered by athlete."""
    return new_event(RELATIONSHIP_TOPIC, key=link.athlete_id, payload=link.fact(now).as_payload(), at_utc=now)


def consumer(
    relational: Relational, outbox: Outbox, now: Callable[[], datetime]
) -> Callable[[Event], Awaitable[None]]:
    """The handler of `CONSUMED_TOPICS`: who registers has a profile, named by the handle at first; who is
    erased has none, and no links.

    Idempotent: an event that comes again changes nothing.
    """

    async def handle(event: Event) -> None:
        user_id = str(event.payload["user_id"])
        if event.topic == USER_ERASED:
            await relational.write(lambda c: _erase(c, outbox, user_id, now()))
            return
        handle = str(event.payload["handle"])
        await relational.write(lambda c: store.ensure_profile(c, user_id, display_name=handle))

    return handle


def _erase(connection: Connection, outbox: Outbox, user_id: str, now: datetime) -> None:
    ended = [
        replace(link, state=LinkState.ENDED, version=link.version + 1)
        for link in store.links_of(connection, user_id)
    ]
    if ended:
        outbox.append(connection, [relationship_changed(link, now=now) for link in ended])
    store.delete_person(connection, user_id)
