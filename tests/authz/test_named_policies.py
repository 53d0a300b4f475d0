"""Who holds the policies that `@policy` names, by Casbin rules in a file."""

from __future__ import annotations

import pytest

from authz.classes import Role
from authz.errors import PolicyInvalid
from authz.identity.subject import ANONYMOUS, RoleLimit, Subject
from authz.policies.named import NamedPolicies

RULES = """
# who, which policy, effect
p, role:trainer, read_plan, allow
p, scope:plans:read, read_plan, allow
p, group:staff, staff.*, allow
p, client:kiosk, *, deny
p, anyone, weather, allow
p, authenticated, news, allow
p, acr:2, sign, allow
p, zone:office, print, allow
p, user:anna, "own", allow
g, role:administrator, group:chiefs
g, group:chiefs, group:staff
g, scope:staff, group:staff
"""
TRAINER = Subject("t", roles=frozenset({Role.TRAINER}))
CHIEF = Subject("c", roles=frozenset({Role.ADMINISTRATOR}))
SCOPED = Subject("s", scopes=frozenset({"plans:read", "staff"}))


@pytest.mark.parametrize(
    ("subject", "policy", "held"),
    [
        (TRAINER, "read_plan", True),
        (SCOPED, "read_plan", True),
        (CHIEF, "read_plan", False),
        (CHIEF, "staff.rota", True),
        (SCOPED, "staff.rota", True),
        (TRAINER, "staff.rota", False),
        (Subject("t", roles=frozenset({Role.TRAINER}), client_id="kiosk"), "read_plan", False),
        (Subject("k", client_id="kiosk"), "weather", False),
        (ANONYMOUS, "weather", True),
        (ANONYMOUS, "news", False),
        (TRAINER, "news", True),
        (Subject("a", acr=1), "sign", False),
        (Subject("a", acr=3), "sign", True),
        (Subject(None, network_zone="office"), "print", True),
        (Subject("anna"), "own", True),
        (Subject("anna2"), "own", False),
        (Subject("x", scopes=frozenset({"group:staff", "role:trainer"})), "staff.rota", False),
        (Subject("x", scopes=frozenset({"role:trainer"})), "read_plan", False),
        (TRAINER, "unheard_of", False),
        (TRAINER, "*", False),
    ],
)
def test_a_policy_is_held_by_those_whom_the_rules_name(subject, policy, held) -> None:
    policies = NamedPolicies(RULES)
    assert policies.grants(subject, policy) is held
    assert policies.grants(subject, policy) is held  # as it is kept


@pytest.mark.parametrize(
    ("subject", "policy", "forbidden"),
    [
        (Subject("k", client_id="kiosk"), "weather", True),
        (Subject("k", client_id="kiosk"), "unheard_of", True),
        (TRAINER, "read_plan", False),
        (TRAINER, "unheard_of", False),
    ],
)
def test_a_deny_is_told_from_no_word_at_all(subject: Subject, policy: str, forbidden: bool) -> None:
    policies = NamedPolicies(RULES)
    assert policies.forbids(subject, policy) is forbidden
    assert policies.forbids(subject, policy) is forbidden  # as it is kept


def test_a_limited_role_grants_nothing_and_denies_as_ever() -> None:
    limited = Subject("t", roles=frozenset({Role.TRAINER}), limits=(RoleLimit(Role.TRAINER),))
    policies = NamedPolicies(RULES + "p, role:trainer, scores, deny\np, authenticated, scores, allow\n")
    assert [policies.grants(each, "read_plan") for each in (TRAINER, limited)] == [True, False]
    assert [policies.grants(each, "scores") for each in (TRAINER, limited)] == [False, False]
    assert policies.grants(limited, "news")
    assert policies.forbids(limited, "scores")


def test_an_empty_file_grants_nothing() -> None:
    assert NamedPolicies("# nobody yet\n").grants(TRAINER, "read_plan") is False


def test_callers_leave_nothing_behind_in_the_groups() -> None:
    policies = NamedPolicies(RULES)
    before = len(policies._groups.all_roles)
    for number in range(50):
        policies.grants(Subject(f"user-{number}"), "staff.rota")
    assert len(policies._groups.all_roles) == before


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("p, role:trainer, read_plan", "line 1: write `p, WHO, POLICY, allow"),
        ("p, role:trainer, read_plan, maybe", "line 1: write `p, WHO, POLICY, allow`"),
        ("p, trainer, read_plan, allow", "line 1: nobody is `trainer`"),
        ("g, role:trainer, staff", "line 1: nobody is `staff`"),
        ('p, "role:a,b", read_plan, allow', "line 1: a cell may not have a comma"),
        ("allow everybody", "line 1: write"),
    ],
)
def test_a_file_that_cannot_be_believed_is_refused_with_its_line(line, told) -> None:
    with pytest.raises(PolicyInvalid) as raised:
        NamedPolicies(line)
    assert told in str(raised.value)
