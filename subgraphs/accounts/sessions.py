"""Sessions and their refresh tokens: one family a session, one valid token a family.

A token is `st1.<session>.<counter>.<secret>`. Rotation is one conditional update on counter and hash, so that
of any number of requests with one token exactly one rotates. A retry of that request (the same token with the
same request id, within RETRY_WINDOW) gets the same successor, which is derived and not stored. Any other use
of an old token is reuse: it ends this session and no other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from datastores.events.outbox import time_ordered_id
from subgraphs.accounts.model import Session
from subgraphs.accounts.tables import sessions

IDLE_MAX = timedelta(days=30)
LIFETIME_MAX = timedelta(days=180)
RETRY_WINDOW = timedelta(seconds=10)
DEVICE_CHARACTERS_MAX = 200
SESSIONS_MAX = 100
"""A user's sessions at a time; the next log-in ends the oldest."""
ENDED_KEPT = timedelta(days=30)
TOKEN_CHARACTERS_MAX = 200


class RefreshKey:
    """Derives refresh secrets. `key` has at least 32 bytes; a stolen database without it makes no token."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("the key for refresh tokens has at least 32 bytes")
        self._key = key

    def token(self, session_id: str, counter: int, seed: bytes) -> str:
        """The refresh token number `counter` of a session."""
        message = b"%s.%d.%s" % (session_id.encode(), counter, seed)
        secret = hmac.new(self._key, message, hashlib.sha256).digest()
        return f"st1.{session_id}.{counter}.{base64.urlsafe_b64encode(secret).rstrip(b'=').decode()}"

    def seal(self, purpose: str, message: bytes) -> str:
        """What only this installation can say of a message; no refresh token, whatever the message is."""
        own = hmac.new(self._key, b"seal." + purpose.encode(), hashlib.sha256).digest()
        return hmac.new(own, message, hashlib.sha256).hexdigest()


class Refusal(Enum):
    """Why a refresh token was not taken; the client is told the same for all."""

    UNKNOWN = "unknown"
    ENDED = "ended"
    REUSED = "reused"


@dataclass(frozen=True, slots=True)
class Rotated:
    """A refresh that succeeded: the session, and the token to use next."""

    session: Session
    refresh_token: str


def open_session(
    connection: Connection,
    key: RefreshKey,
    *,
    user_id: str,
    acr: int,
    device: str,
    now: datetime,
    device_id: str | None = None,
) -> Rotated:
    """A new session with its first refresh token, bound to the device of `device_id` if there is one."""
    session = Session(
        id=time_ordered_id(now),
        user_id=user_id,
        acr=acr,
        device=device[:DEVICE_CHARACTERS_MAX],
        created_at_utc=now,
        last_seen_at_utc=now,
        expires_at_utc=now + LIFETIME_MAX,
        revoked_at_utc=None,
        device_id=device_id,
    )
    seed = os.urandom(16)
    token = key.token(session.id, 1, seed)
    connection.execute(
        sa.insert(sessions).values(
            id=session.id,
            user_id=user_id,
            acr=acr,
            device=session.device,
            created_at_utc=now,
            last_seen_at_utc=now,
            expires_at_utc=session.expires_at_utc,
            refresh_counter=1,
            refresh_hash=_hash(token),
            refresh_seed=seed,
            rotated_at_utc=now,
            rotated_for="",
            device_id=device_id,
        )
    )
    return Rotated(session, token)


def rotate(
    connection: Connection, key: RefreshKey, token: str, *, request_id: str | None, now: datetime
) -> Rotated | tuple[Refusal, Session | None]:
    """The successor of `token`, or why there is none. With REUSED the session has been ended here."""
    parsed = parsed_token(token)
    if parsed is None:
        return Refusal.UNKNOWN, None
    session_id, counter = parsed
    row = connection.execute(sa.select(sessions).where(sessions.c.id == session_id)).first()
    if row is None or not hmac.compare_digest(key.token(row.id, counter, row.refresh_seed), token):
        return Refusal.UNKNOWN, None
    session = _session(row)
    if row.revoked_at_utc is not None or now >= row.expires_at_utc or now >= row.rotated_at_utc + IDLE_MAX:
        return Refusal.ENDED, session
    successor = key.token(row.id, counter + 1, row.refresh_seed)
    asked = _hash(request_id or "")
    if _advance(connection, row.id, token, successor, counter=counter, asked=asked, now=now):
        return Rotated(session, successor)
    # Somebody was first: this request itself, sent again, or somebody who has the same token.
    current = connection.execute(sa.select(sessions).where(sessions.c.id == session_id)).one()
    retried = (
        current.refresh_counter == counter + 1
        and current.rotated_for == asked
        and now - current.rotated_at_utc <= RETRY_WINDOW
        and current.revoked_at_utc is None
    )
    if retried:
        return Rotated(session, successor)
    revoke(connection, [session_id], now=now)
    return Refusal.REUSED, session


def _advance(
    connection: Connection,
    session_id: str,
    token: str,
    successor: str,
    *,
    counter: int,
    asked: str,
    now: datetime,
) -> bool:
    statement = (
        sa.update(sessions)
        .where(
            sessions.c.id == session_id,
            sessions.c.refresh_counter == counter,
            sessions.c.refresh_hash == _hash(token),
            sessions.c.revoked_at_utc.is_(None),
        )
        .values(
            refresh_counter=counter + 1,
            refresh_hash=_hash(successor),
            rotated_at_utc=now,
            last_seen_at_utc=now,
            rotated_for=asked,
        )
    )
    return connection.execute(statement).rowcount == 1


def sessions_of(
    connection: Connection, user_ids: Sequence[str], *, now: datetime
) -> dict[str, list[Session]]:
    """The sessions of each user that can still be refreshed, newest first, at most 100 each."""
    query = (
        sa.select(sessions)
        .where(
            sessions.c.user_id.in_(user_ids),
            sessions.c.revoked_at_utc.is_(None),
            sessions.c.expires_at_utc > now,
            sessions.c.rotated_at_utc > now - IDLE_MAX,
        )
        .order_by(sessions.c.id.desc())
    )
    found: dict[str, list[Session]] = {user_id: [] for user_id in user_ids}
    for row in connection.execute(query):
        if len(found[row.user_id]) < SESSIONS_MAX:
            found[row.user_id].append(_session(row))
    return found


def session_by_id(connection: Connection, session_id: str) -> Session | None:
    """One session."""
    row = connection.execute(sa.select(sessions).where(sessions.c.id == session_id)).first()
    return None if row is None else _session(row)


def revoke(connection: Connection, session_ids: Sequence[str], *, now: datetime) -> list[str]:
    """End sessions; the ids of those that were not ended before."""
    going = sa.select(sessions.c.id).where(
        sessions.c.id.in_(session_ids), sessions.c.revoked_at_utc.is_(None)
    )
    ended = list(connection.execute(going.with_for_update()).scalars())
    if ended:
        connection.execute(sa.update(sessions).where(sessions.c.id.in_(ended)).values(revoked_at_utc=now))
    return ended


def running_ids(connection: Connection, user_id: str) -> list[str]:
    """The ids of a user's sessions that were not ended, oldest first."""
    query = (
        sa.select(sessions.c.id)
        .where(sessions.c.user_id == user_id, sessions.c.revoked_at_utc.is_(None))
        .order_by(sessions.c.created_at_utc, sessions.c.id)
    )
    return list(connection.execute(query).scalars())


