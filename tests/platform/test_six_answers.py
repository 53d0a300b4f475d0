"""One query about one athlete, asked by six people: each gets exactly what the policy gives them."""

from __future__ import annotations

import pytest

from authz.identity.subject import ANONYMOUS
from tests.kit_platform.questions import SIX_ANSWERS
from tests.platform.conftest import Seeded, subject_of

EVERYTHING = {"name", "activities", "load", "clearance", "record"}
# Who sees what of the athlete (domains.md §2). An administrator's name needs a stated purpose.
SEES = {
    "mira": EVERYTHING,
    "tomas": {"name", "activities", "load", "clearance"},
    "lind": EVERYTHING,
    "okafor": set(),
    "noor": {"name"},
    "ada": set(),
}
PATHS = {
    "name": ["user", "profile", "displayName"],
    "activities": ["user", "activities"],
    "load": ["user", "load"],
    "clearance": ["user", "clearance"],
    "record": ["user", "medicalRecord"],
}
# Subgraphs that a caller's roles alone keep from being asked (training concerns friends, so anybody).
NEVER_ASKED = {"noor": {"medical"}, "ada": {"medical"}}


def at(answer: dict, path: list[str]) -> object:
    """The value at a path of the data."""
    value = answer["data"]
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize("over", ["in-process", "http"])
@pytest.mark.parametrize("handle", list(SEES))
def test_each_gets_exactly_what_the_policy_gives(seeded: Seeded, handle: str, over: str) -> None:
    answer = seeded.ask(SIX_ANSWERS, subject_of(handle), over=over, id="demo-athlete")
    seen = {what for what, path in PATHS.items() if at(answer, path) is not None}
    assert seen == SEES[handle]
    denied = sorted(path for what, path in PATHS.items() if what not in SEES[handle])
    assert sorted(error["path"] for error in answer["errors"]) == denied
    assert {error["extensions"]["code"] for error in answer["errors"]} <= {"FORBIDDEN_FIELD"}


@pytest.mark.parametrize("handle", list(SEES))
def test_both_transports_give_the_same_answer(seeded: Seeded, handle: str) -> None:
    subject = subject_of(handle)
    answers = [
        seeded.ask(SIX_ANSWERS, subject, over=over, id="demo-athlete") for over in ("in-process", "http")
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("handle", list(SEES))
def test_no_subgraph_is_asked_what_the_roles_can_never_see(seeded: Seeded, handle: str) -> None:
    seeded.ask(SIX_ANSWERS, subject_of(handle), id="demo-athlete")
    asked = {call.service for call in seeded.transports["in-process"].calls}
    assert asked & NEVER_ASKED.get(handle, set()) == set()
    if handle == "tomas":  # a coach may see a clearance, so medical is asked, but never for the record
        assert all("medicalRecord" not in call.query for call in seeded.transports["in-process"].calls)


def test_what_they_see_is_the_imported_truth(seeded: Seeded) -> None:
    user = seeded.ask(SIX_ANSWERS, subject_of("mira"), id="demo-athlete")["data"]["user"]
    assert user["profile"]["displayName"] == "Mira Sandvik"
    assert user["activities"]["totalCount"] == 4
    assert user["clearance"] == {"status": "RESTRICTED", "restrictions": ["no racing until the next check"]}
    assert len(user["medicalRecord"]["conditions"]["nodes"]) == 2


def test_an_anonymous_caller_learns_nothing_and_nobody_is_asked(seeded: Seeded) -> None:
    answer = seeded.ask(SIX_ANSWERS, ANONYMOUS, id="demo-athlete")
    assert answer["data"] == {"user": None}
    assert [error["path"] for error in answer["errors"]] == [["user"]]
    assert seeded.transports["in-process"].calls == []


def test_a_hidden_person_and_a_missing_one_look_the_same(seeded: Seeded) -> None:
    missing = seeded.ask("query($id: ID!) { activity(id: $id) { id } }", subject_of("okafor"), id="no-such")
    mine = seeded.ask("{ me { activities { nodes { id } } } }", subject_of("mira"))
    hidden_id = mine["data"]["me"]["activities"]["nodes"][0]["id"]
    hidden = seeded.ask("query($id: ID!) { activity(id: $id) { id } }", subject_of("okafor"), id=hidden_id)
    assert hidden == missing
    assert [error["extensions"]["code"] for error in missing["errors"]] == ["NOT_FOUND"]


def test_an_alias_or_a_fragment_opens_nothing(seeded: Seeded) -> None:
    query = """
    query($id: ID!) {
      x: user(id: $id) { id ...F ... on User { y: medicalRecord(purpose: TREAT) { patient { birthDate } } } }
    }
    fragment F on User { z: clearance { status } }
    """
    answer = seeded.ask(query, subject_of("noor"), id="demo-athlete")
    assert answer["data"] == {"x": {"id": "demo-athlete", "z": None, "y": None}}
    assert sorted(error["path"] for error in answer["errors"]) == [["x", "y"], ["x", "z"]]
