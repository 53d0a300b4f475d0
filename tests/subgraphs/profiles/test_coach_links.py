"""Coach links: who may do what in which state, what is published, and what it opens."""

import asyncio
import datetime as dt
from typing import Any

import pytest

from authz.classes import DataClass
from authz.decide import Authorizer
from authz.identity.subject import ANONYMOUS, Subject
from authz.question import Question
from subgraphs.profiles.model import COACHES_PER_ATHLETE_MAX, Profile
from tests.kit_subgraphs.profiles import ADA, MIRA, NOON, NOOR, TOMAS, Club

LINK = "id state scopes message validFrom validUntil athlete {id} coach {id}"
INVITE = f"""mutation($i: InviteCoachInput!) {{
    inviteCoach(input: $i) {{coachLink {{{LINK}}} userErrors {{code field}}}}}}"""
SCOPES = """mutation($id: ID!, $s: [CoachScope!]!) {
    setCoachScopes(id: $id, scopes: $s) {coachLink {scopes state} userErrors {code}}}"""


def step(name: str) -> str:
    return f"mutation($id: ID!) {{{name}(id: $id) {{coachLink {{state}} userErrors {{code}}}}}}"


async def act(club: Club, name: str, subject: Subject, link_id: str) -> Any:
    """The new state, or the code of what was wrong."""
    payload = (await club.ask(step(name), subject, id=link_id))["data"][name]
    errors = [error["code"] for error in payload["userErrors"]]
    return errors[0] if errors else payload["coachLink"]["state"]


async def invite(club: Club, **more: Any) -> dict[str, Any]:
    given = {"coachId": "tomas", "scopes": ["TRAINING", "PLAN"], **more}
    answer = await club.ask(INVITE, MIRA, i=given)
    payload: dict[str, Any] = answer["data"]["inviteCoach"]
    return payload


async def opened(club: Club, data_class: DataClass, action: str = "read") -> bool:
    """Whether the coach may, by the facts as they were published."""
    await club.deliver()
    authorizer = Authorizer(club.facts, clock=lambda: club.clock[0])
    (decision,) = await authorizer.for_request(TOMAS).decide([Question("mira", data_class, action)])
    return decision.allowed


@pytest.fixture
async def pair(any_club: Club) -> Club:
    await any_club.join(Profile("mira", "Mira"), Profile("tomas", "Tomás"))
    return any_club


async def test_an_invitation_opens_nothing_until_the_coach_accepts(pair: Club) -> None:
    payload = await invite(pair, message=" Please coach me ")
    link = payload["coachLink"]
    assert link == {
        "id": link["id"],
        "state": "INVITED",
        "scopes": ["PLAN", "TRAINING"],
        "message": "Please coach me",
        "validFrom": None,
        "validUntil": "2027-03-01T12:00:00Z",
        "athlete": {"id": "mira"},
        "coach": {"id": "tomas"},
    }
    assert await pair.deliver() == []
    assert not await opened(pair, DataClass.TRAINING)
    pair.later(hours=1)
    assert await act(pair, "acceptCoach", TOMAS, link["id"]) == "ACTIVE"
    assert await pair.deliver() == [
        {
            "subject_id": "tomas",
            "relation": "coach",
            "object_id": "mira",
            "scopes": ["plan", "training"],
            "valid_from_utc": "2026-03-01T13:00:00+00:00",
            "valid_until_utc": "2027-03-01T12:00:00+00:00",
            "version": 2,
        }
    ]
    assert await opened(pair, DataClass.TRAINING)
    assert await opened(pair, DataClass.TRAINING, "plan")
    assert not await opened(pair, DataClass.CLINICAL, "clearance")


async def test_every_step_is_for_its_own_end_and_state(pair: Club) -> None:
    id_ = (await invite(pair))["coachLink"]["id"]
    for name in ("acceptCoach", "declineCoach"):
        assert await act(pair, name, MIRA, id_) == "NOT_YOURS"
    assert await act(pair, "pauseCoachLink", MIRA, id_) == "WRONG_STATE"
    assert await act(pair, "acceptCoach", TOMAS, id_) == "ACTIVE"
    assert await act(pair, "acceptCoach", TOMAS, id_) == "WRONG_STATE"
    assert await act(pair, "pauseCoachLink", TOMAS, id_) == "NOT_YOURS"
    assert await act(pair, "pauseCoachLink", MIRA, id_) == "PAUSED"
    assert not await opened(pair, DataClass.TRAINING)
    assert await act(pair, "resumeCoachLink", TOMAS, id_) == "NOT_YOURS"
    assert await act(pair, "resumeCoachLink", MIRA, id_) == "ACTIVE"
    assert await opened(pair, DataClass.TRAINING)
    assert await act(pair, "endCoachLink", TOMAS, id_) == "ENDED"
    assert not await opened(pair, DataClass.TRAINING)
    for name, subject in (("endCoachLink", MIRA), ("resumeCoachLink", MIRA), ("acceptCoach", TOMAS)):
        assert await act(pair, name, subject, id_) == "WRONG_STATE"


