"""What of a request is written down for good: who touched whose protected fields, why, by which rule.

guard and writes -> Access, one a subgraph request -> outbox -> the audit domain. It holds no field's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from authz.classes import DataClass, Role
from authz.errors import FactInvalid
from authz.identity.subject import Subject

TOPIC = "access.recorded"

AUDITED = frozenset(
    {
        DataClass.CLINICAL,
        DataClass.CLINICAL_RESTRICTED,
        DataClass.FINANCIAL,
        DataClass.SECURITY,
        DataClass.AUDIT,
    }
)
"""Classes whose reading about somebody else leaves a record, allowed or denied."""


class Outcome(StrEnum):
    """What came of it."""

    SHOWN = "shown"
    REFUSED = "refused"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Touched:
    """One owner's fields, or one mutation, with the decision about it.

    `fields` are schema coordinates, sorted. `target_id` None: nobody's row, such as a list over all.
    """

    target_id: str | None
    action: str
    data_class: str | None
    fields: tuple[str, ...]
    allowed: bool
    rule: str
    outcome: Outcome
    purpose: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """What one request to one subgraph touched. `actor_id` acted, `on_behalf_of_id` lent the right to."""

    at_utc: datetime
    subgraph: str
    actor_id: str | None
    on_behalf_of_id: str | None
    client_id: str | None
    session_id: str | None
    trace_id: str
    touched: tuple[Touched, ...]

    def as_payload(self) -> dict[str, Any]:
        """The payload of an `access.recorded` event: JSON values."""
        return {
            **asdict(self),
            "at_utc": self.at_utc.isoformat(),
            "touched": [{**asdict(each), "fields": list(each.fields)} for each in self.touched],
        }


def actors_of(subject: Subject) -> tuple[str | None, str | None]:
    """Who acts, and for whom: a partner's client acts for the person who let it, others for nobody."""
    if Role.PARTNER in subject.roles and subject.client_id:
        return subject.client_id, subject.id
    return subject.id, None


def is_own(subject: Subject, owner_id: str | None) -> bool:
    """Whether somebody reads what is theirs, themselves: it leaves no record, but through a partner."""
    return owner_id is not None and owner_id == subject.id and Role.PARTNER not in subject.roles


def access_of(payload: Mapping[str, Any]) -> Access:
    """The access that an `access.recorded` event carries.  Errors: FactInvalid for another shape."""
    try:
        touched = tuple(_touched(each) for each in payload["touched"])
        given = {**payload, "at_utc": datetime.fromisoformat(payload["at_utc"]), "touched": touched}
        return Access(**given)
    except (KeyError, TypeError, ValueError) as error:
        raise FactInvalid(f"an event of `{TOPIC}` has another shape") from error


def _touched(given: Mapping[str, Any]) -> Touched:
    return Touched(**{**given, "fields": tuple(given["fields"]), "outcome": Outcome(given["outcome"])})
