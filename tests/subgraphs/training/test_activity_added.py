"""`activityAdded`: new activities as they come, decided anew each time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta

from authz.classes import Relation, Visibility
from subgraphs.training.edits import Draft, create_activity
from subgraphs.training.model import Sport
from tests.kit_training.world import ANNA, ANYBODY, BEN, COACH, FRIEND, NOW, Upload, World, errors_of

QUERY = "subscription ($of: ID) { activityAdded(athleteId: $of) { id sport device summary { distanceM } } }"
WAIT_S = 10.0


async def next_of(stream):
    return await asyncio.wait_for(anext(stream), WAIT_S)


def run(world: World, who, of: str | None = None):
    return aclosing(world.subgraph.subscribe(QUERY, {"of": of}, None, who))


async def soon(stream) -> asyncio.Task:
    """The next response as a task, once the stream listens."""
    task = asyncio.create_task(next_of(stream))
    for _ in range(20):
        await asyncio.sleep(0)
    return task


async def by_hand(world: World, visibility: Visibility = Visibility.PRIVATE, *, athlete: str = "anna") -> str:
    draft = Draft(
        sport=Sport.RUNNING, started_at=NOW, elapsed_s=60.0, distance_m=200.0, visibility=visibility
    )
    return (await create_activity(world.ports, athlete, draft)).id


async def test_an_upload_arrives_at_its_athlete(world):
    async with run(world, ANNA) as stream:
        waiting = await soon(stream)
        outcome = await world.bring("fit/ride-power-wahoo-elemnt-bolt-short.fit")
        response = await waiting
    assert "errors" not in response
    arrived = response["data"]["activityAdded"]
    assert arrived["id"] == outcome.activities[0].id
    assert arrived["summary"] == {"distanceM": 963.65}


async def test_activities_of_others_do_not_arrive(world):
    async with run(world, ANNA) as stream:
        waiting = await soon(stream)
        await by_hand(world, athlete="ben")
        hers = await by_hand(world)
        assert (await waiting)["data"]["activityAdded"]["id"] == hers


async def test_a_coach_receives_until_the_link_ends(world):
    world.relate(COACH, Relation.COACH, "training")
    async with run(world, COACH, "anna") as coached, run(world, ANNA) as own:
        waiting, witness = await soon(coached), await soon(own)
        first = await by_hand(world)
        assert (await waiting)["data"]["activityAdded"]["id"] == first
        await witness
        world.part(COACH, Relation.COACH)
        waiting, witness = await soon(coached), await soon(own)
        unseen = await by_hand(world)
        assert (await witness)["data"]["activityAdded"]["id"] == unseen
        for _ in range(20):  # by then the coach's stream has read the row and decided
            await world.ports.relational.read(lambda _: None)
        assert not waiting.done()
        world.relate(COACH, Relation.COACH, "training")
        last = await by_hand(world)
        assert (await waiting)["data"]["activityAdded"]["id"] == last


async def test_a_friend_receives_what_is_for_friends_and_only_its_summary(world):
    world.relate(FRIEND, Relation.FRIEND)
    async with run(world, FRIEND, "anna") as stream:
        waiting = await soon(stream)
        await by_hand(world)
        shared = await by_hand(world, Visibility.FRIENDS)
        response = await waiting
    assert response["data"]["activityAdded"]["id"] == shared
    assert response["data"]["activityAdded"]["device"] is None
    assert errors_of(response) == [("FORBIDDEN_FIELD", ("activityAdded", "device"))]


async def test_a_stranger_is_told_not_found_and_an_anonymous_caller_to_log_in(world):
    for who, code in ((BEN, "NOT_FOUND"), (ANYBODY, "UNAUTHENTICATED")):
        async with run(world, who, "anna") as stream:
            response = await next_of(stream)
        assert [each["extensions"]["code"] for each in response["errors"]] == [code]


async def test_a_stream_ends_with_the_token(world):
    from dataclasses import replace

    until = NOW + timedelta(minutes=10)
    async with run(world, replace(ANNA, expires_at_utc=until)) as stream:
        waiting = await soon(stream)
        world.clock.forward(timedelta(minutes=11))
        await by_hand(world)
        response = await waiting
    assert [each["extensions"]["code"] for each in response["errors"]] == ["SUBSCRIPTION_EXPIRED"]


async def test_an_upload_of_known_bytes_arrives_once(world):
    from tests.kit_training.files import content

    upload = "mutation ($file: Upload!) { uploadActivityFile(file: $file) { alreadyImported } }"
    data = content("fit/run-garmin-fenix5-short.fit")
    async with run(world, ANNA) as stream:
        waiting = await soon(stream)
        await world.answer(ANNA, upload, file=Upload(data))
        await world.answer(ANNA, upload, file=Upload(data))
        last = await by_hand(world)
        first = (await waiting)["data"]["activityAdded"]["id"]
        assert (await next_of(stream))["data"]["activityAdded"]["id"] == last
        assert first != last
