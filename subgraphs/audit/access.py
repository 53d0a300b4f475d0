"""Which records a caller may see, as a filter value; asked of the one authorizer, never decided here."""

from __future__ import annotations

from authz.classes import DataClass
from authz.question import Decision, Question
from subgraphs.audit.events import SUBJECT
from subgraphs.audit.model import Pseudonyms
from subgraphs.audit.store import RecordFilter
from subgraphs.kit import PublicError
from subgraphs.kit.trail import Decides

FORBIDDEN_MESSAGE = "not allowed to read the audit log"


async def reads_all(decisions: Decides) -> bool:
    """Whether the caller may read everybody's records, as an auditor."""
    [answer] = await decisions.decide([Question(None, DataClass.AUDIT)])
    return answer.allowed


async def visible_records(
    decisions: Decides, caller_id: str, pseudonyms: Pseudonyms
) -> tuple[RecordFilter | None, Decision]:
    """Everything for auditors; for those whose role lets them look back, their own acts; None for others.
    With the decision that says so."""
    everything, own_acts = await decisions.decide(
        [Question(None, DataClass.AUDIT), Question(None, DataClass.AUDIT, created_by=caller_id)]
    )
    if everything.allowed:
        return RecordFilter(), everything
    if own_acts.allowed:
        return RecordFilter(actor=pseudonyms.of(SUBJECT, caller_id)), own_acts
    return None, everything


def forbidden() -> PublicError:
    """The refusal, the same for all who may not."""
    return PublicError("FORBIDDEN", FORBIDDEN_MESSAGE)
