"""The shipped policy says what the hand-written cases expect, by the table, by Casbin and by the filter."""

from itertools import groupby

import pytest

from authz.decide import Authorizer
from authz.facts import MemoryFacts
from authz.policies.case import Case, classed_by_labels, party_of
from authz.policies.engine import PolicyEngine
from authz.policies.reach import unreachable
from authz.policies.rules import silent_classes, stadion_policy
from tests.kit_authz.cases import PolicyCase, outcome_of, policy_cases

CASES = policy_cases()
OBLIGATIONS = {"STEP_UP", "CONSENT", "PURPOSE"}
# One test a line of a case file: a line of a matrix has a case for each data class.
LINES = {line: list(cases) for line, cases in groupby(CASES, lambda case: case.line)}

each_line = pytest.mark.parametrize("cases", LINES.values(), ids=LINES.keys())


def _authorizer(case: PolicyCase) -> Authorizer:
    facts = MemoryFacts()
    facts.put(*case.facts, *case.consents)
    return Authorizer(facts, clock=lambda: case.now)


@each_line
async def test_the_decision_is_the_expected_one(cases):
    for case in cases:
        authorizer = _authorizer(case)
        request = authorizer.for_request(case.subject)
        (decision,) = await request.decide([case.question])
        assert outcome_of(decision) == case.outcome, (case.where, decision)
        assert request.decide_now(case.question) == decision
        # What this row allows, or tells how to open, must not be cut before the row is known.
        if case.outcome != "-":
            assert authorizer.can_ever(case.subject, case.question.data_class, case.question.action)


@pytest.fixture(scope="module")
def engine() -> PolicyEngine:
    return PolicyEngine(stadion_policy())


@each_line
def test_casbin_says_the_same(engine, cases):
    for case in cases:
        question = classed_by_labels(case.question)
        facts = tuple(fact for fact in case.facts if fact.in_force(case.now))
        consents = tuple(consent for consent in case.consents if consent.in_force(case.now))
        party = party_of(case.subject, question.owner_id, facts)
        decision = engine.decide(party, Case(case.subject, question, facts, consents, case.now))
        expected = "-" if case.outcome in OBLIGATIONS else case.outcome
        assert outcome_of(decision) == expected, (case.where, decision)


@each_line
async def test_a_list_holds_the_row_exactly_when_the_row_may_be_read(cases):
    for case in cases:
        question = case.question
        request = _authorizer(case).for_request(case.subject)
        found = await request.visible_owner_filter(
            question.data_class, question.action, purpose=question.purpose
        )
        taken = found.takes(question.owner_id, visibility=question.visibility, created_by=question.created_by)
        (decision,) = await request.decide([question])
        if not found.residual:
            assert taken == decision.allowed, case.where
        # What is decided on loaded rows may lose rows of the list, and never misses one.
        assert taken or not decision.allowed, case.where


@each_line
async def test_whatever_is_shown_is_within_reach(cases):
    """Row-level security is laid by the reach: it must not hide what the policy shows."""
    for case in cases:
        request = _authorizer(case).for_request(case.subject)
        question = classed_by_labels(case.question)
        (decision,) = await request.decide([question])
        reach = await request.reach()
        near = question.owner_id == reach.subject_id or question.owner_id in reach.owner_ids
        within = near or (question.data_class.value, question.action) in reach.strangers
        assert within or not decision.allowed, case.where


async def test_every_line_of_the_policy_decides_some_case():
    deciding = set()
    for case in CASES:
        (decision,) = await _authorizer(case).for_request(case.subject).decide([case.question])
        deciding.add(decision.rule)
    assert {rule.name for rule in stadion_policy().rules} - deciding == set()


def test_every_line_can_decide_and_every_class_is_spoken_of():
    assert unreachable(stadion_policy()) == []
    assert silent_classes(stadion_policy()) == []


def test_no_case_is_lost():
    assert len(LINES) > 250
    assert sum(map(len, LINES.values())) == len(CASES) > 1_200
