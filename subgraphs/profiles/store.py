"""Profiles' rows: profiles and coach links; synchronous, against a connection, read in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from authz.classes import Visibility
from datastores.relational.columns import insert
from datastores.relational.prepared import PreparedRead, listed
from subgraphs.profiles.access import LinkFilter
from subgraphs.profiles.model import CoachLink, CoachScope, LinkState, Profile, Sex, Units
from subgraphs.profiles.tables import coach_links, profiles

LINKS_LISTED_MAX = 100
_PROFILES = PreparedRead(sa.select(profiles).where(profiles.c.user_id.in_(listed("user_ids"))))
_PEOPLE = PreparedRead(sa.select(profiles.c.user_id).where(profiles.c.user_id.in_(listed("user_ids"))))
_COACHES = PreparedRead(
    sa.select(coach_links)
    .where(coach_links.c.athlete_id.in_(listed("athlete_ids")))
    .order_by(coach_links.c.created_at_utc.desc(), coach_links.c.id)
)


def create_profile(connection: Connection, profile: Profile) -> None:
    """A new profile; who calls it has checked it. For demo people and imports too.

    Errors: Conflict where the user has one.
    """
    connection.execute(sa.insert(profiles).values(**_profile_values(profile)))


def ensure_profile(connection: Connection, user_id: str, *, display_name: str) -> None:
    """A profile for `user_id` if there is none yet."""
    values = _profile_values(Profile(user_id, display_name[:80]))
    connection.execute(insert(connection, profiles).values(**values).on_conflict_do_nothing())


def profiles_by_user(connection: Connection, user_ids: Sequence[str]) -> dict[str, Profile]:
    """The profiles of those of `user_ids` who have one."""
    return {row.user_id: _profile(row) for row in _PROFILES.rows(connection, user_ids=[*user_ids])}


def known_people(connection: Connection, user_ids: Sequence[str]) -> dict[str, bool]:
    """Those of `user_ids` who have a profile; nothing of it is read."""
    return {row.user_id: True for row in _PEOPLE.rows(connection, user_ids=[*user_ids])}


def replace_profile(connection: Connection, profile: Profile) -> bool:
    """Store the next version; False where somebody was first."""
    statement = (
        sa.update(profiles)
        .where(profiles.c.user_id == profile.user_id, profiles.c.version == profile.version - 1)
        .values(**_profile_values(profile))
    )
    return connection.execute(statement).rowcount == 1


def add_link(connection: Connection, link: CoachLink) -> None:
    """A new link.  Errors: Conflict where the two have one that has not ended."""
    connection.execute(sa.insert(coach_links).values(**_link_values(link)))


def replace_link(connection: Connection, link: CoachLink) -> bool:
    """Store the next version of a link; False where somebody was first."""
    statement = (
        sa.update(coach_links)
        .where(coach_links.c.id == link.id, coach_links.c.version == link.version - 1)
        .values(**_link_values(link))
    )
    return connection.execute(statement).rowcount == 1


def link_by_id(connection: Connection, link_id: str) -> CoachLink | None:
    """One link, whoever it belongs to."""
    row = connection.execute(sa.select(coach_links).where(coach_links.c.id == link_id)).first()
    return None if row is None else _link(row)


def visible_links(connection: Connection, link_ids: Sequence[str], seen: LinkFilter) -> dict[str, CoachLink]:
    """Those of `link_ids` that `seen` lets through."""
    query = sa.select(coach_links).where(coach_links.c.id.in_(link_ids), _condition(seen))
    return {row.id: _link(row) for row in connection.execute(query)}


def links_of(connection: Connection, user_id: str) -> list[CoachLink]:
    """Every link that somebody is an end of."""
    ends = sa.or_(coach_links.c.athlete_id == user_id, coach_links.c.coach_id == user_id)
    return [_link(row) for row in connection.execute(sa.select(coach_links).where(ends))]


def delete_person(connection: Connection, user_id: str) -> None:
    """Somebody's profile and links, with what they wrote in them."""
    ends = sa.or_(coach_links.c.athlete_id == user_id, coach_links.c.coach_id == user_id)
    connection.execute(sa.delete(coach_links).where(ends))
    connection.execute(sa.delete(profiles).where(profiles.c.user_id == user_id))


