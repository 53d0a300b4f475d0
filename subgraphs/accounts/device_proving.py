"""A device's proof against what accounts knows: whose it is, that it is new, and that it is the session's."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from authz.errors import InvalidProof
from authz.identity.device_proof import ProvenKey, proven_key
from subgraphs.accounts import device_store
from subgraphs.accounts.device_store import Device
from subgraphs.accounts.model import RuleBroken, Session


def told_proof(proof: str, issuer: str, *, act: str, text: str, now: datetime) -> ProvenKey:
    """The key that a device has proven.  Errors: RuleBroken BAD_DEVICE_PROOF."""
    try:
        return proven_key(proof, audience=issuer, act=act, text=text, now=now)
    except InvalidProof:
        raise bad_proof() from None


def device_of(connection: Connection, user_id: str, key: ProvenKey, *, now: datetime) -> Device:
    """The device of somebody that has proven itself, for once.  Errors: RuleBroken BAD_DEVICE_PROOF."""
    device = device_store.by_key(connection, user_id, key.thumbprint)
    if device is None or not device_store.use_proof(connection, key.proof_hash, now=now):
        raise bad_proof()
    device_store.seen(connection, device.id, now=now)
    return device


def same_device(connection: Connection, session: Session, key: ProvenKey | None, *, now: datetime) -> bool:
    """Whether who refreshes is where the session is bound to; one that is not bound takes no proof."""
    if session.device_id is None or key is None:
        return session.device_id is None and key is None
    return device_of(connection, session.user_id, key, now=now).id == session.device_id


def bad_proof() -> RuleBroken:
    """The same for every cause."""
    return RuleBroken(InvalidProof.code, "deviceProof", str(InvalidProof()))
