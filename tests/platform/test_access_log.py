"""Who looked at the athlete's record reaches her own log: through the router, the outbox and the chain."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.platform.conftest import Seeded, subject_of

READ = "query($id: ID!) { user(id: $id) { medicalRecord(purpose: TREAT) { conditions { nodes { text } } } } }"
MY_LOG = """
{ myAccessLog(first: 100) { totalCount nodes {
  number at actor { id } target { id } purpose action dataClass fields decision rule outcome subgraph
  session traceId prevHash hash auditEvent } } }
"""
AUDIT_LOG = """
query($filter: AuditLogFilter) { auditLog(filter: $filter, first: 100) {
  totalCount nodes { number actor { id } fields decision target { id } } } }
"""
VERIFY = "{ verifyChain { intact records lastHash damages { code number message } } }"


def my_log(seeded: Seeded, handle: str = "mira") -> list[dict[str, Any]]:
    answer = seeded.ask(MY_LOG, subject_of(handle))
    assert answer["errors"] == []
    return answer["data"]["myAccessLog"]["nodes"]


def until(seeded: Seeded, found: Callable[[], Any], *, looks: int = 200) -> Any:
    """What `found` gives once it gives something: records reach the chain right after their request."""
    for _ in range(looks):
        result = found()
        if result:
            return result
        seeded.run(asyncio.sleep(0.02))
    raise AssertionError("nothing came within four seconds")


def recorded(seeded: Seeded, handle: str, act: Callable[[], Any], **wanted: Any) -> dict[str, Any]:
    """The record in mira's log that `act` leaves."""
    before = {each["number"] for each in my_log(seeded)}
    act()

    def found() -> dict[str, Any] | None:
        actor = subject_of(handle).id
        fresh = (each for each in my_log(seeded) if each["number"] not in before)
        return next(
            (e for e in fresh if (e["actor"] or {}).get("id") == actor and wanted.items() <= e.items()), None
        )

    return until(seeded, found)


def test_a_physicians_look_is_in_the_athletes_log_with_who_when_and_why(seeded: Seeded) -> None:
    record = recorded(seeded, "lind", lambda: seeded.ask(READ, subject_of("lind"), id="demo-athlete"))
    assert record["actor"] == {"id": "demo-physician"} and record["target"] == {"id": "demo-athlete"}
    assert record["purpose"] == "TREAT" and record["dataClass"] == "CLINICAL"
    assert (record["decision"], record["rule"], record["outcome"]) == ("allow", "clinical-treating", "shown")
    assert {"User.medicalRecord", "MedicalRecord.conditions", "Condition.text"} <= set(record["fields"])
    assert record["subgraph"] == "medical" and len(record["hash"]) == 64
    assert record["session"] not in (None, "session-lind")
    event = record["auditEvent"]
    assert event["resourceType"] == "AuditEvent" and event["action"] == "R" and event["outcome"] == "0"
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"


def test_a_denied_look_is_in_the_log_too(seeded: Seeded) -> None:
    record = recorded(seeded, "okafor", lambda: seeded.ask(READ, subject_of("okafor"), id="demo-athlete"))
    assert (record["decision"], record["outcome"]) == ("deny", "refused")
    assert record["fields"] == ["User.medicalRecord"]
    assert record["auditEvent"]["outcome"] == "4"


def test_one_look_at_many_rows_is_one_record_a_rule(seeded: Seeded) -> None:
    before = {each["number"] for each in my_log(seeded)}
    recorded(seeded, "lind", lambda: seeded.ask(READ, subject_of("lind"), id="demo-athlete"))
    fresh = [each for each in my_log(seeded) if each["number"] not in before]
    assert len(fresh) <= 3
    assert len({(each["rule"], tuple(each["fields"])) for each in fresh}) == len(fresh)


