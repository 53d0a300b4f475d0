"""Owners of equal standing share a decision: it is the one that each would get alone."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from random import Random

import pytest

from authz.classes import DataClass, Purpose, Relation, Role, Visibility
from authz.decide import Authorizer, Question
from authz.facts import MemoryFacts
from authz.identity.subject import Subject
from tests.kit_authz.people import NOW, a_consent, a_fact

SCOPES = ("training", "location", "wellness", "clearance", "restricted", "reason", "second_clinician")
ACTIONS = ("read", "write", "plan", "clearance", "name", "events")


def world(random: Random, subject: Subject) -> tuple[MemoryFacts, list[str]]:
    """Owners of every standing: one relation or two, some blocked, some ended, some with consents."""
    facts, owners = MemoryFacts(), [f"owner-{number}" for number in range(60)]
    for owner in owners:
        for relation in random.sample([each for each in Relation if each not in ("self", "none")], 2):
            if random.random() < 0.6:
                until = NOW + timedelta(minutes=random.choice((0, 30, 90)))
                scopes = random.sample(SCOPES, random.randrange(4))
                facts.put(a_fact(subject.id or "", relation, owner, *scopes, since=NOW, until=until))
        if random.random() < 0.2:
            decision = random.choice(("permit", "deny"))
            facts.put(a_consent(owner, decision, consent_id=owner, data_class=DataClass.CLINICAL))
    return facts, [*owners, subject.id or "", "stranger", *owners]


@pytest.mark.parametrize("role", [Role.TRAINER, Role.MEDICAL_SPECIALIST, Role.ATHLETE, Role.ADMINISTRATOR])
async def test_shared_decisions_are_those_that_each_owner_gets_alone(role: Role) -> None:
    random, subject = Random(role.value), Subject("me", frozenset({role}), acr=2)
    facts, owners = world(random, subject)
    authorizer = Authorizer(facts, clock=lambda: NOW)
    together, by_owner = authorizer.for_request(subject), authorizer.for_request(subject)
    for data_class, action in product(DataClass, ACTIONS):
        row = {
            "purpose": random.choice((None, Purpose.TREATMENT, Purpose.EMERGENCY_TREATMENT)),
            "visibility": random.choice((None, *Visibility)),
            "labels": random.choice((frozenset(), frozenset({"mental"}))),
            "created_by": random.choice((None, "me")),
        }
        rows = [Question(owner, data_class, action, **row) for owner in owners]  # type: ignore[arg-type]
        alone = [(await authorizer.for_request(subject).decide([each]))[0] for each in rows]
        assert await together.decide(rows) == alone
        plain = [Question(owner, data_class, action) for owner in owners]
        alone = [(await authorizer.for_request(subject).decide([each]))[0] for each in plain]
        assert await by_owner.decide_owners(owners, data_class, action) == alone
