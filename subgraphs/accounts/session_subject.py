"""Whom a session's tokens prove: its owner, with what they hold now.

session -> roles in force, memberships, what is known of the device -> Subject -> access token
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from authz.identity.subject import Subject
from subgraphs.accounts import device_store, role_store, store
from subgraphs.accounts.model import Session, subject_of


def subject_of_session(connection: Connection, session: Session, now: datetime) -> Subject:
    """What the next token of the session says. One that is bound to a device is worth nothing without its
    key."""
    user_id = session.user_id
    device = None if session.device_id is None else device_store.by_id(connection, session.device_id)
    return subject_of(
        user_id,
        store.roles_of(connection, [user_id])[user_id],
        acr=session.acr,
        now=now,
        session_id=session.id,
        device=None if device is None else device.state.claim,
        authenticated_at_utc=session.created_at_utc,
        organisations=role_store.organisation_ids(connection, user_id),
        key_thumbprint=None if device is None else device.thumbprint,
    )
