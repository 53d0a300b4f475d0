"""What regions tell each other: facts between two people, who is gone, and a stream from elsewhere."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from authz.classes import Relation, Role
from authz.facts.model import RELATIONSHIP_TOPIC, RelationshipFact
from datastores.events.outbox import new_event
from deploy.regions import Regions, transport_of
from router.execution.transport import SubgraphRequest
from router.operation.model import OperationKind
from tests.kit_regions.people import Door, Person, arrive, become, coach, ride, somebody, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADDED = "subscription S($id: ID!) { activityAdded(athleteId: $id) { id name } }"


async def two(regions: Regions, doors: dict[str, Door]) -> tuple[Person, Person]:
    """An athlete of `eu`, and her coach of `us`."""
    mira, tomas = somebody("mira"), somebody("tomas")
    await arrive(regions, doors["eu"], mira)
    await arrive(regions, doors["us"], tomas)
    await become(regions.platforms["us"], doors["us"], tomas, Role.TRAINER)
    await coach(doors["us"], mira, tomas, ["TRAINING"])

    async def known() -> bool:
        return bool(await relations(regions, "eu", tomas, mira))

    await until(known)
    return mira, tomas


async def relations(regions: Regions, region: str, subject: Person, owner: Person) -> set[str]:
    facts = regions.platforms[region].stores.facts
    found = await facts.relations(subject.id, [owner.id])
    return {fact.relation.value for fact in found.get(owner.id, ())}


async def test_a_coach_hears_of_new_activities_from_the_athletes_region(
    embedded: Regions, doors: dict[str, Door]
) -> None:
    mira, tomas = await two(embedded, doors)
    subject = embedded.platforms["us"].verifier.verify(tomas.token)
    request = SubgraphRequest(
        service="training", kind=OperationKind.SUBSCRIPTION, query=ADDED,
        variables={"id": mira.id}, subject=subject,
    )  # fmt: skip
    stream = transport_of(embedded).subscribe(request)
    waiting = asyncio.ensure_future(anext(stream))
    ridden: list[str] = []

    async def heard() -> bool:  # events count from the moment at which the stream has begun
        ridden.append(await ride(doors["eu"], mira, "heard far away"))
        await asyncio.wait([waiting], timeout=0.2)
        return waiting.done()

    await until(heard)
    event = await waiting
    assert event.data is not None
    assert event.data["activityAdded"]["name"] == "heard far away"
    assert event.data["activityAdded"]["id"] in ridden
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_fact_is_known_at_the_home_of_whose_rows_it_decides(
    embedded: Regions, doors: dict[str, Door]
) -> None:
    mira, tomas = await two(embedded, doors)
    assert await relations(embedded, "eu", tomas, mira) == {"coach"}
    assert await relations(embedded, "us", tomas, mira) == set()  # nothing that is not needed there
    now = datetime.now(UTC)

    async def publish(region: str, subject: Person, relation: Relation, owner: Person) -> None:
        stores = embedded.platforms[region].stores
        fact = RelationshipFact(subject.id, relation, owner.id, frozenset(), now, None, 1)
        event = new_event(RELATIONSHIP_TOPIC, key=owner.id, payload=fact.as_payload(), at_utc=now)
        await stores.relational["profiles"].write(lambda c: stores.events.outbox.append(c, [event]))

    await publish("us", tomas, Relation.FRIEND, mira)
    await publish("us", tomas, Relation.BLOCKED, mira)

    async def told(region: str, wanted: set[str]) -> bool:
        return await relations(embedded, region, tomas, mira) == wanted

    await until(lambda: told("eu", {"coach", "friend", "blocked"}))
    await until(lambda: told("us", {"friend", "blocked"}))
    # A block shuts both ways, also where it was not published.
    assert await relations(embedded, "eu", mira, tomas) == {"blocked"}


async def test_who_can_see_names_a_coach_of_another_region_with_the_role_held_there(
    embedded: Regions, doors: dict[str, Door]
) -> None:
    mira, tomas = await two(embedded, doors)
    query = '{ whoCanSee(coordinate: "Activity.name") { nodes { user { handle } rules } } }'
    nodes = (await doors["eu"].data(query, mira))["whoCanSee"]["nodes"]
    found = {each["user"]["handle"]: each["rules"] for each in nodes if each["user"]}
    assert found == {mira.handle: ["training-self"], tomas.handle: ["training-coach"]}


async def test_who_is_erased_at_home_is_gone_everywhere(embedded: Regions, doors: dict[str, Door]) -> None:
    mira, tomas = await two(embedded, doors)
    erase = """mutation E($input: EraseAccountInput!) {
      eraseAccount(input: $input) { erased userErrors { code } } }"""
    erased = await doors["us"].data(erase, tomas, input={"password": tomas.password})
    assert erased["eraseAccount"] == {"erased": True, "userErrors": []}
    coaches = "{ me { coaches { id } } }"

    async def gone() -> bool:
        links = (await doors["eu"].data(coaches, mira))["me"]["coaches"]
        return not links and not await relations(embedded, "eu", tomas, mira)

    await until(gone)
    assert (await doors["eu"].data("{ me { handle } }", mira))["me"] == {"handle": mira.handle}

    # The handle is free, also in another region: that is how somebody changes where they are at home.
    again = somebody("tomas")
    again.handle, again.email, again.password = tomas.handle, tomas.email, tomas.password
    await arrive(embedded, doors["eu"], again)
    assert (await doors["us"].data("{ me { id handle } }", again))["me"] == {
        "id": again.id,
        "handle": tomas.handle,
    }
