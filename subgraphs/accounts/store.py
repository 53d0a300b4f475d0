"""Accounts' rows: users, roles and failed log-ins; synchronous, against a connection, read in bulk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from authz.classes import Role
from datastores.events.outbox import time_ordered_id
from datastores.relational.columns import insert
from datastores.relational.prepared import PreparedRead, listed
from subgraphs.accounts.model import (
    FAILURES_FORGOTTEN_AFTER,
    SELF_SERVICE_ROLES,
    AssignmentState,
    Attempts,
    Credentials,
    RoleAssignment,
    User,
    UserStatus,
    email_key,
    handle_skeleton,
)
from subgraphs.accounts.role_scopes import EVERYWHERE, RoleScope, as_text, of_text
from subgraphs.accounts.tables import log_in_failures, role_assignments, sessions, users

BY_THE_PLATFORM = "stadion"
_USERS = PreparedRead(sa.select(users).where(users.c.id.in_(listed("ids"))))
_HANDLES = PreparedRead(sa.select(users.c.id, users.c.handle).where(users.c.id.in_(listed("ids"))))


def create_user(
    connection: Connection,
    *,
    id: str | None = None,
    handle: str,
    email: str,
    password_hash: str,
    now: datetime,
    roles: frozenset[Role] = SELF_SERVICE_ROLES,
    totp_sealed: bytes | None = None,
) -> User:
    """A new account with its roles in force. Who calls it has checked handle, address and password.

    `id` is given for demo people and imports. Errors: Conflict where the handle, or one that looks like it,
    is taken.
    """
    user = User(id or time_ordered_id(now), handle, email, UserStatus.ACTIVE, now)
    connection.execute(
        sa.insert(users).values(
            id=user.id,
            handle=handle,
            handle_skeleton=handle_skeleton(handle),
            email=email,
            email_key=email_key(email),
            status=user.status.value,
            password_hash=password_hash,
            totp_sealed=totp_sealed,
            totp_step=0,
            created_at_utc=now,
        )
    )
    for role in sorted(roles):
        add_role(connection, user.id, role, granted_by=BY_THE_PLATFORM, now=now)
    return user


def handle_taken(connection: Connection, handle: str) -> bool:
    """Whether somebody has this handle or one that is mistaken for it."""
    query = sa.select(users.c.id).where(users.c.handle_skeleton == handle_skeleton(handle))
    return connection.execute(query).first() is not None


def users_by_id(connection: Connection, ids: Sequence[str]) -> dict[str, User]:
    """The users of `ids` that exist."""
    return {row.id: _user(row) for row in _USERS.rows(connection, ids=[*ids])}


def handles_by_id(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """The public names of those of `ids` that exist; nothing else of them is read."""
    return {row.id: row.handle for row in _HANDLES.rows(connection, ids=[*ids])}


def users_page(
    connection: Connection, *, after_handle: str | None, handle_prefix: str | None, limit: int
) -> list[User]:
    """Users by handle."""
    query = sa.select(users).order_by(users.c.handle).limit(limit)
    if after_handle is not None:
        query = query.where(users.c.handle > after_handle)
    if handle_prefix:
        query = query.where(users.c.handle.startswith(handle_prefix.lower(), autoescape=True))
    return [_user(row) for row in connection.execute(query)]


def count_users(connection: Connection, *, handle_prefix: str | None) -> int:
    """How many users there are."""
    query = sa.select(sa.func.count()).select_from(users)
    if handle_prefix:
        query = query.where(users.c.handle.startswith(handle_prefix.lower(), autoescape=True))
    return int(connection.execute(query).scalar_one())


def credentials_for(connection: Connection, login: str) -> Credentials | None:
    """What a log-in by handle or e-mail address is checked against.

    An address counts only while exactly one account has it: nobody proved yet that it is theirs, and a
    squatter must not lock its owner out, who still logs in by handle.
    """
    by_email = users.c.email_key == email_key(login)
    condition = by_email if "@" in login else users.c.handle == login.lower()
    rows = connection.execute(sa.select(users).where(condition).limit(2)).all()
    return _credentials(rows[0]) if len(rows) == 1 else None


def credentials_of(connection: Connection, user_id: str) -> Credentials | None:
    """What an account's owner proves that it is them with."""
    row = connection.execute(sa.select(users).where(users.c.id == user_id)).first()
    return None if row is None else _credentials(row)


def set_password(connection: Connection, user_id: str, password_hash: str) -> None:
    """Replace the hash."""
    connection.execute(sa.update(users).where(users.c.id == user_id).values(password_hash=password_hash))


def set_status(connection: Connection, user_id: str, status: UserStatus) -> bool:
    """Suspend or reinstate; whether that changed anything."""
    statement = (
        sa.update(users)
        .where(users.c.id == user_id, users.c.status != status.value)
        .values(status=status.value)
    )
    return connection.execute(statement).rowcount == 1