def test_what_is_ones_own_or_not_protected_leaves_no_record(seeded: Seeded) -> None:
    query = """{ me { id medicalRecord(purpose: PATRQT) { conditions { nodes { text } } }
      activities { totalCount } } }"""
    before = my_log(seeded)
    seeded.ask(query, subject_of("mira"))
    seeded.ask('{ user(id: "demo-athlete") { activities { nodes { name } } } }', subject_of("tomas"))
    marker = recorded(seeded, "lind", lambda: seeded.ask(READ, subject_of("lind"), id="demo-athlete"))
    fresh = [
        each for each in my_log(seeded) if each["number"] > max((e["number"] for e in before), default=0)
    ]
    assert {each["actor"]["id"] for each in fresh} == {"demo-physician"}
    assert marker in fresh


def test_a_change_is_recorded_with_the_transaction_that_made_it(seeded: Seeded) -> None:
    mutation = """
    mutation { setClearance(input: {userId: "demo-athlete", status: RESTRICTED,
      restrictions: ["no racing until the next check"]}) { clearance { status } userErrors { code } } }
    """
    record = recorded(
        seeded, "lind", lambda: seeded.ask(mutation, subject_of("lind")), fields=["Mutation.setClearance"]
    )
    assert (record["action"], record["outcome"], record["rule"]) == ("write", "changed", "clinical-treating")
    assert record["auditEvent"]["action"] == "U"
    refused = recorded(
        seeded, "okafor", lambda: seeded.ask(mutation, subject_of("okafor")), fields=["Mutation.setClearance"]
    )
    assert (refused["decision"], refused["outcome"]) == ("deny", "refused")


def test_reading_the_log_is_itself_in_the_log(seeded: Seeded) -> None:
    recorded(seeded, "lind", lambda: seeded.ask(READ, subject_of("lind"), id="demo-athlete"))
    record = recorded(
        seeded,
        "ada",
        lambda: seeded.ask(AUDIT_LOG, subject_of("ada"), filter={"targetId": "demo-athlete"}),
        dataClass="AUDIT",
    )
    assert record["rule"] == "audit-administrator" and "AuditRecord.fields" in record["fields"]

    def looked_at() -> list[Any]:
        found = seeded.ask(AUDIT_LOG, subject_of("ada"), filter={"actorId": "demo-administrator"})
        nodes = found["data"]["auditLog"]["nodes"]
        return [each for each in nodes if "Query.auditLog" in each["fields"]]

    assert until(seeded, looked_at)


def test_who_may_not_read_the_log_is_refused_and_that_is_recorded(seeded: Seeded) -> None:
    def refusals() -> dict[int, list[str]]:
        mine = {"actorId": "demo-coach", "decision": "DENY", "dataClass": "AUDIT"}
        found = seeded.ask(AUDIT_LOG, subject_of("ada"), filter=mine)["data"]["auditLog"]["nodes"]
        return {each["number"]: each["fields"] for each in found}

    # Whoever used this world before may have left refusals of the coach's in other fields of the class.
    before = refusals()
    answer = seeded.ask(AUDIT_LOG, subject_of("tomas"))
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    assert answer["data"]["auditLog"] is None
    fresh = until(seeded, lambda: [fields for number, fields in refusals().items() if number not in before])
    assert fresh == [["Query.auditLog"]]


def test_a_physician_sees_their_own_acts_alone(seeded: Seeded) -> None:
    recorded(seeded, "lind", lambda: seeded.ask(READ, subject_of("lind"), id="demo-athlete"))
    recorded(seeded, "okafor", lambda: seeded.ask(READ, subject_of("okafor"), id="demo-athlete"))
    nodes = seeded.ask(AUDIT_LOG, subject_of("lind"))["data"]["auditLog"]["nodes"]
    assert {each["actor"]["id"] for each in nodes} == {"demo-physician"}
    others = seeded.ask(AUDIT_LOG, subject_of("lind"), filter={"actorId": "demo-other-physician"})
    assert [error["extensions"]["code"] for error in others["errors"]] == ["FORBIDDEN"]


def test_the_chain_verifies_and_only_auditors_may_ask(seeded: Seeded) -> None:
    report = seeded.ask(VERIFY, subject_of("ada"))["data"]["verifyChain"]
    assert report["intact"] is True and report["damages"] == [] and report["records"] > 0
    refused = seeded.ask(VERIFY, subject_of("mira"))
    assert [error["extensions"]["code"] for error in refused["errors"]] == ["FORBIDDEN"]


