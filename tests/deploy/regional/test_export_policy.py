"""One line of policy keeps records in their region: nobody at home elsewhere reads them."""

from __future__ import annotations

import pytest

from authz.classes import Role
from authz.policies.rules import read_policy, stadion_policy
from deploy.regions import Regions
from tests.kit_regions.people import Door, arrive, become, leave_traces, somebody, treat, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
RECORD = """query Q($id: ID!) { user(id: $id) { handle
  medicalRecord(purpose: TREAT) { conditions { nodes { text } } } } }"""
STAYS = "p, records-stay, anyone, CLINICAL|CLINICAL_RESTRICTED, *, abroad, *, deny"


async def test_a_region_may_keep_its_records_at_home(embedded: Regions, doors: dict[str, Door]) -> None:
    mira, near, far = somebody("mira"), somebody("near"), somebody("far")
    for region, person in (("eu", mira), ("eu", near), ("us", far)):
        await arrive(embedded, doors[region], person)
    await leave_traces(doors["eu"], mira)
    for region, physician in (("eu", near), ("us", far)):
        await become(embedded.platforms[region], doors[region], physician, Role.MEDICAL_SPECIALIST)
        await treat(doors["eu"], mira, physician)

        async def opened(door: Door = doors[region], who: object = physician) -> bool:
            return mira.condition in str(await door.ask(RECORD, who, id=mira.id))  # type: ignore[arg-type]

        await until(opened)

    embedded.platforms["eu"].authorizer.replace_policy(read_policy(f"{stadion_policy().text}\n{STAYS}\n"))
    assert mira.condition in str(await doors["us"].data(RECORD, near, id=mira.id))  # at any door: it is whose
    shut = await doors["us"].ask(RECORD, far, id=mira.id)
    assert shut["data"]["user"] == {"handle": mira.handle, "medicalRecord": None}
    assert [(e["path"], e["extensions"]["code"], e["extensions"]["obligation"]) for e in shut["errors"]] == [
        (["user", "medicalRecord"], "FORBIDDEN_FIELD", "REGION")
    ]
