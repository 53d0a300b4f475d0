"""Records as FHIR sees them: every kind of act is a valid AuditEvent, in the shape that auditors know."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from authz.classes import Action, DataClass, Purpose
from authz.trail import Outcome
from subgraphs.audit.audit_event import DOINGS, OUTCOMES, audit_event
from subgraphs.audit.model import AuditRecord
from tests.kit_subgraphs.audit import ADA, Office, event_of, touched
from tests.kit_subgraphs.audit_event_rules import breaks

RECORD = AuditRecord(
    number=1, id="5f0a8c9e-0000-5000-8000-000000000001", event_id="e", entry=0,
    at="2026-03-01T12:00:00.000000Z", subgraph="medical", actor="a" * 32, on_behalf_of=None, client=None,
    session="s" * 32, purpose="TREAT", action="read", target="b" * 32, data_class="CLINICAL",
    fields=("MedicalRecord.conditions",), decision="allow", rule="clinical-treating", outcome="shown",
    trace_id="1" * 32, prev_hash="0" * 64, hash="f" * 64,
)  # fmt: skip
KNOWN = {"a" * 32: "lind", "b" * 32: "mira"}
LETTERS = {
    "read": "R", "name": "R", "identity": "R", "contact": "R", "clearance": "R", "card_number": "R",
    "events": "R", "guardianship": "R", "vouch": "E", "aggregate": "R",
    "add": "C", "write": "U", "plan": "U", "annotate": "U", "hide": "U", "restore": "U",
    "delete": "D", "refund": "E", "force_reset": "E", "break_glass": "E", "review": "E", "change": "U",
}  # fmt: skip


def sound(record: AuditRecord) -> dict[str, Any]:
    """The event of a record, which both judges accept."""
    event = audit_event(record, KNOWN)
    AuditEvent(**copy.deepcopy(event))
    assert breaks(event) == []
    return event


def test_every_action_of_the_policy_is_known() -> None:
    assert set(DOINGS) == set(Action)
    assert set(LETTERS) == {*(each.value for each in Action), "change"}
    assert set(OUTCOMES) == set(Outcome)


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("action", list(LETTERS))
def test_an_act_of_every_kind_is_a_valid_event(action: str, outcome: Outcome) -> None:
    decision = "deny" if outcome is Outcome.REFUSED else "allow"
    event = sound(replace(RECORD, action=action, outcome=outcome.value, decision=decision))
    assert event["action"] == LETTERS[action]
    assert event["outcome"] == {"refused": "4", "failed": "8"}.get(outcome.value, "0")


@pytest.mark.parametrize("data_class", [*DataClass, None])
@pytest.mark.parametrize("purpose", [*Purpose, None, "GONE"])
def test_every_class_and_purpose_is(data_class: DataClass | None, purpose: str | None) -> None:
    given = None if purpose is None else str(purpose)
    event = sound(replace(RECORD, purpose=given, data_class=None if data_class is None else data_class.value))
    assert ("purposeOfEvent" in event) is (purpose is not None)
    if purpose == "GONE":
        assert event["purposeOfEvent"] == [{"text": "GONE"}]


@pytest.mark.parametrize("target", [None, "b" * 32, "c" * 32], ids=["nobody", "known", "erased"])
@pytest.mark.parametrize("client", [None, "the watch"])
@pytest.mark.parametrize(
    ("actor", "behalf"),
    [(None, None), ("a" * 32, None), ("c" * 32, None), ("d" * 32, "a" * 32)],
    ids=["anonymous", "known", "erased", "for somebody"],
)
def test_whoever_acts_for_whom_one_of_them_is_the_requestor(
    actor: str | None, behalf: str | None, client: str | None, target: str | None
) -> None:
    record = replace(RECORD, actor=actor, on_behalf_of=behalf, client=client, target=target)
    for action in ("read", "write"):
        event = sound(replace(record, action=action))
        [asking] = [agent for agent in event["agent"] if agent["requestor"]]
        if behalf is not None:
            assert asking["who"]["display"] == "lind"
        assert (asking["who"] == {"display": "anonymous"}) is (actor is None)
        people = [entity for entity in event["entity"] if entity["type"]["code"] == "1"]
        assert len(people) == (target is not None)
        assert all(("display" in each["what"]) is (target == "b" * 32) for each in people)


BROKEN: tuple[tuple[str, Callable[[dict[str, Any]], Any]], ...] = (
    ("one agent is the requestor", lambda e: e["agent"][1].update(requestor=True)),
    ("entity.what is required", lambda e: e["entity"][0].update(what={})),
    ("source.observer is required", lambda e: e["source"].pop("observer")),
    ("subtype and action do not fit", lambda e: e.update(action="U")),
    ("a purpose that v3 PurposeOfUse has not", lambda e: _restate(e, "NOSUCH")),
    ("one agent gives and one takes", lambda e: e["agent"].pop()),
    ("action or outcome is not of its value set", lambda e: e.update(outcome="5")),
)


def _restate(event: dict[str, Any], code: str) -> None:
    for concept in (*event["purposeOfEvent"], *event["agent"][0]["purposeOfUse"]):
        concept["coding"][0]["code"] = code


@pytest.mark.parametrize(("told", "damage"), BROKEN, ids=[told for told, _ in BROKEN])
def test_the_rules_find_what_is_wrong(told: str, damage: Callable[[dict[str, Any]], Any]) -> None:
    event = copy.deepcopy(audit_event(RECORD, KNOWN))
    damage(event)
    assert told in breaks(event)


async def test_what_the_graph_shows_is_valid_too(office: Office) -> None:
    parts = [touched("mira", action=each.value, outcome=Outcome.SHOWN) for each in Action]
    await office.take(
        event_of(*parts), event_of(touched(None, data_class=None, action="change"), actor_id=None)
    )
    answer = await office.ask("{ auditLog(first: 100) { nodes { action auditEvent } } }", ADA)
    nodes = answer["data"]["auditLog"]["nodes"]
    assert {each["action"] for each in nodes} == {*LETTERS}
    for node in nodes:
        AuditEvent(**copy.deepcopy(node["auditEvent"]))
        assert breaks(node["auditEvent"]) == []
