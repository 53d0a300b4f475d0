"""Decisions of a request: one batch of facts, each question once, at one instant, denied when in doubt."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from authz.classes import DataClass, Purpose, Relation, Role, Visibility
from authz.decide import Authorizer, Decision, Obligation, Question
from authz.facts import MemoryFacts, Standing
from authz.identity.subject import ANONYMOUS, RoleLimit, Subject
from authz.policies import conditions
from authz.policies.conditions import Depends, Kind
from authz.policies.rules import read_policy
from datastores.errors import Unavailable
from tests.kit_authz.people import NOW, a_consent, a_fact

COACH = Subject(id="coach", roles=frozenset({Role.TRAINER}), session_id="s", acr=1)
DOCTOR = Subject(id="doc", roles=frozenset({Role.MEDICAL_SPECIALIST}), session_id="s", acr=2)
TRAINING = DataClass.TRAINING


@pytest.fixture
def known() -> MemoryFacts:
    return MemoryFacts()


@pytest.fixture
def authorizer(known, clock) -> Authorizer:
    return Authorizer(known, clock=clock)


async def test_all_owners_of_a_batch_cost_one_read_of_facts(known, authorizer):
    owners = [f"athlete-{number}" for number in range(100)]
    for owner in owners[:50]:
        known.put(a_fact("coach", Relation.COACH, owner, "training"))
    request = authorizer.for_request(COACH)

    decisions = await request.decide([Question(owner, TRAINING) for owner in owners * 2])

    assert [decision.allowed for decision in decisions] == ([True] * 50 + [False] * 50) * 2
    assert known.batches == 1
    await request.decide([Question(owner, DataClass.LOCATION) for owner in owners])
    assert known.batches == 1


async def test_more_owners_than_a_batch_may_hold_are_read_in_several(known, authorizer):
    known.put(a_fact("coach", Relation.COACH, "athlete-11000", "training"))
    questions = [Question(f"athlete-{number}", TRAINING) for number in range(11_001)]
    decisions = await authorizer.for_request(COACH).decide(questions)
    assert [decision.allowed for decision in decisions].index(True) == 11_000
    assert known.batches == 3


async def test_a_decision_is_not_known_before_its_owner_is(known, authorizer):
    known.put(a_fact("coach", Relation.COACH, "ann", "training"))
    request = authorizer.for_request(COACH)
    assert request.decide_now(Question("ann", TRAINING)) is None
    await request.load_owners(["ann"])
    assert request.decide_now(Question("ann", TRAINING)) == Decision(allowed=True, rule="training-coach")


async def test_ones_own_rows_ownerless_rows_and_anonymous_callers_need_no_facts(known, authorizer):
    ann = authorizer.for_request(Subject(id="ann", roles=frozenset({Role.ATHLETE})))
    assert ann.decide_now(Question("ann", TRAINING)).allowed
    assert ann.decide_now(Question(None, DataClass.PUBLIC)).allowed
    assert not ann.decide_now(Question(None, TRAINING)).allowed
    nobody = authorizer.for_request(ANONYMOUS)
    assert nobody.decide_now(Question("ann", DataClass.PUBLIC)).allowed
    assert not nobody.decide_now(Question("ann", TRAINING)).allowed
    assert known.batches == 0


async def test_an_empty_batch_asks_nothing(known, authorizer):
    assert await authorizer.for_request(COACH).decide([]) == []
    assert known.batches == 0


@pytest.mark.parametrize(
    ("moment", "allowed"),
    [
        (timedelta(microseconds=-1), False),
        (timedelta(0), True),
        (timedelta(hours=1) - timedelta(microseconds=1), True),
        (timedelta(hours=1), False),
    ],
)
async def test_a_fact_holds_from_its_first_instant_until_before_its_last(
    known, authorizer, clock, moment, allowed
):
    known.put(a_fact("coach", Relation.COACH, "ann", "training", since=NOW, until=NOW + timedelta(hours=1)))
    clock.now = NOW + moment
    (decision,) = await authorizer.for_request(COACH).decide([Question("ann", TRAINING)])
    assert decision.allowed is allowed


async def test_an_ended_link_ends_at_the_next_request(known, authorizer, clock):
    known.put(a_fact("coach", Relation.COACH, "ann", "training"))
    assert (await authorizer.for_request(COACH).decide([Question("ann", TRAINING)]))[0].allowed
    ended = a_fact("coach", Relation.COACH, "ann", "training", until=NOW, version=2)
    await known.apply_event(ended.as_payload())
    assert not (await authorizer.for_request(COACH).decide([Question("ann", TRAINING)]))[0].allowed


async def test_a_request_sees_one_instant(known, authorizer, clock):
    known.put(a_fact("coach", Relation.COACH, "ann", "training", until=NOW + timedelta(seconds=1)))
    request = authorizer.for_request(COACH)
    clock.forward(seconds=5)
    assert (await request.decide([Question("ann", TRAINING)]))[0].allowed
    assert not (await authorizer.for_request(COACH).decide([Question("ann", TRAINING)]))[0].allowed


@pytest.mark.parametrize(
    ("scopes", "minutes", "allowed"),
    [(("reason",), 60, True), (("reason",), 61, False), ((), 60, False), (("reason",), None, False)],
)
async def test_break_glass_needs_a_reason_and_lasts_an_hour_at_most(
    known, authorizer, scopes, minutes, allowed
):
    until = None if minutes is None else NOW + timedelta(minutes=minutes)
    known.put(a_fact("doc", Relation.BREAK_GLASS, "ann", *scopes, since=NOW, until=until))
    question = Question("ann", DataClass.CLINICAL, purpose=Purpose.EMERGENCY_TREATMENT)
    assert (await authorizer.for_request(DOCTOR).decide([question]))[0].allowed is allowed


async def test_break_glass_is_for_one_patient_and_one_clinician(known, authorizer):
    known.put(
        a_fact("doc", Relation.BREAK_GLASS, "ann", "reason", since=NOW, until=NOW + timedelta(minutes=60))
    )
    question = Question("ann", DataClass.CLINICAL, purpose=Purpose.EMERGENCY_TREATMENT)
    other_doctor = replace(DOCTOR, id="doc-2")
    assert not (await authorizer.for_request(other_doctor).decide([question]))[0].allowed
    other_patient = replace(question, owner_id="bob")
    assert not (await authorizer.for_request(DOCTOR).decide([other_patient]))[0].allowed


async def test_a_revoked_consent_counts_at_the_next_request(known, authorizer):
    known.put(a_fact("doc", Relation.TREATING, "ann"))
    question = Question("ann", DataClass.CLINICAL, purpose=Purpose.TREATMENT)
    assert (await authorizer.for_request(DOCTOR).decide([question]))[0].allowed
    await known.apply_event(a_consent("ann", "deny", actor_id="doc").as_payload())
    (decision,) = await authorizer.for_request(DOCTOR).decide([question])
    assert decision == Decision(allowed=False, rule="consent-deny-clinical", obligation=Obligation.CONSENT)


async def test_nobody_becomes_self_by_a_fact(known, authorizer):
    known.put(a_fact("mallory", Relation.SELF, "ann"))
    mallory = Subject(id="mallory", roles=frozenset({Role.ATHLETE}))
    assert not (await authorizer.for_request(mallory).decide([Question("ann", TRAINING)]))[0].allowed


async def test_a_subject_is_not_its_own_friend_coach_or_blocker(known, authorizer):
    known.put(a_fact("ann", Relation.BLOCKED, "ann"))
    ann = Subject(id="ann", roles=frozenset({Role.ATHLETE}))
    request = authorizer.for_request(ann)
    (decision,) = await request.decide([Question("ann", TRAINING)])
    assert decision.rule == "training-self"


class _BrokenFacts(MemoryFacts):
    async def load(self, subject_id: str, owner_ids: Sequence[str]) -> Mapping[str, Standing]:
        raise Unavailable("the store is gone")


async def test_without_facts_nothing_is_decided(clock):
    request = Authorizer(_BrokenFacts(), clock=clock).for_request(COACH)
    with pytest.raises(Unavailable):
        await request.decide([Question("ann", TRAINING)])
    assert request.decide_now(Question("ann", TRAINING)) is None


def _raising(_argument):
    def holds(_case):
        raise ZeroDivisionError

    return holds


@pytest.fixture
def broken_condition(monkeypatch):
    kinds = {**conditions.KINDS, "broken": Kind(_raising, Depends.ROW, "always raises")}
    monkeypatch.setattr(conditions, "KINDS", kinds)


@pytest.mark.parametrize(
    "policy",
    [
        "p, opens, anyone, TRAINING, read, broken, full, allow",
        "p, opens, anyone, TRAINING, read, always, full, allow\n"
        "p, shuts, anyone, TRAINING, read, broken, *, deny",
    ],
)
async def test_a_condition_that_raises_denies(known, clock, broken_condition, caplog, policy):
    authorizer = Authorizer(known, policy=read_policy(policy), clock=clock)
    (decision,) = await authorizer.for_request(COACH).decide([Question("ann", TRAINING)])
    assert not decision.allowed
    assert "ZeroDivisionError" in caplog.text
    assert "ann" not in caplog.text


async def test_an_empty_policy_denies_everything(known, clock):
    authorizer = Authorizer(known, policy=read_policy(""), clock=clock)
    admin = Subject(id="root", roles=frozenset(Role) - {Role.PARTNER, Role.SERVICE}, acr=3)
    questions = [Question(owner, data_class) for owner in ("root", None, "ann") for data_class in DataClass]
    assert not any(decision.allowed for decision in await authorizer.for_request(admin).decide(questions))
    assert not any(authorizer.can_ever(admin, data_class) for data_class in DataClass)


async def test_a_new_policy_counts_for_new_requests_and_not_for_running_ones(known, authorizer):
    known.put(a_fact("coach", Relation.COACH, "ann", "training"))
    running = authorizer.for_request(COACH)
    before = authorizer.policy_version
    assert authorizer.can_ever(COACH, TRAINING)

    authorizer.replace_policy(read_policy("p, only, self, SOCIAL, read, always, full, allow"))

    assert authorizer.policy_version != before
    assert (await running.decide([Question("ann", TRAINING)]))[0].allowed
    assert not (await authorizer.for_request(COACH).decide([Question("ann", TRAINING)]))[0].allowed
    assert not authorizer.can_ever(COACH, TRAINING)


@pytest.mark.parametrize(
    ("role", "data_class", "action", "possible"),
    [
        (Role.ATHLETE, DataClass.CLINICAL, "read", True),
        (Role.TRAINER, DataClass.CLINICAL, "read", False),
        (Role.TRAINER, DataClass.CLINICAL, "clearance", True),
        (Role.MODERATOR, DataClass.CLINICAL, "read", False),
        (Role.MODERATOR, DataClass.CLINICAL, "clearance", False),
        (Role.MODERATOR, DataClass.WELLNESS, "read", False),
        (Role.MODERATOR, DataClass.LOCATION, "read", True),
        (Role.ADMINISTRATOR, DataClass.CLINICAL, "read", False),
        (Role.ADMINISTRATOR, DataClass.CLINICAL, "clearance", False),
        (Role.ADMINISTRATOR, DataClass.PERSONAL, "read", True),
        (Role.ADMINISTRATOR, DataClass.FINANCIAL, "refund", False),
        (Role.FINANCE, DataClass.FINANCIAL, "refund", True),
        (Role.MEDICAL_SPECIALIST, DataClass.CLINICAL, "read", True),
        (Role.MEDICAL_SPECIALIST, DataClass.CLINICAL_RESTRICTED, "read", True),
        (Role.SERVICE, DataClass.TRAINING, "read", False),
        (Role.PARTNER, DataClass.TRAINING, "read", False),
    ],
)
def test_what_a_role_can_never_see_is_known_before_any_row(authorizer, role, data_class, action, possible):
    # Level 1 and no purpose: what could be mended is still possible.
    subject = Subject(id="someone", roles=frozenset({role}), acr=1)
    assert authorizer.can_ever(subject, data_class, action) is possible


def test_a_partners_scopes_settle_what_it_can_ever_see(authorizer):
    partner = Subject(id="ann", roles=frozenset({Role.PARTNER}), client_id="app")
    assert not authorizer.can_ever(partner, TRAINING)
    assert authorizer.can_ever(replace(partner, scopes=frozenset({"activity:read"})), TRAINING)


def test_an_anonymous_caller_can_ever_see_only_what_is_public(authorizer):
    assert [each for each in DataClass if authorizer.can_ever(ANONYMOUS, each)] == [DataClass.PUBLIC]


async def test_an_explanation_names_the_rule_and_what_the_others_lack(known, authorizer):
    known.put(a_fact("coach", Relation.COACH, "ann", "training"))
    explanation = await authorizer.for_request(COACH).explain(Question("ann", DataClass.LOCATION))
    assert explanation.decision == Decision(allowed=True, rule="location-coach-trimmed", mask="trimmed")
    assert explanation.party == {"anyone", "authenticated", "trainer", "coach"}
    assert {trace.rule: trace.failing for trace in explanation.rules} == {
        "location-coach-trimmed": (),
        "location-coach": ("link:location",),
        "consent-deny-training": ("consent_denies",),
    }


async def test_an_explanation_says_that_a_limited_role_does_not_count_for_somebody(known, authorizer):
    known.put(a_fact("coach", Relation.COACH, "ann", "training"))
    limited = replace(COACH, limits=(RoleLimit(Role.TRAINER),))
    question = Question("ann", TRAINING)
    explanation = await authorizer.for_request(limited).explain(question)
    assert {trace.rule: trace.failing for trace in explanation.rules if trace.allows} == {
        "training-coach": ("assigned:trainer",)
    }
    known.put(a_fact("coach", Relation.ASSIGNED, "ann", "trainer"))
    explanation = await authorizer.for_request(limited).explain(question)
    assert explanation.decision == Decision(allowed=True, rule="training-coach")


async def test_what_a_limited_role_may_ever_see_is_asked_of_the_row(authorizer):
    limited = Subject("ada", frozenset({Role.ADMINISTRATOR}), acr=2, limits=(RoleLimit(Role.ADMINISTRATOR),))
    assert authorizer.can_ever(limited, DataClass.AUDIT)
    reach = await authorizer.for_request(limited).reach()
    assert ("AUDIT", "read") not in reach.strangers
    everywhere = replace(limited, limits=(RoleLimit(Role.ADMINISTRATOR, frozenset({DataClass.AUDIT})),))
    reach = await authorizer.for_request(everywhere).reach()
    assert {data_class for data_class, _ in reach.strangers} == {"AUDIT", "PUBLIC", "SOCIAL", "PERSONAL"}


async def test_the_most_open_of_several_allowed_views_counts(known, clock):
    text = (
        "p, a, anyone, TRAINING, read, always, last_four, allow\n"
        "p, b, anyone, TRAINING, read, visible:friends, rounded, allow\n"
        "p, c, anyone, TRAINING, read, visible:everyone, full, allow"
    )
    request = Authorizer(known, policy=read_policy(text), clock=clock).for_request(ANONYMOUS)
    levels = (Visibility.PRIVATE, Visibility.FRIENDS, Visibility.EVERYONE)
    decisions = await request.decide([Question("ann", TRAINING, visibility=level) for level in levels])
    assert [decision.mask for decision in decisions] == ["last_four", "rounded", None]