def test_pages_of_a_log_do_not_overlap(seeded: Seeded) -> None:
    recorded(seeded, "lind", lambda: seeded.ask(READ, subject_of("lind"), id="demo-athlete"))
    recorded(seeded, "okafor", lambda: seeded.ask(READ, subject_of("okafor"), id="demo-athlete"))
    query = """query($after: String) { myAccessLog(first: 1, after: $after) {
      nodes { number } pageInfo { endCursor } } }"""
    first = seeded.ask(query, subject_of("mira"))["data"]["myAccessLog"]
    second = seeded.ask(query, subject_of("mira"), after=first["pageInfo"]["endCursor"])["data"][
        "myAccessLog"
    ]
    assert first["nodes"][0]["number"] > second["nodes"][0]["number"]
    stolen = seeded.ask(query, subject_of("tomas"), after=first["pageInfo"]["endCursor"])
    assert [error["extensions"]["code"] for error in stolen["errors"]] == ["BAD_CURSOR"]


EXPLAIN = """
query($target: ID!, $coordinate: String!, $viewer: ID, $purpose: PurposeOfUse) {
  explainAccess(targetId: $target, coordinate: $coordinate, viewerId: $viewer, purpose: $purpose) {
    allowed rule line obligation dataClass action parties policyVersion rules(first: 50) { totalCount nodes {
      rule line allows holds parties failingConditions
      conditions { condition holds looksAt meaning obligation } } } } }
"""


def explained(seeded: Seeded, handle: str, viewer: str | None, **given: Any) -> dict[str, Any]:
    variables = {"target": "demo-athlete", "coordinate": "User.medicalRecord", "viewer": viewer, **given}
    return seeded.ask(EXPLAIN, subject_of(handle), **variables)


def test_the_owner_learns_which_rule_decides_and_what_is_lacking(seeded: Seeded) -> None:
    treated = explained(seeded, "mira", "demo-physician", purpose="TREAT")["data"]["explainAccess"]
    assert (treated["allowed"], treated["rule"]) == (True, "clinical-treating")
    without = explained(seeded, "mira", "demo-physician")["data"]["explainAccess"]
    assert (without["allowed"], without["obligation"]) == (False, "PURPOSE")
    rule = next(each for each in without["rules"]["nodes"] if each["rule"] == "clinical-treating")
    assert rule["failingConditions"] == ["purpose_of_care"]


def test_an_explanation_is_what_then_happens(seeded: Seeded) -> None:
    people = {
        "mira": "demo-athlete",
        "tomas": "demo-coach",
        "lind": "demo-physician",
        "noor": "demo-moderator",
    }
    fields = {"User.clearance": "clearance { status }", "User.load": None}
    for (handle, viewer), (coordinate, text) in itertools.product(people.items(), fields.items()):
        told = explained(seeded, "ada", viewer, coordinate=coordinate)["data"]["explainAccess"]
        asked = text or 'load(range: {from: "2025-10-20", to: "2025-10-21"}) { day }'
        answer = seeded.ask(f'{{ user(id: "demo-athlete") {{ {asked} }} }}', subject_of(handle))
        assert (answer["errors"] == []) == told["allowed"], (handle, coordinate)


@pytest.mark.parametrize("handle", ["tomas", "lind", "noor"])
def test_nobody_else_is_told_about_the_athletes_rules(seeded: Seeded, handle: str) -> None:
    answer = explained(seeded, handle, None)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


def test_asking_about_a_stranger_does_not_tell_their_roles(seeded: Seeded) -> None:
    answers = [
        explained(seeded, "mira", viewer, coordinate="User.handle")["data"]["explainAccess"]
        for viewer in ("demo-administrator", "demo-moderator", "nobody-at-all")
    ]
    assert answers[0] == answers[1] == answers[2]
    auditors = explained(seeded, "ada", "demo-administrator", coordinate="User.profile")
    assert auditors["errors"] == []


def test_a_coordinate_that_is_none_is_bad_input(seeded: Seeded) -> None:
    answer = explained(seeded, "mira", None, coordinate="User.nothing")
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_INPUT"]
