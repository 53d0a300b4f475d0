"""Medical's values and rules: clearance, care team, consent, what kinds of resources a record holds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from authz.classes import DataClass, Purpose, Relation
from authz.facts.model import ConsentFact, RelationshipFact

RESTRICTIONS_MAX = 20
RESTRICTION_CHARACTERS_MAX = 500
LABELS_MAX = 16
BREAK_GLASS_MINUTES_MAX = 60
REASON_CHARACTERS_MIN = 20
REASON_CHARACTERS_MAX = 1_000
REVIEW_DUE_AFTER = timedelta(hours=72)
GRANTS_PER_DAY_MAX = 20
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


class ReviewOutcome(StrEnum):
    """What a review found: the emergency was one, or it was not."""

    JUSTIFIED = "JUSTIFIED"
    UNJUSTIFIED = "UNJUSTIFIED"


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


@dataclass(frozen=True, slots=True)
class Review:
    """How an emergency was judged afterwards. `note` is None where the patient's key was destroyed."""

    outcome: ReviewOutcome
    note: str | None
    reviewed_by: str
    reviewed_at_utc: datetime


@dataclass(frozen=True, slots=True)
class BreakGlassGrant:
    """`clinician_id` opened the record of `patient_id` in an emergency, for an hour at most; it ends by
    itself. A second clinician opens what is restricted too. `review` None: still to be closed by somebody
    who had no part in it. `reason` is None where the patient's key was destroyed.
    """

    id: str
    patient_id: str
    clinician_id: str
    second_clinician_id: str | None
    reason: str | None
    opened_at_utc: datetime
    valid_until_utc: datetime
    version: int
    seen_by_patient_at_utc: datetime | None = None
    review: Review | None = None

    @property
    def review_due_at_utc(self) -> datetime:
        """Until when the review is to be closed."""
        return self.opened_at_utc + REVIEW_DUE_AFTER

    def in_force(self, now_utc: datetime) -> bool:
        """Whether the record is open at `now_utc`."""
        return self.opened_at_utc <= now_utc < self.valid_until_utc

    def involves(self, user_id: str) -> bool:
        """Whether somebody had a part in it, and so no say in its review."""
        return user_id in (self.patient_id, self.clinician_id, self.second_clinician_id)

    def fact(self) -> RelationshipFact:
        """What authorization needs to know of it."""
        second = {"second_clinician"} if self.second_clinician_id else set[str]()
        return RelationshipFact(
            subject_id=self.clinician_id,
            relation=Relation.BREAK_GLASS,
            object_id=self.patient_id,
            scopes=frozenset({"reason", *second}),
            valid_from_utc=self.opened_at_utc,
            valid_until_utc=self.valid_until_utc,
            version=self.version,
        )


def checked_emergency(reason: str, minutes: int) -> None:
    """Errors: RuleBroken without a reason that says something, or past an hour."""
    if len(reason) < REASON_CHARACTERS_MIN:
        raise RuleBroken("REASON_TOO_SHORT", f"say why, in {REASON_CHARACTERS_MIN} characters or more")
    if not 1 <= minutes <= BREAK_GLASS_MINUTES_MAX:
        raise RuleBroken(
            "BAD_PERIOD", f"an emergency opens a record for 1 to {BREAK_GLASS_MINUTES_MAX} minutes"
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
