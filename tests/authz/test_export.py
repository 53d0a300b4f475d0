"""A policy may keep rows in their region: `abroad`, and what it obliges to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authz.classes import DataClass, Purpose, Relation, Role
from authz.decide import Authorizer
from authz.facts import MemoryFacts
from authz.identity.subject import Subject
from authz.policies.rules import read_policy, stadion_policy
from authz.question import Obligation, Question
from tests.kit_authz.people import NOW, a_fact

DOCTOR = Subject("doctor", frozenset({Role.MEDICAL_SPECIALIST}), acr=2)
RECORD = Question("athlete", DataClass.CLINICAL, purpose=Purpose.TREATMENT)


def authorizer(rule: str, *, region: str | None) -> Authorizer:
    facts = MemoryFacts()
    facts.put(a_fact("doctor", Relation.TREATING, "athlete"))
    policy = read_policy(f"{stadion_policy().text}\n{rule}\n") if rule else stadion_policy()
    return Authorizer(facts, policy=policy, clock=lambda: NOW, region=region)


STAYS = "p, records-stay, anyone, CLINICAL|CLINICAL_RESTRICTED, *, abroad, *, deny"
NOT_TO_US = "p, not-to-us, anyone, CLINICAL, *, abroad_in:us, *, deny"


@pytest.mark.parametrize(
    ("rule", "home", "here", "allowed"),
    [
        ("", "us", "eu", True),
        (STAYS, "us", "eu", False),
        (STAYS, "eu", "eu", True),
        (STAYS, None, "eu", True),
        (STAYS, "us", None, True),
        (NOT_TO_US, "us", "eu", False),
        (NOT_TO_US, "ap", "eu", True),
        (NOT_TO_US, "us", "us", True),
    ],
)
async def test_a_policy_may_keep_records_at_home(
    rule: str, home: str | None, here: str | None, allowed: bool
) -> None:
    request = authorizer(rule, region=here).for_request(replace(DOCTOR, region=home))
    [answer] = await request.decide([RECORD])
    assert answer.allowed is allowed
    assert answer.obligation is (None if allowed else Obligation.REGION)


async def test_who_would_not_be_let_in_anyway_is_not_told_of_regions() -> None:
    request = authorizer(STAYS, region="eu").for_request(replace(DOCTOR, id="stranger", region="us"))
    [answer] = await request.decide([RECORD])
    assert (answer.allowed, answer.obligation) == (False, None)


def test_where_somebody_is_at_home_shuts_nothing_before_the_row_is_known() -> None:
    away = replace(DOCTOR, region="us")
    assert authorizer(STAYS, region="eu").can_ever(away, DataClass.CLINICAL)
