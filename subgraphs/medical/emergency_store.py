"""Emergency grants as rows, with their reviews. What was written as reason and note is sealed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Row

from subgraphs.medical.model import BreakGlassGrant, Review, ReviewOutcome
from subgraphs.medical.tables import break_glass

Place = tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class SealedGrant:
    """A grant as it is kept: without the texts, which are beside it."""

    grant: BreakGlassGrant
    reason: bytes
    note: bytes | None


def reason_context(grant_id: str) -> str:
    """What a sealed reason is bound to."""
    return f"medical_break_glass.sealed_reason {grant_id}"


def note_context(grant_id: str) -> str:
    """What a sealed note is bound to."""
    return f"medical_break_glass.sealed_note {grant_id}"


def next_version(connection: Connection, patient_id: str, clinician_id: str) -> int:
    """Above every version that was ever published about the pair."""
    newest = sa.select(sa.func.max(break_glass.c.version)).where(
        break_glass.c.patient_id == patient_id, break_glass.c.clinician_id == clinician_id
    )
    return (connection.execute(newest).scalar() or 0) + 1


def open_grant(
    connection: Connection, patient_id: str, clinician_id: str, *, now_utc: datetime
) -> SealedGrant | None:
    """The grant of the pair that is in force, if one is."""
    query = sa.select(break_glass).where(
        break_glass.c.patient_id == patient_id,
        break_glass.c.clinician_id == clinician_id,
        break_glass.c.valid_until_utc > now_utc,
    )
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else _grant(row)


def count_since(connection: Connection, clinician_id: str, since_utc: datetime) -> int:
    """How many records somebody has opened since then."""
    query = sa.select(sa.func.count()).where(
        break_glass.c.clinician_id == clinician_id, break_glass.c.opened_at_utc > since_utc
    )
    return connection.execute(query).scalar_one()


def add(connection: Connection, grant: BreakGlassGrant, *, sealed_reason: bytes) -> None:
    """Store a new grant."""
    values = {
        "id": grant.id,
        "patient_id": grant.patient_id,
        "clinician_id": grant.clinician_id,
        "second_clinician_id": grant.second_clinician_id,
        "sealed_reason": sealed_reason,
        "opened_at_utc": grant.opened_at_utc,
        "valid_until_utc": grant.valid_until_utc,
        "version": grant.version,
    }
    connection.execute(sa.insert(break_glass).values(values))


def change(connection: Connection, grant: BreakGlassGrant) -> None:
    """Store a grant's new end, second clinician and version."""
    changed = sa.update(break_glass).where(break_glass.c.id == grant.id)
    connection.execute(
        changed.values(
            valid_until_utc=grant.valid_until_utc,
            second_clinician_id=grant.second_clinician_id,
            version=grant.version,
        )
    )


def mark_seen(connection: Connection, grant_id: str, *, at_utc: datetime) -> None:
    """The patient has seen the notice; the first time counts."""
    unseen = sa.update(break_glass).where(
        break_glass.c.id == grant_id, break_glass.c.seen_by_patient_at_utc.is_(None)
    )
    connection.execute(unseen.values(seen_by_patient_at_utc=at_utc))


def close_review(connection: Connection, grant_id: str, review: Review, *, sealed_note: bytes | None) -> bool:
    """Store how the review ended; whether it was still open."""
    opened = sa.update(break_glass).where(break_glass.c.id == grant_id, break_glass.c.outcome.is_(None))
    closed = connection.execute(
        opened.values(
            outcome=review.outcome.value,
            sealed_note=sealed_note,
            reviewed_by=review.reviewed_by,
            reviewed_at_utc=review.reviewed_at_utc,
        )
    )
    return closed.rowcount == 1


def grants_by_id(connection: Connection, ids: Sequence[str]) -> dict[str, SealedGrant]:
    """Grants by their ids."""
    rows = connection.execute(sa.select(break_glass).where(break_glass.c.id.in_(ids)))
    return {row.id: _grant(row) for row in rows}


def list_grants(
    connection: Connection, visible: ColumnElement[bool], *, limit: int, before: Place | None
) -> list[SealedGrant]:
    """The latest first, at most `limit` of those before a place."""
    columns = break_glass.c
    query = sa.select(break_glass).where(visible)
    if before is not None:
        query = query.where(sa.tuple_(columns.opened_at_utc, columns.id) < sa.tuple_(*_literals(before)))
    query = query.order_by(columns.opened_at_utc.desc(), columns.id.desc()).limit(limit)
    return [_grant(row) for row in connection.execute(query)]


def count_grants(connection: Connection, visible: ColumnElement[bool]) -> int:
    """How many there are."""
    return connection.execute(sa.select(sa.func.count()).select_from(break_glass).where(visible)).scalar_one()


def _literals(place: Place) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    at_utc = sa.literal(place[0], break_glass.c.opened_at_utc.type)
    return at_utc, sa.literal(place[1])


def _grant(row: Row[Any]) -> SealedGrant:
    review = None
    if row.outcome is not None:
        review = Review(ReviewOutcome(row.outcome), None, row.reviewed_by, row.reviewed_at_utc)
    grant = BreakGlassGrant(
        id=row.id,
        patient_id=row.patient_id,
        clinician_id=row.clinician_id,
        second_clinician_id=row.second_clinician_id,
        reason=None,
        opened_at_utc=row.opened_at_utc,
        valid_until_utc=row.valid_until_utc,
        version=row.version,
        seen_by_patient_at_utc=row.seen_by_patient_at_utc,
        review=review,
    )
    return SealedGrant(grant, row.sealed_reason, row.sealed_note)
