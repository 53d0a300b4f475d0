"""Guardians of minors: asked for, confirmed by somebody else, contested, ended, and what each step opens."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest

from authz.classes import DataClass, Relation, Role
from authz.decide import Authorizer
from authz.facts.model import RelationshipFact
from authz.identity.subject import ANONYMOUS, Subject
from authz.question import Question
from datastores.events.outbox import events_after, new_event
from subgraphs.profiles import guardians
from subgraphs.profiles.changes import Profiles
from subgraphs.profiles.events import CONSUMED_TOPICS, USER_ERASED, consumer
from subgraphs.profiles.guardianship import REQUESTS_PER_GUARDIAN_MAX, birthday
from subgraphs.profiles.model import Profile
from tests.kit_subgraphs.profiles import ADA, NOON, NOOR, TOMAS, Club

ATHLETE = frozenset({Role.ATHLETE})
KIM, EVA, OLE, RUTH = (Subject(each, ATHLETE, acr=1) for each in ("kim", "eva", "ole", "ruth"))
PROOF = "Birth certificate 1234 of Bergen, shown at the club's office."
SHOWN = "guardianship {id state contested restrictedUntil validUntil decidedBy {id}} userErrors {code field}"
REQUEST = f"mutation($i: RequestGuardianshipInput!) {{requestGuardianship(input: $i) {{{SHOWN}}}}}"
CONFIRM = f"mutation($i: ConfirmGuardianshipInput!) {{confirmGuardianship(input: $i) {{{SHOWN}}}}}"
COMES_OF_AGE = "2028-06-14T22:00:00Z"  # midnight in Oslo


@pytest.fixture
async def family(any_club: Club) -> Club:
    """Kim is 15, Eva and Ole are grown up, Ruth is 17, Tomás has not said how old he is."""
    await any_club.join(
        Profile("kim", "Kim", birth_date=dt.date(2010, 6, 15), time_zone="Europe/Oslo"),
        Profile("eva", "Eva", birth_date=dt.date(1980, 2, 29)),
        Profile("ole", "Ole", birth_date=dt.date(1979, 1, 1)),
        Profile("ruth", "Ruth", birth_date=dt.date(2009, 1, 1)),
        Profile("tomas", "Tomás"),
    )
    return any_club


def outcome(answer: dict[str, Any], name: str) -> Any:
    """The guardianship's state, or the code of what was wrong."""
    if answer.get("errors"):
        assert answer["data"] in (None, {name: None})
        [error] = answer["errors"]
        assert error["path"] == [name]
        return error["extensions"]["code"]
    payload = answer["data"][name]
    codes = [error["code"] for error in payload["userErrors"]]
    return codes[0] if codes else payload["guardianship"]["state"]


async def request(club: Club, subject: Subject = EVA, minor: str = "kim", evidence: str = PROOF) -> Any:
    given = {"minorId": minor, "kind": "PARENT", "evidence": evidence}
    answer = await club.ask(REQUEST, subject, i=given)
    return answer if answer.get("errors") else answer["data"]["requestGuardianship"]


async def act(club: Club, name: str, subject: Subject, asked: str) -> Any:
    answer = await club.ask(f"mutation($id: ID!) {{{name}(id: $id) {{{SHOWN}}}}}", subject, id=asked)
    await club.deliver()
    return outcome(answer, name)


async def confirm(club: Club, subject: Subject, asked: str, **more: Any) -> Any:
    answer = await club.ask(CONFIRM, subject, i={"id": asked, **more})
    await club.deliver()
    return outcome(answer, "confirmGuardianship")


async def standing(club: Club, subject: Subject = EVA, *, by: Subject = NOOR, **more: Any) -> str:
    """The id of a guardianship of Kim that was confirmed."""
    asked = (await request(club, subject))["guardianship"]["id"]
    assert await confirm(club, by, asked, **more) == "ACTIVE"
    return str(asked)


async def opened(
    club: Club, data_class: DataClass, action: str = "read", *, subject: Subject = EVA, owner: str = "kim"
) -> bool:
    await club.deliver()
    authorizer = Authorizer(club.facts, clock=lambda: club.clock[0])
    (decision,) = await authorizer.for_request(subject).decide([Question(owner, data_class, action)])
    return decision.allowed


