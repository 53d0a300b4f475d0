"""Where decisions find their facts: the port, and an embedded adapter in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from authz.classes import Relation
from authz.facts.model import ConsentFact, RelationshipFact, consent_of, is_circle, relationship_of

OWNERS_PER_BATCH_MAX = 5_000
FACTS_PER_SUBJECT_MAX = 50_000


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known between one subject and one owner; validity still to be checked against the clock."""

    relations: tuple[RelationshipFact, ...] = ()
    consents: tuple[ConsentFact, ...] = ()


UNRELATED = Standing()


class Facts(Protocol):
    """The read model of relationships and consents that domains publish.

    Atomicity: one batch is one consistent read. Errors: Unavailable where the store is. An adapter that
    counts its own changes in `generation` may be remembered for a moment (`Authorizer`).
    """

    async def load(self, subject_id: str, owner_ids: Sequence[str]) -> Mapping[str, Standing]:
        """What subject and each owner are to each other; an unknown owner may be left out.

        What it is `assigned` of a circle, it is of each owner who is a member of it.

        Holds the subject's facts about the owner, blocks in both directions, and the owner's consents about
        this subject or about anybody. At most `OWNERS_PER_BATCH_MAX` owners.
        """
        ...

    async def relations(
        self, subject_id: str, owner_ids: Sequence[str]
    ) -> Mapping[str, Sequence[RelationshipFact]]:
        """The relationship part of `load`."""
        ...

    async def of_subject(self, subject_id: str) -> Mapping[str, Standing]:
        """`load` for every owner this subject has a fact, a block or a consent with; for row filters.

        Errors: ValueError past `FACTS_PER_SUBJECT_MAX`; a filter is never silently short.
        """
        ...

    async def apply_event(self, payload: Mapping[str, Any]) -> None:
        """Take a `relationship.changed` or `consent.changed` event; an older version changes nothing.

        Errors: FactInvalid for another shape.
        """
        ...


@dataclass(slots=True)
class MemoryFacts:
    """Facts in memory, for one process and for tests."""

    _relationships: dict[tuple[str, Relation, str], RelationshipFact] = field(default_factory=dict)
    _consents: dict[str, ConsentFact] = field(default_factory=dict)
    _erased: set[str] = field(default_factory=set)
    batches: int = 0
    generation: int = 0

    def put(self, *facts: RelationshipFact | ConsentFact) -> None:
        """Keep these facts where they are newer than what is known."""
        self.generation += 1
        for fact in facts:
            if not self._erased.isdisjoint(people_of(fact)):
                continue
            if isinstance(fact, ConsentFact):
                known_consent = self._consents.get(fact.consent_id)
                if known_consent is None or known_consent.version < fact.version:
                    self._consents[fact.consent_id] = fact
            else:
                key = (fact.subject_id, fact.relation, fact.object_id)
                known = self._relationships.get(key)
                if known is None or known.version < fact.version:
                    self._relationships[key] = fact

    async def apply_event(self, payload: Mapping[str, Any]) -> None:
        """See `Facts.apply_event`."""
        self.put(fact_of(payload))

    async def forget(self, user_id: str) -> None:
        """Drop every fact and consent that names this person, and keep none that still comes."""
        self._erased.add(user_id)
        kept: list[RelationshipFact | ConsentFact] = [*self._relationships.values(), *self._consents.values()]
        self._relationships, self._consents = {}, {}
        self.put(*kept)

    async def subjects_of(self, owner_id: str, *, limit: int) -> list[str]:
        """Who has a relation to this owner, or a consent of theirs by name; sorted, at most `limit`."""
        related = {fact.subject_id for fact in self._relationships.values() if fact.object_id == owner_id}
        named = {each.actor_id for each in self._consents.values() if each.patient_id == owner_id}
        return sorted(each for each in related | named if each is not None)[:limit]

    async def load(self, subject_id: str, owner_ids: Sequence[str]) -> Mapping[str, Standing]:
        """See `Facts.load`."""
        self.batches += 1
        check_batch(owner_ids)
        wanted = set(owner_ids)
        return {owner: each for owner, each in self._all_of(subject_id).items() if owner in wanted}

    async def relations(
        self, subject_id: str, owner_ids: Sequence[str]
    ) -> Mapping[str, Sequence[RelationshipFact]]:
        """See `Facts.relations`."""
        return {owner: each.relations for owner, each in (await self.load(subject_id, owner_ids)).items()}

    async def of_subject(self, subject_id: str) -> Mapping[str, Standing]:
        """See `Facts.of_subject`."""
        self.batches += 1
        return self._all_of(subject_id)

    def _all_of(self, subject_id: str) -> Mapping[str, Standing]:
        return standings(
            subject_id,
            (
                fact
                for fact in self._relationships.values()
                if fact.subject_id == subject_id
                or (fact.relation is Relation.BLOCKED and fact.object_id == subject_id)
            ),
            (each for each in self._consents.values() if each.actor_id in (None, subject_id)),
            [fact for fact in self._relationships.values() if fact.relation is Relation.MEMBER],
        )


def fact_of(payload: Mapping[str, Any]) -> RelationshipFact | ConsentFact:
    """The fact of either event; a consent is the one with a `consent_id`.  Errors: FactInvalid."""
    return consent_of(payload) if "consent_id" in payload else relationship_of(payload)


def people_of(fact: RelationshipFact | ConsentFact) -> frozenset[str]:
    """Whom a fact names."""
    if isinstance(fact, ConsentFact):
        return frozenset({fact.patient_id, fact.actor_id or fact.patient_id})
    return frozenset({fact.subject_id, fact.object_id})


def standings(
    subject_id: str,
    relationships: Iterable[RelationshipFact],
    consents: Iterable[ConsentFact],
    members: Iterable[RelationshipFact] = (),
) -> dict[str, Standing]:
    """Facts grouped by the owner they are about, seen from this subject: a block counts both ways.

    What the subject is `assigned` about a circle, it is about each of its `members`.
    """
    related: dict[str, list[RelationshipFact]] = {}
    consented: dict[str, list[ConsentFact]] = {}
    known = [fact for fact in relationships if fact.relation is not Relation.MEMBER]
    circles = {fact.object_id: fact for fact in known if is_circle(fact.object_id)}
    facts = [fact for fact in known if not is_circle(fact.object_id)]
    facts += [circles[each.object_id].through(each) for each in members if each.object_id in circles]
    for fact in facts:
        owner_id = fact.object_id if fact.subject_id == subject_id else fact.subject_id
        related.setdefault(owner_id, []).append(fact)
    for consent in consents:
        consented.setdefault(consent.patient_id, []).append(consent)
    return {
        owner_id: Standing(tuple(related.get(owner_id, ())), tuple(consented.get(owner_id, ())))
        for owner_id in related.keys() | consented.keys()
    }


def check_batch(owner_ids: Sequence[str]) -> None:
    """Errors: ValueError past `OWNERS_PER_BATCH_MAX`."""
    if len(owner_ids) > OWNERS_PER_BATCH_MAX:
        raise ValueError(f"a batch asks about {OWNERS_PER_BATCH_MAX} owners at most; ask in several")
