"""All that a subject is to anybody, told at once, is what is told of each owner alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from random import Random
from typing import cast

import pytest

from authz.circle import Circle
from authz.classes import DataClass, Relation, Role
from authz.decide import Authorizer, Question
from authz.facts import ConsentFact, Facts, RelationshipFact
from authz.facts.gathered import GATHERED_MIN
from authz.facts.gathering import OPEN_CONSENTS_MAX
from authz.facts.relational import RelationalFacts
from authz.facts.store import Standing
from authz.identity.subject import Subject
from authz.policies.case import party_of
from datastores.relational.port import Relational
from tests.kit_authz.people import NOW, a_consent, a_fact

pytestmark = pytest.mark.parametrize("unopened_facts", ["sqlite", "postgresql"], indirect=True)
RELATIONS = [each for each in Relation if each not in {Relation.SELF, Relation.NONE, Relation.MEMBER}]
OWNERS = [f"owner-{number}" for number in range(60)]
COACH = Subject("me", frozenset({Role.TRAINER}), acr=1)


def of_all_kinds(random: Random) -> Iterable[RelationshipFact | ConsentFact]:
    """One relation or two an owner, blocks both ways, some not begun, some ended, some with consents."""
    for owner in OWNERS:
        for relation in random.sample(RELATIONS, random.randrange(4)):
            ends = (None, NOW - timedelta(hours=1), NOW, NOW + timedelta(hours=random.randrange(1, 3)))
            since = NOW + timedelta(days=random.choice((-2, -1, -1, -1, 0, 1)))
            scopes = random.sample(("training", "location", 'a "b" \x1f', "ø"), random.randrange(3))
            pair = (
                ("me", owner) if relation is not Relation.BLOCKED or random.random() < 0.5 else (owner, "me")
            )
            until = random.choice(ends)
            yield a_fact(pair[0], relation, pair[1], *scopes, since=since, until=until)
        if random.random() < 0.2:
            actor = random.choice((None, "me", "another"))
            since = NOW + timedelta(days=random.choice((-1, 1)))
            yield a_consent(
                owner, random.choice(("permit", "deny")), consent_id=owner, actor_id=actor, since=since
            )
    yield a_fact("me", Relation.MEMBER, "organisation:rowers")
    yield a_fact("another", Relation.COACH, "owner-1", "training")
    yield a_fact("me", Relation.COACH, "me", "training")


async def circles(facts: RelationalFacts, asked: list[str]) -> tuple[Circle, Circle]:
    """As it is told at once, and as it is told owner by owner."""
    at_once, one_by_one = Circle("me", NOW), Circle("me", NOW)
    told = await facts.gather("me", asked, NOW)
    assert told is not None
    at_once.gather(told, NOW)
    one_by_one.know(asked, await facts.load("me", asked), NOW)
    return at_once, one_by_one


def same(at_once: Circle, one_by_one: Circle, asked: list[str]) -> None:
    """Whatever a decision may look at is equal about everybody who was asked about."""
    assert not at_once.unknown_among(set(asked))
    for owner in asked:
        known, measure = (each.standing(owner) for each in (at_once, one_by_one))
        assert known.consents == measure.consents, owner
        told = [
            {(each.relation, each.scopes) for each in standing.relations} for standing in (known, measure)
        ]
        assert told[0] == told[1], owner
        groups = [each.alike_of(owner) for each in (at_once, one_by_one)]
        assert (groups[0] is None) == (groups[1] is None), owner
        if groups[0] is not None and groups[1] is not None:
            assert groups[0].likeness == groups[1].likeness
            assert party_of(COACH, owner, groups[0].standing.relations) == party_of(
                COACH, owner, groups[1].standing.relations
            )
        elif owner != "me":
            assert known.relations == measure.relations, (
                "who stands alone has all its facts, with their times"
            )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("large", [1, 64])
async def test_what_is_told_at_once_is_what_is_told_of_each(
    facts: RelationalFacts, monkeypatch: pytest.MonkeyPatch, seed: int, large: int
) -> None:
    monkeypatch.setattr("authz.circle.LARGE_MIN", large)
    random = Random(seed)
    await facts.put(*of_all_kinds(random))
    asked = [*random.sample(OWNERS, 40), "me", "nobody", "another"]
    at_once, one_by_one = await circles(facts, asked)
    same(at_once, one_by_one, asked)
    assert at_once.everybody
    assert bool(at_once.large) is (large == 1)
    if one_by_one.until_utc is not None:
        assert at_once.until_utc is not None
        assert at_once.until_utc <= one_by_one.until_utc
    # Whoever was not asked about is known too, or known not to be.
    rest = [each for each in OWNERS if each not in asked]
    left = at_once.unknown_among(set(rest))
    same(at_once, (await circles(facts, rest))[1], [each for each in rest if each not in left])
    at_once.know(left, await facts.load("me", sorted(left)), NOW)
    same(at_once, (await circles(facts, rest))[1], rest)


class OwnerByOwner:
    """Facts that can only be asked about owners, or for all that there is."""

    def __init__(self, facts: RelationalFacts) -> None:
        self.load = facts.load
        self.asked: list[str] = []
        self._facts = facts

    async def of_subject(self, subject_id: str) -> Mapping[str, Standing]:
        """See `Facts.of_subject`."""
        self.asked.append(subject_id)
        return await self._facts.of_subject(subject_id)


@pytest.mark.parametrize("seed", range(3))
async def test_reach_and_filters_of_lists_are_those_of_each_owner(facts: RelationalFacts, seed: int) -> None:
    await facts.put(*of_all_kinds(Random(seed)))
    measured = OwnerByOwner(facts)
    measure = Authorizer(cast("Facts", measured), clock=lambda: NOW).for_request(COACH)
    at_once = Authorizer(facts, clock=lambda: NOW, remember_s=60.0).for_request(COACH)
    assert await at_once.reach() == await measure.reach()
    assert len((await measure.reach()).owner_ids) > 10
    for data_class in DataClass:
        found, expected = [await each.visible_owner_filter(data_class) for each in (at_once, measure)]
        for owner in (*OWNERS, "me", "stranger", None):
            assert found.takes(owner) == expected.takes(owner), (data_class, owner)
        assert found.residual == expected.residual
    assert measured.asked


async def test_with_many_consents_about_anybody_only_those_asked_about_are_known(
    facts: RelationalFacts,
) -> None:
    about_anybody = [
        a_consent(f"patient-{number}", "deny", consent_id=f"c{number}")
        for number in range(OPEN_CONSENTS_MAX + 5)
    ]
    coached = [a_fact("me", Relation.COACH, f"patient-{number}", "training") for number in range(0, 300, 2)]
    await facts.put(*about_anybody, *coached)
    asked = [f"patient-{number}" for number in range(100, 290)]
    at_once, one_by_one = await circles(facts, asked)
    same(at_once, one_by_one, asked)
    assert not at_once.everybody
    assert at_once.unknown_among({"patient-2", "patient-298", "stranger"}) == {
        "patient-2",
        "patient-298",
        "stranger",
    }


@pytest.mark.parametrize("days", [-1, 1])
async def test_who_is_assigned_a_circle_is_asked_about_some_at_a_time(
    facts: RelationalFacts, days: int
) -> None:
    since = NOW + timedelta(days=days)
    await facts.put(a_fact("me", Relation.ASSIGNED, "organisation:rowers", "trainer", since=since))
    assert await facts.gather("me", ["ann"], NOW) is None
    assert await facts.gather("me", ["bob"], NOW) is None


async def test_a_list_of_many_owners_is_one_read_that_holds_for_all_others(
    facts: RelationalFacts, unopened_facts: Relational, monkeypatch: pytest.MonkeyPatch
) -> None:
    await facts.put(*(a_fact("me", Relation.COACH, owner, "training") for owner in OWNERS[:40]))
    reads = []
    read = unopened_facts.read

    async def counted(work: object) -> object:
        reads.append(work)
        return await read(work)  # type: ignore[arg-type]

    monkeypatch.setattr(unopened_facts, "read", counted)
    glance = getattr(unopened_facts, "glance", None)

    def counted_glance(work: object) -> object:
        reads.append(work)
        return glance(work)  # type: ignore[misc]

    if glance is not None:
        monkeypatch.setattr(unopened_facts, "glance", counted_glance)
    request = Authorizer(facts, clock=lambda: NOW).for_request(COACH)
    first = OWNERS[: GATHERED_MIN + 1]
    assert all(
        each.allowed for each in await request.decide([Question(o, DataClass.TRAINING) for o in first])
    )
    answers = await request.decide([Question(owner, DataClass.TRAINING) for owner in OWNERS])
    assert [answer.allowed for answer in answers] == [True] * 40 + [False] * 20
    assert len(reads) == 1
    asked = Question(None, DataClass.TRAINING)
    assert request.closed_among(set(OWNERS), asked) == set(OWNERS[40:])
    assert request.closed_among(set(OWNERS[:40]), asked) == set()
    assert request.closed_among({"me", *OWNERS[:40]}, asked) == {"me"}