async def notices(club: Club) -> list[tuple[str, str]]:
    """Whom the notices so far went to, and what state they tell of."""
    found = await club.relational.read(lambda c: events_after(c, 0, limit=1_000))
    told = [event for _, event in found if event.topic == "guardianship.changed"]
    assert all(event.key == event.payload["notified_id"] for event in told)
    assert PROOF not in str(told)
    return [(event.key, event.payload["state"]) for event in told]


async def test_a_request_opens_nothing_until_a_moderator_confirms_it(family: Club) -> None:
    payload = await request(family)
    asked = payload["guardianship"]["id"]
    assert payload["guardianship"]["state"] == "REQUESTED"
    assert not await opened(family, DataClass.TRAINING)
    family.later(hours=1)
    answer = await family.ask(CONFIRM, NOOR, i={"id": asked})
    shown = answer["data"]["confirmGuardianship"]["guardianship"]
    assert shown == {
        "id": asked,
        "state": "ACTIVE",
        "contested": False,
        "restrictedUntil": None,
        "validUntil": COMES_OF_AGE,
        "decidedBy": {"id": "noor"},
    }
    [fact] = await family.deliver()
    assert fact == {
        "subject_id": "eva",
        "relation": "guardian",
        "object_id": "kim",
        "scopes": [],
        "valid_from_utc": "2026-03-01T13:00:00+00:00",
        "valid_until_utc": "2028-06-14T22:00:00+00:00",
        "version": 2,
    }
    for data_class in (DataClass.SOCIAL, DataClass.TRAINING, DataClass.LOCATION, DataClass.CLINICAL):
        assert await opened(family, data_class), data_class
    for data_class in (DataClass.CLINICAL_RESTRICTED, DataClass.FINANCIAL, DataClass.SECURITY):
        assert not await opened(family, data_class), data_class
    assert await opened(family, DataClass.PERSONAL, "write")
    assert not await opened(family, DataClass.TRAINING, "write")
    assert not await opened(family, DataClass.TRAINING, subject=KIM, owner="eva")
    assert await notices(family) == [
        ("kim", "REQUESTED"), ("eva", "REQUESTED"), ("kim", "ACTIVE"), ("eva", "ACTIVE")
    ]  # fmt: skip


async def test_it_ends_with_the_day_on_which_the_minor_comes_of_age(family: Club) -> None:
    asked = await standing(family)
    family.clock[0] = dt.datetime.fromisoformat(COMES_OF_AGE) - dt.timedelta(seconds=1)
    assert await opened(family, DataClass.TRAINING)
    family.later(seconds=1)
    assert not await opened(family, DataClass.TRAINING)
    answer = await family.ask(f'{{guardianship(id: "{asked}") {{state}}}}', EVA)
    assert answer == {"data": {"guardianship": {"state": "ENDED"}}}
    ports = Profiles(
        relational=family.relational,
        unfenced=family.relational,
        outbox=family.events.outbox,
        now=lambda: family.clock[0],
    )
    assert [await guardians.end_lapsed(ports) for _ in range(2)] == [1, 0]
    assert (await notices(family))[-2:] == [("kim", "ENDED"), ("eva", "ENDED")]


async def test_a_guardian_who_stands_confirms_a_second_one_but_not_themselves(family: Club) -> None:
    asked = (await request(family))["guardianship"]["id"]
    assert await confirm(family, OLE, asked) == "NOT_FOUND"
    assert await confirm(family, EVA, asked) == "FORBIDDEN"
    assert await confirm(family, KIM, asked) == "FORBIDDEN"
    assert await confirm(family, ADA, asked) == "NOT_FOUND"
    assert await confirm(family, TOMAS, asked) == "NOT_FOUND"
    assert await confirm(family, ANONYMOUS, asked) == "UNAUTHENTICATED"
    assert await confirm(family, NOOR, asked) == "ACTIVE"
    second = (await request(family, OLE))["guardianship"]["id"]
    assert await confirm(family, EVA, second, openRestricted=True) == "MODERATOR_NEEDED"
    assert await confirm(family, EVA, second) == "ACTIVE"
    assert await opened(family, DataClass.TRAINING, subject=OLE)
    assert await act(family, "endGuardianship", OLE, asked) == "MODERATOR_NEEDED"
    assert await confirm(family, NOOR, second) == "WRONG_STATE"


