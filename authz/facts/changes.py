"""Whose facts have changed, by number: what is remembered of a subject holds until that subject is named.

A change's number and its rows are written in one transaction, which holds the counter's row to its end: who
reads a number sees all that was changed up to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import BigInteger, Connection, Integer, bindparam, delete, select

from authz.classes import Relation
from authz.facts.model import ConsentFact, RelationshipFact
from authz.facts.tables import authz_changes, authz_consents
from datastores.relational.columns import insert
from datastores.relational.prepared import PreparedRead

COUNTER, ANYBODY = "", "*"
"""In the place of a subject: the row of the number itself, and what may count for every subject."""
CHANGES_PER_LOOK_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed since a number: facts of `subject_ids`, None for anybody's. `number` is the latest."""

    number: int
    subject_ids: AbstractSet[str] | None


_SINCE = PreparedRead(
    select(authz_changes.c.subject_id, authz_changes.c.number)
    .where(authz_changes.c.number >= bindparam("number", type_=BigInteger()))
    .order_by(authz_changes.c.number.desc())
    .limit(bindparam("most", type_=Integer()))
)


class TellsChanges(Protocol):
    """What an adapter of `Facts` that several processes change has to do, to be remembered by any of them.

    `generation` counts what this process has changed, so that such a change is looked for at once.
    """

    generation: int

    async def changes_since(self, number: int) -> Changes:
        """Whose facts have changed since this number was the latest."""
        ...

    def changes_at_once(self, number: int) -> Changes | None:
        """`changes_since` without giving way; None where it has to."""
        ...


def note_changes(connection: Connection, facts: Iterable[RelationshipFact | ConsentFact]) -> None:
    """Number the change of these facts, before it is made: where a consent is moved, both sides count."""
    told = list(facts)
    subjects = {subject for fact in told for subject in _concerned(fact)}
    consent_ids = [fact.consent_id for fact in told if isinstance(fact, ConsentFact)]
    if consent_ids:
        moved = select(authz_consents.c.actor_id).where(authz_consents.c.consent_id.in_(consent_ids))
        subjects |= {actor_id or ANYBODY for actor_id in connection.execute(moved).scalars()}
    _number(connection, subjects)


def note_forgotten(connection: Connection, user_id: str) -> None:
    """Number the change of everybody's facts about a person, who is named no longer."""
    connection.execute(delete(authz_changes).where(authz_changes.c.subject_id == user_id))
    _number(connection, {ANYBODY})


def read_changes(connection: Connection, number: int) -> Changes:
    """Whose facts have changed since this number was the latest; anybody's, if that is not known."""
    found = _SINCE.rows(connection, number=number, most=CHANGES_PER_LOOK_MAX)
    latest = found[0].number if found else 0
    changed = {row.subject_id for row in found if row.number > number} - {COUNTER}
    # A lower number than was seen: the tables were put back to an earlier state.
    unknown = latest < number or len(found) == CHANGES_PER_LOOK_MAX or ANYBODY in changed
    return Changes(latest, None if unknown else changed)


def _concerned(fact: RelationshipFact | ConsentFact) -> Iterable[str]:
    """The subjects of whose standing this is a part."""
    if isinstance(fact, ConsentFact):
        return (fact.actor_id or ANYBODY,)
    if fact.relation is Relation.MEMBER:
        return (ANYBODY,)
    return (fact.subject_id, fact.object_id) if fact.relation is Relation.BLOCKED else (fact.subject_id,)


def _number(connection: Connection, subjects: Iterable[str]) -> None:
    first = insert(connection, authz_changes).values(subject_id=COUNTER, number=1)
    raised = first.on_conflict_do_update(
        index_elements=["subject_id"], set_={"number": authz_changes.c.number + 1}
    ).returning(authz_changes.c.number)
    number = connection.execute(raised).scalar_one()
    for subject_id in sorted(subjects):
        named = insert(connection, authz_changes).values(subject_id=subject_id, number=number)
        connection.execute(
            named.on_conflict_do_update(index_elements=["subject_id"], set_={"number": number})
        )
