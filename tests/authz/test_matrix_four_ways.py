"""The matrix role × class × action × relation × consent × purpose: the same answer by a client's query, past
the router, in a list and in a stream; as the hand-written cases say, and as Casbin itself does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby, product

import pytest

from authz.classes import DataClass, Purpose, Relation, Role, Visibility
from authz.facts import ConsentFact, RelationshipFact
from authz.identity.subject import ANONYMOUS, Subject
from authz.policies.case import Case, classed_by_labels, party_of
from authz.policies.engine import PolicyEngine
from authz.policies.rules import stadion_policy
from authz.question import Question
from tests.kit_authz.cases import CLIENT, OWNER, SUBJECT, PolicyCase, policy_cases
from tests.kit_authz.four_ways import CELLS, WAYS, Cell, FourWays
from tests.kit_authz.people import NOW, a_consent, a_fact

LINES = {line: list(cases) for line, cases in groupby(policy_cases(), lambda case: case.line)}
OBLIGATIONS = {"STEP_UP", "CONSENT", "PURPOSE"}
SCOPES = {
    Relation.COACH: ("training", "plan", "location", "wellness", "clearance", "contact", "social"),
    Relation.GUARDIAN: ("restricted",),
    Relation.BREAK_GLASS: ("reason", "second_clinician"),
}
GRANTED = frozenset(
    {"social:read", "profile:read", "identity:read", "contact:read", "activity:read", "activity:write"}
    | {"wellness:read", "patient/*.cruds"}
    | {f"service:{data_class}:{action}" for data_class, action in CELLS}
)


@pytest.fixture(scope="module")
def ways() -> FourWays:
    return FourWays()


@pytest.fixture(scope="module")
def engine() -> PolicyEngine:
    return PolicyEngine(stadion_policy())


@pytest.mark.parametrize("cases", LINES.values(), ids=LINES.keys())
async def test_the_hand_written_cases_are_answered_four_times_alike(
    ways: FourWays, cases: list[PolicyCase]
) -> None:
    asked = {(case.question.data_class, case.question.action): case for case in cases}
    asked = {cell: case for cell, case in asked.items() if cell in CELLS}
    if not asked:
        return  # no field is read by changing what is PUBLIC, or by an action that no field has
    first = cases[0]
    ways.situation.set(first.question, [*first.facts, *first.consents], now=first.now)
    for way in WAYS:
        told = await ways.ask(way, first.subject, list(asked))
        assert told == {cell: case.outcome for cell, case in asked.items()}, (way, first.where)


@dataclass(frozen=True, slots=True)
class Situation:
    """Who asks about whose row, with which facts, for what."""

    role: str
    relation: str
    consent: str
    purpose: Purpose | None

    def subject(self) -> Subject:
        if self.role == "anonymous":
            return ANONYMOUS
        scoped = self.role in (Role.PARTNER, Role.SERVICE)
        return Subject(
            SUBJECT,
            frozenset({Role(self.role)}),
            acr=2,
            client_id=CLIENT if self.role == Role.PARTNER else "web",
            scopes=GRANTED if scoped else frozenset(),
            region="NL",
        )

    def question(self) -> Question:
        own = self.relation == Relation.SELF
        return Question(
            SUBJECT if own else OWNER,
            DataClass.PUBLIC,
            purpose=self.purpose,
            visibility=Visibility.FRIENDS,
            metric="hrv",
            resource_type="Observation",
        )

    def facts(self) -> Iterator[RelationshipFact]:
        if self.relation in (Relation.SELF, Relation.NONE):
            return
        relation = Relation(self.relation)
        actor = CLIENT if self.role == Role.PARTNER else SUBJECT
        emergency = relation is Relation.BREAK_GLASS
        until = NOW + timedelta(minutes=30) if emergency else None
        since = NOW - timedelta(minutes=30) if emergency else NOW - timedelta(days=1)
        yield a_fact(actor, relation, OWNER, *SCOPES.get(relation, ()), since=since, until=until)

    def consents(self) -> Iterator[ConsentFact]:
        owner = self.question().owner_id or ""
        if self.consent == "permit":
            for data_class in (DataClass.CLINICAL, DataClass.CLINICAL_RESTRICTED):
                yield a_consent(owner, "permit", consent_id=data_class, data_class=data_class)
        elif self.consent == "deny":
            yield a_consent(owner, "deny")


ROLES = ("anonymous", *(role.value for role in Role))
RELATIONS = tuple(relation.value for relation in Relation)
CONSENTS = ("none", "permit", "deny")
PURPOSES = (None, *Purpose)
EVERY = [Situation(*each) for each in product(ROLES, RELATIONS, CONSENTS, PURPOSES)]
# Every role with every relation; consents and purposes take turns, so that each pair of values occurs.
SUITE = [
    Situation(role, relation, CONSENTS[(i + 2 * j) % 3], PURPOSES[(i + j) % len(PURPOSES)])
    for (i, role), (j, relation) in product(enumerate(ROLES), enumerate(RELATIONS))
]


def by_casbin(engine: PolicyEngine, situation: Situation, cell: Cell) -> str:
    question = replace(situation.question(), data_class=cell[0], action=cell[1])
    question = classed_by_labels(question)
    subject, facts = situation.subject(), tuple(situation.facts())
    mine = {subject.id, subject.client_id if Role.PARTNER in subject.roles else subject.id}
    known = tuple(fact for fact in facts if mine & {fact.subject_id, fact.object_id})
    case = Case(subject, question, known, tuple(situation.consents()), NOW)
    decision = engine.decide(party_of(subject, question.owner_id, known), case)
    return (decision.mask or "allow") if decision.allowed else "-"


async def hold(
    ways: FourWays, engine: PolicyEngine, situations: list[Situation], *, by_engine: int = 1
) -> int:
    """Ask each in four ways, and Casbin about one of `by_engine` cells; how many cells were compared."""
    spoken = [
        cell for cell in CELLS if any(rule.concerns(*cell) for rule in stadion_policy().rules if rule.allows)
    ]
    for place, situation in enumerate(situations):
        ways.situation.set(situation.question(), [*situation.facts(), *situation.consents()])
        expected = {
            cell: by_casbin(engine, situation, cell) for cell in spoken[place % by_engine :: by_engine]
        }
        answers = [await ways.ask(way, situation.subject(), spoken) for way in WAYS]
        assert answers[1:] == answers[:-1], situation
        plain = {cell: "-" if told in OBLIGATIONS else told for cell, told in answers[0].items()}
        assert {cell: plain[cell] for cell in expected} == expected, situation
    return len(situations) * len(spoken) * len(WAYS)


@pytest.mark.parametrize("role", ROLES)
async def test_every_role_in_every_relation_is_answered_as_casbin_says(
    ways: FourWays, engine: PolicyEngine, role: str
) -> None:
    assert await hold(ways, engine, [each for each in SUITE if each.role == role], by_engine=4) > 1_000


def test_the_suite_meets_every_pair_of_values() -> None:
    values = ("role", "relation", "consent", "purpose")
    for one, other in product(values, values):
        pairs = {(getattr(each, one), getattr(each, other)) for each in SUITE}
        assert pairs == {(getattr(each, one), getattr(each, other)) for each in EVERY}, (one, other)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("role", ROLES)
async def test_the_whole_matrix_is_answered_as_casbin_says(
    ways: FourWays, engine: PolicyEngine, role: str
) -> None:
    assert await hold(ways, engine, [each for each in EVERY if each.role == role]) > 30_000
