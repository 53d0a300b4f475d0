"""Which rows a caller may see, as a filter value; asked of the one authorizer, never decided here."""

from __future__ import annotations

from collections.abc import Mapping

from authz.classes import Action, DataClass, Purpose, Role
from authz.identity.subject import Subject
from authz.question import Decision, Question
from subgraphs.kit.errors import PublicError
from subgraphs.kit.guard import Decides, RowAccess
from subgraphs.medical.model import ResourceType
from subgraphs.medical.store import VisibleRows

FORBIDDEN_MESSAGE = "not allowed to change this person's medical record"


def row_access(
    patient_id: str,
    purpose: Purpose | None,
    *,
    labels: frozenset[str] = frozenset(),
    resource_type: ResourceType | None = None,
) -> RowAccess:
    """What a decision about a row of the record needs to know."""
    return RowAccess(
        owner_id=patient_id,
        purpose=purpose,
        labels=labels,
        resource_type=None if resource_type is None else resource_type.value,
    )


async def visible_rows(
    decisions: Decides,
    patient_id: str,
    *,
    purpose: Purpose | None,
    resource_type: ResourceType,
    label_sets: Mapping[str, frozenset[str]],
) -> VisibleRows:
    """The row filter of a list: a row is in it exactly where reading it is allowed.

    `label_sets` are all sets of labels of this patient by their hash: few, however many rows there are.
    """
    named: dict[str | None, frozenset[str]] = {None: frozenset()}
    named.update(label_sets)
    asked = [
        row_access(patient_id, purpose, labels=labels, resource_type=resource_type).question(
            DataClass.CLINICAL, Action.READ
        )
        for labels in named.values()
    ]
    answers = await decisions.decide(asked)
    allowed = (key for key, answer in zip(named, answers, strict=True) if _whole(answer))
    return VisibleRows(patient_id, frozenset(allowed))


async def may(decisions: Decides, patient_id: str, action: Action, *, purpose: Purpose | None) -> bool:
    """Whether the caller may do `action` to this record."""
    question = Question(owner_id=patient_id, data_class=DataClass.CLINICAL, action=action, purpose=purpose)
    return all(_whole(answer) for answer in await decisions.decide([question]))


async def require(decisions: Decides, patient_id: str, action: Action, *, purpose: Purpose | None) -> None:
    """Errors: PublicError FORBIDDEN where the caller may not do `action` to this record, with what would
    open it. It is the same for somebody who has no record."""
    [answer] = await decisions.decide(
        [Question(owner_id=patient_id, data_class=DataClass.CLINICAL, action=action, purpose=purpose)]
    )
    if not _whole(answer):
        extensions = {} if answer.obligation is None else {"obligation": answer.obligation.value}
        raise PublicError("FORBIDDEN", FORBIDDEN_MESSAGE, extensions=extensions)


def acts_as(subject: Subject, role: Role) -> bool:
    """Whether the caller is a person in this role, and no program that acts for one."""
    return role in subject.roles and not subject.roles & {Role.PARTNER, Role.SERVICE}


def _whole(answer: Decision) -> bool:
    return answer.allowed and answer.mask is None