@pytest.mark.parametrize("stranger", [NOOR, ADA, Subject(id="other", acr=1)])
async def test_a_link_of_others_is_not_found(club: Club, stranger: Subject) -> None:
    await club.join(Profile("mira", "Mira"), Profile("tomas", "Tomás"))
    id_ = (await invite(club))["coachLink"]["id"]
    for name in ("acceptCoach", "declineCoach", "pauseCoachLink", "resumeCoachLink", "endCoachLink"):
        assert await act(club, name, stranger, id_) == "NOT_FOUND"
    missing = await club.ask('{coachLink(id: "none") {id}}', stranger)
    hidden = await club.ask(f'{{coachLink(id: "{id_}") {{id}}}}', stranger)
    assert hidden == missing
    assert hidden["errors"][0]["extensions"] == {"code": "NOT_FOUND"}
    query = "query($r: [_Any!]!) {_entities(representations: $r) {... on CoachLink {id state}}}"
    entity = await club.ask(
        query, stranger, r=[{"__typename": "CoachLink", "id": id_, "coachId": stranger.id}]
    )
    assert entity == {"data": {"_entities": [None]}}


async def test_both_ends_see_the_link_and_nobody_sees_it_through_them(pair: Club) -> None:
    id_ = (await invite(pair))["coachLink"]["id"]
    for end in (MIRA, TOMAS):
        answer = await pair.ask("query($id: ID!) {coachLink(id: $id) {state scopes}}", end, id=id_)
        assert answer["data"]["coachLink"] == {"state": "INVITED", "scopes": ["PLAN", "TRAINING"]}
    assert (await pair.user("coaches {id}", MIRA))["data"] == {"coaches": [{"id": id_}]}
    roster = "athletes {totalCount nodes {athlete {id}}}"
    assert (await pair.user(roster, TOMAS, id="tomas"))["data"] == {
        "athletes": {"totalCount": 1, "nodes": [{"athlete": {"id": "mira"}}]}
    }
    for selection, id_, reader in (("coaches {id}", "mira", TOMAS), (roster, "tomas", MIRA)):
        answer = await pair.user(selection, reader, id=id_)
        field = selection.split()[0]
        assert answer["data"] == {field: None}
        assert [(e["path"], e["extensions"]["code"]) for e in answer["errors"]] == [
            (["_entities", 0, field], "FORBIDDEN_FIELD")
        ]


async def test_both_ends_know_each_others_names_before_anything_is_open(pair: Club) -> None:
    id_ = (await invite(pair))["coachLink"]["id"]
    for end in (MIRA, TOMAS):
        query = "query($id: ID!) {coachLink(id: $id) {athleteName coachName coach {profile {displayName}}}}"
        answer = await pair.ask(query, end, id=id_)
        link = answer["data"]["coachLink"]
        assert (link["athleteName"], link["coachName"]) == ("Mira", "Tomás")
        # Elsewhere a name has the circle that its owner chose.
        shown = link["coach"]["profile"]["displayName"]
        assert shown == ("Tomás" if end is TOMAS else None)


async def test_the_athlete_opens_and_closes_but_the_coach_only_gives_away(pair: Club) -> None:
    id_ = (await invite(pair))["coachLink"]["id"]
    await act(pair, "acceptCoach", TOMAS, id_)

    async def scopes(subject: Subject, *wanted: str) -> Any:
        payload = (await pair.ask(SCOPES, subject, id=id_, s=list(wanted)))["data"]["setCoachScopes"]
        errors = [error["code"] for error in payload["userErrors"]]
        return errors or payload["coachLink"]["scopes"]

    assert await scopes(TOMAS, "TRAINING", "PLAN", "CLEARANCE") == ["SCOPE_WIDENED"]
    assert await scopes(TOMAS, "LOCATION") == ["SCOPE_WIDENED"]
    assert await scopes(MIRA) == ["NO_SCOPES"]
    assert await scopes(MIRA, "TRAINING", "CLEARANCE") == ["CLEARANCE", "TRAINING"]
    assert await opened(pair, DataClass.CLINICAL, "clearance")
    assert await scopes(TOMAS, "CLEARANCE") == ["CLEARANCE"]
    assert not await opened(pair, DataClass.TRAINING)
    await act(pair, "endCoachLink", MIRA, id_)
    assert await scopes(MIRA, "TRAINING") == ["WRONG_STATE"]


async def test_a_link_ends_with_its_date_everywhere(pair: Club) -> None:
    until = (NOON + dt.timedelta(days=10)).isoformat()
    id_ = (await invite(pair, validUntil=until))["coachLink"]["id"]
    await act(pair, "acceptCoach", TOMAS, id_)
    pair.later(days=10, seconds=-1)
    assert await opened(pair, DataClass.TRAINING)
    pair.later(seconds=1)
    assert not await opened(pair, DataClass.TRAINING)
    assert (await pair.user("coaches {state}", MIRA))["data"] == {"coaches": [{"state": "ENDED"}]}
    assert (await pair.user("athletes {totalCount}", TOMAS, id="tomas"))["data"]["athletes"][
        "totalCount"
    ] == 0
    assert await act(pair, "pauseCoachLink", MIRA, id_) == "WRONG_STATE"