async def test_a_moderator_needs_a_second_factor_and_confirms_nothing_of_their_own(family: Club) -> None:
    asked = (await request(family))["guardianship"]["id"]
    answer = await family.ask(CONFIRM, Subject("noor", NOOR.roles, acr=1), i={"id": asked})
    assert answer["errors"][0]["extensions"] == {"code": "NOT_FOUND"}
    await family.join(Profile("noor", "Noor", birth_date=dt.date(1990, 1, 1)))
    both = Subject("noor", NOOR.roles | ATHLETE, acr=2)
    own = (await request(family, both))["guardianship"]["id"]
    assert await confirm(family, both, own) == "FORBIDDEN"


async def test_what_a_minor_contests_only_a_moderator_decides(family: Club) -> None:
    first = await standing(family)
    family.later(seconds=1)
    asked = (await request(family, OLE))["guardianship"]["id"]
    assert await act(family, "contestGuardianship", EVA, asked) == "NOT_FOUND"
    assert await act(family, "contestGuardianship", KIM, asked) == "REQUESTED"
    assert await act(family, "contestGuardianship", KIM, asked) == "CONTESTED"
    assert await confirm(family, EVA, asked) == "MODERATOR_NEEDED"
    assert await act(family, "contestGuardianship", KIM, first) == "ACTIVE"
    queue = "{guardianshipsToDecide {totalCount nodes {id contested evidence minor {id}}}}"
    listed = (await family.ask(queue, NOOR))["data"]["guardianshipsToDecide"]
    assert {node["id"] for node in listed["nodes"]} == {first, asked}
    assert listed["nodes"][0] == {
        "id": first, "contested": True, "evidence": PROOF, "minor": {"id": "kim"}
    }  # fmt: skip
    assert (await family.ask(queue, TOMAS))["data"]["guardianshipsToDecide"]["totalCount"] == 0
    assert await act(family, "upholdGuardianship", EVA, first) == "FORBIDDEN"
    assert await act(family, "upholdGuardianship", NOOR, first) == "ACTIVE"
    assert await act(family, "upholdGuardianship", NOOR, first) == "NOT_CONTESTED"
    assert await act(family, "declineGuardianship", NOOR, asked) == "DECLINED"
    assert await act(family, "endGuardianship", NOOR, first) == "ENDED"
    assert not await opened(family, DataClass.TRAINING)
    assert (await family.ask(queue, NOOR))["data"]["guardianshipsToDecide"]["nodes"] == []


async def test_a_guardian_takes_back_and_ends_and_may_ask_again(family: Club) -> None:
    asked = (await request(family))["guardianship"]["id"]
    assert (await request(family))["userErrors"] == [{"code": "ALREADY_ASKED", "field": "minorId"}]
    assert await act(family, "declineGuardianship", EVA, asked) == "DECLINED"
    asked = await standing(family)
    assert await act(family, "endGuardianship", KIM, asked) == "FORBIDDEN"
    assert await act(family, "endGuardianship", EVA, asked) == "ENDED"
    assert await act(family, "endGuardianship", EVA, asked) == "WRONG_STATE"
    assert not await opened(family, DataClass.TRAINING)
    await standing(family)
    assert await opened(family, DataClass.TRAINING)


@pytest.mark.parametrize(
    ("subject", "minor", "evidence", "code", "field"),
    [
        (EVA, "nobody", PROOF, "NOT_FOUND", "minorId"),
        (EVA, "eva", PROOF, "OWN_GUARDIAN", "minorId"),
        (RUTH, "kim", PROOF, "NOT_OF_AGE", "minorId"),
        (TOMAS, "kim", PROOF, "BIRTH_DATE_NEEDED", "minorId"),
        (EVA, "kim", "I am", "BAD_EVIDENCE", "evidence"),
    ],
)
async def test_a_request_that_cannot_be_is_refused(
    family: Club, subject: Subject, minor: str, evidence: str, code: str, field: str
) -> None:
    payload = await request(family, subject, minor, evidence)
    assert payload == {"guardianship": None, "userErrors": [{"code": code, "field": field}]}
    assert await notices(family) == []