def latest_between(connection: Connection, athlete_id: str, coach_id: str) -> CoachLink | None:
    """The newest link between two people, ended or not."""
    query = (
        sa.select(coach_links)
        .where(coach_links.c.athlete_id == athlete_id, coach_links.c.coach_id == coach_id)
        .order_by(coach_links.c.version.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else _link(row)


def coaches_of(connection: Connection, athlete_ids: Sequence[str]) -> dict[str, list[CoachLink]]:
    """Each athlete's links, newest first, at most 100 each, the ended ones too."""
    found: dict[str, list[CoachLink]] = {athlete_id: [] for athlete_id in athlete_ids}
    for row in _COACHES.rows(connection, athlete_ids=[*athlete_ids]):
        if len(found[row.athlete_id]) < LINKS_LISTED_MAX:
            found[row.athlete_id].append(_link(row))
    return found


def roster_page(
    connection: Connection,
    coach_id: str,
    *,
    states: Sequence[LinkState],
    after_id: str | None,
    limit: int,
    now: datetime,
) -> list[CoachLink]:
    """A coach's links in these states, by id."""
    query = sa.select(coach_links).where(_on_roster(coach_id, states, now)).order_by(coach_links.c.id)
    if after_id is not None:
        query = query.where(coach_links.c.id > after_id)
    return [_link(row) for row in connection.execute(query.limit(limit))]


def count_roster(connection: Connection, coach_id: str, *, states: Sequence[LinkState], now: datetime) -> int:
    """How many links `roster_page` has in all."""
    query = sa.select(sa.func.count()).select_from(coach_links).where(_on_roster(coach_id, states, now))
    return int(connection.execute(query).scalar_one())


def count_going(
    connection: Connection, *, athlete_id: str | None = None, coach_id: str | None = None, now: datetime
) -> int:
    """How many links of an athlete, or of a coach, have not ended."""
    mine = coach_links.c.athlete_id == athlete_id if coach_id is None else coach_links.c.coach_id == coach_id
    query = (
        sa.select(sa.func.count())
        .select_from(coach_links)
        .where(mine, coach_links.c.state != LinkState.ENDED.value, coach_links.c.valid_until_utc > now)
    )
    return int(connection.execute(query).scalar_one())


def _on_roster(coach_id: str, states: Sequence[LinkState], now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(
        coach_links.c.coach_id == coach_id,
        coach_links.c.state.in_([state.value for state in states]),
        sa.or_(coach_links.c.valid_until_utc > now, coach_links.c.state == LinkState.ENDED.value),
    )


def _condition(seen: LinkFilter) -> sa.ColumnElement[bool]:
    if seen.participant_id is None:
        return sa.false()
    return sa.or_(
        coach_links.c.athlete_id == seen.participant_id, coach_links.c.coach_id == seen.participant_id
    )


def _profile_values(profile: Profile) -> dict[str, Any]:
    return {
        "user_id": profile.user_id,
        "display_name": profile.display_name,
        "birth_date": profile.birth_date,
        "sex": None if profile.sex is None else profile.sex.value,
        "height_m": profile.height_m,
        "home_region": profile.home_region,
        "locale": profile.locale,
        "time_zone": profile.time_zone,
        "units": profile.units.value,
        "name_visibility": profile.name_visibility.value,
        "details_visibility": profile.details_visibility.value,
        "week_starts_on": profile.week_starts_on,
        "version": profile.version,
    }


def _profile(row: Row[Any]) -> Profile:
    return Profile(
        user_id=row.user_id,
        display_name=row.display_name,
        birth_date=row.birth_date,
        sex=None if row.sex is None else Sex(row.sex),
        height_m=row.height_m,
        home_region=row.home_region,
        locale=row.locale,
        time_zone=row.time_zone,
        units=Units(row.units),
        name_visibility=Visibility(row.name_visibility),
        details_visibility=Visibility(row.details_visibility),
        week_starts_on=row.week_starts_on,
        version=row.version,
    )


def _link_values(link: CoachLink) -> dict[str, Any]:
    return {
        "id": link.id,
        "athlete_id": link.athlete_id,
        "coach_id": link.coach_id,
        "state": link.state.value,
        "scopes": " ".join(sorted(scope.value for scope in link.scopes)),
        "message": link.message,
        "created_at_utc": link.created_at_utc,
        "valid_from_utc": link.valid_from_utc,
        "valid_until_utc": link.valid_until_utc,
        "version": link.version,
    }


def _link(row: Row[Any]) -> CoachLink:
    return CoachLink(
        id=row.id,
        athlete_id=row.athlete_id,
        coach_id=row.coach_id,
        state=LinkState(row.state),
        scopes=frozenset(CoachScope(word) for word in row.scopes.split()),
        message=row.message,
        created_at_utc=row.created_at_utc,
        valid_from_utc=row.valid_from_utc,
        valid_until_utc=row.valid_until_utc,
        version=row.version,
    )
