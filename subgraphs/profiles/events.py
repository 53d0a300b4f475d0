"""What profiles publishes, and what it does about what others publish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from authz.facts.model import RELATIONSHIP_TOPIC, RelationshipFact
from datastores.events.outbox import new_event
from datastores.events.port import Event, Outbox
from datastores.relational.port import Relational
from subgraphs.profiles import guardian_store, store
from subgraphs.profiles.guardianship import Guardianship, GuardianshipState
from subgraphs.profiles.model import CoachLink, LinkState

CONSUMER = "profiles"
USER_ERASED = "user.erased"
GUARDIANSHIP_CHANGED = "guardianship.changed"
CONSUMED_TOPICS = ("user.registered", USER_ERASED)


def relationship_changed(link: CoachLink | Guardianship, *, now: datetime) -> Event:
    """What decisions are to know of a link or a guardianship from now on; ordered by whose rows it opens."""
    fact = link.fact(now)
    return new_event(RELATIONSHIP_TOPIC, key=fact.object_id, payload=fact.as_payload(), at_utc=now)


def fact_told(fact: RelationshipFact, *, now: datetime) -> Event:
    """What decisions are to know of where somebody is at home; ordered by person."""
    return new_event(RELATIONSHIP_TOPIC, key=fact.subject_id, payload=fact.as_payload(), at_utc=now)


def guardianship_changed(guardianship: Guardianship, *, now: datetime) -> list[Event]:
    """The notice to each of both ends; what proves it is asked of the graph."""
    ends = guardianship.valid_until_utc
    told = {
        "guardianship_id": guardianship.id,
        "minor_id": guardianship.minor_id,
        "guardian_id": guardianship.guardian_id,
        "state": guardianship.state.value,
        "contested": guardianship.contested,
        "valid_until_utc": None if ends is None else ends.isoformat(),
    }
    return [
        new_event(GUARDIANSHIP_CHANGED, key=person, payload={**told, "notified_id": person}, at_utc=now)
        for person in (guardianship.minor_id, guardianship.guardian_id)
    ]


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
    ended: list[CoachLink | Guardianship] = [
        replace(link, state=LinkState.ENDED, version=link.version + 1)
        for link in store.links_of(connection, user_id)
    ]
    ended += [
        replace(each, state=GuardianshipState.ENDED, version=each.version + 1)
        for each in guardian_store.of_person(connection, user_id)
    ]
    if ended:
        outbox.append(connection, [relationship_changed(link, now=now) for link in ended])
    guardian_store.delete_person(connection, user_id)
    store.delete_person(connection, user_id)