def delete_user(connection: Connection, user_id: str) -> None:
    """Take out an account with its sessions and roles; roles it gave to others stand."""
    connection.execute(sa.delete(sessions).where(sessions.c.user_id == user_id))
    connection.execute(sa.delete(role_assignments).where(role_assignments.c.user_id == user_id))
    connection.execute(sa.delete(users).where(users.c.id == user_id))


def begin_totp(connection: Connection, user_id: str, sealed: bytes) -> bool:
    """Keep a secret until its owner has shown one code of it; False where a second factor is in force."""
    statement = (
        sa.update(users)
        .where(users.c.id == user_id, users.c.totp_sealed.is_(None))
        .values(totp_pending=sealed)
    )
    return connection.execute(statement).rowcount == 1


def pending_totp(connection: Connection, user_id: str) -> bytes | None:
    """The secret that waits for its first code."""
    query = sa.select(users.c.totp_pending).where(users.c.id == user_id, users.c.totp_sealed.is_(None))
    return connection.execute(query).scalar()


def confirm_totp(connection: Connection, user_id: str, sealed: bytes, *, step: int) -> bool:
    """Put the pending secret in force; False where another request was first."""
    statement = (
        sa.update(users)
        .where(users.c.id == user_id, users.c.totp_sealed.is_(None), users.c.totp_pending == sealed)
        .values(totp_sealed=sealed, totp_pending=None, totp_step=step)
    )
    return connection.execute(statement).rowcount == 1


def use_totp_step(connection: Connection, user_id: str, step: int) -> bool:
    """Note that the code of `step` was used; False where it, or a later one, was used before."""
    statement = sa.update(users).where(users.c.id == user_id, users.c.totp_step < step).values(totp_step=step)
    return connection.execute(statement).rowcount == 1


def with_totp(connection: Connection, ids: Sequence[str]) -> dict[str, bool]:
    """Whether each user of `ids` has a second factor in force."""
    rows = connection.execute(sa.select(users.c.id, users.c.totp_sealed).where(users.c.id.in_(ids)))
    return {row.id: row.totp_sealed is not None for row in rows}


def remove_totp(connection: Connection, user_id: str) -> None:
    """Drop the second factor."""
    statement = sa.update(users).where(users.c.id == user_id).values(totp_sealed=None, totp_pending=None)
    connection.execute(statement)


def add_role(
    connection: Connection,
    user_id: str,
    role: Role,
    *,
    granted_by: str,
    now: datetime,
    state: AssignmentState = AssignmentState.ACTIVE,
    valid_until_utc: datetime | None = None,
    scope: RoleScope = EVERYWHERE,
    licence_region: str | None = None,
    replaces: str | None = None,
) -> RoleAssignment:
    """A new assignment; whether it needs a second administrator, the caller has decided."""
    assignment = RoleAssignment(
        time_ordered_id(now), user_id, role, state, granted_by, None, now, valid_until_utc,
        scope, licence_region, replaces,
    )  # fmt: skip
    connection.execute(
        sa.insert(role_assignments).values(
            id=assignment.id,
            user_id=user_id,
            role=role.value,
            state=state.value,
            granted_by=granted_by,
            created_at_utc=now,
            valid_until_utc=valid_until_utc,
            scope=as_text(scope),
            licence_region=licence_region,
            replaces=replaces,
        )
    )
    return assignment


def roles_of(connection: Connection, user_ids: Sequence[str]) -> dict[str, list[RoleAssignment]]:
    """All assignments of each user that are not revoked, oldest first."""
    query = (
        sa.select(role_assignments)
        .where(
            role_assignments.c.user_id.in_(user_ids),
            role_assignments.c.state != AssignmentState.REVOKED.value,
        )
        .order_by(role_assignments.c.id)
    )
    found: dict[str, list[RoleAssignment]] = {user_id: [] for user_id in user_ids}
    for row in connection.execute(query):
        found[row.user_id].append(_assignment(row))
    return found


def pending_roles(connection: Connection, *, limit: int) -> list[RoleAssignment]:
    """Assignments that wait for a second administrator, oldest first."""
    query = (
        sa.select(role_assignments)
        .where(role_assignments.c.state == AssignmentState.PENDING.value)
        .order_by(role_assignments.c.id)
        .limit(limit)
    )
    return [_assignment(row) for row in connection.execute(query)]


def count_in_force(connection: Connection, role: Role, *, now: datetime) -> int:
    """How many users have `role` now, for everybody."""
    query = sa.select(sa.func.count(role_assignments.c.user_id.distinct())).where(
        role_assignments.c.role == role.value,
        role_assignments.c.state == AssignmentState.ACTIVE.value,
        role_assignments.c.scope.is_(None),
        sa.or_(role_assignments.c.valid_until_utc.is_(None), role_assignments.c.valid_until_utc > now),
    )
    return int(connection.execute(query).scalar_one())


