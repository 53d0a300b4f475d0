"""Rows about people: clearances, care teams, consents, each change beside the event that tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from authz.classes import DataClass, Purpose
from datastores.relational.prepared import PreparedRead, listed
from subgraphs.medical.model import CareTeamMember, Consent, ConsentDecision
from subgraphs.medical.tables import care_team, clearances, consents

_PATIENTS_NEWEST = (
    sa.select(clearances.c.patient_id, sa.func.max(clearances.c.version).label("version"))
    .where(clearances.c.patient_id.in_(listed("patient_ids")))
    .group_by(clearances.c.patient_id)
    .subquery()
)
_NEWEST_CLEARANCES = PreparedRead(
    sa.select(clearances).join(
        _PATIENTS_NEWEST,
        (clearances.c.patient_id == _PATIENTS_NEWEST.c.patient_id)
        & (clearances.c.version == _PATIENTS_NEWEST.c.version),
    )
)
_CARE_TEAMS = PreparedRead(
    sa.select(care_team)
    .where(care_team.c.patient_id.in_(listed("patient_ids")))
    .order_by(care_team.c.valid_from_utc.desc(), care_team.c.id)
)


@dataclass(frozen=True, slots=True)
class SealedClearance:
    """A clearance as it is kept."""

    id: str
    patient_id: str
    version: int
    sealed: bytes
    set_by: str
    set_at_utc: datetime


def clearance_context(clearance_id: str) -> str:
    """What a sealed clearance is bound to."""
    return f"medical_clearances.sealed {clearance_id}"


def consent_context(consent_id: str) -> str:
    """What the sealed labels of a consent are bound to."""
    return f"medical_consents.sealed_labels {consent_id}"


def add_clearance(
    connection: Connection, clearance_id: str, patient_id: str, *, sealed: bytes, by: str, at_utc: datetime
) -> int:
    """Store the next clearance; its version."""
    newest = sa.select(sa.func.max(clearances.c.version)).where(clearances.c.patient_id == patient_id)
    version = (connection.execute(newest).scalar() or 0) + 1
    connection.execute(
        sa.insert(clearances).values(
            id=clearance_id,
            patient_id=patient_id,
            version=version,
            sealed=sealed,
            set_by=by,
            set_at_utc=at_utc,
        )
    )
    return version


def newest_clearances(connection: Connection, patient_ids: Sequence[str]) -> list[SealedClearance]:
    """The last clearance of each patient who has one."""
    return [
        SealedClearance(r.id, r.patient_id, r.version, r.sealed, r.set_by, r.set_at_utc)
        for r in _NEWEST_CLEARANCES.rows(connection, patient_ids=[*patient_ids])
    ]


def memberships_of_patients(connection: Connection, patient_ids: Sequence[str]) -> list[CareTeamMember]:
    """Everyone who treats, treated or will treat these patients, the latest first."""
    return [_member(row) for row in _CARE_TEAMS.rows(connection, patient_ids=[*patient_ids])]


def memberships_of_practitioner(
    connection: Connection, practitioner_id: str, *, limit: int
) -> list[CareTeamMember]:
    """Whom somebody treats, treated or will treat."""
    query = sa.select(care_team).where(care_team.c.practitioner_id == practitioner_id)
    return [_member(row) for row in connection.execute(query.order_by(care_team.c.id.desc()).limit(limit))]


def membership(connection: Connection, member_id: str) -> CareTeamMember | None:
    """One membership by its id."""
    row = connection.execute(sa.select(care_team).where(care_team.c.id == member_id)).one_or_none()
    return None if row is None else _member(row)


def next_membership_version(connection: Connection, patient_id: str, practitioner_id: str) -> int:
    """Above every version that was ever published about the pair."""
    newest = sa.select(sa.func.max(care_team.c.version)).where(
        care_team.c.patient_id == patient_id, care_team.c.practitioner_id == practitioner_id
    )
    return (connection.execute(newest).scalar() or 0) + 1


def save_membership(connection: Connection, member: CareTeamMember, *, added_by: str | None = None) -> None:
    """Store a new membership (with `added_by`) or the new end and version of one."""
    if added_by is not None:
        values = {
            "id": member.id,
            "patient_id": member.patient_id,
            "practitioner_id": member.practitioner_id,
            "valid_from_utc": member.valid_from_utc,
            "valid_until_utc": member.valid_until_utc,
            "version": member.version,
            "added_by": added_by,
        }
        connection.execute(sa.insert(care_team).values(values))
        return
    changed = sa.update(care_team).where(care_team.c.id == member.id)
    connection.execute(changed.values(valid_until_utc=member.valid_until_utc, version=member.version))


def consents_of_patients(connection: Connection, patient_ids: Sequence[str]) -> list[tuple[Consent, bytes]]:
    """Consents, the latest first, each with its sealed labels (and without them in the value)."""
    query = sa.select(consents).where(consents.c.patient_id.in_(patient_ids))
    query = query.order_by(consents.c.valid_from_utc.desc(), consents.c.id)
    return [(_consent(row), row.sealed_labels) for row in connection.execute(query)]


def consent(connection: Connection, consent_id: str) -> tuple[Consent, bytes] | None:
    """One consent by its id."""
    row = connection.execute(sa.select(consents).where(consents.c.id == consent_id)).one_or_none()
    return None if row is None else (_consent(row), row.sealed_labels)


def add_consent(connection: Connection, new: Consent, *, sealed_labels: bytes) -> None:
    """Store a new consent."""
    values = {
        "id": new.id,
        "patient_id": new.patient_id,
        "decision": new.decision.value,
        "actor_id": new.actor_id,
        "purpose": None if new.purpose is None else new.purpose.value,
        "data_class": new.data_class.value,
        "sealed_labels": sealed_labels,
        "valid_from_utc": new.valid_from_utc,
        "valid_until_utc": new.valid_until_utc,
        "version": new.version,
    }
    connection.execute(sa.insert(consents).values(values))


def end_consent(connection: Connection, ended: Consent) -> None:
    """Store the end of a consent, and its new version."""
    changed = sa.update(consents).where(consents.c.id == ended.id)
    connection.execute(changed.values(valid_until_utc=ended.valid_until_utc, version=ended.version))


def _member(row: Row[Any]) -> CareTeamMember:
    return CareTeamMember(
        id=row.id,
        patient_id=row.patient_id,
        practitioner_id=row.practitioner_id,
        valid_from_utc=row.valid_from_utc,
        valid_until_utc=row.valid_until_utc,
        version=row.version,
    )


def _consent(row: Row[Any]) -> Consent:
    return Consent(
        id=row.id,
        patient_id=row.patient_id,
        decision=ConsentDecision(row.decision),
        actor_id=row.actor_id,
        purpose=None if row.purpose is None else Purpose(row.purpose),
        data_class=DataClass(row.data_class),
        labels=frozenset(),
        valid_from_utc=row.valid_from_utc,
        valid_until_utc=row.valid_until_utc,
        version=row.version,
    )
