"""The case a rule is tried on: who asks what, and which facts and consents hold now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from authz.classes import RESTRICTED_LABELS, DataClass, Relation, Role
from authz.facts.model import ConsentFact, RelationshipFact
from authz.identity.subject import Subject
from authz.question import Question

ANYONE = "anyone"
AUTHENTICATED = "authenticated"
LIMITED = "limited:"
"""Before a role that does not count for everybody: no rule can ask for it, the table looks at it."""

Party = frozenset[str]


@dataclass(frozen=True, slots=True)
class Case:
    """A question with everything its conditions may look at. `facts` and `consents` are in force at `now`."""

    subject: Subject
    question: Question
    facts: tuple[RelationshipFact, ...]
    consents: tuple[ConsentFact, ...]
    now: datetime

    def __repr__(self) -> str:
        # Casbin's log line shows its arguments: none of this is for a log.
        return "Case(…)"


class WatchedCase(Case):
    """A case that notes whether its instant was looked at: if not, the answer is that of any instant."""

    __slots__ = ("timely",)
    timely: bool

    def __init__(
        self,
        subject: Subject,
        question: Question,
        facts: tuple[RelationshipFact, ...],
        consents: tuple[ConsentFact, ...],
        now: datetime,
    ) -> None:
        super().__init__(subject, question, facts, consents, now)
        object.__setattr__(self, "timely", False)

    def __getattribute__(self, name: str) -> Any:
        if name == "now":
            object.__setattr__(self, "timely", True)
        return object.__getattribute__(self, name)


def actor_of(subject: Subject) -> str | None:
    """Whose facts and consents count: the person's own, or the partner client's that acts for one."""
    return subject.client_id if Role.PARTNER in subject.roles and subject.client_id else subject.id


def base_party(subject: Subject) -> Party:
    """What the subject is to everybody.

    A partner acts for a person, and a service for nobody, so neither lends itself that person's roles.
    """
    if not subject.authenticated:
        return frozenset({ANYONE})
    limited = {f"{LIMITED}{limit.role.value}" for limit in subject.limits}
    for alone in (Role.PARTNER, Role.SERVICE):
        if alone in subject.roles:
            return frozenset({ANYONE, alone.value, *(limited & {f"{LIMITED}{alone.value}"})})
    return frozenset({ANYONE, AUTHENTICATED, *(role.value for role in subject.roles), *limited})


def strangers_party(subject: Subject, data_class: str) -> Party:
    """What the subject is to people whom none of its roles is assigned for, in this class."""
    shut = {limit.role.value for limit in subject.limits if data_class not in limit.classes}
    return base_party(subject) - shut


def with_implied(parties: Party) -> Party:
    """What a rule's parties are besides what they say: whoever has a role or relation has logged in."""
    alone = {ANYONE, Role.PARTNER.value, Role.SERVICE.value, Relation.BLOCKED.value}
    return parties | ({ANYONE, AUTHENTICATED} if parties - alone else {ANYONE})


def party_of(subject: Subject, owner_id: str | None, facts: Iterable[RelationshipFact]) -> Party:
    """What the subject is to this owner: its roles, and its relations by facts in force."""
    base = base_party(subject)
    if owner_id is None or not subject.authenticated:
        return base
    relations = {fact.relation for fact in facts}
    if AUTHENTICATED not in base:
        # Of all relations a partner or service has only this one: it can be shut out.
        return base | ({Relation.BLOCKED.value} & {relation.value for relation in relations})
    if owner_id == subject.id:
        return base | {Relation.SELF.value}
    # `self` is never a fact: it is the equality of ids, and nothing a domain could publish by mistake.
    return base | {relation.value for relation in relations - {Relation.SELF, Relation.NONE}}


def classed_by_labels(question: Question) -> Question:
    """The question with the class that its row's labels demand.

    A restricted row stays restricted where a resolver classed its field as CLINICAL.
    """
    if question.data_class is DataClass.CLINICAL and question.labels & RESTRICTED_LABELS:
        return replace(question, data_class=DataClass.CLINICAL_RESTRICTED)
    return question
