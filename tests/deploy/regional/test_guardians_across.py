"""A guardian of one region and a minor of the other: the guardianship is the minor's."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from authz.classes import Role
from deploy.regions import Regions, transport_of
from router.execution.transport import SubgraphRequest
from router.operation.model import OperationKind
from tests.kit_regions.people import UPDATE, Door, Person, arrive, become, somebody, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROOF = "Birth certificate 1234 of Bergen, shown at the club's office."
REQUEST = """mutation R($input: RequestGuardianshipInput!) { requestGuardianship(input: $input) {
  guardianship { id state guardian { handle } minor { id } } userErrors { code } } }"""
CONFIRM = """mutation C($input: ConfirmGuardianshipInput!) {
  confirmGuardianship(input: $input) { guardianship { state } userErrors { code } } }"""
END = "mutation E($id: ID!) { endGuardianship(id: $id) { guardianship { state } userErrors { code } } }"
WARDS = "{ me { handle wards { id state minor { handle } } } }"
GUARDIANS = "{ me { guardians { id state evidence guardian { handle } } } }"
WARD = "query W($id: ID!) { user(id: $id) { profile { birthDate } } }"
CHANGED = "subscription { guardianshipChanged { id state } }"


async def born(door: Door, who: Person, years_ago: int) -> str:
    day = str((datetime.now(UTC) - timedelta(days=years_ago * 366)).date())
    changed = (await door.data(UPDATE, who, input={"birthDate": day, "displayName": who.name}))[
        "updateProfile"
    ]
    assert changed["userErrors"] == []
    return day


async def request(door: Door, guardian: Person, minor: Person) -> Any:
    given = {"minorId": minor.id, "kind": "PARENT", "evidence": PROOF}
    return (await door.data(REQUEST, guardian, input=given))["requestGuardianship"]


async def test_a_guardian_of_another_region_asks_is_confirmed_sees_and_ends(
    embedded: Regions, doors: dict[str, Door]
) -> None:
    kim, eva, noor = somebody("kim"), somebody("eva"), somebody("noor")
    for region, person in (("eu", kim), ("us", eva), ("eu", noor)):
        await arrive(embedded, doors[region], person)
    await become(embedded.platforms["eu"], doors["eu"], noor, Role.MODERATOR)
    birthday = await born(doors["eu"], kim, 14)

    assert (await request(doors["us"], eva, kim))["userErrors"] == [{"code": "BIRTH_DATE_NEEDED"}]
    await born(doors["us"], eva, 16)
    assert (await request(doors["us"], eva, kim))["userErrors"] == [{"code": "NOT_OF_AGE"}]
    await born(doors["us"], eva, 40)

    stream = transport_of(embedded).subscribe(
        SubgraphRequest(
            service="profiles",
            kind=OperationKind.SUBSCRIPTION,
            query=CHANGED,
            variables={},
            subject=embedded.platforms["us"].verifier.verify(eva.token),
        )
    )
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    asked = await request(doors["us"], eva, kim)
    assert asked["userErrors"] == []
    found = asked["guardianship"]
    assert (found["state"], found["guardian"], found["minor"]) == (
        "REQUESTED", {"handle": eva.handle}, {"id": kim.id},
    )  # fmt: skip
    assert (await doors["us"].ask(WARD, eva, id=kim.id))["data"]["user"] in (
        None,
        {"profile": None},
        {"profile": {"birthDate": None}},
    )
    [seen] = (await doors["eu"].data(GUARDIANS, kim))["me"]["guardians"]
    assert (seen["id"], seen["guardian"]) == (found["id"], {"handle": eva.handle})
    confirmed = (await doors["eu"].data(CONFIRM, noor, input={"id": found["id"]}))["confirmGuardianship"]
    assert confirmed == {"guardianship": {"state": "ACTIVE"}, "userErrors": []}
    event = await asyncio.wait_for(first, 30)
    assert event.data is not None
    assert event.data["guardianshipChanged"]["id"] == found["id"]
    await stream.aclose()  # type: ignore[attr-defined]

    async def opened() -> bool:
        user = (await doors["us"].ask(WARD, eva, id=kim.id))["data"]["user"]
        return bool(user and user["profile"] and user["profile"]["birthDate"] == birthday)

    await until(opened)
    for door in doors.values():
        me = (await door.data(WARDS, eva))["me"]
        assert me == {
            "handle": eva.handle,
            "wards": [{"id": found["id"], "state": "ACTIVE", "minor": {"handle": kim.handle}}],
        }
    ended = (await doors["us"].data(END, eva, id=found["id"]))["endGuardianship"]
    assert ended == {"guardianship": {"state": "ENDED"}, "userErrors": []}

    async def closed() -> bool:
        return not await opened()

    await until(closed)
    rows = embedded.platforms["us"].stores.relational["profiles"]
    kept = await rows.read(
        lambda c: c.exec_driver_sql("SELECT count(*) FROM profiles_guardianships").scalar()
    )
    assert kept == 0  # all of it lies with the minor


async def test_a_stranger_is_as_unknown_as_before(embedded: Regions, doors: dict[str, Door]) -> None:
    eva, nobody = somebody("eva"), somebody("nobody")
    await arrive(embedded, doors["us"], eva)
    await born(doors["us"], eva, 40)
    nobody.id = "00000000-0000-7000-8000-000000000000"
    assert (await request(doors["us"], eva, nobody))["userErrors"] == [{"code": "NOT_FOUND"}]
