"""What accounts publishes, in the transaction that makes it true."""

from __future__ import annotations

from datetime import datetime

from authz.classes import Role
from authz.facts.model import RELATIONSHIP_TOPIC, RelationshipFact
from datastores.events.outbox import new_event
from datastores.events.port import Event

USER_REGISTERED = "user.registered"
ROLE_CHANGED = "role.changed"
SESSION_REVOKED = "session.revoked"
USER_ERASED = "user.erased"


def user_registered(user_id: str, *, handle: str, at_utc: datetime) -> Event:
    """Somebody has an account. No address, no credentials."""
    return new_event(
        USER_REGISTERED, key=user_id, payload={"user_id": user_id, "handle": handle}, at_utc=at_utc
    )


def role_changed(user_id: str, *, roles: frozenset[Role], at_utc: datetime) -> Event:
    """The roles that are in force now."""
    payload = {"user_id": user_id, "roles": sorted(roles), "changed_at_utc": at_utc.isoformat()}
    return new_event(ROLE_CHANGED, key=user_id, payload=payload, at_utc=at_utc)


def relationship_changed(fact: RelationshipFact, *, at_utc: datetime) -> Event:
    """For whom a limited role counts, or who is in an organisation; ordered by who has the role or is in."""
    return new_event(RELATIONSHIP_TOPIC, key=fact.subject_id, payload=fact.as_payload(), at_utc=at_utc)


def session_revoked(user_id: str, session_id: str, *, reason: str, at_utc: datetime) -> Event:
    """Tokens of one session are no longer to be believed."""
    payload = {
        "user_id": user_id,
        "session_id": session_id,
        "reason": reason,
        "revoked_at_utc": at_utc.isoformat(),
    }
    return new_event(SESSION_REVOKED, key=user_id, payload=payload, at_utc=at_utc)


def tokens_revoked(user_id: str, *, reason: str, at_utc: datetime) -> Event:
    """Access tokens that a user got until now are no longer to be believed; sessions refresh and go on."""
    payload = {"subject_id": user_id, "reason": reason, "revoked_at_utc": at_utc.isoformat()}
    return new_event(SESSION_REVOKED, key=user_id, payload=payload, at_utc=at_utc)


def client_revoked(client_id: str, *, reason: str, at_utc: datetime) -> Event:
    """Access tokens of a client until now, whoever it acts for, are no longer to be believed."""
    payload = {"client_id": client_id, "reason": reason, "revoked_at_utc": at_utc.isoformat()}
    return new_event(SESSION_REVOKED, key=client_id, payload=payload, at_utc=at_utc)


def user_erased(user_id: str, *, at_utc: datetime) -> Event:
    """Nothing of this person is to be kept: every domain shreds or deletes what it holds."""
    payload = {"user_id": user_id, "erased_at_utc": at_utc.isoformat()}
    return new_event(USER_ERASED, key=user_id, payload=payload, at_utc=at_utc)
