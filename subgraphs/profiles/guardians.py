"""Changes to guardianships: read, apply a rule, store, tell decisions and both ends, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from datastores.errors import Conflict
from datastores.events.outbox import time_ordered_id
from subgraphs.profiles import events, guardian_store, guardianship, model, store
from subgraphs.profiles.changes import Profiles
from subgraphs.profiles.guardianship import GuardianKind, Guardianship, GuardianshipState
from subgraphs.profiles.model import CoachLink, LinkState, RuleBroken

Change = Callable[[Connection, Guardianship, datetime], Guardianship]
LAPSED_AT_ONCE_MAX = 500


async def request(
    profiles: Profiles, *, guardian_id: str, minor_id: str, kind: GuardianKind, evidence: str
) -> Guardianship:
    """Somebody's request to be known as a guardian; the minor is told. The guardian may be at home in another
    region: the guardianship is the minor's.  Errors: RuleBroken."""
    of_age_there = await profiles.of_age_elsewhere(guardian_id)

    def work(connection: Connection) -> Guardianship:
        now = profiles.now()
        latest = guardian_store.latest_between(connection, minor_id, guardian_id)
        if latest is not None:
            latest = _written_down(connection, profiles, latest, now)
        people = store.profiles_by_user(connection, [guardian_id, minor_id])
        asked = guardianship.requested(
            id=time_ordered_id(now),
            guardian_id=guardian_id,
            of_age=guardianship.is_of_age(people[guardian_id], now.date())
            if guardian_id in people
            else of_age_there,
            minor_id=minor_id,
            kind=kind,
            evidence=evidence,
            now=now,
            version=1 if latest is None else latest.version + 1,
        )
        if minor_id not in people:
            raise RuleBroken("NOT_FOUND", "minorId", "not found")
        waiting = guardian_store.count_requests(connection, guardian_id, now=now)
        if waiting >= guardianship.REQUESTS_PER_GUARDIAN_MAX:
            told = f"at most {guardianship.REQUESTS_PER_GUARDIAN_MAX} requests wait at a time"
            raise RuleBroken("TOO_MANY_REQUESTS", "minorId", told)
        guardian_store.add(connection, asked)
        profiles.outbox.append(connection, events.guardianship_changed(asked, now=now))
        return asked

    try:
        return await profiles.unfenced.write(work)
    except Conflict:
        raise RuleBroken("ALREADY_ASKED", "minorId", "this is asked for, or stands, already") from None


async def confirm(
    profiles: Profiles, guardianship_id: str, *, actor_id: str, open_restricted: bool
) -> Guardianship:
    """Stand by a request; who may, was decided before.  Errors: RuleBroken."""

    def change(connection: Connection, asked: Guardianship, now: datetime) -> Guardianship:
        if actor_id in (asked.guardian_id, asked.minor_id):
            raise RuleBroken("SECOND_PERSON", "id", "somebody else must confirm this")
        people = store.profiles_by_user(connection, [asked.minor_id])
        confirmed = guardianship.confirmed(
            asked,
            people.get(asked.minor_id),
            by=actor_id,
            as_guardian=guardian_store.guards(connection, actor_id, asked.minor_id, now=now),
            open_restricted=open_restricted,
            now=now,
        )
        standing = guardian_store.count_guardians(connection, asked.minor_id, now=now)
        if standing >= guardianship.GUARDIANS_PER_MINOR_MAX:
            told = f"at most {guardianship.GUARDIANS_PER_MINOR_MAX} guardians at a time"
            raise RuleBroken("TOO_MANY_GUARDIANS", "id", told)
        return confirmed

    return await change_one(profiles, guardianship_id, change)


async def change_one(profiles: Profiles, guardianship_id: str, change: Change) -> Guardianship:
    """One change to a guardianship, published with it.  Errors: RuleBroken."""

    def work(connection: Connection) -> Guardianship:
        now = profiles.now()
        known = guardian_store.by_id(connection, [guardianship_id]).get(guardianship_id)
        if known is None:
            raise RuleBroken("NOT_FOUND", "id", "not found")
        changed = change(connection, known, now)
        _store(connection, profiles, known, changed, now)
        return changed

    return await profiles.unfenced.write(work)


async def end_lapsed(profiles: Profiles) -> int:
    """Write down what time has ended, and tell both ends; how many there were. For a job, now and then."""

    def work(connection: Connection) -> int:
        now = profiles.now()
        over = guardian_store.lapsed(connection, now=now, limit=LAPSED_AT_ONCE_MAX)
        for each in over:
            _store(connection, profiles, each, guardianship.ended(each, by=None, now=now), now)
        return len(over)

    return await profiles.unfenced.write(work)


async def end_coach_link(profiles: Profiles, link_id: str, *, guardian_id: str) -> CoachLink:
    """A guardian ends what a minor has opened to a coach.  Errors: RuleBroken."""

    def work(connection: Connection) -> CoachLink:
        now = profiles.now()
        link = store.link_by_id(connection, link_id)
        if link is None or not guardian_store.guards(connection, guardian_id, link.athlete_id, now=now):
            raise RuleBroken("NOT_FOUND", "id", "not found")
        ended = model.ended(link, now=now)
        if not store.replace_link(connection, ended):
            raise RuleBroken("CONFLICT", "id", "the link was changed meanwhile; look at it again")
        if link.state is LinkState.ACTIVE:
            profiles.outbox.append(connection, [events.relationship_changed(ended, now=now)])
        return ended

    return await profiles.unfenced.write(work)


def _written_down(
    connection: Connection, profiles: Profiles, latest: Guardianship, now: datetime
) -> Guardianship:
    """The guardianship, ended in the store too where time has ended it."""
    current = latest.current_state(now)
    if current is latest.state:
        return latest
    if current is GuardianshipState.ENDED:
        over = guardianship.ended(latest, by=None, now=now)
    else:
        over = guardianship.lapsed(latest)
    _store(connection, profiles, latest, over, now)
    return over


def _store(
    connection: Connection, profiles: Profiles, known: Guardianship, changed: Guardianship, now: datetime
) -> None:
    if not guardian_store.replace(connection, changed):
        raise RuleBroken("CONFLICT", "id", "it was changed meanwhile; look at it again")
    told = events.guardianship_changed(changed, now=now)
    if GuardianshipState.ACTIVE in (known.state, changed.state):
        told = [events.relationship_changed(changed, now=now), *told]
    profiles.outbox.append(connection, told)
