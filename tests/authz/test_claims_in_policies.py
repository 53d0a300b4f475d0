"""How, when and for whom a caller logged in, as policies name it: `amr`, `auth_time`, `organisation`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from authz.classes import DataClass, Role
from authz.decide import Authorizer
from authz.errors import PolicyInvalid
from authz.facts.store import MemoryFacts
from authz.identity.claims import claims_of, subject_from_claims
from authz.identity.subject import Subject
from authz.policies.rules import Policy, read_policy
from authz.question import Obligation, Question
from tests.kit_authz.people import NOW

POLICY = """
p, by-code,    authenticated, FINANCIAL, read,  amr:otp,                           full,      allow
p, recently,   authenticated, FINANCIAL, refund, auth_time:15,                     full,      allow
p, of-clinic,  authenticated, TRAINING,  read,  organisation:clinic,               full,      allow
p, of-club,    authenticated, TRAINING,  read,  organisation:club & auth_time:60,  summary,   allow
"""
ANN = Subject(
    "ann",
    roles=frozenset({Role.ATHLETE}),
    acr=2,
    amr=frozenset({"pwd", "otp", "mfa"}),
    authenticated_at_utc=NOW - timedelta(minutes=15),
    organisations=frozenset({"club"}),
)


@pytest.fixture
def policy() -> Policy:
    return read_policy(POLICY)


async def decided(policy: Policy, subject: Subject, data_class: DataClass, action: str = "read") -> object:
    authorizer = Authorizer(MemoryFacts(), policy=policy, clock=lambda: NOW)
    [decision] = await authorizer.for_request(subject).decide([Question("bob", data_class, action)])
    return (decision.rule if decision.allowed else decision.obligation, decision.mask)


async def test_what_somebody_logged_in_with_counts_and_a_step_up_would_mend_it(policy: Policy) -> None:
    assert await decided(policy, ANN, DataClass.FINANCIAL) == ("by-code", None)
    by_password = replace(ANN, amr=frozenset({"pwd"}))
    assert await decided(policy, by_password, DataClass.FINANCIAL) == (Obligation.STEP_UP, None)


async def test_a_log_in_of_long_ago_asks_for_a_new_one(policy: Policy) -> None:
    assert await decided(policy, ANN, DataClass.FINANCIAL, "refund") == ("recently", None)
    for authenticated_at in (NOW - timedelta(minutes=15, seconds=1), None):
        stale = replace(ANN, authenticated_at_utc=authenticated_at)
        assert await decided(policy, stale, DataClass.FINANCIAL, "refund") == (Obligation.STEP_UP, None)


async def test_members_of_an_organisation_are_told_apart(policy: Policy) -> None:
    assert await decided(policy, ANN, DataClass.TRAINING) == ("of-club", "summary")
    both = replace(ANN, organisations=frozenset({"club", "clinic"}))
    assert await decided(policy, both, DataClass.TRAINING) == ("of-clinic", None)
    neither = replace(ANN, organisations=frozenset())
    assert await decided(policy, neither, DataClass.TRAINING) == (None, None)


def test_who_is_in_no_organisation_of_the_policy_is_refused_before_planning(policy: Policy) -> None:
    """And whoever may only have to log in again is not."""
    authorizer = Authorizer(MemoryFacts(), policy=policy, clock=lambda: NOW)
    stranger = replace(ANN, organisations=frozenset(), amr=frozenset(), authenticated_at_utc=None)
    # one after the other: what is remembered of the first is not taken for the second
    assert authorizer.can_ever(ANN, DataClass.TRAINING)
    assert not authorizer.can_ever(stranger, DataClass.TRAINING)
    assert authorizer.can_ever(stranger, DataClass.FINANCIAL)


async def test_the_conditions_are_explained_with_what_would_help(policy: Policy) -> None:
    authorizer = Authorizer(MemoryFacts(), policy=policy, clock=lambda: NOW)
    stale = replace(ANN, authenticated_at_utc=None)
    found = await authorizer.for_request(stale).explain(Question("bob", DataClass.FINANCIAL, "refund"))
    [rule] = found.rules
    [tried] = rule.conditions
    assert (tried.text, tried.held, tried.obligation) == ("auth_time:15", False, Obligation.STEP_UP)
    assert rule.failing == ("auth_time:15",) and "minutes" in tried.meaning


@pytest.mark.parametrize(
    "text", ["amr", "amr:face", "auth_time", "auth_time:0", "auth_time:-5", "auth_time:soon"]
)
def test_a_condition_that_means_nothing_is_refused_when_the_policy_is_read(text: str) -> None:
    with pytest.raises(PolicyInvalid, match=text.partition(":")[0]):
        read_policy(f"p, odd, authenticated, TRAINING, read, {text}, full, allow")


def test_claims_say_it_and_are_read_back_in_whole_seconds() -> None:
    subject = replace(ANN, key_thumbprint="print", client_class="partner-ids-standard", client_id="app")
    claims = claims_of(subject)
    assert (claims["amr"], claims["auth_time"]) == (
        ["mfa", "otp", "pwd"],
        int((NOW - timedelta(minutes=15)).timestamp()),
    )
    assert (claims["organisations"], claims["cnf"]) == (["club"], {"jkt": "print"})
    assert subject_from_claims(claims, expires_at_utc=None) == subject
    assert subject_from_claims(claims_of(Subject("ann")), expires_at_utc=None) == Subject("ann")


@pytest.mark.parametrize(
    "claims",
    [
        {"amr": "otp"},
        {"amr": [1]},
        {"auth_time": "1700000000"},
        {"auth_time": True},
        {"organisations": {"a": 1}},
        {"cnf": "print"},
        {"cnf": {}},
        {"cnf": {"x5t#S256": "print"}},
        {"cnf": {"jkt": "print", "x5t#S256": "another"}},
        {"client_class": 3},
    ],
)
def test_claims_of_another_shape_are_refused(claims: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        subject_from_claims({"sub": "ann", **claims}, expires_at_utc=None)
