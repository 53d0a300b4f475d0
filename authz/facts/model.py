"""Relationship and consent facts: what domains publish about who is what to whom, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from authz.classes import DataClass, Purpose, Relation
from authz.errors import FactInvalid

RELATIONSHIP_TOPIC = "relationship.changed"
CONSENT_TOPIC = "consent.changed"
SCOPES_PER_FACT_MAX = 128
TEXT_LENGTH_MAX = 200
CIRCLES = ("organisation:", "region:")
"""How the ids of circles begin, whose members are known by facts. No person's id begins so."""


def is_circle(object_id: str) -> bool:
    """Whether a fact is about a circle of people and not about one person."""
    return object_id.startswith(CIRCLES)


@dataclass(frozen=True, slots=True)
class RelationshipFact:
    """`subject` is `relation` to `object`, the owner of rows: a coach to an athlete, a friend to a friend.

    In force from `valid_from_utc` until before `valid_until_utc`; None is open-ended. Of two facts about the
    same three, the one with the higher `version` counts: events may come twice or out of order.
    """

    subject_id: str
    relation: Relation
    object_id: str
    scopes: frozenset[str]
    valid_from_utc: datetime
    valid_until_utc: datetime | None
    version: int

    def through(self, member: RelationshipFact) -> RelationshipFact:
        """What this fact about a circle says of one of its members, while both hold."""
        ends = [each for each in (self.valid_until_utc, member.valid_until_utc) if each is not None]
        return replace(
            self,
            object_id=member.subject_id,
            valid_from_utc=max(self.valid_from_utc, member.valid_from_utc),
            valid_until_utc=min(ends, default=None),
        )

    def in_force(self, now: datetime) -> bool:
        """Whether the fact holds at `now`."""
        return _within(self.valid_from_utc, self.valid_until_utc, now)

    def as_payload(self) -> dict[str, Any]:
        """The payload of its `relationship.changed` event, in JSON types."""
        return {
            "subject_id": self.subject_id,
            "relation": self.relation.value,
            "object_id": self.object_id,
            "scopes": sorted(self.scopes),
            "valid_from_utc": self.valid_from_utc.isoformat(),
            "valid_until_utc": None if self.valid_until_utc is None else self.valid_until_utc.isoformat(),
            "version": self.version,
        }


@dataclass(frozen=True, slots=True)
class ConsentFact:
    """What a patient decided about who may see what. A deny beats every role and every permit.

    None as actor, purpose or class means any. Empty `labels`: a deny covers all labels, a permit none, since
    consent to the restricted has to be explicit.  Source: FHIR Consent (provision), IHE PCF.
    """

    consent_id: str
    patient_id: str
    actor_id: str | None
    purpose: Purpose | None
    data_class: DataClass | None
    decision: Literal["permit", "deny"]
    valid_from_utc: datetime
    valid_until_utc: datetime | None
    version: int
    labels: frozenset[str] = frozenset()

    def in_force(self, now: datetime) -> bool:
        """Whether the consent holds at `now`."""
        return _within(self.valid_from_utc, self.valid_until_utc, now)

    def as_payload(self) -> dict[str, Any]:
        """The payload of its `consent.changed` event, in JSON types."""
        return {
            "consent_id": self.consent_id,
            "patient_id": self.patient_id,
            "actor_id": self.actor_id,
            "purpose": None if self.purpose is None else self.purpose.value,
            "data_class": None if self.data_class is None else self.data_class.value,
            "decision": self.decision,
            "labels": sorted(self.labels),
            "valid_from_utc": self.valid_from_utc.isoformat(),
            "valid_until_utc": None if self.valid_until_utc is None else self.valid_until_utc.isoformat(),
            "version": self.version,
        }


def relationship_of(payload: Mapping[str, Any]) -> RelationshipFact:
    """The fact that a `relationship.changed` event carries.  Errors: FactInvalid."""
    try:
        return RelationshipFact(
            subject_id=_text(payload["subject_id"]),
            relation=Relation(payload["relation"]),
            object_id=_text(payload["object_id"]),
            scopes=_words(payload.get("scopes") or ()),
            valid_from_utc=_instant(payload["valid_from_utc"]),
            valid_until_utc=_optional_instant(payload.get("valid_until_utc")),
            version=_version(payload["version"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FactInvalid(f"an event of `{RELATIONSHIP_TOPIC}` has not the agreed shape") from error


def consent_of(payload: Mapping[str, Any]) -> ConsentFact:
    """The fact that a `consent.changed` event carries.  Errors: FactInvalid."""
    try:
        actor, purpose, data_class = (payload.get(name) for name in ("actor_id", "purpose", "data_class"))
        return ConsentFact(
            consent_id=_text(payload["consent_id"]),
            patient_id=_text(payload["patient_id"]),
            actor_id=None if actor is None else _text(actor),
            purpose=None if purpose is None else Purpose(purpose),
            data_class=None if data_class is None else DataClass(data_class),
            decision=_decision(payload["decision"]),
            valid_from_utc=_instant(payload["valid_from_utc"]),
            valid_until_utc=_optional_instant(payload.get("valid_until_utc")),
            version=_version(payload["version"]),
            labels=_words(payload.get("labels") or ()),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FactInvalid(f"an event of `{CONSENT_TOPIC}` has not the agreed shape") from error


def _within(valid_from: datetime, valid_until: datetime | None, now: datetime) -> bool:
    return valid_from <= now and (valid_until is None or now < valid_until)


def _text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_LENGTH_MAX:
        raise ValueError("not a short text")
    return value


def _words(value: object) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        raise TypeError("not a list of words")
    if len(value) > SCOPES_PER_FACT_MAX:
        raise ValueError("too many words")
    return frozenset(_text(word) for word in value)


def _instant(value: object) -> datetime:
    parsed = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(parsed, datetime) or parsed.tzinfo is None:
        raise ValueError("not an instant with an offset")
    return parsed.astimezone(UTC)


def _optional_instant(value: object) -> datetime | None:
    return None if value is None else _instant(value)


def _version(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("not a version number")
    return value


def _decision(value: object) -> Literal["permit", "deny"]:
    if value == "permit":
        return "permit"
    if value == "deny":
        return "deny"
    raise ValueError("not a consent decision")
