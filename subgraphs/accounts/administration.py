"""What administrators do to accounts: grant, approve and revoke roles; suspend and reinstate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from authz.classes import Role
from subgraphs.accounts import events, role_store, sessions, store
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.model import (
    SENSITIVE_ROLES,
    AssignmentState,
    RoleAssignment,
    RuleBroken,
    UserStatus,
)
from subgraphs.accounts.role_scopes import EVERYWHERE, PLACES_MAX, REGION, RoleScope, facts_of


@dataclass(frozen=True, slots=True)
class Grant:
    """What is to be granted: a role, how far it reaches, until when, and where its holder is licensed."""

    role: Role
    valid_until_utc: datetime | None = None
    scope: RoleScope = EVERYWHERE
    licence_region: str | None = None


async def grant_role(accounts: Accounts, *, actor_id: str, user_id: str, grant: Grant) -> RoleAssignment:
    """Give a role. A sensitive one waits for a second administrator; a medical one ends with the licence.

    Errors: RuleBroken.
    """

    def work(connection: Connection) -> RoleAssignment:
        now, role = accounts.now(), grant.role
        if user_id == actor_id:
            raise RuleBroken("OWN_ROLE", "userId", "nobody grants a role to themselves")
        if user_id not in store.users_by_id(connection, [user_id]):
            raise RuleBroken("NOT_FOUND", "userId", "not found")
        _check_end(role, grant.valid_until_utc, now)
        _check_scope(connection, grant.scope)
        _check_licence(grant)
        going = store.roles_of(connection, [user_id])[user_id]
        if any(each.role is role and _stands(each, now) and each.scope.covers(grant.scope) for each in going):
            raise RuleBroken("ROLE_HELD", "role", "this role is held or waits for approval")
        state = AssignmentState.PENDING if role in SENSITIVE_ROLES else AssignmentState.ACTIVE
        assignment = store.add_role(
            connection,
            user_id,
            role,
            granted_by=actor_id,
            now=now,
            state=state,
            valid_until_utc=grant.valid_until_utc,
            scope=grant.scope,
            licence_region=grant.licence_region,
        )
        if state is AssignmentState.ACTIVE:
            _publish(accounts, connection, user_id, now)
        return assignment

    return await accounts.relational.write(work)


async def change_role(
    accounts: Accounts,
    *,
    actor_id: str,
    assignment_id: str,
    scope: RoleScope,
    valid_until_utc: datetime | None,
) -> RoleAssignment:
    """Let a role in force reach another way, or end at another time. What narrows it counts at once.

    What widens a sensitive one, or lets it last longer, waits for a second administrator as a new assignment
    that then takes its place. Errors: RuleBroken.
    """

    def work(connection: Connection) -> RoleAssignment:
        now = accounts.now()
        known = store.role_assignment(connection, assignment_id)
        if known is None:
            raise RuleBroken("NOT_FOUND", "id", "not found")
        if known.user_id == actor_id:
            raise RuleBroken("OWN_ROLE", "id", "another administrator must change this role")
        if not known.in_force(now):
            raise RuleBroken("NOT_HELD", "id", "this role is not in force")
        _check_end(known.role, valid_until_utc, now)
        _check_scope(connection, scope)
        if known.role in SENSITIVE_ROLES and known.widened_by(scope, valid_until_utc):
            return _ask_to_widen(
                connection, known, actor_id=actor_id, scope=scope, valid_until_utc=valid_until_utc, now=now
            )
        role_store.rescope(connection, assignment_id, scope, valid_until_utc)
        _check_administered(connection, known, now)
        _publish(accounts, connection, known.user_id, now, former=known.scope.circles())
        _refuse_tokens(accounts, connection, known.user_id, now)
        return _read_again(connection, assignment_id)

    return await accounts.relational.write(work)


def _ask_to_widen(
    connection: Connection,
    known: RoleAssignment,
    *,
    actor_id: str,
    scope: RoleScope,
    valid_until_utc: datetime | None,
    now: datetime,
) -> RoleAssignment:
    if role_store.replaced_by(connection, known.id) is not None:
        raise RuleBroken("CHANGE_PENDING", "id", "another change of this role waits for approval")
    return store.add_role(
        connection,
        known.user_id,
        known.role,
        granted_by=actor_id,
        now=now,
        state=AssignmentState.PENDING,
        valid_until_utc=valid_until_utc,
        scope=scope,
        licence_region=known.licence_region,
        replaces=known.id,
    )


def _check_end(role: Role, valid_until_utc: datetime | None, now: datetime) -> None:
    if role is Role.MEDICAL_SPECIALIST and valid_until_utc is None:
        raise RuleBroken("END_NEEDED", "validUntil", "a medical role ends when the licence does: say when")
    if valid_until_utc is not None and valid_until_utc <= now:
        raise RuleBroken("BAD_END", "validUntil", "this moment has passed")


def _check_scope(connection: Connection, scope: RoleScope) -> None:
    """Errors: RuleBroken for whom or what there is not: a scope that reaches nobody by mistake."""
    if len(scope.people) + len(scope.organisations) + len(scope.regions) > PLACES_MAX:
        told = f"name at most {PLACES_MAX} people, organisations and regions"
        raise RuleBroken("SCOPE_TOO_WIDE", "scope", told)
    if scope.people - store.users_by_id(connection, sorted(scope.people)).keys():
        raise RuleBroken("NOT_FOUND", "scope.people", "not found")
    known = role_store.organisations_by_id(connection, sorted(scope.organisations))
    if scope.organisations - known.keys():
        raise RuleBroken("NOT_FOUND", "scope.organisations", "not found")
    if not all(REGION.fullmatch(region) for region in scope.regions):
        told = "a region is an ISO 3166 code such as `NO` or `NO-46`"
        raise RuleBroken("BAD_REGION", "scope.regions", told)


def _check_licence(grant: Grant) -> None:
    if grant.licence_region is None:
        return
    if grant.role is not Role.MEDICAL_SPECIALIST:
        raise RuleBroken("NO_LICENCE", "licenceRegion", "only a medical role comes with a licence")
    if not REGION.fullmatch(grant.licence_region):
        told = "a region is an ISO 3166 code such as `NO` or `NO-46`"
        raise RuleBroken("BAD_REGION", "licenceRegion", told)


def _stands(assignment: RoleAssignment, now: datetime) -> bool:
    return assignment.in_force(now) or assignment.state is AssignmentState.PENDING


async def approve_role(accounts: Accounts, *, actor_id: str, assignment_id: str) -> RoleAssignment:
    """Put a pending role in force, in the place of the one that it widens; the second of the four eyes.

    Errors: RuleBroken.
    """

    def work(connection: Connection) -> RoleAssignment:
        now = accounts.now()
        assignment = store.role_assignment(connection, assignment_id)
        if assignment is None:
            raise RuleBroken("NOT_FOUND", "id", "not found")
        if actor_id in (assignment.granted_by, assignment.user_id):
            raise RuleBroken("SECOND_ADMINISTRATOR", "id", "another administrator must approve this role")
        if not store.approve_role(connection, assignment_id, approved_by=actor_id):
            raise RuleBroken("NOT_PENDING", "id", "this role does not wait for approval")
        if assignment.replaces is not None:
            narrow = store.role_assignment(connection, assignment.replaces)
            if narrow is None or not narrow.in_force(now):
                raise RuleBroken("NOT_HELD", "id", "the role that this would widen is over")
            store.revoke_role(connection, narrow.id)
        _publish(accounts, connection, assignment.user_id, now)
        return _read_again(connection, assignment_id)

    return await accounts.relational.write(work)


async def revoke_role(accounts: Accounts, *, assignment_id: str) -> RoleAssignment:
    """End a role at once: tokens that carry it are refused from now on.  Errors: RuleBroken."""

    def work(connection: Connection) -> RoleAssignment:
        now = accounts.now()
        assignment = store.role_assignment(connection, assignment_id)
        if assignment is None:
            raise RuleBroken("NOT_FOUND", "id", "not found")
        if not store.revoke_role(connection, assignment_id):
            raise RuleBroken("NOT_HELD", "id", "this role was revoked before")
        _check_administered(connection, assignment, now)
        _publish(accounts, connection, assignment.user_id, now)
        _refuse_tokens(accounts, connection, assignment.user_id, now)
        return _read_again(connection, assignment_id)

    return await accounts.relational.write(work)


async def suspend(accounts: Accounts, *, actor_id: str, user_id: str) -> None:
    """Shut an account and end its sessions.  Errors: RuleBroken."""

    def work(connection: Connection) -> None:
        now = accounts.now()
        if user_id == actor_id:
            raise RuleBroken("OWN_ACCOUNT", "id", "nobody suspends themselves")
        if user_id not in store.users_by_id(connection, [user_id]):
            raise RuleBroken("NOT_FOUND", "id", "not found")
        store.set_status(connection, user_id, UserStatus.SUSPENDED)
        ended = sessions.revoke(connection, sessions.running_ids(connection, user_id), now=now)
        accounts.outbox.append(
            connection,
            [
                *(
                    events.session_revoked(user_id, id_, reason="account suspended", at_utc=now)
                    for id_ in ended
                ),
                events.tokens_revoked(user_id, reason="account suspended", at_utc=now),
            ],
        )

    await accounts.relational.write(work)


async def reset_factor(accounts: Accounts, *, actor_id: str, user_id: str) -> None:
    """Take away a second factor that was lost, and end every session of its owner.

    Their password still stands, and roles that need a second factor are not in force until there is a new
    one. Errors: RuleBroken.
    """

    def work(connection: Connection) -> None:
        now = accounts.now()
        if user_id == actor_id:
            raise RuleBroken("OWN_ACCOUNT", "id", "another administrator must do this")
        if not store.with_totp(connection, [user_id]).get(user_id, False):
            raise RuleBroken("NOT_ENROLLED", "id", "there is no account with a second factor of this id")
        store.remove_totp(connection, user_id)
        ended = sessions.revoke(connection, sessions.running_ids(connection, user_id), now=now)
        accounts.outbox.append(
            connection,
            [events.session_revoked(user_id, id_, reason="second factor reset", at_utc=now) for id_ in ended],
        )

    await accounts.relational.write(work)


async def reinstate(accounts: Accounts, *, user_id: str) -> None:
    """Open a suspended account again; its owner logs in anew.  Errors: RuleBroken."""

    def work(connection: Connection) -> None:
        if not store.set_status(connection, user_id, UserStatus.ACTIVE):
            raise RuleBroken("NOT_SUSPENDED", "id", "there is no suspended account of this id")

    await accounts.relational.write(work)


def _check_administered(connection: Connection, changed: RoleAssignment, now: datetime) -> None:
    administrators = store.count_in_force(connection, Role.ADMINISTRATOR, now=now)
    if changed.role is Role.ADMINISTRATOR and administrators == 0:
        raise RuleBroken("LAST_ADMINISTRATOR", "id", "the last administrator of everybody keeps the role")


def _refuse_tokens(accounts: Accounts, connection: Connection, user_id: str, now: datetime) -> None:
    event = events.tokens_revoked(user_id, reason="role revoked", at_utc=now)
    accounts.outbox.append(connection, [event])


def _publish(
    accounts: Accounts,
    connection: Connection,
    user_id: str,
    now: datetime,
    *,
    former: frozenset[str] = frozenset(),
) -> None:
    going = store.roles_of(connection, [user_id])[user_id]
    roles = frozenset(each.role for each in going if each.in_force(now))
    told = [events.role_changed(user_id, roles=roles, at_utc=now)]
    limited = role_store.reaching(connection, user_id, now=now)
    if limited or former:
        version = role_store.next_facts_version(connection, user_id)
        facts = facts_of(user_id, limited, now=now, version=version, former=former)
        told += [events.relationship_changed(fact, at_utc=now) for fact in facts]
    accounts.outbox.append(connection, told)


def _read_again(connection: Connection, assignment_id: str) -> RoleAssignment:
    assignment = store.role_assignment(connection, assignment_id)
    if assignment is None:
        raise RuleBroken("NOT_FOUND", "id", "not found")
    return assignment
