"""Owners of equal standing share a decision: it is the one that each would get alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from random import Random

import pytest

from authz.classes import DataClass, Purpose, Relation, Role, Visibility
from authz.decide import Authorizer, Decision, Question
from authz.facts import MemoryFacts
from authz.identity.subject import RoleLimit, Subject
from authz.policies.case import Case
from authz.policies.rules import read_policy
from authz.policies.table import Cell
from authz.remembered import AGE_MAX
from tests.kit_authz.people import NOW, a_consent, a_fact

SCOPES = (
    "training",
    "location",
    "wellness",
    "clearance",
    "restricted",
    "reason",
    "second_clinician",
    "trainer",
)
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


LIMITED = {Role.TRAINER: (RoleLimit(Role.TRAINER, frozenset({DataClass.SOCIAL})),)}


@pytest.mark.parametrize(
    ("role", "limited"),
    [(role, False) for role in (Role.TRAINER, Role.MEDICAL_SPECIALIST, Role.ATHLETE, Role.ADMINISTRATOR)]
    + [(Role.TRAINER, True)],
)
async def test_shared_decisions_are_those_that_each_owner_gets_alone(role: Role, *, limited: bool) -> None:
    limits = LIMITED.get(role, ()) if limited else ()
    random, subject = Random(role.value), Subject("me", frozenset({role}), acr=2, limits=limits)
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
        rows = [Question(owner, data_class, action, **row) for owner in owners]
        alone = [(await authorizer.for_request(subject).decide([each]))[0] for each in rows]
        assert await together.decide(rows) == alone
        plain = [Question(owner, data_class, action) for owner in owners]
        alone = [(await authorizer.for_request(subject).decide([each]))[0] for each in plain]
        assert await by_owner.decide_owners(owners, data_class, action) == alone
        open_to = {each.owner_id for each, answer in zip(plain, alone, strict=True) if whole(answer)}
        closed = by_owner.closed_among(set(owners), Question(None, data_class, action))
        assert closed >= set(owners) - open_to
        assert {each for each in closed & open_to if each not in ("me", "stranger")} <= special(owners, facts)


def whole(answer: Decision) -> bool:
    return answer.allowed and answer.mask is None


def special(owners: list[str], facts: MemoryFacts) -> set[str]:
    """Who may be like nobody else: by a consent, or by an emergency."""
    known = facts._all_of("me")
    return {
        owner
        for owner in owners
        if (standing := known.get(owner)) is not None
        and (standing.consents or any(fact.relation is Relation.BREAK_GLASS for fact in standing.relations))
    }


async def test_a_circle_is_remembered_until_a_fact_changes_begins_or_ends() -> None:
    elapsed, now = [0.0], [NOW]
    facts, subject = MemoryFacts(), Subject("me", frozenset({Role.TRAINER}), acr=1)
    facts.put(a_fact("me", Relation.COACH, "ann", "training", since=NOW, until=NOW + timedelta(minutes=5)))
    facts.put(a_fact("me", Relation.COACH, "bob", "training", since=NOW + timedelta(minutes=2)))
    authorizer = Authorizer(facts, clock=lambda: now[0], remember_s=0.5, elapsed_s=lambda: elapsed[0])

    async def readable() -> tuple[list[bool], int]:
        batches = facts.batches
        asked = [Question(owner, DataClass.TRAINING) for owner in ("ann", "bob", "cy")]
        answers = await authorizer.for_request(subject).decide(asked)
        return [answer.allowed for answer in answers], facts.batches - batches

    assert await readable() == ([True, False, False], 1)
    assert await readable() == ([True, False, False], 0)
    now[0] += timedelta(minutes=3)
    assert await readable() == ([True, True, False], 1)
    now[0] += timedelta(minutes=2)
    assert await readable() == ([False, True, False], 1)
    facts.put(a_fact("me", Relation.COACH, "cy", "training", since=NOW))
    assert await readable() == ([False, True, True], 1)
    facts.put(replace(a_fact("me", Relation.COACH, "cy", "training", since=NOW, until=NOW), version=9))
    assert await readable() == ([False, True, False], 1)
    # Nobody but this process changes facts in memory: no time makes them doubtful, save the longest.
    elapsed[0] = 100.0
    assert await readable() == ([False, True, False], 0)
    assert authorizer.for_request(subject).unloaded_among({"bob", "new"}) == {"new"}
    assert authorizer.for_request(Subject("you")).unloaded_among({"bob"}) == {"bob"}
    now[0] += AGE_MAX + timedelta(seconds=1)
    assert await readable() == ([False, True, False], 1)


async def test_what_is_remembered_of_a_person_serves_every_token_and_each_decides_by_its_own_roles() -> None:
    facts = MemoryFacts()
    facts.put(a_fact("me", Relation.COACH, "ann", "training", since=NOW))
    authorizer = Authorizer(facts, clock=lambda: NOW, remember_s=0.5)
    asked = [Question("ann", DataClass.TRAINING)]
    for role, allowed in ((Role.TRAINER, True), (Role.ATHLETE, False), (Role.TRAINER, True)):
        subject = Subject("me", frozenset({role}), session_id=f"session of a {role}", acr=1)
        (decision,) = await authorizer.for_request(subject).decide(asked)
        assert decision.allowed is allowed
    assert facts.batches == 1
    # Whose facts count is the client's that acts for somebody.
    partner = Subject("me", frozenset({Role.PARTNER}), client_id="app", acr=1)
    assert authorizer.for_request(partner).unloaded_among({"ann"}) == {"ann"}


@pytest.mark.parametrize(("hours", "asked"), [("", [1, 0, 0]), (" & outside_hours:08-18", [1, 1, 1])])
async def test_what_is_open_is_remembered_only_if_the_time_does_not_count(
    monkeypatch: pytest.MonkeyPatch, hours: str, asked: list[int]
) -> None:
    facts, now = MemoryFacts(), [NOW.replace(hour=7, minute=59, second=50)]
    line = f"p, nights, trainer+coach, {DataClass.TRAINING}, read, link:training{hours}, full, allow"
    policy = read_policy(line)
    authorizer = Authorizer(facts, policy=policy, clock=lambda: now[0], remember_s=60.0)
    facts.put(a_fact("me", Relation.COACH, "ann", "training", since=now[0]))
    decided: list[Case] = []
    decide = Cell.decide

    def counted(cell: Cell, case: Case) -> Decision:
        decided.append(case)
        return decide(cell, case)

    monkeypatch.setattr(Cell, "decide", counted)
    like, found = Question(None, DataClass.TRAINING), []
    for moment in (now[0], now[0] + timedelta(seconds=5), now[0] + timedelta(seconds=12)):
        now[0] = moment
        decided.clear()
        request = authorizer.for_request(Subject("me", frozenset({Role.TRAINER}), acr=1))
        await request.load_owners(["ann"])
        found.append((set(request.open_owners([like])), set(request.closed_among({"ann"}, like))))
        assert len(decided) == asked.pop(0)
    opened: tuple[set[str], set[str]] = ({"ann"}, set())
    assert found == [opened, opened, (set(), {"ann"}) if hours else opened]
    assert facts.batches == 1
    # Another subject's, and another policy's, are none of it.
    request = authorizer.for_request(Subject("me", frozenset({Role.ATHLETE}), acr=1))
    assert request.closed_among({"ann"}, like) == {"ann"}
    authorizer.replace_policy(read_policy(line.replace("coach", "guardian")))
    request = authorizer.for_request(Subject("me", frozenset({Role.TRAINER}), acr=1))
    assert request.closed_among({"ann"}, like) == {"ann"}
    assert facts.batches == 1


async def test_without_being_told_to_nothing_is_remembered() -> None:
    facts, subject = MemoryFacts(), Subject("me", frozenset({Role.TRAINER}), acr=1)
    authorizer = Authorizer(facts, clock=lambda: NOW)
    for batches in (1, 2):
        await authorizer.for_request(subject).decide([Question("ann", DataClass.TRAINING)])
        assert facts.batches == batches
