"""Changes to profiles and coach links: read, apply a rule, store and publish, in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from datastores.errors import Conflict
from datastores.events.outbox import time_ordered_id
from datastores.events.port import Outbox
from datastores.relational.port import Relational
from subgraphs.profiles import events, guardian_store, model, store
from subgraphs.profiles.model import CoachLink, CoachScope, LinkState, Profile, RuleBroken

Change = Callable[[CoachLink, datetime], CoachLink]


async def nobody_elsewhere(user_id: str) -> bool:
    """Where there is one region, nobody has a profile in another."""
    del user_id
    return False


async def no_age_elsewhere(user_id: str) -> bool | None:
    """Where there is one region, nobody says in another when they were born."""
    del user_id
    return None


@dataclass(frozen=True, slots=True)
class Profiles:
    """The ports that profiles works with; one value a process. `elsewhere` says whether somebody has a
    profile in another region, `of_age_elsewhere` whether it says that they are of age.

    `unfenced` are the same rows without the fence of row-level security, for changes whose own rule must
    look at somebody that the caller is nothing to.
    """

    relational: Relational
    unfenced: Relational
    outbox: Outbox
    now: Callable[[], datetime]
    elsewhere: Callable[[str], Awaitable[bool]] = nobody_elsewhere
    of_age_elsewhere: Callable[[str], Awaitable[bool | None]] = no_age_elsewhere


async def change_profile(
    profiles: Profiles, user_id: str, changes: dict[str, object], *, version: int | None
) -> Profile:
    """The caller's own profile with `changes`; `version`, if given, is the one that they were made to.

    Errors: RuleBroken.
    """

    def work(connection: Connection) -> Profile:
        current = store.profiles_by_user(connection, [user_id]).get(user_id)
        if current is None:
            raise RuleBroken("NOT_FOUND", "id", "not found")
        if version is not None and version != current.version:
            message = f"the profile was changed meanwhile and is at version {current.version}"
            raise RuleBroken("CONFLICT", "version", message)
        if changes.get("birth_date", current.birth_date) != current.birth_date:
            _check_unguarded(connection, user_id, profiles.now())
        changed = replace(current, **changes, version=current.version + 1)  # type: ignore[arg-type]
        model.checked_profile(changed, today=profiles.now().date())
        if not store.replace_profile(connection, changed):
            raise RuleBroken("CONFLICT", "version", "the profile was changed meanwhile")
        moved = model.region_facts(current, changed, now=profiles.now())
        profiles.outbox.append(connection, [events.fact_told(fact, now=profiles.now()) for fact in moved])
        return changed

    return await profiles.relational.write(work)


def _check_unguarded(connection: Connection, user_id: str, now: datetime) -> None:
    # A minor must not come of age by a word of their own.
    if guardian_store.count_guardians(connection, user_id, now=now):
        raise RuleBroken("GUARDED", "birthDate", "while there is a guardian, the birth date stands")


async def invite(
    profiles: Profiles,
    *,
    athlete_id: str,
    coach_id: str,
    scopes: frozenset[CoachScope],
    message: str,
    valid_until_utc: datetime | None,
) -> CoachLink:
    """An athlete's invitation to a coach, who may be at home in another region: the link is the athlete's.

    Errors: RuleBroken.
    """
    is_known = await profiles.elsewhere(coach_id) or bool(
        await profiles.unfenced.read(lambda c: store.known_people(c, [coach_id]))
    )

    def work(connection: Connection) -> CoachLink:
        now = profiles.now()
        latest = store.latest_between(connection, athlete_id, coach_id)
        if latest is not None:
            latest = _lapsed(connection, latest, now)
        link = model.invited(
            id=time_ordered_id(now),
            athlete_id=athlete_id,
            coach_id=coach_id,
            scopes=scopes,
            message=message,
            valid_until_utc=valid_until_utc,
            now=now,
            version=1 if latest is None else latest.version + 1,
        )
        if not is_known:
            raise RuleBroken("NOT_FOUND", "coachId", "not found")
        if store.count_going(connection, athlete_id=athlete_id, now=now) >= model.COACHES_PER_ATHLETE_MAX:
            told = f"at most {model.COACHES_PER_ATHLETE_MAX} coaches at a time: end a link first"
            raise RuleBroken("TOO_MANY_COACHES", "coachId", told)
        store.add_link(connection, link)
        return link

    try:
        return await profiles.relational.write(work)
    except Conflict:
        raise RuleBroken("ALREADY_LINKED", "coachId", "there is a link with this coach already") from None


def _lapsed(connection: Connection, link: CoachLink, now: datetime) -> CoachLink:
    """The link, written down as ENDED if time has ended it."""
    if link.state is LinkState.ENDED or link.current_state(now) is not LinkState.ENDED:
        return link
    over = replace(link, state=LinkState.ENDED, version=link.version + 1)
    store.replace_link(connection, over)
    return over


async def change_link(profiles: Profiles, link_id: str, *, actor_id: str, change: Change) -> CoachLink:
    """One end's change to a link; a link of others is not found.

    What decisions must know is published in the same transaction. Errors: RuleBroken.
    """

    def work(connection: Connection) -> CoachLink:
        now = profiles.now()
        link = store.link_by_id(connection, link_id)
        if link is None or not link.participant(actor_id):
            raise RuleBroken("NOT_FOUND", "id", "not found")
        changed = change(link, now)
        opens = changed.state is LinkState.ACTIVE and link.state is LinkState.INVITED
        if opens and store.count_going(connection, coach_id=actor_id, now=now) > model.ATHLETES_PER_COACH_MAX:
            told = f"at most {model.ATHLETES_PER_COACH_MAX} athletes at a time"
            raise RuleBroken("TOO_MANY_ATHLETES", "id", told)
        if not store.replace_link(connection, changed):
            raise RuleBroken("CONFLICT", "id", "the link was changed meanwhile; look at it again")
        if LinkState.ACTIVE in (link.state, changed.state):
            profiles.outbox.append(connection, [events.relationship_changed(changed, now=now)])
        return changed

    return await profiles.relational.write(work)
