"""A trainer and a physician of one region, an athlete and patient of the other."""

from __future__ import annotations

import pytest

from authz.classes import Role
from deploy.regions import Regions
from subgraphs.audit import store as audit
from subgraphs.audit.events import SUBJECT
from subgraphs.audit.model import Pseudonyms
from subgraphs.audit.store import RecordFilter
from tests.kit_regions.people import (
    Door,
    arrive,
    become,
    coach,
    leave_traces,
    ride,
    somebody,
    treat,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROSTER = """query R($first: Int, $after: String) {
  me { athletes(state: ACTIVE, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor }
    edges { cursor node { athleteName athlete { handle activities { nodes { name } } } } } } } }"""


async def test_a_trainer_follows_athletes_at_home_in_both_regions(
    embedded: Regions, doors: dict[str, Door]
) -> None:
    mira, nils, tomas = somebody("mira"), somebody("nils"), somebody("tomas")
    for region, person in (("eu", mira), ("us", nils), ("us", tomas)):
        await arrive(embedded, doors[region], person)
    for region, person in (("eu", mira), ("us", nils)):
        await leave_traces(doors[region], person)
    await become(embedded.platforms["us"], doors["us"], tomas, Role.TRAINER)
    for athlete in (mira, nils):
        await coach(doors["us"], athlete, tomas, ["TRAINING"])

    async def both() -> bool:
        answer = await doors["us"].ask(ROSTER, tomas)
        nodes = [edge["node"] for edge in answer["data"]["me"]["athletes"]["edges"]]
        return all(each["athlete"]["activities"] for each in nodes)

    await until(both)
    for door in doors.values():
        roster = (await door.data(ROSTER, tomas))["me"]["athletes"]
        assert roster["totalCount"] == 2
        assert roster["pageInfo"]["hasNextPage"] is False
        assert [edge["node"]["athlete"] for edge in roster["edges"]] == [
            {"handle": each.handle, "activities": {"nodes": [{"name": each.ride}]}} for each in (nils, mira)
        ]
        assert [edge["node"]["athleteName"] for edge in roster["edges"]] == [nils.name, mira.name]

    # page by page, from one region into the other
    first = (await doors["eu"].data(ROSTER, tomas, first=1))["me"]["athletes"]
    assert [edge["node"]["athleteName"] for edge in first["edges"]] == [nils.name]
    assert first["pageInfo"]["hasNextPage"] is True
    after = first["pageInfo"]["endCursor"]
    assert after == first["edges"][0]["cursor"]
    second = (await doors["us"].data(ROSTER, tomas, first=1, after=after))["me"]["athletes"]
    assert [edge["node"]["athleteName"] for edge in second["edges"]] == [mira.name]
    assert (second["pageInfo"]["hasNextPage"], second["totalCount"]) == (False, 2)
    last = second["pageInfo"]["endCursor"]
    third = (await doors["us"].data(ROSTER, tomas, first=1, after=last))["me"]["athletes"]
    assert (third["edges"], third["totalCount"]) == ([], 2)


async def test_an_object_is_found_wherever_it_is_by_its_id_alone(
    embedded: Regions, doors: dict[str, Door]
) -> None:
    mira, tomas = somebody("mira"), somebody("tomas")
    await arrive(embedded, doors["eu"], mira)
    await arrive(embedded, doors["us"], tomas)
    await become(embedded.platforms["us"], doors["us"], tomas, Role.TRAINER)
    await coach(doors["us"], mira, tomas, ["TRAINING"])
    ride_id = await ride(doors["us"], mira, "to be found")
    query = "query A($id: ID!) { activity(id: $id) { name athlete { handle } } }"

    async def found() -> bool:
        return bool((await doors["us"].ask(query, tomas, id=ride_id))["data"]["activity"])

    await until(found)
    for door in doors.values():
        activity = (await door.data(query, tomas, id=ride_id))["activity"]
        assert activity == {"name": "to be found", "athlete": {"handle": mira.handle}}
    missing = await doors["us"].ask(query, tomas, id="01900000-0000-7000-8000-000000000000")
    assert [(e["path"], e["extensions"]["code"]) for e in missing["errors"]] == [(["activity"], "NOT_FOUND")]


async def test_a_physician_treats_a_patient_at_home_elsewhere_and_is_recorded_there(
    embedded: Regions, doors: dict[str, Door]
) -> None:
    mira, lind = somebody("mira"), somebody("lind")
    await arrive(embedded, doors["eu"], mira)
    await arrive(embedded, doors["us"], lind)
    await leave_traces(doors["eu"], mira)
    await become(embedded.platforms["us"], doors["us"], lind, Role.MEDICAL_SPECIALIST)
    record = """query Q($id: ID!) { user(id: $id) { handle
      medicalRecord(purpose: TREAT) { conditions { nodes { text } } } } }"""
    stranger = await doors["us"].ask(record, lind, id=mira.id)
    assert stranger["data"]["user"] == {"handle": mira.handle, "medicalRecord": None}
    assert [e["extensions"]["code"] for e in stranger["errors"]] == ["FORBIDDEN_FIELD"]

    await treat(doors["eu"], mira, lind)
    cared = "{ patientsInMyCare { handle medicalRecord(purpose: TREAT) { conditions { nodes { text } } } } }"
    shown = {"handle": mira.handle, "medicalRecord": {"conditions": {"nodes": [{"text": mira.condition}]}}}

    async def opened() -> bool:
        return bool((await doors["us"].ask(record, lind, id=mira.id))["data"]["user"] == shown)

    await until(opened)
    assert (await doors["us"].data(cared, lind))["patientsInMyCare"] == [shown]
    cleared = await doors["us"].data(
        """mutation S($input: SetClearanceInput!) {
          setClearance(input: $input) { clearance { status } userErrors { code } } }""",
        lind,
        input={"userId": mira.id, "status": "CLEARED"},
    )
    assert cleared["setClearance"] == {"clearance": {"status": "CLEARED"}, "userErrors": []}

    # The record of it is at the patient's home, and only there.
    log = """{ myAccessLog { nodes { actor { handle } subgraph action outcome } } }"""

    async def recorded() -> bool:
        nodes = (await doors["eu"].ask(log, mira))["data"]["myAccessLog"]["nodes"]
        return {"write", "read"} <= {n["action"] for n in nodes if n["outcome"] != "refused"}

    await until(recorded)
    nodes = (await doors["us"].data(log, mira))["myAccessLog"]["nodes"]
    assert {n["actor"]["handle"] for n in nodes} == {lind.handle, mira.handle}
    whole = "query L($id: ID!) { auditLog(filter: {targetId: $id}) { nodes { subgraph outcome } } }"
    own = (await doors["us"].data(whole, lind, id=mira.id))["auditLog"]["nodes"]
    assert {"shown", "refused", "changed"} <= {n["outcome"] for n in own}
    us = embedded.platforms["us"]
    target = Pseudonyms(us.secrets("audit-pseudonyms")).of(SUBJECT, mira.id)
    about_her = RecordFilter(target=target)
    kept = await us.stores.relational["audit"].read(
        lambda c: audit.list_records(c, about_her, limit=1000, before_number=None)
    )
    assert kept == []
