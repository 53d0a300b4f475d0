"""What is asked and what is answered: Question and Decision, the words that all three places share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from authz.classes import DataClass, Purpose, Visibility


class Obligation(StrEnum):
    """What the caller could do to be allowed; part of the public error, so it names no rule and no person."""

    STEP_UP = "STEP_UP"
    CONSENT = "CONSENT"
    PURPOSE = "PURPOSE"
    REGION = "REGION"


@dataclass(frozen=True, slots=True)
class Question:
    """May the subject do `action` to this kind of field of this owner's row?

    Everything but the class describes the *loaded* row: `labels` its security labels, `visibility` the level
    its owner chose (none means private), `metric` which wellness metric it is, `created_by` whose act it
    records, `approved_by` the second person of a four-eyes action, `region` where it lies, `resource_type`
    its FHIR type. `purpose` is what the caller states. Hashable: a request asks each question once.
    """

    owner_id: str | None
    data_class: DataClass
    action: str = "read"
    purpose: Purpose | None = None
    labels: frozenset[str] = frozenset()
    visibility: Visibility | None = None
    metric: str | None = None
    created_by: str | None = None
    approved_by: str | None = None
    region: str | None = None
    resource_type: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer. `mask` names how the value must be shortened before it leaves; None shows it whole.

    `rule` is the policy line that decided, for logs, audit and `explainAccess`; never part of an error.
    """

    allowed: bool
    rule: str
    obligation: Obligation | None = None
    mask: str | None = None


DEFAULT_DENY = "default-deny"
"""The rule of a decision that no policy line made."""
