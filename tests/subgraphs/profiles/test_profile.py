"""Profiles and settings: what may be said, who sees which part, masks, locking."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from authz.classes import Relation, Visibility
from authz.facts.model import RelationshipFact
from authz.identity.subject import ANONYMOUS, Subject
from datastores.events.outbox import RelationalOutbox, new_event
from datastores.relational.migrate import downgrade
from subgraphs.profiles.events import consumer
from subgraphs.profiles.model import AgeBand, Profile, Sex, age_band, age_years
from subgraphs.profiles.subgraph import MIGRATIONS, VERSION_TABLE, prepare
from tests.kit_subgraphs.profiles import ADA, LIND, MIRA, NOON, NOOR, TOMAS, Club

PROFILE = """profile {displayName birthDate sex heightM ageBand homeRegion locale timeZone units version}
    settings {nameVisibility detailsVisibility weekStartsOn}"""
UPDATE = """mutation($i: UpdateProfileInput!) {
    updateProfile(input: $i) {profile {displayName heightM version} userErrors {code field}}}"""

WHOLE = Profile(
    user_id="mira",
    display_name="Mira Sandvik",
    birth_date=dt.date(1991, 7, 4),
    sex=Sex.FEMALE,
    height_m=1.72,
    home_region="NO-46",
    locale="nb-NO",
    time_zone="Europe/Oslo",
)
TOLD = {
    "displayName": "Mira Sandvik",
    "birthDate": "1991-07-04",
    "sex": "FEMALE",
    "heightM": 1.72,
    "ageBand": "FROM_30",
    "homeRegion": "NO-46",
    "locale": "nb-NO",
    "timeZone": "Europe/Oslo",
    "units": "METRIC",
    "version": 1,
}
SETTINGS = {"nameVisibility": "FRIENDS", "detailsVisibility": "PRIVATE", "weekStartsOn": 1}


def only(**shown: Any) -> dict[str, Any]:
    return {name: shown.get(name) for name in TOLD}


def denied(answer: dict[str, Any]) -> set[str]:
    errors = answer.get("errors", [])
    assert {error["extensions"]["code"] for error in errors} <= {"FORBIDDEN_FIELD"}
    assert all(error["path"][:2] == ["_entities", 0] for error in errors)
    return {error["path"][-1] for error in errors}


def treating(physician_id: str) -> RelationshipFact:
    return RelationshipFact(
        physician_id, Relation.TREATING, "mira", frozenset(), NOON - dt.timedelta(days=1), None, 1
    )


async def test_the_owner_sees_everything(any_club: Club) -> None:
    await any_club.join(WHOLE)
    answer = await any_club.user(PROFILE, MIRA)
    assert answer == {"data": {"profile": TOLD, "settings": SETTINGS}}


@pytest.mark.parametrize("stranger", [ANONYMOUS, TOMAS, LIND, Subject(id="nobody", acr=1)])
async def test_strangers_see_nothing_of_a_private_profile(club: Club, stranger: Subject) -> None:
    await club.join(WHOLE)
    answer = await club.user(PROFILE, stranger)
    assert answer["data"] == {"profile": only(), "settings": None}
    assert len(answer["errors"]) == len(TOLD) + 1
    assert denied(answer) == {*TOLD, "settings"}


async def test_a_moderator_sees_the_name_only(club: Club) -> None:
    await club.join(WHOLE)
    answer = await club.user(PROFILE, NOOR)
    assert answer["data"]["profile"] == only(displayName="Mira Sandvik")
    assert denied(answer) == {*TOLD, "settings"} - {"displayName"}


async def test_a_physician_who_treats_her_sees_name_birth_date_and_sex(club: Club) -> None:
    await club.join(WHOLE)
    club.facts.put(treating("lind"))
    answer = await club.user(PROFILE, LIND)
    assert answer["data"]["profile"] == only(displayName="Mira Sandvik", birthDate="1991-07-04", sex="FEMALE")


async def test_an_administrator_states_a_purpose_and_gets_shortened_values(club: Club) -> None:
    await club.join(WHOLE)
    without = await club.user("profile {displayName birthDate locale}", ADA)
    assert without["data"]["profile"] == {"displayName": None, "birthDate": None, "locale": None}
    assert {error["extensions"].get("obligation") for error in without["errors"]} == {"PURPOSE"}
    given = await club.user("profile(purpose: HOPERAT) {displayName birthDate heightM locale}", ADA)
    assert given["data"]["profile"] == {
        "displayName": "M. S.",
        "birthDate": "1991-01-01",
        "heightM": None,
        "locale": "…",
    }
    assert denied(given) == {"heightM"}


async def test_each_part_has_the_circle_its_owner_chose(club: Club) -> None:
    await club.join(WHOLE)
    choose = """mutation($i: UpdateSettingsInput!) {
        updateSettings(input: $i) {settings {nameVisibility detailsVisibility} userErrors {code}}}"""
    answer = await club.ask(choose, MIRA, i={"nameVisibility": "EVERYONE"})
    assert answer["data"]["updateSettings"]["settings"] == {
        "nameVisibility": "EVERYONE",
        "detailsVisibility": "PRIVATE",
    }
    seen = await club.user(PROFILE, TOMAS)
    assert seen["data"]["profile"] == only(displayName="Mira Sandvik")
    await club.ask(choose, MIRA, i={"nameVisibility": "PRIVATE", "detailsVisibility": "EVERYONE"})
    seen = await club.user(PROFILE, TOMAS)
    assert seen["data"]["profile"] == only(ageBand="FROM_30", homeRegion="NO-46")
    anonymous = await club.user(PROFILE, ANONYMOUS)
    assert anonymous["data"]["profile"] == only()


async def test_many_profiles_are_decided_in_one_batch_and_loaded_in_one_query(club: Club) -> None:
    everyone = [Profile(f"u{n}", f"Person {n}", name_visibility=Visibility.EVERYONE) for n in range(50)]
    await club.join(*everyone)
    club.facts.batches = 0
    query = "query($r: [_Any!]!) {_entities(representations: $r) {... on User {profile {displayName}}}}"
    answer = await club.ask(query, MIRA, r=[{"__typename": "User", "id": f"u{n}"} for n in range(50)])
    names = [each["profile"]["displayName"] for each in answer["data"]["_entities"]]
    assert names == [f"Person {n}" for n in range(50)]
    assert club.facts.batches == 1


async def test_a_user_without_a_profile_has_none(club: Club) -> None:
    answer = await club.user(PROFILE, MIRA)
    assert answer == {"data": {"profile": None, "settings": None}}


async def test_whoever_registers_has_a_profile_and_a_second_event_changes_nothing(any_club: Club) -> None:
    event = new_event("user.registered", key="mira", payload={"user_id": "mira", "handle": "mira.s"})
    handle = consumer(any_club.relational, RelationalOutbox(), lambda: NOON)
    await handle(event)
    await any_club.ask(UPDATE, MIRA, i={"displayName": "Mira"})
    await handle(event)
    answer = await any_club.user("profile {displayName version}", MIRA)
    assert answer["data"]["profile"] == {"displayName": "Mira", "version": 2}


async def test_a_change_touches_what_was_given_and_null_takes_away(any_club: Club) -> None:
    await any_club.join(WHOLE)
    answer = await any_club.ask(UPDATE, MIRA, i={"displayName": "  Mira  S. ", "heightM": None})
    assert answer["data"]["updateProfile"]["profile"] == {
        "displayName": "Mira  S.",
        "heightM": None,
        "version": 2,
    }
    seen = await any_club.user(PROFILE, MIRA)
    changed = {"displayName": "Mira  S.", "heightM": None, "version": 2}
    assert seen["data"]["profile"] == {**TOLD, **changed}
    kept = await any_club.ask(UPDATE, MIRA, i={"locale": None, "timeZone": None, "displayName": None})
    assert kept["data"]["updateProfile"]["userErrors"] == []
    assert (await any_club.user("profile {locale timeZone displayName}", MIRA))["data"]["profile"] == {
        "locale": "nb-NO",
        "timeZone": "Europe/Oslo",
        "displayName": "Mira  S.",
    }


async def test_a_change_to_an_old_version_is_a_conflict(any_club: Club) -> None:
    await any_club.join(WHOLE)
    assert (await any_club.ask(UPDATE, MIRA, i={"heightM": 1.7, "version": 1}))["data"]["updateProfile"][
        "userErrors"
    ] == []
    late = await any_club.ask(UPDATE, MIRA, i={"heightM": 1.8, "version": 1})
    assert late["data"]["updateProfile"] == {
        "profile": None,
        "userErrors": [{"code": "CONFLICT", "field": "version"}],
    }


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"displayName": " "}, "BAD_NAME"),
        ({"birthDate": "2026-03-02"}, "BAD_BIRTH_DATE"),
        ({"birthDate": "2013-03-02"}, "TOO_YOUNG"),
        ({"birthDate": "1899-01-01"}, "BAD_BIRTH_DATE"),
        ({"heightM": 172}, "BAD_HEIGHT"),
        ({"heightM": -0.0}, "BAD_HEIGHT"),
        ({"homeRegion": "Norway"}, "BAD_REGION"),
        ({"locale": "norwegian"}, "BAD_LOCALE"),
        ({"timeZone": "Oslo"}, "BAD_TIME_ZONE"),
        ({"timeZone": "../../etc/passwd"}, "BAD_TIME_ZONE"),
    ],
)
async def test_what_cannot_be_so_is_refused_and_nothing_changes(
    club: Club, given: dict[str, Any], code: str
) -> None:
    await club.join(WHOLE)
    answer = await club.ask(UPDATE, MIRA, i=given)
    (error,) = answer["data"]["updateProfile"]["userErrors"]
    assert (error["code"], error["field"]) == (code, next(iter(given)))
    assert (await club.user(PROFILE, MIRA))["data"]["profile"] == TOLD


@pytest.mark.parametrize("name", ["a\u0000b", "Mira\u202egnp.exe", "x" * 81])
async def test_names_show_all_their_characters(club: Club, name: str) -> None:
    await club.join(WHOLE)
    answer = await club.ask(UPDATE, MIRA, i={"displayName": name})
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_INPUT"]


async def test_only_callers_with_a_token_change_anything(club: Club) -> None:
    answer = await club.ask(UPDATE, ANONYMOUS, i={"displayName": "x"})
    assert answer["data"] == {"updateProfile": None}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]


def test_ages_are_whole_years_and_bands_are_wide() -> None:
    leap = dt.date(2000, 2, 29)
    assert age_years(leap, dt.date(2026, 2, 28)) == 25
    assert age_years(leap, dt.date(2026, 3, 1)) == 26
    today = dt.date(2026, 3, 1)
    bands = [age_band(dt.date(2026 - age, 1, 1), today) for age in (13, 17, 18, 29, 30, 49, 69, 70, 104)]
    assert bands == [
        AgeBand.UNDER_18,
        AgeBand.UNDER_18,
        AgeBand.FROM_18,
        AgeBand.FROM_18,
        AgeBand.FROM_30,
        AgeBand.FROM_40,
        AgeBand.FROM_60,
        AgeBand.FROM_70,
        AgeBand.FROM_70,
    ]


async def test_the_profile_tables_go_up_and_down_on_both_stores(any_club: Club) -> None:
    await any_club.join(WHOLE)
    await downgrade(any_club.relational, MIGRATIONS, VERSION_TABLE)
    await prepare(any_club.relational)
    await any_club.join(WHOLE)


def test_the_profiles_sdl_is_what_was_published(club: Club) -> None:
    published = Path(__file__).parents[3] / "schema/published/profiles.graphql"
    assert club.subgraph.sdl() == published.read_text(encoding="utf-8")


async def test_decisions_hear_of_every_region_that_somebody_moves_from_and_to(club: Club) -> None:
    await club.join(Profile("mira", "Mira"))
    change = "mutation($r: String) {updateProfile(input: {homeRegion: $r}) {userErrors {code}}}"
    seen = []
    for region in ("NO-46", "NO", "SE", None):
        club.later(hours=1)
        before = len(await club.deliver())
        await club.ask(change, MIRA, r=region)
        told = (await club.deliver())[before:]
        seen.append({each["object_id"]: each["valid_until_utc"] is None for each in told})
    assert seen == [
        {"region:NO": True, "region:NO-46": True},
        {"region:NO-46": False},
        {"region:NO": False, "region:SE": True},
        {"region:SE": False},
    ]
