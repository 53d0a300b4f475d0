"""Medical's values and rules: clearance, care team, consent, what kinds of resources a record holds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from authz.classes import DataClass, Purpose, Relation
from authz.facts.model import ConsentFact, RelationshipFact

RESTRICTIONS_MAX = 20
RESTRICTION_CHARACTERS_MAX = 500
LABELS_MAX = 16
ERASED_MESSAGE = "this person's medical record was erased, and cannot be written again"


class ResourceType(StrEnum):
    """The FHIR resource types that a record holds."""

    PATIENT = "Patient"
    OBSERVATION = "Observation"
    CONDITION = "Condition"
    ALLERGY_INTOLERANCE = "AllergyIntolerance"
    MEDICATION_STATEMENT = "MedicationStatement"
    DIAGNOSTIC_REPORT = "DiagnosticReport"


class ClearanceStatus(StrEnum):
    """Whether somebody may train."""

    CLEARED = "CLEARED"
    RESTRICTED = "RESTRICTED"
    NOT_CLEARED = "NOT_CLEARED"


class ConsentDecision(StrEnum):
    """What the patient decided."""

    PERMIT = "PERMIT"
    DENY = "DENY"


class RuleBroken(Exception):
    """A value that the domain does not accept. `code` is stable; the message is for the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Clearance:
    """A physician's word on whether somebody may train. Never overwritten: each has the next version."""

    id: str
    patient_id: str
    version: int
    status: ClearanceStatus
    restrictions: tuple[str, ...]
    valid_until_utc: datetime | None
    set_by: str
    set_at_utc: datetime

    def in_force(self, now_utc: datetime) -> bool:
        """Whether it still counts: an expired clearance clears nobody."""
        return self.valid_until_utc is None or now_utc < self.valid_until_utc


@dataclass(frozen=True, slots=True)
class CareTeamMember:
    """`practitioner_id` treats `patient_id` from `valid_from_utc` until before `valid_until_utc`.

    `version` grows over all memberships of the pair, because events about them may come out of order.
    """

    id: str
    patient_id: str
    practitioner_id: str
    valid_from_utc: datetime
    valid_until_utc: datetime | None
    version: int

    def in_force(self, now_utc: datetime) -> bool:
        """Whether the relationship holds at `now_utc`."""
        return self.valid_from_utc <= now_utc and not self.ended(now_utc)

    def ended(self, now_utc: datetime) -> bool:
        """Whether it is over."""
        return self.valid_until_utc is not None and self.valid_until_utc <= now_utc

    def fact(self) -> RelationshipFact:
        """What authorization needs to know of it."""
        return RelationshipFact(
            subject_id=self.practitioner_id,
            relation=Relation.TREATING,
            object_id=self.patient_id,
            scopes=frozenset(),
            valid_from_utc=self.valid_from_utc,
            valid_until_utc=self.valid_until_utc,
            version=self.version,
        )


@dataclass(frozen=True, slots=True)
class Consent:
    """What a patient permits or denies. None as actor or purpose means any."""

    id: str
    patient_id: str
    decision: ConsentDecision
    actor_id: str | None
    purpose: Purpose | None
    data_class: DataClass
    labels: frozenset[str]
    valid_from_utc: datetime
    valid_until_utc: datetime | None
    version: int

    def ended(self, now_utc: datetime) -> bool:
        """Whether it was revoked or has expired."""
        return self.valid_until_utc is not None and self.valid_until_utc <= now_utc

    def fact(self) -> ConsentFact:
        """What authorization needs to know of it."""
        return ConsentFact(
            consent_id=self.id,
            patient_id=self.patient_id,
            actor_id=self.actor_id,
            purpose=self.purpose,
            data_class=self.data_class,
            decision="permit" if self.decision is ConsentDecision.PERMIT else "deny",
            valid_from_utc=self.valid_from_utc,
            valid_until_utc=self.valid_until_utc,
            version=self.version,
            labels=self.labels,
        )


def checked_period(valid_from_utc: datetime, valid_until_utc: datetime | None) -> None:
    """Errors: RuleBroken where the end is not after the start."""
    if valid_until_utc is not None and valid_until_utc <= valid_from_utc:
        raise RuleBroken("BAD_PERIOD", "the end of a period comes after its start")


def checked_clearance(
    status: ClearanceStatus, restrictions: Sequence[str], valid_until_utc: datetime | None, now_utc: datetime
) -> None:
    """Errors: RuleBroken where status and restrictions do not fit, or it would end before it begins."""
    if status is ClearanceStatus.RESTRICTED and not restrictions:
        raise RuleBroken("RESTRICTION_MISSING", "a restricted clearance says what is restricted")
    if status is ClearanceStatus.CLEARED and restrictions:
        raise RuleBroken("RESTRICTION_UNEXPECTED", "with restrictions the status is `RESTRICTED`")
    if len(restrictions) > RESTRICTIONS_MAX:
        raise RuleBroken("TOO_MANY_RESTRICTIONS", f"a clearance has at most {RESTRICTIONS_MAX} restrictions")
    if any(not restriction for restriction in restrictions):
        raise RuleBroken("RESTRICTION_EMPTY", "a restriction is a sentence, not an empty text")
    if valid_until_utc is not None and valid_until_utc <= now_utc:
        raise RuleBroken("BAD_PERIOD", "`validUntil` is in the past")


def checked_care(patient_id: str, practitioner_id: str) -> None:
    """Errors: RuleBroken where somebody would treat themselves."""
    if patient_id == practitioner_id:
        raise RuleBroken("OWN_PRACTITIONER", "nobody is their own practitioner")


def checked_consent(data_class: DataClass, labels: frozenset[str], decision: ConsentDecision) -> None:
    """Errors: RuleBroken for other classes than the clinical ones, and for a permit of nothing restricted."""
    if data_class not in (DataClass.CLINICAL, DataClass.CLINICAL_RESTRICTED):
        raise RuleBroken("BAD_CLASS", "consent is about `CLINICAL` or `CLINICAL_RESTRICTED`")
    if len(labels) > LABELS_MAX:
        raise RuleBroken("TOO_MANY_LABELS", f"a consent names at most {LABELS_MAX} labels")
    restricted = data_class is DataClass.CLINICAL_RESTRICTED
    if restricted and decision is ConsentDecision.PERMIT and not labels:
        raise RuleBroken("LABELS_MISSING", "consent to the restricted is explicit: name its labels")
    if labels and not restricted:
        raise RuleBroken("LABELS_UNEXPECTED", "labels belong to `CLINICAL_RESTRICTED`")