def role_assignment(connection: Connection, assignment_id: str) -> RoleAssignment | None:
    """One assignment."""
    query = sa.select(role_assignments).where(role_assignments.c.id == assignment_id)
    row = connection.execute(query).first()
    return None if row is None else _assignment(row)


def approve_role(connection: Connection, assignment_id: str, *, approved_by: str) -> bool:
    """Put a pending assignment in force; False where it is not pending, or `approved_by` has granted it."""
    statement = (
        sa.update(role_assignments)
        .where(
            role_assignments.c.id == assignment_id,
            role_assignments.c.state == AssignmentState.PENDING.value,
            role_assignments.c.granted_by != approved_by,
        )
        .values(state=AssignmentState.ACTIVE.value, approved_by=approved_by)
    )
    return connection.execute(statement).rowcount == 1


def revoke_role(connection: Connection, assignment_id: str) -> bool:
    """End an assignment; False where it was ended before."""
    statement = (
        sa.update(role_assignments)
        .where(
            role_assignments.c.id == assignment_id,
            role_assignments.c.state != AssignmentState.REVOKED.value,
        )
        .values(state=AssignmentState.REVOKED.value)
    )
    return connection.execute(statement).rowcount == 1


def attempts(connection: Connection, login: str, origin: str) -> tuple[Attempts, int]:
    """Failed log-ins as `login` from `origin`, and as `login` from anywhere, since the last success."""
    account_key, origin_key = _key(login), _key(origin)
    rows = connection.execute(
        sa.select(log_in_failures).where(log_in_failures.c.account_key == account_key)
    ).all()
    everywhere = sum(row.failures for row in rows)
    newest = max((row.last_failure_at_utc for row in rows), default=None)
    here = next((row.failures for row in rows if row.origin_key == origin_key), 0)
    return Attempts(here, newest), everywhere


def attempts_from(connection: Connection, origin: str) -> Attempts:
    """Failed log-ins from one origin, whichever accounts it tried."""
    row = connection.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(log_in_failures.c.failures), 0),
            sa.func.max(log_in_failures.c.last_failure_at_utc),
        ).where(log_in_failures.c.origin_key == _key(origin))
    ).one()
    return Attempts(int(row[0]), row[1])


def note_failure(connection: Connection, login: str, origin: str, *, now: datetime) -> None:
    """One more failure; it does not matter whether such an account exists."""
    statement = insert(connection, log_in_failures).values(
        account_key=_key(login), origin_key=_key(origin), failures=1, last_failure_at_utc=now
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[log_in_failures.c.account_key, log_in_failures.c.origin_key],
            set_={"failures": log_in_failures.c.failures + 1, "last_failure_at_utc": now},
        )
    )


def forget_old_failures(connection: Connection, *, now: datetime) -> None:
    """Drop the counts that no longer make anybody wait, so that guessed names do not fill the table."""
    stale = log_in_failures.c.last_failure_at_utc < now - FAILURES_FORGOTTEN_AFTER
    connection.execute(sa.delete(log_in_failures).where(stale))


def take_back_failure(connection: Connection, login: str, origin: str) -> None:
    """One failure less: the attempt noted beforehand was none."""
    condition = (log_in_failures.c.account_key == _key(login)) & (
        log_in_failures.c.origin_key == _key(origin)
    )
    statement = sa.update(log_in_failures).where(condition, log_in_failures.c.failures > 0)
    connection.execute(statement.values(failures=log_in_failures.c.failures - 1))


def forget_failures(connection: Connection, login: str) -> None:
    """A success ends the count."""
    connection.execute(sa.delete(log_in_failures).where(log_in_failures.c.account_key == _key(login)))


def _key(text: str) -> str:
    # A digest: what people type into a log-in field may be a password.
    return hashlib.sha256(email_key(text).encode()).hexdigest()


def _user(row: Row[Any]) -> User:
    return User(row.id, row.handle, row.email, UserStatus(row.status), row.created_at_utc)


def _credentials(row: Row[Any]) -> Credentials:
    return Credentials(_user(row), row.password_hash, row.totp_sealed, row.totp_step)


def _assignment(row: Row[Any]) -> RoleAssignment:
    return RoleAssignment(
        id=row.id,
        user_id=row.user_id,
        role=Role(row.role),
        state=AssignmentState(row.state),
        granted_by=row.granted_by,
        approved_by=row.approved_by,
        created_at_utc=row.created_at_utc,
        valid_until_utc=row.valid_until_utc,
        scope=of_text(row.scope),
        licence_region=row.licence_region,
        replaces=row.replaces,
    )
