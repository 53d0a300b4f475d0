"""What medical publishes, in the transaction that makes it true. Ids and facts alone, nothing clinical."""

from __future__ import annotations

from datetime import datetime

from authz.facts.model import CONSENT_TOPIC, RELATIONSHIP_TOPIC
from datastores.events.outbox import new_event
from datastores.events.port import Event
from subgraphs.medical.model import BreakGlassGrant, CareTeamMember, Consent

RECORD_CHANGED = "record.changed"
CLEARANCE_CHANGED = "clearance.changed"
BREAK_GLASS_USED = "break_glass.used"
BREAK_GLASS_REVIEWED = "break_glass.reviewed"


def relationship_changed(member: CareTeamMember | BreakGlassGrant, *, at_utc: datetime) -> Event:
    """Somebody treats a patient, or opened the record in an emergency, or does no longer; ordered per
    patient."""
    payload = member.fact().as_payload()
    return new_event(RELATIONSHIP_TOPIC, key=member.patient_id, payload=payload, at_utc=at_utc)


def consent_changed(consent: Consent, *, at_utc: datetime) -> Event:
    """A patient permits or denies something, or has revoked it; ordered per patient."""
    payload = consent.fact().as_payload()
    return new_event(CONSENT_TOPIC, key=consent.patient_id, payload=payload, at_utc=at_utc)


def record_changed(patient_id: str, *, at_utc: datetime) -> Event:
    """The clinical record has something new."""
    return new_event(RECORD_CHANGED, key=patient_id, payload={"patient_id": patient_id}, at_utc=at_utc)


def clearance_changed(patient_id: str, *, at_utc: datetime) -> Event:
    """There is a new clearance; what it says is asked of the graph, and decided there."""
    return new_event(CLEARANCE_CHANGED, key=patient_id, payload={"patient_id": patient_id}, at_utc=at_utc)


def break_glass_used(grant: BreakGlassGrant, *, at_utc: datetime) -> Event:
    """The patient's notice: who opened the record, and until when; why is asked of the graph."""
    payload = {
        "grant_id": grant.id,
        "patient_id": grant.patient_id,
        "clinician_id": grant.clinician_id,
        "second_clinician_id": grant.second_clinician_id,
        "valid_until_utc": grant.valid_until_utc.isoformat(),
    }
    return new_event(BREAK_GLASS_USED, key=grant.patient_id, payload=payload, at_utc=at_utc)


def break_glass_reviewed(grant: BreakGlassGrant, *, at_utc: datetime) -> Event:
    """The review is closed; what it found is asked of the graph."""
    payload = {"grant_id": grant.id, "patient_id": grant.patient_id, "clinician_id": grant.clinician_id}
    return new_event(BREAK_GLASS_REVIEWED, key=grant.patient_id, payload=payload, at_utc=at_utc)
