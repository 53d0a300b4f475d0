"""Whose eyes a field is open to: told to its owner and to auditors, person by person and role by role."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from authz.classes import DataClass, Purpose, Relation
from authz.identity.subject import ANONYMOUS, Subject
from tests.kit_authz.people import a_consent, a_fact
from tests.kit_subgraphs.audit import ADA, LIND, MIRA, NOON, TOMAS, Office, event_of, touched

WHO = """query($of: ID, $field: String!, $purpose: PurposeOfUse, $first: Int, $after: String) {
  whoCanSee(targetId: $of, coordinate: $field, purpose: $purpose, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes { user { id } role view anyPurpose purposes rules } } }"""
LOG = "query($f: AuditLogFilter) { myAccessLog(filter: $f) { totalCount nodes { rule } } }"


async def who(
    office: Office, field: str, by: Subject = MIRA, **given: Any
) -> list[tuple[str, str, bool, list[str]]]:
    answer = await office.ask(WHO, by, field=field, **given)
    assert "errors" not in answer, answer
    return [
        (
            (node["user"] or {}).get("id") or node["role"],
            node["rules"][0],
            node["anyPurpose"],
            node["purposes"],
        )
        for node in answer["data"]["whoCanSee"]["nodes"]
    ]


def relate(office: Office) -> None:
    since = NOON.replace(year=2025)
    office.facts.put(
        a_fact("lind", Relation.TREATING, "mira", since=since),
        a_fact("tomas", Relation.COACH, "mira", "training", "clearance", since=since),
    )


async def test_a_record_is_seen_by_its_owner_and_by_who_treats_for_care(office: Office) -> None:
    relate(office)
    every = [each.value for each in Purpose]
    seen = await who(office, "MedicalRecord.conditions")
    assert [(each[0], each[1], each[2]) for each in seen] == [
        ("mira", "clinical-self", True),
        ("lind", "clinical-treating", False),
    ]
    assert sorted(seen[1][3]) == ["ETREAT", "TREAT"] and len(seen[0][3]) == len(every)
    assert [each[0] for each in await who(office, "User.clearance")] == ["mira", "lind", "tomas"]
    assert [each[0] for each in await who(office, "MedicalRecord.conditions", purpose="HRESCH")] == ["mira"]


async def test_a_consent_denied_takes_its_viewers_out(office: Office) -> None:
    relate(office)
    office.facts.put(
        a_consent(
            "mira", "deny", actor_id="lind", data_class=DataClass.CLINICAL, since=NOON.replace(year=2025)
        )
    )
    assert [each[0] for each in await who(office, "MedicalRecord.conditions")] == ["mira"]


async def test_a_role_that_sees_without_any_relation_is_named_as_one(office: Office) -> None:
    seen = await who(office, "AuditRecord.rule")
    assert ("ADMINISTRATOR", "audit-administrator") in [each[:2] for each in seen]


async def test_auditors_see_the_same_and_others_nothing(office: Office) -> None:
    relate(office)
    assert await who(office, "User.clearance", ADA, of="mira") == await who(office, "User.clearance")
    for other, code in ((LIND, "FORBIDDEN"), (TOMAS, "FORBIDDEN"), (ANONYMOUS, "UNAUTHENTICATED")):
        for target in ("mira", "nobody-at-all"):
            answer = await office.ask(WHO, other, of=target, field="User.clearance")
            assert [error["extensions"]["code"] for error in answer["errors"]] == [code]
    answer = await office.ask(WHO, MIRA, field="User.nothing")
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_INPUT"]


async def test_viewers_come_in_pages(office: Office) -> None:
    relate(office)
    found, cursor = [], None
    for _ in range(3):
        answer = await office.ask(WHO, MIRA, field="User.clearance", first=1, after=cursor)
        page = answer["data"]["whoCanSee"]
        found += [node["user"]["id"] for node in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
        assert page["totalCount"] == 3
    assert found == ["mira", "lind", "tomas"] and page["pageInfo"]["hasNextPage"] is False


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        ({}, ["default-deny", "clinical-treating"]),
        ({"decision": "DENY"}, ["default-deny"]),
        ({"purpose": "TREAT", "rule": "clinical-treating"}, ["clinical-treating"]),
        ({"outcome": "shown"}, ["clinical-treating"]),
        ({"action": "write"}, []),
        ({"subgraph": "medical", "actorId": "lind"}, ["default-deny", "clinical-treating"]),
        ({"actorId": "tomas"}, []),
        ({"targetId": "lind"}, ["default-deny", "clinical-treating"]),
    ],
)
async def test_ones_own_log_is_narrowed_and_never_widened(
    office: Office, given: dict[str, str], rules: list[str]
) -> None:
    await office.take(event_of(touched("mira")), event_of(touched("mira", allowed=False)))
    await office.take(event_of(touched("lind")))
    log = (await office.ask(LOG, MIRA, f=given))["data"]["myAccessLog"]
    assert [node["rule"] for node in log["nodes"]] == rules and log["totalCount"] == len(rules)


AHEAD = """query($at: DateTime) { whoCanSee(coordinate: "MedicalRecord.conditions", at: $at) {
  nodes { user { id } role } } }"""


async def test_at_a_moment_to_come_what_ends_until_then_has_ended(office: Office) -> None:
    soon, later = NOON + timedelta(days=2), NOON + timedelta(days=9)
    office.facts.put(
        a_fact(
            "lind", Relation.TREATING, "mira", since=NOON - timedelta(days=1), until=NOON + timedelta(days=7)
        ),
        a_consent("mira", "deny", actor_id="lind", since=soon, until=soon + timedelta(days=1)),
    )

    async def seen(at: Any) -> list[str]:
        answer = await office.ask(AHEAD, MIRA, at=None if at is None else at.isoformat())
        assert "errors" not in answer, answer
        return [node["user"]["id"] for node in answer["data"]["whoCanSee"]["nodes"]]

    assert await seen(None) == ["mira", "lind"]
    assert await seen(soon) == ["mira"]
    assert await seen(soon + timedelta(days=2)) == ["mira", "lind"]
    assert await seen(later) == ["mira"]
    assert await seen(None) == ["mira", "lind"], "what is asked of later changes nothing now"


async def test_a_moment_that_has_been_is_not_answered_by_what_is_known_now(office: Office) -> None:
    for at in (NOON - timedelta(seconds=1), NOON + timedelta(days=5_000)):
        answer = await office.ask(AHEAD, MIRA, at=at.isoformat())
        assert answer["errors"][0]["extensions"]["code"] == "BAD_INPUT"
