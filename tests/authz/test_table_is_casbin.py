"""The compiled table is Casbin: for every cell of the policy, and for cases made at random."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.classes import Action, DataClass, Purpose, Relation, Role, Visibility
from authz.facts import ConsentFact, RelationshipFact
from authz.identity.subject import ANONYMOUS, RoleLimit, Subject
from authz.policies.case import Case, classed_by_labels, party_of
from authz.policies.engine import PolicyEngine
from authz.policies.rules import VIEWS, read_policy, stadion_policy
from authz.policies.table import DecisionTable
from authz.question import Question
from tests.kit_authz.people import NOW

POLICY = stadion_policy()
ENGINE = PolicyEngine(POLICY)

WORDS = sorted(
    {condition.partition(":")[2] for rule in POLICY.rules for condition in rule.condition_texts()} - {""}
)
TOKEN_SCOPES = [
    *WORDS,
    "wellness:read:hrv",
    "patient/*.rs",
    "patient/Observation.r",
    "patient/Condition.rs",
    *(f"service:{data_class}:{action}" for data_class in DataClass for action in ("read", "write")),
]
LINK_SCOPES = [
    *WORDS,
    "restricted:until:2999-01-01",
    "restricted:until:2000-01-01",
    "wellness:hrv",
    "reason",
    "training",
    "clearance",
    "plan",
    "location",
    "social",
]
PEOPLE = ["ann", "bob", "client"]


def _some(values, *, at_most=3):
    return st.frozensets(st.sampled_from(sorted(values)), max_size=at_most)


_classes = st.frozensets(st.sampled_from(sorted(DataClass)), max_size=2)
ASSIGNED_WORDS = [
    *(role.value for role in Role),
    *(f"{role.value}:{data_class}" for role in Role for data_class in ("TRAINING", "AUDIT", "CLINICAL")),
    "administrator@2999-01-01T00:00:00+00:00", "moderator@2000-01-01T00:00:00+00:00",
]  # fmt: skip
subjects = st.one_of(
    st.just(ANONYMOUS),
    st.builds(
        Subject,
        id=st.sampled_from(PEOPLE),
        roles=_some(Role),
        acr=st.integers(0, 3),
        client_id=st.sampled_from([None, "client", "web"]),
        scopes=_some(TOKEN_SCOPES, at_most=5),
        region=st.sampled_from([None, "NL", "BE"]),
        amr=_some({"pwd", "otp", "mfa", "pop"}),
        authenticated_at_utc=st.sampled_from(
            [None, NOW, NOW - timedelta(minutes=15), NOW - timedelta(days=1)]
        ),
        organisations=_some({"clinic", "club"}),
        limits=st.frozensets(st.sampled_from(sorted(Role)), max_size=3).flatmap(
            lambda roles: st.tuples(
                *[st.builds(RoleLimit, st.just(role), _classes) for role in sorted(roles)]
            )
        ),
    ),
)
questions = st.builds(
    Question,
    owner_id=st.sampled_from([None, *PEOPLE]),
    data_class=st.sampled_from(DataClass),
    action=st.sampled_from([*Action, "launder"]),
    purpose=st.none() | st.sampled_from(Purpose),
    labels=_some({"mental", "hiv", "N", "legal_hold"}, at_most=2),
    visibility=st.none() | st.sampled_from(Visibility),
    metric=st.sampled_from([None, "hrv", "sleep"]),
    created_by=st.sampled_from([None, *PEOPLE]),
    approved_by=st.sampled_from([None, "", *PEOPLE]),
    region=st.sampled_from([None, "NL"]),
    resource_type=st.sampled_from([None, "Observation", "Condition"]),
)
relationships = st.builds(
    RelationshipFact,
    subject_id=st.sampled_from(PEOPLE),
    relation=st.sampled_from(Relation),
    object_id=st.sampled_from(PEOPLE),
    scopes=_some([*LINK_SCOPES, *ASSIGNED_WORDS], at_most=5),
    valid_from_utc=st.just(NOW - timedelta(minutes=20)),
    valid_until_utc=st.sampled_from([None, NOW + timedelta(minutes=30), NOW + timedelta(days=1)]),
    version=st.just(1),
)
consents = st.builds(
    ConsentFact,
    consent_id=st.just("consent"),
    patient_id=st.sampled_from(PEOPLE),
    actor_id=st.sampled_from([None, *PEOPLE]),
    purpose=st.none() | st.sampled_from(Purpose),
    data_class=st.none() | st.sampled_from(DataClass),
    decision=st.sampled_from(["permit", "deny"]),
    valid_from_utc=st.just(NOW - timedelta(days=1)),
    valid_until_utc=st.none(),
    version=st.just(1),
    labels=_some({"mental", "hiv"}, at_most=2),
)
cases = st.builds(
    Case,
    subjects,
    questions,
    st.lists(relationships, max_size=4).map(tuple),
    st.lists(consents, max_size=3).map(tuple),
    st.just(NOW),
)


def _asked(case: Case) -> tuple[frozenset[str], Case]:
    case = replace(case, question=classed_by_labels(case.question))
    return party_of(case.subject, case.question.owner_id, case.facts), case


def _same(engine: PolicyEngine, table: DecisionTable, case: Case) -> None:
    party, case = _asked(case)
    by_casbin = engine.decide(party, case)
    by_table = table.cell(party, case.question).decide(case)
    assert (by_table.allowed, by_table.mask) == (by_casbin.allowed, by_casbin.mask), (by_table, by_casbin)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases)
def test_the_table_decides_as_casbin_whatever_the_case(case):
    _same(ENGINE, DecisionTable(POLICY), case)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases)
def test_a_limit_of_a_role_never_opens_anything(case):
    """Whoever has the same roles without limits is allowed at least as much, as openly."""
    table, unlimited = DecisionTable(POLICY), replace(case, subject=replace(case.subject, limits=()))
    (party, limited_case), (whole, whole_case) = _asked(case), _asked(unlimited)
    limited = table.cell(party, limited_case.question).decide(limited_case)
    free = table.cell(whole, whole_case.question).decide(whole_case)
    assert free.allowed or not limited.allowed
    if limited.allowed:
        assert _openness(free.mask) <= _openness(limited.mask)


def _openness(mask: str | None) -> int:
    return VIEWS.index(mask or "full")


# A time limit that ends it in the middle of an example looks to Hypothesis like a strategy that is not the
# same twice.
@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@settings(max_examples=20_000, deadline=None)
@given(case=cases)
def test_the_table_decides_as_casbin_in_very_many_cases(case):
    _same(ENGINE, DecisionTable(POLICY), case)


def _cells(data_class: DataClass):
    """Every action a rule of the class names × everybody a rule of the policy is about."""
    actions = {
        action
        for rule in POLICY.rules
        if rule.concerns(data_class, "*") or data_class in rule.classes
        for action in rule.actions - {"*"}
    }
    wheres = {rule.parties for rule in POLICY.rules}
    return itertools.product(sorted(actions | {"launder"}), sorted(wheres, key=sorted))


def _subject_and_facts(parties: frozenset[str]) -> tuple[Subject, str, tuple[RelationshipFact, ...]]:
    owner_id = "ann" if parties & {"self", "partner"} else "bob"
    relations = [Relation(word) for word in sorted(parties) if word in set(Relation) - {Relation.SELF}]
    facts = tuple(
        RelationshipFact(
            "ann",
            relation,
            "bob",
            frozenset(LINK_SCOPES),
            NOW,
            NOW + timedelta(minutes=60),
            1,
        )
        for relation in relations
    )
    subject = Subject(
        id=None if parties == {"anyone"} else "ann",
        roles=frozenset(Role(word) for word in parties if word in set(Role)),
        acr=2,
        client_id="client",
        scopes=frozenset(TOKEN_SCOPES),
        region="NL",
    )
    return subject, owner_id, facts


@pytest.mark.parametrize("data_class", DataClass)
def test_the_table_decides_as_casbin_in_every_cell(data_class):
    table = DecisionTable(POLICY)
    purposes = (None, Purpose.TREATMENT, Purpose.EMERGENCY_TREATMENT, Purpose.OPERATIONS)
    decided = 0
    for (action, parties), purpose in itertools.product(_cells(data_class), purposes):
        subject, owner_id, facts = _subject_and_facts(parties)
        # Half the conditions hold in one row, the other half in the next.
        visibility = Visibility.FRIENDS if decided % 2 else Visibility.EVERYONE
        question = Question(owner_id, data_class, action, purpose=purpose, visibility=visibility)
        _same(ENGINE, table, Case(subject, question, facts, (), NOW))
        decided += 1
    assert decided > 50


def _line(cells: tuple[str, ...]) -> str:
    return "p, " + ", ".join(cells)


_lines = st.tuples(
    st.sampled_from(["anyone", "authenticated", "self", "athlete", "trainer+coach", "friend", "moderator"]),
    st.sampled_from(["*", "PUBLIC", "TRAINING", "CLINICAL", "TRAINING|CLINICAL"]),
    st.sampled_from(["*", "read", "write", "read|write"]),
    st.sampled_from(
        [
            *("always", "acr:2", "visible:friends", "purpose:TREAT", "not_owner", "consent_denies & acr:1"),
            *("amr:otp", "auth_time:15 & amr:pwd", "organisation:clinic", "organisation:club & auth_time:60"),
        ]
    ),
    st.sampled_from(["full", "trimmed", "last_four", "deny"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    lines=st.lists(_lines, max_size=12),
    case=cases,
    data_class=st.sampled_from([DataClass.TRAINING, DataClass.CLINICAL]),
)
def test_the_table_decides_as_casbin_under_any_policy(lines, case, data_class):
    text = "\n".join(
        _line((f"r{number}", *cells[:4], *(("*", "deny") if cells[4] == "deny" else (cells[4], "allow"))))
        for number, cells in enumerate(lines)
    )
    policy = read_policy(text)
    case = replace(case, question=replace(case.question, data_class=data_class, action="read"))
    _same(PolicyEngine(policy), DecisionTable(policy), case)
