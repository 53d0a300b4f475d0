"""Rows of authorizations: codes, used once; refresh tokens, one valid at a time; synchronous.

A refresh token is `st1.<authorization>.<counter>.<secret>`, derived and not stored. Rotation is one
conditional update of the counter, so that of any number of requests with one token exactly one rotates.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from subgraphs.accounts.oauth.model import AUTHORIZATIONS_MAX, Authorization, Code
from subgraphs.accounts.sessions import ENDED_KEPT, IDLE_MAX, RefreshKey, parsed_token
from subgraphs.accounts.tables import authorizations


def add(connection: Connection, authorization: Authorization, code: Code | None = None) -> None:
    """A new one, with the code that was asked for, if any."""
    connection.execute(
        sa.insert(authorizations).values(
            id=authorization.id,
            client_id=authorization.client_id,
            user_id=authorization.user_id,
            scopes=" ".join(sorted(authorization.scopes)),
            acr=authorization.acr,
            authenticated_at_utc=authorization.authenticated_at_utc,
            created_at_utc=authorization.created_at_utc,
            expires_at_utc=authorization.expires_at_utc,
            last_used_at_utc=authorization.last_used_at_utc,
            thumbprint=authorization.thumbprint,
            code_hash=None if code is None else code.hash,
            code_redirect_uri=None if code is None else code.redirect_uri,
            code_challenge=None if code is None else code.challenge,
            code_expires_at_utc=None if code is None else code.expires_at_utc,
            refresh_counter=1,
            refresh_seed=os.urandom(16),
        )
    )


def by_code(connection: Connection, code_hash: str) -> tuple[Authorization, Code] | None:
    """What a code stands for, used or not."""
    row = connection.execute(sa.select(authorizations).where(authorizations.c.code_hash == code_hash)).first()
    if row is None:
        return None
    code = Code(
        row.code_hash,
        row.code_redirect_uri,
        row.code_challenge,
        row.code_expires_at_utc,
        row.code_used_at_utc,
    )
    return _authorization(row), code


def by_id(connection: Connection, authorization_id: str) -> Authorization | None:
    """One of them."""
    row = connection.execute(sa.select(authorizations).where(authorizations.c.id == authorization_id)).first()
    return None if row is None else _authorization(row)


def of_users(
    connection: Connection, user_ids: Sequence[str], *, now: datetime
) -> dict[str, list[Authorization]]:
    """What each person lets clients do now, newest first; codes that nobody came for are none."""
    columns = authorizations.c
    query = sa.select(authorizations).where(
        columns.user_id.in_(user_ids),
        columns.revoked_at_utc.is_(None),
        columns.expires_at_utc > now,
        columns.code_used_at_utc.is_not(None),
    )
    found: dict[str, list[Authorization]] = {user_id: [] for user_id in user_ids}
    for row in connection.execute(query.order_by(columns.id.desc())):
        found[row.user_id].append(_authorization(row))
    return found


def going_ids(connection: Connection, *, user_id: str, client_id: str | None = None) -> list[str]:
    """The authorizations of a person that were not ended, oldest first."""
    columns = authorizations.c
    query = sa.select(columns.id).where(columns.user_id == user_id, columns.revoked_at_utc.is_(None))
    if client_id is not None:
        query = query.where(columns.client_id == client_id)
    return list(connection.execute(query.order_by(columns.id)).scalars())


def surplus_ids(connection: Connection, *, user_id: str, client_id: str) -> list[str]:
    """Those that have to end before another one begins."""
    return going_ids(connection, user_id=user_id, client_id=client_id)[: -AUTHORIZATIONS_MAX + 1]


def use_code(connection: Connection, authorization_id: str, *, thumbprint: str | None, now: datetime) -> bool:
    """Use a code up, by the bearer of this key if any; False where it was used before."""
    columns = authorizations.c
    there = (columns.id == authorization_id) & columns.code_used_at_utc.is_(None)
    used = sa.update(authorizations).where(there, columns.revoked_at_utc.is_(None))
    return connection.execute(used.values(code_used_at_utc=now, thumbprint=thumbprint)).rowcount == 1


def refresh_token(connection: Connection, key: RefreshKey, authorization_id: str) -> tuple[str, int]:
    """The token that is valid now, and its number."""
    columns = authorizations.c
    query = sa.select(columns.refresh_counter, columns.refresh_seed).where(columns.id == authorization_id)
    row = connection.execute(query).one()
    return key.token(authorization_id, row.refresh_counter, row.refresh_seed), row.refresh_counter


def rotate(connection: Connection, authorization_id: str, counter: int, *, now: datetime) -> bool:
    """Make the token after number `counter` the valid one; False where somebody was first."""
    columns = authorizations.c
    there = (columns.id == authorization_id) & (columns.refresh_counter == counter)
    moved = sa.update(authorizations).where(there, columns.revoked_at_utc.is_(None))
    return connection.execute(moved.values(refresh_counter=counter + 1, last_used_at_utc=now)).rowcount == 1


def of_refresh_token(
    connection: Connection, key: RefreshKey, token: str
) -> tuple[Authorization, int, bool] | None:
    """Whose token it is, its number, and whether it is the valid one; None for what is no token of ours."""
    parsed = parsed_token(token)
    if parsed is None:
        return None
    authorization_id, counter = parsed
    row = connection.execute(sa.select(authorizations).where(authorizations.c.id == authorization_id)).first()
    if row is None or not hmac.compare_digest(key.token(row.id, counter, row.refresh_seed), token):
        return None
    return _authorization(row), counter, counter == row.refresh_counter


def idle_until(authorization: Authorization) -> datetime:
    """When it ends unless it is refreshed before."""
    return min(authorization.last_used_at_utc + IDLE_MAX, authorization.expires_at_utc)


def revoke(connection: Connection, ids: Sequence[str], *, now: datetime) -> list[Authorization]:
    """End them; those that were not ended before."""
    columns = authorizations.c
    going = sa.select(authorizations).where(columns.id.in_(ids), columns.revoked_at_utc.is_(None))
    ended = [_authorization(row) for row in connection.execute(going.with_for_update())]
    if ended:
        those = columns.id.in_([each.id for each in ended])
        connection.execute(sa.update(authorizations).where(those).values(revoked_at_utc=now))
    return ended


def end_of_client(connection: Connection, client_id: str, *, now: datetime) -> None:
    """End all of a client's, without a word of each: its revocation refuses every token of them."""
    columns = authorizations.c
    going = (columns.client_id == client_id) & columns.revoked_at_utc.is_(None)
    connection.execute(sa.update(authorizations).where(going).values(revoked_at_utc=now))


def forget_ended(connection: Connection, *, now: datetime) -> None:
    """Delete what ended long ago, and at once a client's own leave, which is over with its token."""
    columns = authorizations.c
    over = sa.or_(
        columns.revoked_at_utc < now - ENDED_KEPT,
        columns.expires_at_utc < now - ENDED_KEPT,
        columns.user_id.is_(None) & (columns.expires_at_utc < now),
    )
    connection.execute(sa.delete(authorizations).where(over))


def forget_person(connection: Connection, user_id: str) -> None:
    """Somebody's, all."""
    connection.execute(sa.delete(authorizations).where(authorizations.c.user_id == user_id))


def _authorization(row: Row[Any]) -> Authorization:
    return Authorization(
        id=row.id,
        client_id=row.client_id,
        user_id=row.user_id,
        scopes=frozenset(row.scopes.split()),
        acr=row.acr,
        authenticated_at_utc=row.authenticated_at_utc,
        created_at_utc=row.created_at_utc,
        expires_at_utc=row.expires_at_utc,
        last_used_at_utc=row.last_used_at_utc,
        revoked_at_utc=row.revoked_at_utc,
        thumbprint=row.thumbprint,
    )
