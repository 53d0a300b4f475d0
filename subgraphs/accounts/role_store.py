"""Rows of what roles reach, and of organisations; synchronous, against a connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from authz.classes import Relation, Role
from authz.facts.model import RelationshipFact
from datastores.relational.columns import insert
from subgraphs.accounts.model import AssignmentState
from subgraphs.accounts.role_scopes import Reaching, RoleScope, as_text, of_text
from subgraphs.accounts.tables import members, organisations, role_assignments, users

TOLD_ORGANISATIONS_MAX = 20
"""A token has no room for more; who is in more is told of as a member of the first."""


@dataclass(frozen=True, slots=True)
class Organisation:
    """A club, a team, a clinic: people whom a role may be for."""

    id: str
    name: str
    created_at_utc: datetime


def rescope(
    connection: Connection, assignment_id: str, scope: RoleScope, valid_until_utc: datetime | None
) -> None:
    """Let an assignment reach that far, until then."""
    changed = sa.update(role_assignments).where(role_assignments.c.id == assignment_id)
    connection.execute(changed.values(scope=as_text(scope), valid_until_utc=valid_until_utc))


def replaced_by(connection: Connection, assignment_id: str) -> str | None:
    """The id of what waits to take an assignment's place."""
    columns = role_assignments.c
    waiting = (columns.replaces == assignment_id) & (columns.state == AssignmentState.PENDING.value)
    return connection.execute(sa.select(columns.id).where(waiting)).scalars().first()


def reaching(connection: Connection, user_id: str, *, now: datetime) -> list[Reaching]:
    """Every limited assignment that somebody has or had."""
    columns = role_assignments.c
    query = sa.select(role_assignments).where(columns.user_id == user_id, columns.scope.is_not(None))
    return [
        Reaching(
            Role(row.role),
            of_text(row.scope),
            row.valid_until_utc,
            row.state == AssignmentState.ACTIVE.value
            and (row.valid_until_utc is None or now < row.valid_until_utc),
        )
        for row in connection.execute(query)
    ]


def next_facts_version(connection: Connection, user_id: str) -> int:
    """The version of what is told of somebody's roles next; grows each time."""
    one_more = sa.update(users).where(users.c.id == user_id).values(facts_version=users.c.facts_version + 1)
    connection.execute(one_more)
    return int(connection.execute(sa.select(users.c.facts_version).where(users.c.id == user_id)).scalar_one())


def add_organisation(connection: Connection, organisation: Organisation) -> None:
    """A new one.  Errors: Conflict where there is one of that name."""
    values = {"id": organisation.id, "name": organisation.name, "created_at_utc": organisation.created_at_utc}
    connection.execute(sa.insert(organisations).values(**values))


def organisations_by_id(connection: Connection, ids: Sequence[str]) -> dict[str, Organisation]:
    """Those of `ids` that there are."""
    rows = connection.execute(sa.select(organisations).where(organisations.c.id.in_(ids)))
    return {row.id: Organisation(row.id, row.name, row.created_at_utc) for row in rows}


def organisations_page(
    connection: Connection, *, after_name: str | None, limit: int
) -> tuple[list[Organisation], int]:
    """Organisations by name, and how many there are."""
    query = sa.select(organisations).order_by(organisations.c.name).limit(limit)
    if after_name is not None:
        query = query.where(organisations.c.name > after_name)
    found = [Organisation(row.id, row.name, row.created_at_utc) for row in connection.execute(query)]
    return found, int(connection.execute(sa.select(sa.func.count()).select_from(organisations)).scalar_one())


def organisations_of(connection: Connection, user_ids: Sequence[str]) -> dict[str, list[Organisation]]:
    """Where each of these people is a member, by name."""
    query = (
        sa.select(members.c.user_id, organisations)
        .join(organisations, organisations.c.id == members.c.organisation_id)
        .where(members.c.user_id.in_(user_ids), members.c.until_utc.is_(None))
        .order_by(organisations.c.name)
    )
    found: dict[str, list[Organisation]] = {user_id: [] for user_id in user_ids}
    for row in connection.execute(query):
        found[row.user_id].append(Organisation(row.id, row.name, row.created_at_utc))
    return found


def organisation_ids(connection: Connection, user_id: str) -> list[str]:
    """Where somebody is a member, the longest first, as far as a token tells."""
    columns = members.c
    there = (columns.user_id == user_id) & columns.until_utc.is_(None)
    query = sa.select(columns.organisation_id).where(there).order_by(columns.since_utc)
    return list(connection.execute(query.limit(TOLD_ORGANISATIONS_MAX)).scalars())


def members_page(
    connection: Connection, organisation_id: str, *, after_id: str | None, limit: int
) -> tuple[list[str], int]:
    """Who is in an organisation, by id, and how many there are."""
    columns = members.c
    there = (columns.organisation_id == organisation_id) & columns.until_utc.is_(None)
    query = sa.select(columns.user_id).where(there).order_by(columns.user_id).limit(limit)
    if after_id is not None:
        query = query.where(columns.user_id > after_id)
    count = sa.select(sa.func.count()).select_from(members).where(there)
    return list(connection.execute(query).scalars()), int(connection.execute(count).scalar_one())


def set_member(
    connection: Connection, organisation_id: str, user_id: str, *, member: bool, now: datetime
) -> RelationshipFact | None:
    """Let somebody be a member from now on, or not any more; the fact of it. None where it is so already."""
    columns = members.c
    here = (columns.organisation_id == organisation_id) & (columns.user_id == user_id)
    row = connection.execute(sa.select(members).where(here)).first()
    if (row is not None and row.until_utc is None) == member:
        return None
    version = 1 if row is None else row.version + 1
    since, until = (now, None) if member or row is None else (row.since_utc, now)
    values = {"since_utc": since, "until_utc": until, "version": version}
    statement = insert(connection, members).values(organisation_id=organisation_id, user_id=user_id, **values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["organisation_id", "user_id"], set_=values)
    )
    return RelationshipFact(
        user_id, Relation.MEMBER, f"organisation:{organisation_id}", frozenset(), since, until, version
    )


def forget_member(connection: Connection, user_id: str) -> None:
    """Somebody's memberships, all."""
    connection.execute(sa.delete(members).where(members.c.user_id == user_id))
