"""A protected field that is cut before any subgraph is asked leaves the record that a subgraph would."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from authz.identity.subject import ANONYMOUS, Subject
from tests.platform.conftest import Seeded, subject_of

RECORD = "medicalRecord(purpose: TREAT) { conditions { totalCount } }"
LOG = """query($target: ID) { auditLog(first: 50, filter: {targetId: $target, decision: DENY}) { nodes {
  number actor { id } target { id } subgraph dataClass action fields decision rule outcome traceId } } }"""
MINE = "{ myAccessLog(first: 20) { nodes { number actor { id } fields outcome } } }"


def refusals(platform: Seeded, target: str | None = "demo-athlete") -> list[dict[str, Any]]:
    nodes = platform.ask(LOG, subject_of("ada"), target=target)["data"]["auditLog"]["nodes"]
    return [node for node in nodes if node["subgraph"] == "router"]


async def until(platform: Seeded, count: int, target: str | None = "demo-athlete") -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        while True:
            found = await asyncio.to_thread(refusals, platform, target)
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (f'{{ user(id: "demo-athlete") {{ id {RECORD} }} }}', {}),
        (f"query($id: ID!) {{ x: user(id: $id) {{ y: {RECORD} }} }}", {"id": "demo-athlete"}),
    ],
    ids=["literal", "variable and aliases"],
)
def test_a_cut_field_is_recorded_with_who_asked_and_about_whom(
    changing: Seeded, query: str, variables: dict[str, str]
) -> None:
    before = len(refusals(changing))
    answer = changing.ask(query, subject_of("noor"), **variables)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN_FIELD"]
    assert all(call.service != "medical" for call in changing.transports["in-process"].calls)
    [newest, *rest] = asyncio.run(until(changing, before + 1))
    assert len(rest) == before
    assert newest["actor"] == {"id": "demo-moderator"} and newest["target"] == {"id": "demo-athlete"}
    assert newest["fields"] == ["User.medicalRecord"] and newest["dataClass"] == "CLINICAL"
    told = (newest["decision"], newest["rule"], newest["outcome"])
    assert told == ("deny", "default-deny", "refused")
    mine = changing.ask(MINE, subject_of("mira"))["data"]["myAccessLog"]["nodes"]
    assert newest["number"] in [node["number"] for node in mine]


def test_fields_of_one_class_are_one_record(changing: Seeded) -> None:
    before = len(refusals(changing))
    asked = f"a: {RECORD} b: {RECORD} careTeam {{ id }} clearance {{ status }}"
    query = f'{{ user(id: "demo-athlete") {{ {asked} }} }}'
    changing.ask(query, subject_of("noor"))
    found = asyncio.run(until(changing, before + 2))[: len(refusals(changing)) - before]
    assert {(node["action"], *node["fields"]) for node in found} == {
        ("read", "User.careTeam", "User.medicalRecord"),
        ("clearance", "User.clearance"),
    }


def test_what_is_refused_of_ones_own_is_not_recorded(changing: Seeded) -> None:
    before = len(refusals(changing, "demo-moderator"))
    answer = changing.ask(f"{{ me {{ {RECORD} }} }}", subject_of("noor"))
    assert answer["errors"] != []
    other = f'{{ user(id: "demo-athlete") {{ {RECORD} }} }}'
    known = len(refusals(changing))
    changing.ask(other, subject_of("noor"))
    asyncio.run(until(changing, known + 1))
    assert len(refusals(changing, "demo-moderator")) == before


def test_an_answer_whose_record_cannot_be_kept_is_not_given(
    changing: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: Any, work: Any) -> None:
        raise ConnectionError("away")

    store = changing.platform.stores.facts_rows
    monkeypatch.setattr(type(store), "write", refuse)
    query = f'{{ user(id: "demo-athlete") {{ id {RECORD} }} }}'
    with pytest.raises(ConnectionError):
        changing.ask(query, subject_of("noor"))
    assert changing.ask('{ user(id: "demo-athlete") { id } }', subject_of("noor"))["errors"] == []


@pytest.mark.parametrize("subject", [ANONYMOUS, subject_of("mira")], ids=["nobody", "owner"])
def test_nothing_is_written_where_nothing_protected_is_refused(changing: Seeded, subject: Subject) -> None:
    before = len(refusals(changing, None))
    changing.ask('{ user(id: "demo-athlete") { id handle } me { id } }', subject)
    changing.ask("{ __typename }", subject)
    known = len(refusals(changing))
    changing.ask(f'{{ user(id: "demo-athlete") {{ {RECORD} }} }}', subject_of("noor"))
    asyncio.run(until(changing, known + 1))
    assert len(refusals(changing, None)) == before + 1
