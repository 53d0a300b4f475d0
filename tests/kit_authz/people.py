"""The words that authorization tests speak in: facts, consents, a clock that stands still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from authz.classes import DataClass, Purpose, Relation
from authz.facts import ConsentFact, RelationshipFact

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """Time that moves only when told to."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **duration: float) -> None:
        self.now += timedelta(**duration)


def a_fact(
    subject_id: str,
    relation: Relation,
    object_id: str,
    *scopes: str,
    since: datetime = NOW - timedelta(days=1),
    until: datetime | None = None,
    version: int = 1,
) -> RelationshipFact:
    """A relationship in force since yesterday unless told otherwise."""
    return RelationshipFact(subject_id, relation, object_id, frozenset(scopes), since, until, version)


def a_consent(
    patient_id: str,
    decision: str,
    *,
    consent_id: str = "consent-1",
    actor_id: str | None = None,
    purpose: Purpose | None = None,
    data_class: DataClass | None = None,
    labels: frozenset[str] = frozenset(),
    since: datetime = NOW - timedelta(days=1),
    until: datetime | None = None,
    version: int = 1,
) -> ConsentFact:
    """A consent in force since yesterday unless told otherwise."""
    assert decision in ("permit", "deny")
    return ConsentFact(
        consent_id, patient_id, actor_id, purpose, data_class, decision, since, until, version, labels
    )
