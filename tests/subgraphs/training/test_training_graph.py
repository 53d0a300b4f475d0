"""The subgraph as its callers ask it: uploads, edits, lists, entities; and who gets which field."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from authz.classes import Relation, Visibility
from subgraphs.training.edits import Change, Draft, change_activity, create_activity, put_threshold
from subgraphs.training.model import Sport, ThresholdKind
from tests.kit_training.files import content
from tests.kit_training.world import (
    ADMINISTRATOR,
    ANNA,
    ANYBODY,
    BEN,
    COACH,
    FRIEND,
    MODERATOR,
    NOW,
    PHYSICIAN,
    STRANGER_PHYSICIAN,
    Upload,
    World,
    errors_of,
)

RIDE = "fit/ride-power-garmin-edge810-vector.fit"
ENTITIES = (
    "query ($r: [_Any!]!) { _entities(representations: $r) { ...on User { %s } ...on Activity { %s } } }"
)
UPLOAD = """mutation ($file: Upload!) { uploadActivityFile(file: $file) {
  activities { id sport name startedAt summary { distanceM movingS elapsedS } laps { index } }
  alreadyImported warnings { code at } userErrors { code field message } } }"""


def user(selection: str) -> str:
    return ENTITIES % (selection, "id")


def activity(selection: str) -> str:
    return ENTITIES % ("id", selection)


def anna() -> list[dict[str, str]]:
    return [{"__typename": "User", "id": "anna"}]


async def ride_of(world: World, visibility: Visibility = Visibility.PRIVATE) -> str:
    [ride] = (await world.bring(RIDE)).activities
    if visibility is not Visibility.PRIVATE:
        await change_activity(world.ports, ride.id, Change(visibility=visibility))
    return ride.id


async def test_an_uploaded_file_is_answered_with_its_activities(world):
    data = await world.answer(ANNA, UPLOAD, file=Upload(content(RIDE)))
    payload = data["uploadActivityFile"]
    [ride] = payload["activities"]
    assert ride["sport"] == "CYCLING"
    assert ride["startedAt"] == "2013-08-16T18:05:10Z"
    assert ride["summary"]["distanceM"] == pytest.approx(41339.38)
    assert len(ride["laps"]) == 8
    assert (payload["alreadyImported"], payload["warnings"], payload["userErrors"]) == (False, [], [])
    again = (await world.answer(ANNA, UPLOAD, file=Upload(content(RIDE))))["uploadActivityFile"]
    assert again["alreadyImported"]
    assert again["activities"][0]["id"] == ride["id"]


async def test_a_damaged_file_is_imported_with_warnings_and_a_wrong_one_refused_with_a_reason(world):
    damaged = await world.answer(ANNA, UPLOAD, file=Upload(content("fit/odd-unexpected-eof.fit")))
    assert damaged["uploadActivityFile"]["warnings"] == [{"code": "TRUNCATED", "at": "byte 768"}]
    assert len(damaged["uploadActivityFile"]["activities"]) == 1
    wrong = await world.answer(ANNA, UPLOAD, file=Upload(content("fit/settings-garmin-edge510.fit")))
    assert wrong["uploadActivityFile"]["activities"] == []
    assert wrong["uploadActivityFile"]["userErrors"] == [
        {
            "code": "FILE_NOT_AN_ACTIVITY",
            "field": "file",
            "message": "this FIT file holds device settings, not an activity",
        }
    ]


async def test_an_upload_larger_than_the_limit_is_refused_while_it_arrives(world):
    limits = world.ports.limits
    data = Upload(b"x" * 10)
    data.read = _endless  # type: ignore[method-assign]
    response = await world.ask(ANNA, UPLOAD, file=data)
    assert errors_of(response) == [("FILE_TOO_LARGE", ("uploadActivityFile",))]
    assert str(limits.file_bytes_max) in response["errors"][0]["message"]


async def _endless(size: int = -1) -> bytes:
    return b"x" * max(size, 1)


@pytest.mark.parametrize("who", [COACH, PHYSICIAN, MODERATOR, ADMINISTRATOR])
async def test_only_an_athlete_brings_files(world, who):
    response = await world.ask(who, UPLOAD, file=Upload(content(RIDE)))
    assert errors_of(response) == [("FORBIDDEN", ("uploadActivityFile",))]


async def test_anonymous_callers_are_asked_to_log_in(world):
    ride = await ride_of(world)
    for query in (
        f'{{ activity(id: "{ride}") {{ id }} }}',
        'mutation { deleteActivity(id: "x") { deletedId } }',
    ):
        response = await world.ask(ANYBODY, query)
        assert [code for code, _ in errors_of(response)] == ["UNAUTHENTICATED"]


async def test_hidden_missing_and_malformed_ids_have_one_answer(world):
    ride = await ride_of(world)
    answers = []
    for who, wanted in ((BEN, ride), (ANNA, "00000000-0000-7000-8000-000000000000"), (ANNA, "'; drop")):
        answers.append(await world.ask(who, "query ($id: ID!) { activity(id: $id) { name } }", id=wanted))
    assert answers[0] == answers[1] == answers[2]
    assert errors_of(answers[0]) == [("NOT_FOUND", ("activity",))]


EVERYTHING = """sport name startedAt summary { distanceM load } device rpe visibility
  laps { index powerAverageW heartRateAverageBpm } intervals { kind }
  streams(types: [POWER, TIME], resolution: 10) { type unit values }
  track(simplifyM: 20) { polyline latitudes bounds { south } }
  heartRate(resolution: 10) { averageBpm maxBpm values }
  metrics { name value unit reason inputs algorithm { id version source } }
  bestEfforts { kind size value } athlete { id }"""


async def read_as(world: World, who, ride: str):
    return await world.ask(who, activity(EVERYTHING), r=[{"__typename": "Activity", "id": ride}])


async def test_the_athlete_sees_everything_of_her_activity(world):
    ride = await ride_of(world)
    response = await read_as(world, ANNA, ride)
    assert "errors" not in response
    [seen] = response["data"]["_entities"]
    assert [len(each["values"]) for each in seen["streams"]] == [10, 10]
    assert [each["unit"] for each in seen["streams"]] == ["W", "s"]
    assert seen["heartRate"]["averageBpm"] == pytest.approx(153.861, abs=0.001)
    names = {each["name"] for each in seen["metrics"]}
    assert {"normalisedPower", "heartRateAverage", "movingTime", "load"} <= names
    normalised = next(each for each in seen["metrics"] if each["name"] == "normalisedPower")
    assert normalised["algorithm"]["id"] == "normalised-power.coggan"
    assert seen["track"]["polyline"]
    assert seen["athlete"] == {"id": "anna"}


@pytest.mark.parametrize("who", [BEN, FRIEND, COACH, PHYSICIAN, STRANGER_PHYSICIAN, MODERATOR, ADMINISTRATOR])
async def test_without_a_relation_an_activity_is_as_absent_as_a_missing_one(world, who):
    ride = await ride_of(world, Visibility.EVERYONE if who is not FRIEND else Visibility.PRIVATE)
    response = await read_as(world, who, ride)
    assert response == {"data": {"_entities": [None]}}


async def test_a_coach_sees_training_a_trimmed_track_and_no_heart_rate(world):
    ride = await ride_of(world)
    world.relate(COACH, Relation.COACH, "training")
    response = await read_as(world, COACH, ride)
    [seen] = response["data"]["_entities"]
    laps = [("FORBIDDEN_FIELD", ("_entities", 0, "laps", lap, "heartRateAverageBpm")) for lap in range(8)]
    assert sorted(errors_of(response), key=str) == sorted(
        [*laps, ("FORBIDDEN_FIELD", ("_entities", 0, "heartRate"))], key=str
    )
    assert seen["heartRate"] is None
    assert seen["laps"][0]["powerAverageW"] is not None
    whole = (await read_as(world, ANNA, ride))["data"]["_entities"][0]
    assert 0 < len(seen["track"]["latitudes"]) < len(whole["track"]["latitudes"])
    assert seen["track"]["latitudes"][0] != whole["track"]["latitudes"][0]


async def test_heights_at_the_ends_are_for_those_who_see_the_whole_track(world):
    ride = await ride_of(world)
    world.relate(COACH, Relation.COACH, "training")
    query = activity("streams(types: [ALTITUDE, DISTANCE]) { type values }")

    async def heights(who) -> tuple[list[float | None], list[float]]:
        data = await world.answer(who, query, r=[{"__typename": "Activity", "id": ride}])
        altitude, distance = (each["values"] for each in data["_entities"][0]["streams"])
        return altitude, distance

    whole, along = await heights(ANNA)
    trimmed, _ = await heights(COACH)
    assert None not in whole
    inside = [200.0 < metres < along[-1] - 200.0 for metres in along]
    assert trimmed == [height if shown else None for height, shown in zip(whole, inside, strict=True)]
    world.relate(COACH, Relation.COACH, "training", "location")
    assert (await heights(COACH))[0] == whole


async def test_no_metric_tells_a_coach_the_heart_rate(world):
    for kind, value in (
        (ThresholdKind.REST_HR, 48.0),
        (ThresholdKind.MAX_HR, 188.0),
        (ThresholdKind.LTHR, 168.0),
    ):
        await put_threshold(world.ports, "anna", kind, value, date(2000, 1, 1))
    ride = await ride_of(world)
    world.relate(COACH, Relation.COACH, "training")
    seen = (await read_as(world, COACH, ride))["data"]["_entities"][0]
    names = {each["name"] for each in seen["metrics"]}
    assert not names & {"heartRateAverage", "heartRateMax", "efficiencyFactor"}
    assert {"trimp", "hrTss", "load"} <= names
    assert all("Hr" not in key and key != "lthr" for each in seen["metrics"] for key in each["inputs"])
    hers = (await read_as(world, ANNA, ride))["data"]["_entities"][0]
    trimp = next(each for each in hers["metrics"] if each["name"] == "trimp")
    assert trimp["inputs"] == {"restHr": 48.0, "maxHr": 188.0}


async def test_a_coach_with_wellness_and_location_sees_both_whole(world):
    ride = await ride_of(world)
    world.relate(COACH, Relation.COACH, "training", "location", "wellness")
    response = await read_as(world, COACH, ride)
    assert "errors" not in response
    assert response == await read_as(world, ANNA, ride)


async def test_a_link_to_another_metric_does_not_open_the_heart_rate(world):
    ride = await ride_of(world)
    world.relate(COACH, Relation.COACH, "training", "location", "wellness:sleep")
    codes = [code for code, _ in errors_of(await read_as(world, COACH, ride))]
    assert codes == ["FORBIDDEN_FIELD"] * 9


async def test_a_rounded_link_shows_fives_and_no_samples(world):
    ride = await ride_of(world)
    world.relate(COACH, Relation.COACH, "training", "wellness_rounded")
    query = activity("heartRate { averageBpm maxBpm values }")
    data = await world.answer(COACH, query, r=[{"__typename": "Activity", "id": ride}])
    assert data["_entities"][0]["heartRate"] == {"averageBpm": 155.0, "maxBpm": 175.0, "values": None}


async def test_a_friend_sees_the_summary_of_what_is_for_friends(world):
    ride = await ride_of(world, Visibility.FRIENDS)
    world.relate(FRIEND, Relation.FRIEND)
    response = await read_as(world, FRIEND, ride)
    [seen] = response["data"]["_entities"]
    assert seen["summary"]["distanceM"] == pytest.approx(41339.38)
    assert (seen["sport"], seen["athlete"]) == ("CYCLING", {"id": "anna"})
    assert seen["track"] is not None  # trimmed
    denied = {path[2] for code, path in errors_of(response) if code == "FORBIDDEN_FIELD"}
    hidden = {"device", "rpe", "visibility", "laps", "intervals", "streams", "metrics", "bestEfforts"}
    assert denied == hidden | {"heartRate"}
    assert all(seen[name] is None for name in denied)


async def test_the_treating_physician_sees_training_and_heart_rate_and_no_track(world):
    ride = await ride_of(world)
    world.relate(PHYSICIAN, Relation.TREATING)
    response = await read_as(world, PHYSICIAN, ride)
    assert errors_of(response) == [("FORBIDDEN_FIELD", ("_entities", 0, "track"))]
    assert response["data"]["_entities"][0]["heartRate"]["maxBpm"] == 176


async def test_who_is_blocked_sees_nothing_though_a_friend(world):
    ride = await ride_of(world, Visibility.EVERYONE)
    world.relate(FRIEND, Relation.FRIEND)
    world.relate(FRIEND, Relation.BLOCKED)
    assert (await read_as(world, FRIEND, ride))["data"]["_entities"] == [None]


async def test_a_forged_representation_loads_the_real_row(world):
    ride = await ride_of(world)
    forged = [
        {"__typename": "Activity", "id": ride, "name": "forged", "ownerId": "ben", "athlete": {"id": "ben"}},
        {"__typename": "Activity", "id": "no such id", "name": "forged"},
        {"__typename": "Nothing", "id": "1"},
    ]
    response = await world.ask(ANNA, activity("name athlete { id }"), r=forged)
    assert response["data"]["_entities"][0] == {"name": None, "athlete": {"id": "anna"}}
    assert response["data"]["_entities"][1:] == [None, None]
    assert (await world.ask(BEN, activity("name"), r=forged[:1]))["data"]["_entities"] == [None]


async def three_activities(world: World) -> list[str]:
    ids = []
    for number, visibility in enumerate((Visibility.PRIVATE, Visibility.FRIENDS, Visibility.EVERYONE)):
        draft = Draft(
            sport=Sport.RUNNING,
            started_at=NOW.replace(day=1 + number),
            elapsed_s=3600.0,
            distance_m=10_000.0 * (number + 1),
            visibility=visibility,
        )
        ids.append((await create_activity(world.ports, "anna", draft)).id)
    return ids


LIST = user("activities { totalCount edges { node { id } } }")


async def listed(world: World, who) -> tuple[list[str] | None, int | None]:
    response = await world.ask(who, LIST, r=anna())
    found = response["data"]["_entities"][0]["activities"]
    if found is None:
        assert errors_of(response) == [("FORBIDDEN_FIELD", ("_entities", 0, "activities"))]
        return None, None
    return [edge["node"]["id"] for edge in found["edges"]], found["totalCount"]


async def test_a_list_holds_exactly_the_rows_that_may_be_read_and_counts_no_others(world):
    ids = await three_activities(world)
    world.relate(COACH, Relation.COACH, "training")
    world.relate(FRIEND, Relation.FRIEND)
    world.relate(PHYSICIAN, Relation.TREATING)
    for who in (ANNA, COACH, FRIEND, PHYSICIAN, BEN, MODERATOR, ADMINISTRATOR, STRANGER_PHYSICIAN):
        rows, total = await listed(world, who)
        readable = []
        for each in ids:
            response = await world.ask(who, activity("sport"), r=[{"__typename": "Activity", "id": each}])
            if response["data"]["_entities"][0] is not None:
                readable.append(each)
        assert set(rows or []) == set(readable), who.id
        assert total in (len(readable), None)
    assert (await listed(world, FRIEND))[1] == 2
    assert await listed(world, BEN) == (None, None)


async def test_pages_of_the_graph_go_on_where_they_ended(world):
    ids = (await three_activities(world))[::-1]
    query = ENTITIES.replace("($r", "($first: Int, $after: String, $last: Int, $before: String, $r") % (
        """activities(first: $first, after: $after, last: $last, before: $before) {
             totalCount edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage endCursor } }""",
        "id",
    )

    async def page(**how):
        data = await world.answer(ANNA, query, r=anna(), **how)
        found = data["_entities"][0]["activities"]
        return [edge["node"]["id"] for edge in found["edges"]], found["pageInfo"], found["totalCount"]

    first, info, total = await page(first=2)
    assert (first, info["hasNextPage"], total) == (ids[:2], True, 3)
    rest, info, _ = await page(first=2, after=info["endCursor"])
    assert (rest, info["hasNextPage"]) == (ids[2:], False)
    back, info, _ = await page(last=2)
    assert (back, info["hasPreviousPage"]) == (ids[1:], True)


async def test_a_cursor_opens_for_its_viewer_and_list_alone(world):
    await three_activities(world)
    world.relate(COACH, Relation.COACH, "training")
    data = await world.answer(ANNA, user("activities(first: 1) { pageInfo { endCursor } }"), r=anna())
    cursor = data["_entities"][0]["activities"]["pageInfo"]["endCursor"]
    for who, filters in ((COACH, ""), (ANNA, ", filter: {sport: [CYCLING]}")):
        query = user(f'activities(first: 1, after: "{cursor}"{filters}) {{ totalCount }}')
        assert [code for code, _ in errors_of(await world.ask(who, query, r=anna()))] == ["BAD_CURSOR"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("first: 101", "BAD_PAGE"),
        ("first: -1", "BAD_PAGE"),
        ("first: 1, last: 1", "BAD_PAGE"),
        ("filter: {distanceMMin: -1}", "BAD_INPUT"),
        ('after: "AAAA"', "BAD_CURSOR"),
    ],
)
async def test_arguments_that_cannot_be_are_refused(world, arguments, code):
    response = await world.ask(ANNA, user(f"activities({arguments}) {{ totalCount }}"), r=anna())
    assert errors_of(response) == [(code, ("_entities", 0, "activities"))]


async def test_filters_of_the_graph(world):
    ids = await three_activities(world)
    for filters, expected in (
        ('{from: "2026-03-02", to: "2026-03-03"}', [ids[2], ids[1]]),
        ("{distanceMMin: 15000, distanceMMax: 25000}", [ids[1]]),
        ("{sport: [RUNNING]}", ids[::-1]),
        ("{sport: [SWIMMING]}", []),
    ):
        query = user(f"activities(filter: {filters}) {{ totalCount edges {{ node {{ id }} }} }}")
        found = (await world.answer(ANNA, query, r=anna()))["_entities"][0]["activities"]
        assert [edge["node"]["id"] for edge in found["edges"]] == expected
        assert found["totalCount"] == len(expected)


ATHLETE = """load(range: {from: "2013-08-16", to: "2013-08-18"}) { day load ctl tsb unknown }
  thresholds { kind value unit validFrom }
  records(sport: CYCLING) { effort { kind size value } activity { id } }"""


async def test_load_thresholds_and_records_of_an_athlete(world):
    ride = await ride_of(world)
    await put_threshold(world.ports, "anna", ThresholdKind.FTP, 300.0, date(2013, 1, 1))
    await put_threshold(world.ports, "anna", ThresholdKind.REST_HR, 48.0, date(2013, 1, 1))
    [seen] = (await world.answer(ANNA, user(ATHLETE), r=anna()))["_entities"]
    tss = 4700 / 3600 * (301 / 300) ** 2 * 100
    assert [day["load"] for day in seen["load"]] == [pytest.approx(tss, rel=0.01), 0.0, 0.0]
    assert seen["load"][0]["ctl"] == pytest.approx(tss * 0.023528, rel=0.01)
    assert [(each["kind"], each["value"], each["unit"]) for each in seen["thresholds"]] == [
        ("FTP", 300.0, "W"),
        ("REST_HR", 48.0, "bpm"),
    ]
    assert {each["activity"]["id"] for each in seen["records"]} == {ride}
    world.relate(COACH, Relation.COACH, "training")
    [coached] = (await world.answer(COACH, user(ATHLETE), r=anna()))["_entities"]
    assert [each["kind"] for each in coached["thresholds"]] == ["FTP"]
    assert coached["load"] == seen["load"]


@pytest.mark.parametrize("who", [BEN, FRIEND, MODERATOR, ADMINISTRATOR, STRANGER_PHYSICIAN])
async def test_load_thresholds_and_records_are_nobody_elses(world, who):
    await ride_of(world, Visibility.FRIENDS)
    world.relate(FRIEND, Relation.FRIEND)
    response = await world.ask(who, user(ATHLETE), r=anna())
    assert response["data"]["_entities"] == [{"load": None, "thresholds": None, "records": None}]
    assert sorted(errors_of(response)) == [
        ("FORBIDDEN_FIELD", ("_entities", 0, name)) for name in ("load", "records", "thresholds")
    ]


@pytest.mark.parametrize(
    "range_", ['{from: "2026-01-02", to: "2026-01-01"}', '{from: "1990-01-01", to: "2026-01-01"}']
)
async def test_a_range_that_cannot_be_is_refused(world, range_):
    response = await world.ask(ANNA, user(f"load(range: {range_}) {{ day }}"), r=anna())
    assert errors_of(response) == [("BAD_INPUT", ("_entities", 0, "load"))]


CREATE = """mutation ($input: CreateActivityInput!) { createActivity(input: $input) {
  activity { id name version startedAt rpe visibility summary { distanceM } } userErrors { code field } } }"""
UPDATE = """mutation ($input: UpdateActivityInput!) { updateActivity(input: $input) {
  activity { id name version rpe visibility sport } userErrors { code field message } } }"""


async def test_an_activity_by_hand_from_creation_to_deletion(world):
    given = {
        "sport": "ROWING",
        "startedAt": "2026-03-14T18:00:00+01:00",
        "elapsedS": 1800,
        "distanceM": 6000,
        "name": "  Erg  ",
        "rpe": 7,
    }
    made = (await world.answer(ANNA, CREATE, input=given))["createActivity"]["activity"]
    assert (made["name"], made["version"], made["visibility"]) == ("Erg", 1, "PRIVATE")
    assert made["startedAt"] == "2026-03-14T18:00:00+01:00"
    change = {"id": made["id"], "version": 1, "visibility": "FRIENDS", "name": None}
    changed = (await world.answer(ANNA, UPDATE, input=change))["updateActivity"]["activity"]
    assert changed == {
        "id": made["id"],
        "name": None,
        "version": 2,
        "rpe": 7,
        "visibility": "FRIENDS",
        "sport": "ROWING",
    }
    stale = (await world.answer(ANNA, UPDATE, input=change))["updateActivity"]
    assert stale["userErrors"][0]["code"] == "CONFLICT"
    assert stale["activity"]["version"] == 2
    gone = "mutation ($id: ID!) { deleteActivity(id: $id) { deletedId } }"
    assert (await world.answer(ANNA, gone, id=made["id"]))["deleteActivity"] == {"deletedId": made["id"]}
    assert errors_of(await world.ask(ANNA, gone, id=made["id"])) == [("NOT_FOUND", ("deleteActivity",))]


async def test_wrong_values_are_told_field_by_field(world):
    given = {"sport": "RUNNING", "startedAt": "2027-03-14T18:00:00Z", "elapsedS": -1, "rpe": 12}
    payload = (await world.answer(ANNA, CREATE, input=given))["createActivity"]
    assert payload["activity"] is None
    assert [(each["field"], each["code"]) for each in payload["userErrors"]] == [
        ("startedAt", "IN_FUTURE"),
        ("elapsedS", "OUT_OF_RANGE"),
        ("rpe", "OUT_OF_RANGE"),
    ]


@pytest.mark.parametrize("name", ["a\u0000b", "a\u202eb", "x" * 201])
async def test_a_name_that_cannot_be_shown_is_refused(world, name):
    given = {"sport": "RUNNING", "startedAt": "2026-03-14T18:00:00Z", "elapsedS": 1, "name": name}
    assert errors_of(await world.ask(ANNA, CREATE, input=given)) == [("BAD_INPUT", ("createActivity",))]


async def test_a_coach_reads_and_does_not_write(world):
    ride = await ride_of(world)
    world.relate(COACH, Relation.COACH, "training", "plan", "location", "wellness")
    response = await world.ask(COACH, UPDATE, input={"id": ride, "name": "mine"})
    assert errors_of(response) == [("FORBIDDEN", ("updateActivity",))]
    response = await world.ask(BEN, UPDATE, input={"id": ride, "name": "mine"})
    assert errors_of(response) == [("NOT_FOUND", ("updateActivity",))]


async def test_a_threshold_is_set_and_answered(world):
    query = """mutation ($input: SetThresholdInput!) { setThreshold(input: $input) {
      threshold { kind value unit validFrom } userErrors { code field } } }"""
    given = {"kind": "FTP", "value": 265, "validFrom": "2026-01-01"}
    payload = (await world.answer(ANNA, query, input=given))["setThreshold"]
    assert payload["threshold"] == {"kind": "FTP", "value": 265.0, "unit": "W", "validFrom": "2026-01-01"}
    refused = (await world.answer(ANNA, query, input=given | {"value": 5}))["setThreshold"]
    assert refused == {"threshold": None, "userErrors": [{"code": "OUT_OF_RANGE", "field": "value"}]}


async def test_fifty_lists_with_their_laps_cost_three_reads_and_not_a_hundred(world):
    await three_activities(world)
    reads = 0
    relational = world.ports.relational
    original = type(relational).read

    async def counted(work):
        nonlocal reads
        reads += 1
        return await original(relational, work)

    relational.read = counted  # type: ignore[method-assign]
    people = [{"__typename": "User", "id": "anna"} for _ in range(50)]
    query = user("activities(first: 2) { edges { node { id sport laps { index } } } }")
    data = await world.answer(ANNA, query, r=people)
    assert len(data["_entities"]) == 50
    assert reads <= 3


async def test_streams_keep_their_ends_and_share_their_places(world):
    ride = await ride_of(world)
    query = activity("streams(types: [TIME, POWER, TIME], resolution: 5) { type values }")
    [seen] = (await world.answer(ANNA, query, r=[{"__typename": "Activity", "id": ride}]))["_entities"]
    assert [each["type"] for each in seen["streams"]] == ["TIME", "POWER"]
    times = seen["streams"][0]["values"]
    assert (len(times), times[0], times[-1]) == (5, 0.0, 4699.0)


@pytest.mark.parametrize(
    "field", ["streams(types: [TIME], resolution: 0) { unit }", "track(simplifyM: -1) { polyline }"]
)
async def test_a_resolution_that_cannot_be_is_refused(world, field):
    ride = await ride_of(world)
    response = await world.ask(ANNA, activity(field), r=[{"__typename": "Activity", "id": ride}])
    assert [code for code, _ in errors_of(response)] == ["BAD_INPUT"]


async def test_a_link_that_ended_shows_nothing_from_then_on(world):
    ride = await ride_of(world)
    world.relate(COACH, Relation.COACH, "training")
    assert (await read_as(world, COACH, ride))["data"]["_entities"] != [None]
    world.part(COACH, Relation.COACH)
    assert (await read_as(world, COACH, ride))["data"]["_entities"] == [None]


async def test_a_coach_who_is_no_trainer_any_more_sees_nothing(world):
    ride = await ride_of(world)
    world.relate(COACH, Relation.COACH, "training")
    assert (await read_as(world, replace(COACH, roles=frozenset()), ride))["data"]["_entities"] == [None]


def test_every_field_has_a_class_in_the_sdl(tmp_path):
    from subgraphs.kit import CursorSigner
    from subgraphs.training.subgraph import build

    subgraph = build(
        relational=None,  # type: ignore[arg-type]
        blobs=None,  # type: ignore[arg-type]
        outbox=None,  # type: ignore[arg-type]
        events=None,  # type: ignore[arg-type]
        authorizer=None,  # type: ignore[arg-type]
        cursors=CursorSigner(b"c" * 32),
    )
    sdl = subgraph.sdl()
    for line in (
        "track(simplifyM: Float! = 0): Track @classified(as: LOCATION) @authenticated",
        "heartRate(resolution: Int = null): HeartRate @classified(as: WELLNESS) @authenticated",
        'type Activity @key(fields: "id")',
        'type User @key(fields: "id")',
    ):
        assert line in sdl