async def test_an_invitation_lapses_after_30_days_and_can_be_made_again(pair: Club) -> None:
    first = (await invite(pair))["coachLink"]["id"]
    pair.later(days=30)
    assert await act(pair, "acceptCoach", TOMAS, first) == "WRONG_STATE"
    second = await invite(pair)
    assert second["userErrors"] == []
    assert await act(pair, "acceptCoach", TOMAS, second["coachLink"]["id"]) == "ACTIVE"


async def test_a_later_link_is_newer_than_an_earlier_one_in_the_facts(pair: Club) -> None:
    for _ in range(3):
        id_ = (await invite(pair))["coachLink"]["id"]
        await act(pair, "acceptCoach", TOMAS, id_)
        assert await opened(pair, DataClass.TRAINING)
        await act(pair, "endCoachLink", MIRA, id_)
        assert not await opened(pair, DataClass.TRAINING)
    versions = [payload["version"] for payload in await pair.deliver()]
    assert versions == sorted(set(versions))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"coachId": "mira"}, "OWN_COACH"),
        ({"coachId": "nobody"}, "NOT_FOUND"),
        ({"scopes": []}, "NO_SCOPES"),
        ({"validUntil": "2026-03-01T12:00:00Z"}, "BAD_END"),
        ({"validUntil": "2028-03-01T12:00:00Z"}, "BAD_END"),
    ],
)
async def test_invitations_that_cannot_be(club: Club, given: dict[str, Any], code: str) -> None:
    await club.join(Profile("mira", "Mira"), Profile("tomas", "Tomás"))
    payload = await invite(club, **given)
    assert (payload["coachLink"], [error["code"] for error in payload["userErrors"]]) == (None, [code])


async def test_of_invitations_made_at_once_one_is_kept(pair: Club) -> None:
    payloads = await asyncio.gather(*(invite(pair) for _ in range(10)))
    told = sorted([error["code"] for error in payload["userErrors"]] for payload in payloads)
    assert told == [[]] + [["ALREADY_LINKED"]] * 9


async def test_accepting_and_withdrawing_at_once_ends_in_one_state(pair: Club) -> None:
    for _ in range(5):
        id_ = (await invite(pair))["coachLink"]["id"]
        await asyncio.gather(act(pair, "acceptCoach", TOMAS, id_), act(pair, "endCoachLink", MIRA, id_))
        state = (await pair.user("coaches {state}", MIRA))["data"]["coaches"][0]["state"]
        assert await opened(pair, DataClass.TRAINING) is (state == "ACTIVE")
        if state == "ACTIVE":
            await act(pair, "endCoachLink", MIRA, id_)


async def test_an_athlete_has_a_bounded_number_of_coaches(club: Club) -> None:
    coaches = [Profile(f"c{n}", f"Coach {n}") for n in range(COACHES_PER_ATHLETE_MAX + 1)]
    await club.join(Profile("mira", "Mira"), *coaches)
    payloads = [await invite(club, coachId=coach.user_id) for coach in coaches]
    assert [payload["userErrors"] for payload in payloads[:-1]] == [[]] * COACHES_PER_ATHLETE_MAX
    assert payloads[-1]["userErrors"] == [{"code": "TOO_MANY_COACHES", "field": "coachId"}]


async def test_the_roster_is_paged(club: Club) -> None:
    await club.join(Profile("tomas", "Tomás"), *(Profile(f"a{n}", f"Athlete {n}") for n in range(5)))
    for n in range(5):
        club.later(seconds=1)
        await club.ask(INVITE, Subject(id=f"a{n}", acr=1), i={"coachId": "tomas", "scopes": ["TRAINING"]})
    seen: list[str] = []
    after: str | None = None
    while True:
        page = "null" if after is None else f'"{after}"'
        shown = "nodes {athlete {id}} pageInfo {hasNextPage endCursor}"
        selection = f"athletes(first: 2, after: {page}) {{{shown}}}"
        roster = (await club.user(selection, TOMAS, id="tomas"))["data"]["athletes"]
        seen += [node["athlete"]["id"] for node in roster["nodes"]]
        after = roster["pageInfo"]["endCursor"]
        if not roster["pageInfo"]["hasNextPage"]:
            break
    assert seen == [f"a{n}" for n in range(5)]
    foreign = await club.user(f'athletes(first: 2, after: "{after}") {{totalCount}}', MIRA, id="mira")
    assert [error["extensions"]["code"] for error in foreign["errors"]] == ["BAD_CURSOR"]


async def test_links_are_for_callers_with_a_token(club: Club) -> None:
    for operation in (
        'mutation {inviteCoach(input: {coachId: "tomas", scopes: [TRAINING]}) {userErrors {code}}}',
        'mutation {acceptCoach(id: "x") {userErrors {code}}}',
        '{coachLink(id: "x") {id}}',
    ):
        answer = await club.ask(operation, ANONYMOUS)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]
