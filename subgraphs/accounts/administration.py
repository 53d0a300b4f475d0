"""What administrators do to accounts: grant, approve and revoke roles; suspend and reinstate."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from authz.classes import Role
from subgraphs.accounts import events, sessions, store
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.model import (
    SENSITIVE_ROLES,
    AssignmentState,
    RoleAssignment,
    RuleBroken,
    UserStatus,
)


async def grant_role(
    accounts: Accounts, *, actor_id: str, user_id: str, role: Role, valid_until_utc: datetime | None
) -> RoleAssignment:
    """Give a role. A sensitive one waits for a second administrator; a medical one ends with the licence.

    Errors: RuleBroken.
    """

    def work(connection: Connection) -> RoleAssignment:
        now = accounts.now()
        if user_id == actor_id:
            raise RuleBroken("OWN_ROLE", "userId", "nobody grants a role to themselves")
        if user_id not in store.users_by_id(connection, [user_id]):
            raise RuleBroken("NOT_FOUND", "userId", "not found")
        if role is Role.MEDICAL_SPECIALIST and valid_until_utc is None:
            raise RuleBroken(
                "END_NEEDED", "validUntil", "a medical role ends when the licence does: say when"
            )
        if valid_until_utc is not None and valid_until_utc <= now:
            raise RuleBroken("BAD_END", "validUntil", "this moment has passed")
        going = store.roles_of(connection, [user_id])[user_id]
        if any(each.role is role and _stands(each, now) for each in going):
            raise RuleBroken("ROLE_HELD", "role", "this role is held or waits for approval")
        state = AssignmentState.PENDING if role in SENSITIVE_ROLES else AssignmentState.ACTIVE
        assignment = store.add_role(
            connection,
            user_id,
            role,
            granted_by=actor_id,
            now=now,
            state=state,
            valid_until_utc=valid_until_utc,
        )
        if state is AssignmentState.ACTIVE:
            _publish(accounts, connection, user_id, now)
        return assignment

    return await accounts.relational.write(work)


def _stands(assignment: RoleAssignment, now: datetime) -> bool:
    return assignment.in_force(now) or assignment.state is AssignmentState.PENDING


async def approve_role(accounts: Accounts, *, actor_id: str, assignment_id: str) -> RoleAssignment:
    """Put a pending role in force; the second of the four eyes.  Errors: RuleBroken."""

    def work(connection: Connection) -> RoleAssignment:
        assignment = store.role_assignment(connection, assignment_id)
        if assignment is None:
            raise RuleBroken("NOT_FOUND", "id", "not found")
        if actor_id in (assignment.granted_by, assignment.user_id):
            raise RuleBroken("SECOND_ADMINISTRATOR", "id", "another administrator must approve this role")
        if not store.approve_role(connection, assignment_id, approved_by=actor_id):
            raise RuleBroken("NOT_PENDING", "id", "this role does not wait for approval")
        _publish(accounts, connection, assignment.user_id, accounts.now())
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
        administrators = store.count_in_force(connection, Role.ADMINISTRATOR, now=now)
        if assignment.role is Role.ADMINISTRATOR and administrators == 0:
            raise RuleBroken("LAST_ADMINISTRATOR", "id", "the last administrator keeps the role")
        _publish(accounts, connection, assignment.user_id, now)
        event = events.tokens_revoked(assignment.user_id, reason="role revoked", at_utc=now)
        accounts.outbox.append(connection, [event])
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


def _publish(accounts: Accounts, connection: Connection, user_id: str, now: datetime) -> None:
    going = store.roles_of(connection, [user_id])[user_id]
    roles = frozenset(each.role for each in going if each.in_force(now))
    accounts.outbox.append(connection, [events.role_changed(user_id, roles=roles, at_utc=now)])


def _read_again(connection: Connection, assignment_id: str) -> RoleAssignment:
    assignment = store.role_assignment(connection, assignment_id)
    if assignment is None:
        raise RuleBroken("NOT_FOUND", "id", "not found")
    return assignment
