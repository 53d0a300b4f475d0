"""What two people of one region do with an athlete of another."""

from __future__ import annotations

from collections.abc import Mapping

from authz.classes import Role
from deploy.regions import Regions
from tests.kit_regions.people import (
    FIT,
    Door,
    Person,
    arrive,
    become,
    coach,
    leave_traces,
    somebody,
    treat,
    until,
)

FOLLOW = """query F($id: ID!) { me { athletes { nodes { athleteName message athlete {
    handle profile { displayName } activities { nodes { name } } } } } }
  user(id: $id) { handle activities { nodes { name } } } }"""
CARE = """query C($id: ID!) { me { handle }
  patientsInMyCare { handle medicalRecord(purpose: TREAT) { conditions { nodes { text } } } }
  user(id: $id) { medicalRecord(purpose: TREAT) { conditions { nodes { text resourceJson } } } } }"""


async def work_across(regions: Regions, doors: Mapping[str, Door]) -> tuple[Person, Person, Person]:
    """An athlete of `eu` is coached and treated by two people of `us`, who look at everything."""
    mira, tomas, lind = somebody("mira"), somebody("tomas"), somebody("lind")
    for region, person in (("eu", mira), ("us", tomas), ("us", lind)):
        await arrive(regions, doors[region], person)
    await leave_traces(doors["eu"], mira)
    uploaded = await doors["eu"].upload(mira, FIT)
    assert len(uploaded["data"]["uploadActivityFile"]["activities"]) == 1
    us = regions.platforms["us"]
    await become(us, doors["us"], tomas, Role.TRAINER)
    await become(us, doors["us"], lind, Role.MEDICAL_SPECIALIST)
    await coach(doors["us"], mira, tomas, ["TRAINING", "SOCIAL"])
    await treat(doors["eu"], mira, lind)

    async def followed() -> bool:
        user = (await doors["us"].ask(FOLLOW, tomas, id=mira.id))["data"]["user"]
        return mira.ride in str(user["activities"])

    async def treated() -> bool:
        answer = (await doors["us"].ask(CARE, lind, id=mira.id))["data"]
        return str(answer).count(mira.condition) == 3  # twice in the record itself

    await until(followed)
    await until(treated)
    return mira, tomas, lind
