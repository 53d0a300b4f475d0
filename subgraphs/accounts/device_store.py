"""Devices' rows: keys that sessions are bound to, and the proofs that were used up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from datastores.relational.columns import insert
from subgraphs.accounts.tables import devices, sessions, used_proofs

PROOFS_KEPT = timedelta(minutes=15)
"""Longer than a proof, or a client's assertion, is good for."""


class DeviceState(StrEnum):
    """What is known of a device. REGISTERED: it holds its key. ATTESTED: an administrator vouches for it."""

    REGISTERED = "REGISTERED"
    ATTESTED = "ATTESTED"
    COMPROMISED = "COMPROMISED"
    REVOKED = "REVOKED"

    @property
    def claim(self) -> str | None:
        """The word that tokens say of it."""
        return None if self is DeviceState.REVOKED else self.value.lower()


@dataclass(frozen=True, slots=True)
class Device:
    """A machine of one person's that holds a key. `decided_by` is who said what its state says."""

    id: str
    user_id: str
    name: str
    thumbprint: str
    public_key: str
    state: DeviceState
    decided_by: str | None
    created_at_utc: datetime
    last_seen_at_utc: datetime


def add(connection: Connection, device: Device) -> None:
    """A new one.  Errors: Conflict where its key is in use."""
    connection.execute(
        sa.insert(devices).values(
            id=device.id,
            user_id=device.user_id,
            name=device.name,
            thumbprint=device.thumbprint,
            public_key=device.public_key,
            state=device.state.value,
            decided_by=device.decided_by,
            created_at_utc=device.created_at_utc,
            last_seen_at_utc=device.last_seen_at_utc,
        )
    )


def by_id(connection: Connection, device_id: str) -> Device | None:
    """One device."""
    row = connection.execute(sa.select(devices).where(devices.c.id == device_id)).first()
    return None if row is None else _device(row)


def by_key(connection: Connection, user_id: str, thumbprint: str) -> Device | None:
    """The device of somebody that holds this key, if it is not revoked."""
    columns = devices.c
    there = (columns.user_id == user_id) & (columns.thumbprint == thumbprint) & _going()
    row = connection.execute(sa.select(devices).where(there)).first()
    return None if row is None else _device(row)


def of_users(connection: Connection, user_ids: Sequence[str]) -> dict[str, list[Device]]:
    """Each user's devices that are not revoked, newest first."""
    query = sa.select(devices).where(devices.c.user_id.in_(user_ids), _going())
    found: dict[str, list[Device]] = {user_id: [] for user_id in user_ids}
    for row in connection.execute(query.order_by(devices.c.id.desc())):
        found[row.user_id].append(_device(row))
    return found


def set_state(connection: Connection, device_id: str, state: DeviceState, *, by: str) -> bool:
    """Say what is known of a device; False where it is revoked, or known so."""
    statement = sa.update(devices).where(devices.c.id == device_id, devices.c.state != state.value, _going())
    return connection.execute(statement.values(state=state.value, decided_by=by)).rowcount == 1


def seen(connection: Connection, device_id: str, *, now: datetime) -> None:
    """It has just proven itself."""
    connection.execute(sa.update(devices).where(devices.c.id == device_id).values(last_seen_at_utc=now))


def bind(connection: Connection, session_id: str, user_id: str, device_id: str) -> bool:
    """Bind a going session to a device; False where it is bound, ended, or somebody else's."""
    columns = sessions.c
    free = (columns.id == session_id) & (columns.user_id == user_id)
    free &= columns.device_id.is_(None) & columns.revoked_at_utc.is_(None)
    return connection.execute(sa.update(sessions).where(free).values(device_id=device_id)).rowcount == 1


def session_ids(connection: Connection, device_id: str) -> list[str]:
    """The going sessions that are bound to a device."""
    columns = sessions.c
    there = (columns.device_id == device_id) & columns.revoked_at_utc.is_(None)
    return list(connection.execute(sa.select(columns.id).where(there)).scalars())


def use_proof(connection: Connection, proof_hash: str, *, now: datetime) -> bool:
    """Use up a proof; False where it was used before."""
    connection.execute(sa.delete(used_proofs).where(used_proofs.c.used_at_utc < now - PROOFS_KEPT))
    statement = insert(connection, used_proofs).values(proof_hash=proof_hash, used_at_utc=now)
    return connection.execute(statement.on_conflict_do_nothing()).rowcount == 1


def forget_person(connection: Connection, user_id: str) -> None:
    """Somebody's devices, all."""
    connection.execute(sa.delete(devices).where(devices.c.user_id == user_id))


def _going() -> sa.ColumnElement[bool]:
    return devices.c.state != DeviceState.REVOKED.value


def _device(row: Row[Any]) -> Device:
    return Device(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        thumbprint=row.thumbprint,
        public_key=row.public_key,
        state=DeviceState(row.state),
        decided_by=row.decided_by,
        created_at_utc=row.created_at_utc,
        last_seen_at_utc=row.last_seen_at_utc,
    )