async def test_too_long_a_proof_and_a_caller_without_a_token_are_refused(family: Club) -> None:
    assert (await request(family, evidence="x" * 1_001))["errors"][0]["extensions"]["code"] == "BAD_INPUT"
    assert (await request(family, ANONYMOUS))["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_request_tells_nobody_whether_somebody_is_a_minor(family: Club) -> None:
    """The answer about a grown-up, a minor, and one who has not said is the same, until it is confirmed."""
    answers = [await request(family, EVA, minor) for minor in ("kim", "ole", "tomas")]
    ids = [answer["guardianship"].pop("id") for answer in answers]
    assert answers[0] == answers[1] == answers[2]
    assert [await confirm(family, NOOR, asked) for asked in ids] == ["ACTIVE", "NOT_A_MINOR", "NOT_A_MINOR"]


async def test_requests_are_limited_and_lapse(family: Club) -> None:
    names = [f"child{number}" for number in range(REQUESTS_PER_GUARDIAN_MAX)]
    await family.join(*[Profile(name, name) for name in names])
    for name in names:
        asked = (await request(family, EVA, name))["guardianship"]["id"]
    assert (await request(family))["userErrors"][0]["code"] == "TOO_MANY_REQUESTS"
    family.later(days=30)
    assert await confirm(family, NOOR, asked) == "WRONG_STATE"
    assert (await request(family, EVA, names[-1]))["guardianship"]["state"] == "REQUESTED"


async def test_what_is_restricted_opens_by_a_moderator_until_the_minor_is_sixteen(family: Club) -> None:
    asked = await standing(family, openRestricted=True)
    answer = await family.ask(f'{{guardianship(id: "{asked}") {{restrictedUntil}}}}', KIM)
    assert answer["data"]["guardianship"] == {"restrictedUntil": "2026-06-15"}
    family.clock[0] = dt.datetime(2026, 6, 14, 23, 59, tzinfo=dt.UTC)
    assert await opened(family, DataClass.CLINICAL_RESTRICTED)
    family.later(minutes=1)
    assert not await opened(family, DataClass.CLINICAL_RESTRICTED)
    assert await opened(family, DataClass.CLINICAL)
    second = (await request(family, OLE))["guardianship"]["id"]
    assert await confirm(family, NOOR, second, openRestricted=True) == "TOO_OLD"


async def test_who_sees_a_guardianship(family: Club) -> None:
    asked = await standing(family)
    one = f'{{guardianship(id: "{asked}") {{kind evidence guardian {{id}}}}}}'
    shown = {"guardianship": {"kind": "PARENT", "evidence": PROOF, "guardian": {"id": "eva"}}}
    for subject in (EVA, KIM, NOOR):
        assert (await family.ask(one, subject)) == {"data": shown}
    for subject in (OLE, TOMAS, ADA):
        answer = await family.ask(one, subject)
        assert answer["data"] == {"guardianship": None}
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["NOT_FOUND"]
    lists = "guardians {state guardian {id}} wards {minor {id}}"
    kims = {"guardians": [{"state": "ACTIVE", "guardian": {"id": "eva"}}], "wards": []}
    assert (await family.user(lists, KIM, id="kim"))["data"] == kims
    assert (await family.user(lists, EVA, id="kim"))["data"] == kims
    assert (await family.user(lists, EVA, id="eva"))["data"]["wards"] == [{"minor": {"id": "kim"}}]
    strangers = await family.user(lists, TOMAS, id="kim")
    assert strangers["data"] == {"guardians": None, "wards": None}
    assert [error["path"][-1] for error in strangers["errors"]] == ["guardians", "wards"]
    entity = "query($r: [_Any!]!) {_entities(representations: $r) {... on Guardianship {id evidence}}}"
    forged = {"__typename": "Guardianship", "id": asked, "evidence": "forged", "ownerId": "tomas"}
    assert (await family.ask(entity, TOMAS, r=[forged]))["data"] == {"_entities": [None]}
    assert (await family.ask(entity, EVA, r=[forged]))["data"]["_entities"][0]["evidence"] == PROOF


UPDATE = """mutation($u: ID!, $i: UpdateProfileInput!) {updateWardProfile(userId: $u, input: $i) {
    profile {displayName birthDate} userErrors {code field}}}"""


async def test_a_guardian_changes_the_profile_of_a_ward_but_nobody_the_birth_date(family: Club) -> None:
    before = await family.ask(UPDATE, EVA, u="kim", i={"displayName": "Kimberly"})
    assert [error["extensions"]["code"] for error in before["errors"]] == ["FORBIDDEN"]
    await standing(family)
    changed = await family.ask(UPDATE, EVA, u="kim", i={"displayName": "Kimberly"})
    assert changed["data"]["updateWardProfile"]["profile"]["displayName"] == "Kimberly"
    older = {"birthDate": "2000-01-01"}
    guarded = await family.ask(UPDATE, EVA, u="kim", i=older)
    wrong = [{"code": "GUARDED", "field": "birthDate"}]
    assert guarded["data"]["updateWardProfile"]["userErrors"] == wrong
    own = "mutation($i: UpdateProfileInput!) {updateProfile(input: $i) {userErrors {code field}}}"
    assert (await family.ask(own, KIM, i=older))["data"]["updateProfile"]["userErrors"] == wrong
    stranger = await family.ask(UPDATE, TOMAS, u="kim", i={"displayName": "X"})
    missing = await family.ask(UPDATE, TOMAS, u="nobody", i={"displayName": "X"})
    assert stranger == missing


async def test_a_guardian_ends_what_a_ward_opened_to_a_coach(family: Club) -> None:
    invited = await family.ask(
        'mutation {inviteCoach(input: {coachId: "tomas", scopes: [TRAINING]}) {coachLink {id}}}', KIM
    )
    link = invited["data"]["inviteCoach"]["coachLink"]["id"]
    await family.ask(f'mutation {{acceptCoach(id: "{link}") {{userErrors {{code}}}}}}', TOMAS)
    end = f'mutation {{endWardCoachLink(id: "{link}") {{coachLink {{state}} userErrors {{code}}}}}}'
    for subject in (EVA, KIM, TOMAS):
        told = (await family.ask(end, subject))["data"]["endWardCoachLink"]
        assert told == {"coachLink": None, "userErrors": [{"code": "NOT_FOUND"}]}
    await standing(family)
    assert await opened(family, DataClass.TRAINING, subject=TOMAS)
    ended = (await family.ask(end, EVA))["data"]["endWardCoachLink"]
    assert ended == {"coachLink": {"state": "ENDED"}, "userErrors": []}
    assert not await opened(family, DataClass.TRAINING, subject=TOMAS)


async def test_of_two_confirmations_at_once_one_counts(family: Club) -> None:
    asked = (await request(family))["guardianship"]["id"]
    moderators = [Subject(name, NOOR.roles, acr=2) for name in ("noor", "nils")]
    told = await asyncio.gather(*[family.ask(CONFIRM, each, i={"id": asked}) for each in moderators])
    states = sorted(outcome(answer, "confirmGuardianship") for answer in told)
    assert states in (["ACTIVE", "WRONG_STATE"], ["ACTIVE", "CONFLICT"])


async def test_both_ends_hear_of_every_change_and_nobody_else(club: Club) -> None:
    await club.join(
        Profile("kim", "Kim", birth_date=dt.date(2010, 6, 15)),
        Profile("eva", "Eva", birth_date=dt.date(1980, 2, 29)),
    )
    await club.events.open()
    heard = "subscription {guardianshipChanged {state minor {id}}}"
    streams = [club.subgraph.subscribe(heard, {}, None, each) for each in (KIM, EVA, OLE)]
    waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
    for _ in range(20):
        await asyncio.sleep(0)  # the streams listen before anything happens
    async with asyncio.timeout(10):
        await request(club)
        for told in await asyncio.gather(*waiting[:2]):
            assert told["data"]["guardianshipChanged"] == {"state": "REQUESTED", "minor": {"id": "kim"}}
    assert not waiting[2].done()
    waiting[2].cancel()
    await asyncio.gather(waiting[2], return_exceptions=True)
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]
    await club.events.close()


async def test_whoever_is_erased_guards_nobody_and_is_guarded_by_nobody(family: Club) -> None:
    await standing(family)
    assert USER_ERASED in CONSUMED_TOPICS
    handle = consumer(family.relational, family.events.outbox, lambda: family.clock[0])
    gone = new_event(USER_ERASED, key="eva", payload={"user_id": "eva"}, at_utc=NOON)
    await handle(gone)
    assert not await opened(family, DataClass.TRAINING)
    assert (await family.user("guardians {id}", KIM, id="kim"))["data"] == {"guardians": []}


def test_birthdays_of_a_leap_day_come_on_the_first_of_march() -> None:
    assert birthday(dt.date(2008, 2, 29), 18) == dt.date(2026, 3, 1)
    assert birthday(dt.date(2008, 2, 29), 16) == dt.date(2024, 2, 29)


async def test_a_block_shuts_a_guardian_out(family: Club) -> None:
    await standing(family)
    family.facts.put(RelationshipFact("kim", Relation.BLOCKED, "eva", frozenset(), NOON, None, 1))
    assert not await opened(family, DataClass.TRAINING)
