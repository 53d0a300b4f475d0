"""Explanations go as deep as the policy's line and what each condition looked at; lists come in pages."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from authz.classes import Relation
from authz.explanation import traced
from authz.policies.case import Case
from authz.policies.rules import stadion_policy
from authz.question import Question
from tests.kit_authz.people import a_fact
from tests.kit_subgraphs.audit import ADA, LIND, MIRA, NOON, Office, event_of, touched

EXPLAIN = """query($viewer: ID!, $field: String!, $purpose: PurposeOfUse, $filter: RuleFilter, $first: Int,
  $after: String, $last: Int, $before: String) {
  explainAccess(targetId: "mira", coordinate: $field, viewerId: $viewer, purpose: $purpose) {
    allowed rule line view obligation parties policyVersion dataClass action
    rules(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
      totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      nodes { rule line allows holds parties view failingConditions
        conditions { condition holds looksAt meaning obligation } } } } }"""
LOG = """query($f: AuditLogFilter, $first: Int, $after: String, $last: Int, $before: String) {
  myAccessLog(filter: $f, first: $first, after: $after, last: $last, before: $before) { totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } nodes { number } } }"""
WHO = """query($field: String!, $filter: ViewerFilter, $last: Int, $before: String) {
  whoCanSee(coordinate: $field, filter: $filter, last: $last, before: $before) {
    totalCount pageInfo { hasPreviousPage startCursor } nodes { user { id } role } } }"""


def treated(office: Office) -> None:
    since = NOON.replace(year=2025)
    office.facts.put(
        a_fact("lind", Relation.TREATING, "mira", since=since),
        a_fact("tomas", Relation.COACH, "mira", "training", "clearance", since=since),
    )


async def explained(office: Office, **given: Any) -> dict[str, Any]:
    asked = {"viewer": "lind", "field": "MedicalRecord.conditions", **given}
    answer = await office.ask(EXPLAIN, MIRA, **asked)
    assert "errors" not in answer, answer
    found: dict[str, Any] = answer["data"]["explainAccess"]
    return found


async def test_the_deciding_rule_is_told_by_its_line_in_the_policy_in_force(office: Office) -> None:
    treated(office)
    policy = stadion_policy()
    told = await explained(office, purpose="TREAT")
    rule = policy.rule("clinical-treating")
    assert rule is not None
    assert (told["allowed"], told["rule"], told["line"]) == (True, "clinical-treating", rule.line)
    line = policy.text.splitlines()[told["line"] - 1]
    assert line.startswith("p, clinical-treating,")
    assert told["policyVersion"] == policy.version and (told["dataClass"], told["action"]) == (
        "CLINICAL",
        "read",
    )
    assert told["parties"] == ["anyone", "authenticated", "medical_specialist", "treating"]
    assert told["obligation"] is None


async def test_each_condition_tells_what_it_looked_at_whether_it_held_and_what_would_help(
    office: Office,
) -> None:
    treated(office)
    told = await explained(office)
    assert (told["allowed"], told["rule"], told["line"], told["obligation"]) == (
        False, "default-deny", None, "PURPOSE",
    )  # fmt: skip
    [rule] = [each for each in told["rules"]["nodes"] if each["rule"] == "clinical-treating"]
    assert (rule["allows"], rule["holds"]) == (True, False)
    assert rule["parties"] == ["medical_specialist", "treating"]
    tried = {each["condition"]: each for each in rule["conditions"]}
    assert list(tried) == ["purpose_of_care", "acr:2", "licensed_here"]
    assert {name: (each["holds"], each["looksAt"]) for name, each in tried.items()} == {
        "purpose_of_care": (False, "PURPOSE"),
        "acr:2": (True, "SUBJECT"),
        "licensed_here": (True, "ROW"),
    }
    assert tried["purpose_of_care"]["obligation"] == "PURPOSE" and tried["acr:2"]["obligation"] == "STEP_UP"
    assert all(each["meaning"] for each in tried.values())


async def test_rules_are_chosen_by_decision_and_come_in_pages_both_ways(office: Office) -> None:
    treated(office)
    whole = (await explained(office, first=50))["rules"]
    count = whole["totalCount"]
    assert count == len(whole["nodes"]) > 2
    denies = (await explained(office, filter={"decision": "DENY"}))["rules"]["nodes"]
    allows = (await explained(office, filter={"decision": "ALLOW"}))["rules"]["nodes"]
    assert {each["allows"] for each in denies} == {False} and {each["allows"] for each in allows} == {True}
    assert len(denies) + len(allows) == count
    held = (await explained(office, filter={"holds": True}, purpose="TREAT"))["rules"]["nodes"]
    assert [each["rule"] for each in held] == ["clinical-treating"]
    first = (await explained(office, first=1))["rules"]
    rest = (await explained(office, first=50, after=first["pageInfo"]["endCursor"]))["rules"]
    last = (await explained(office, last=1))["rules"]
    before = (await explained(office, last=50, before=last["pageInfo"]["startCursor"]))["rules"]
    assert first["nodes"] + rest["nodes"] == before["nodes"] + last["nodes"] == whole["nodes"]


def test_every_rule_can_be_traced_and_every_condition_has_a_meaning() -> None:
    for rule in stadion_policy().rules:
        data_class = min(each for each in rule.classes) if "*" not in rule.classes else "CLINICAL"
        trace = traced(rule, Case(LIND, Question("mira", data_class), (), (), NOON))  # type: ignore[arg-type]
        assert [each.text for each in trace.conditions] == [each.text for each in rule.conditions]
        assert all(each.meaning and each.looks_at for each in trace.conditions)
        assert trace.failing == tuple(each.text for each in trace.conditions if not each.held)


def at(minute: int) -> str:
    return (NOON + dt.timedelta(minutes=minute)).isoformat()


async def filled(office: Office) -> None:
    for minute in range(6):
        kept = {"data_class": "FINANCIAL"} if minute % 2 else {}
        await office.take(
            event_of(
                touched("mira", allowed=minute < 3, **kept),
                actor_id="lind" if minute < 5 else "ada",
                at_utc=NOON + dt.timedelta(minutes=minute),
            )
        )


async def numbers(office: Office, **given: Any) -> list[int]:
    answer = await office.ask(LOG, MIRA, **given)
    assert "errors" not in answer, answer
    return [each["number"] for each in answer["data"]["myAccessLog"]["nodes"]]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"since": at(2)}, [6, 5, 4, 3]),
        ({"until": at(2)}, [2, 1]),
        ({"since": at(1), "until": at(4)}, [4, 3, 2]),
        ({"actorId": "ada"}, [6]),
        ({"dataClass": "FINANCIAL"}, [6, 4, 2]),
        ({"decision": "DENY"}, [6, 5, 4]),
        ({"decision": "ALLOW", "dataClass": "FINANCIAL", "since": at(0)}, [2]),
        ({"actorId": "nobody"}, []),
    ],
    ids=str,
)
async def test_ones_log_is_chosen_by_time_actor_class_and_decision(
    office: Office, chosen: dict[str, Any], expected: list[int]
) -> None:
    await filled(office)
    assert await numbers(office, f=chosen) == expected


async def test_ones_log_comes_in_pages_both_ways(office: Office) -> None:
    await filled(office)
    forward, backward, after, before = [], [], None, None
    for _ in range(3):
        answer = await office.ask(LOG, MIRA, first=2, after=after)
        page = answer["data"]["myAccessLog"]
        forward += [each["number"] for each in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        answer = await office.ask(LOG, MIRA, last=2, before=before)
        back = answer["data"]["myAccessLog"]
        backward = [each["number"] for each in back["nodes"]] + backward
        before = back["pageInfo"]["startCursor"]
        assert page["totalCount"] == back["totalCount"] == 6
    assert forward == backward == [6, 5, 4, 3, 2, 1]
    assert not page["pageInfo"]["hasNextPage"] and not back["pageInfo"]["hasPreviousPage"]
    assert await numbers(office, first=2, before=before) == []
    both = await office.ask(LOG, MIRA, first=1, last=1)
    assert [error["extensions"]["code"] for error in both["errors"]] == ["BAD_PAGE"]


@pytest.mark.parametrize(
    ("field", "chosen", "expected"),
    [
        ("User.clearance", {}, ["mira", "lind", "tomas"]),
        ("User.clearance", {"userId": "tomas"}, ["tomas"]),
        ("MedicalRecord.conditions", {"anyPurpose": True}, ["mira"]),
        ("MedicalRecord.conditions", {"anyPurpose": False}, ["lind"]),
        ("User.clearance", {"whole": False}, []),
        ("User.clearance", {"role": "ADMINISTRATOR"}, []),
        ("AuditRecord.rule", {"role": "ADMINISTRATOR"}, ["ADMINISTRATOR"]),
    ],
    ids=str,
)
async def test_viewers_are_chosen_by_person_role_and_view(
    office: Office, field: str, chosen: dict[str, Any], expected: list[str]
) -> None:
    treated(office)
    answer = await office.ask(WHO, MIRA, field=field, filter=chosen)
    page = answer["data"]["whoCanSee"]
    found = [(node["user"] or {}).get("id") or node["role"] for node in page["nodes"]]
    assert found == expected and page["totalCount"] == len(expected)


async def test_viewers_come_from_the_end_too(office: Office) -> None:
    treated(office)
    answer = await office.ask(WHO, MIRA, field="User.clearance", last=1)
    last = answer["data"]["whoCanSee"]
    assert [each["user"]["id"] for each in last["nodes"]] == ["tomas"] and last["pageInfo"]["hasPreviousPage"]
    before = last["pageInfo"]["startCursor"]
    answer = await office.ask(WHO, MIRA, field="User.clearance", last=5, before=before)
    assert [each["user"]["id"] for each in answer["data"]["whoCanSee"]["nodes"]] == ["mira", "lind"]


async def test_an_auditor_goes_as_deep_and_a_third_person_nowhere(office: Office) -> None:
    treated(office)
    asked = {"viewer": "lind", "field": "MedicalRecord.conditions", "purpose": "TREAT"}
    hers, auditors = await office.ask(EXPLAIN, MIRA, **asked), await office.ask(EXPLAIN, ADA, **asked)
    for answer in (hers, auditors):
        for page in (answer["data"]["explainAccess"]["rules"],):
            page.pop("pageInfo")  # cursors are each viewer's own
    assert hers == auditors and "errors" not in hers
    refused = await office.ask(EXPLAIN, LIND, **asked)
    assert [error["extensions"]["code"] for error in refused["errors"]] == ["FORBIDDEN"]
