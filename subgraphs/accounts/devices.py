"""Devices that sessions are bound to: registered by a key's proof, attested or shut by administrators.

A bound session refreshes only with a new proof of the same key, and its tokens say what is known of the
device; revoking the device ends every session bound to it.
"""

from __future__ import annotations

from sqlalchemy import Connection

from authz.identity.subject import Subject
from datastores.errors import Conflict
from datastores.events.outbox import time_ordered_id
from subgraphs.accounts import device_store, events, sessions
from subgraphs.accounts.device_proving import bad_proof, told_proof
from subgraphs.accounts.device_store import Device, DeviceState
from subgraphs.accounts.log_in import Accounts
from subgraphs.accounts.model import RuleBroken

DEVICES_MAX = 20
NAME_CHARACTERS_MAX = 80


async def register(accounts: Accounts, subject: Subject, *, name: str, proof: str) -> Device:
    """Know the machine that holds this key as the caller's, and bind the caller's session to it.

    The proof is for `register` and the session's id.  Errors: RuleBroken.
    """
    user_id, session_id = subject.id or "", subject.session_id or ""
    key = told_proof(proof, accounts.tokens.issuer, act="register", text=session_id, now=accounts.now())

    def work(connection: Connection) -> Device:
        now = accounts.now()
        if not device_store.use_proof(connection, key.proof_hash, now=now):
            raise bad_proof()
        if len(device_store.of_users(connection, [user_id])[user_id]) >= DEVICES_MAX:
            told = f"at most {DEVICES_MAX} devices: revoke one first"
            raise RuleBroken("TOO_MANY_DEVICES", "name", told)
        device = Device(
            time_ordered_id(now), user_id, name, key.thumbprint, key.public_key,
            DeviceState.REGISTERED, None, now, now,
        )  # fmt: skip
        device_store.add(connection, device)
        if not device_store.bind(connection, session_id, user_id, device.id):
            raise RuleBroken("SESSION_BOUND", "proof", "this session is bound to a device, or over: log in")
        return device

    try:
        return await accounts.relational.write(work)
    except Conflict:
        raise RuleBroken("KEY_IN_USE", "proof", "this key is a device's already; make another") from None


async def revoke(accounts: Accounts, *, device_id: str, actor_id: str) -> Device:
    """Take a device away: every session that is bound to it ends, and its key is good for nothing.

    Errors: RuleBroken.
    """

    def work(connection: Connection) -> Device:
        now = accounts.now()
        device = _known(connection, device_id)
        if not device_store.set_state(connection, device_id, DeviceState.REVOKED, by=actor_id):
            raise RuleBroken("NOT_FOUND", "id", "not found")
        ended = sessions.revoke(connection, device_store.session_ids(connection, device_id), now=now)
        accounts.outbox.append(
            connection,
            [
                events.session_revoked(device.user_id, id_, reason="device revoked", at_utc=now)
                for id_ in ended
            ],
        )
        return _known(connection, device_id)

    return await accounts.relational.write(work)


async def judge(accounts: Accounts, *, device_id: str, state: DeviceState, actor_id: str) -> Device:
    """Say what is known of somebody's device. Tokens that say otherwise are refused from now on.

    Errors: RuleBroken.
    """

    def work(connection: Connection) -> Device:
        now = accounts.now()
        device = _known(connection, device_id)
        if device.user_id == actor_id:
            raise RuleBroken("OWN_DEVICE", "id", "another administrator must judge this device")
        if not device_store.set_state(connection, device_id, state, by=actor_id):
            raise RuleBroken("KNOWN_SO", "id", f"this device is {device.state.value} already")
        event = events.tokens_revoked(device.user_id, reason="device judged", at_utc=now)
        accounts.outbox.append(connection, [event])
        return _known(connection, device_id)

    return await accounts.relational.write(work)


def _known(connection: Connection, device_id: str) -> Device:
    device = device_store.by_id(connection, device_id)
    if device is None:
        raise RuleBroken("NOT_FOUND", "id", "not found")
    return device