def forget_ended(connection: Connection, user_id: str, *, now: datetime) -> None:
    """Delete a user's sessions that ended more than 30 days ago."""
    over = sa.or_(
        sessions.c.revoked_at_utc < now - ENDED_KEPT,
        sessions.c.expires_at_utc < now - ENDED_KEPT,
        sessions.c.rotated_at_utc < now - IDLE_MAX - ENDED_KEPT,
    )
    connection.execute(sa.delete(sessions).where(sessions.c.user_id == user_id, over))


def parsed_token(token: str) -> tuple[str, int] | None:
    """The id and the number that a refresh token says of itself; None for what is none."""
    parts = token.split(".") if len(token) <= TOKEN_CHARACTERS_MAX else []
    if len(parts) != 4 or parts[0] != "st1" or not parts[2].isascii() or not parts[2].isdigit():
        return None
    counter = int(parts[2])
    return (parts[1], counter) if 0 < counter < 2**31 - 1 and token.isascii() else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        user_id=row.user_id,
        acr=row.acr,
        device=row.device,
        created_at_utc=row.created_at_utc,
        last_seen_at_utc=row.last_seen_at_utc,
        expires_at_utc=row.expires_at_utc,
        revoked_at_utc=row.revoked_at_utc,
        device_id=row.device_id,
    )
