"""Roles that are for some people and some classes: granted, narrowed, widened with four eyes, and decided."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.classes import DataClass, Relation, Role
from authz.decide import Authorizer
from authz.facts.model import RelationshipFact
from authz.identity.subject import RoleLimit, Subject
from authz.question import Question
from subgraphs.accounts.role_scopes import PLACES_MAX, RoleScope, as_text, of_text
from tests.kit_subgraphs.accounts import NOON, World

SHOWN = """role {id state replaces regions dataClasses licenceRegion people {id} organisations {name}}
    userErrors {code field}"""
GRANT = f"mutation($i: GrantRoleInput!) {{grantRole(input: $i) {{{SHOWN}}}}}"
CHANGE = f"mutation($i: ChangeRoleInput!) {{changeRole(input: $i) {{{SHOWN}}}}}"
APPROVE = f"mutation($id: ID!) {{approveRole(id: $id) {{{SHOWN}}}}}"
IN_A_YEAR = NOON.replace(year=2027).isoformat()


@pytest.fixture
async def staff(any_world: World) -> tuple[World, Subject, Subject, Subject]:
    """Two administrators of everybody, and Noor, who is to be something."""
    for handle in ("ada", "grace"):
        await any_world.person(handle, Role.ADMINISTRATOR, totp=True)
    await any_world.person("noor", totp=True)
    for handle in ("mira", "tomas", "kim"):
        await any_world.person(handle)
    return (any_world, *[await any_world.subject(each) for each in ("ada", "grace", "noor")])  # type: ignore[return-value]


def payload(answer: dict[str, Any], name: str) -> Any:
    """The assignment, or the code of what was wrong."""
    assert "errors" not in answer, answer
    told = answer["data"][name]
    return told["userErrors"][0]["code"] if told["userErrors"] else told["role"]


async def grant(world: World, actor: Subject, role: str = "MODERATOR", **more: Any) -> Any:
    given = {"userId": "id-noor", "role": role, **more}
    return payload(await world.ask(GRANT, actor, i=given), "grantRole")


async def change(world: World, actor: Subject, assignment: str, **more: Any) -> Any:
    return payload(await world.ask(CHANGE, actor, i={"id": assignment, **more}), "changeRole")


async def approve(world: World, actor: Subject, assignment: str) -> Any:
    return payload(await world.ask(APPROVE, actor, id=assignment), "approveRole")


async def noor(world: World) -> Subject:
    """Noor as a fresh log-in proves her."""
    world.later(seconds=30)
    return await world.subject("noor")


async def names(world: World, owner: str) -> bool:
    """Whether Noor may read somebody's name, as a moderator."""
    await world.deliver_facts()
    authorizer = Authorizer(world.facts, clock=lambda: world.clock[0])
    question = Question(owner, DataClass.PERSONAL, "name")
    (decision,) = await authorizer.for_request(await noor(world)).decide([question])
    return decision.allowed


async def test_a_role_for_named_people_counts_for_them_alone(staff: Any) -> None:
    world, ada, grace, _ = staff
    asked = await grant(world, ada, scope={"people": ["id-mira"]})
    assert (asked["state"], asked["people"]) == ("PENDING", [{"id": "id-mira"}])
    assert not await names(world, "id-mira")
    assert (await approve(world, grace, asked["id"]))["state"] == "ACTIVE"
    assert (await noor(world)).limits == (RoleLimit(Role.MODERATOR),)
    assert await names(world, "id-mira")
    assert not await names(world, "id-tomas")


async def test_a_role_for_an_organisation_follows_who_is_in_it(staff: Any) -> None:
    world, ada, grace, _ = staff
    made = await world.ask('mutation {createOrganisation(name: "Rowers") {organisation {id}}}', ada)
    club = made["data"]["createOrganisation"]["organisation"]["id"]
    asked = await grant(world, ada, scope={"organisations": [club]})
    assert asked["organisations"] == [{"name": "Rowers"}]
    await approve(world, grace, asked["id"])
    member = "mutation($o: ID!, $u: ID!) {%s(organisationId: $o, userId: $u) {userErrors {code}}}"
    for handle in ("id-mira", "id-kim"):
        await world.ask(member % "addMember", ada, o=club, u=handle)
    assert [await names(world, each) for each in ("id-mira", "id-kim", "id-tomas")] == [True, True, False]
    again = await world.ask(member % "addMember", ada, o=club, u="id-mira")
    assert again["data"]["addMember"]["userErrors"] == [{"code": "A_MEMBER"}]
    await world.ask(member % "removeMember", ada, o=club, u="id-kim")
    mine = await world.ask("{me {organisations {id name}}}", await world.subject("mira"))
    assert mine["data"]["me"]["organisations"] == [{"id": club, "name": "Rowers"}]
    left = "mutation($id: ID!) {leaveOrganisation(id: $id) {userErrors {code}}}"
    for told in ([], [{"code": "NOT_FOUND"}]):
        answer = await world.ask(left, await world.subject("mira"), id=club)
        assert answer["data"]["leaveOrganisation"]["userErrors"] == told
    assert [await names(world, each) for each in ("id-mira", "id-kim")] == [False, False]
    listed = await world.ask("{organisations {nodes {name} totalCount}}", ada)
    assert listed["data"]["organisations"] == {"nodes": [{"name": "Rowers"}], "totalCount": 1}


async def test_a_role_for_a_region_counts_for_who_is_at_home_there(staff: Any) -> None:
    world, ada, grace, _ = staff
    await approve(world, grace, (await grant(world, ada, scope={"regions": ["NO"]}))["id"])
    world.facts.put(RelationshipFact("id-mira", Relation.MEMBER, "region:NO", frozenset(), NOON, None, 1))
    assert [await names(world, each) for each in ("id-mira", "id-tomas")] == [True, False]


async def test_a_role_for_a_class_counts_for_everybody_in_it_alone(staff: Any) -> None:
    world, ada, grace, _ = staff
    asked = await grant(world, ada, "ADMINISTRATOR", scope={"dataClasses": ["AUDIT"]})
    assert asked["dataClasses"] == ["AUDIT"]
    await approve(world, grace, asked["id"])
    subject = await noor(world)
    assert subject.limits == (RoleLimit(Role.ADMINISTRATOR, frozenset({DataClass.AUDIT})),)
    request = Authorizer(world.facts, clock=lambda: world.clock[0]).for_request(subject)
    wanted = [Question("id-mira", each, "read") for each in (DataClass.AUDIT, DataClass.SOCIAL)]
    assert [each.allowed for each in await request.decide(wanted)] == [True, False]
    # who administers some classes administers no accounts
    for operation in ("{users {totalCount}}", "{pendingRoles {id}}", "{organisations {totalCount}}"):
        answer = await world.ask(operation, subject)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


async def test_narrowing_counts_at_once_and_widening_needs_a_second_administrator(staff: Any) -> None:
    world, ada, grace, _ = staff
    whole = (await approve(world, grace, (await grant(world, ada))["id"]))["id"]
    assert await names(world, "id-tomas")
    before = await noor(world)
    world.later(seconds=5)
    narrowed = await change(world, ada, whole, scope={"people": ["id-mira", "id-kim"]})
    assert (narrowed["id"], narrowed["state"]) == (whole, "ACTIVE")
    await world.deliver_revocations()
    assert not world.verifier.still_valid(before)
    world.later(seconds=5)
    assert [await names(world, each) for each in ("id-mira", "id-tomas")] == [True, False]
    widened = await change(world, ada, whole, scope={"people": ["id-mira", "id-kim", "id-tomas"]})
    assert (widened["state"], widened["replaces"]) == ("PENDING", whole)
    assert not await names(world, "id-tomas")
    assert await change(world, grace, whole) == "CHANGE_PENDING"
    assert await approve(world, ada, widened["id"]) == "SECOND_ADMINISTRATOR"
    assert (await approve(world, grace, widened["id"]))["state"] == "ACTIVE"
    assert [await names(world, each) for each in ("id-tomas", "id-mira", "id-kim")] == [True, True, True]
    roles = (await world.ask('{user(id: "id-noor") {roles {id role}}}', ada))["data"]["user"]["roles"]
    assert [each["id"] for each in roles if each["role"] == "MODERATOR"] == [widened["id"]]


async def test_whoever_is_named_no_more_is_out_of_reach_at_once(staff: Any) -> None:
    world, ada, grace, _ = staff
    asked = await grant(world, ada, scope={"people": ["id-mira", "id-kim"]})
    await approve(world, grace, asked["id"])
    assert [await names(world, each) for each in ("id-mira", "id-kim")] == [True, True]
    assert (await change(world, ada, asked["id"], scope={"people": ["id-mira"]}))["state"] == "ACTIVE"
    assert [await names(world, each) for each in ("id-mira", "id-kim")] == [True, False]


async def test_lasting_longer_and_other_classes_are_widening_too(staff: Any) -> None:
    world, ada, grace, _ = staff
    scope = {"people": ["id-mira"], "dataClasses": ["PERSONAL"]}
    held = (await approve(world, grace, (await grant(world, ada, scope=scope, validUntil=IN_A_YEAR))["id"]))[
        "id"
    ]
    wider: list[dict[str, Any]] = [
        {"scope": scope},
        {"scope": scope, "validUntil": NOON.replace(year=2028).isoformat()},
        {"scope": {**scope, "dataClasses": ["PERSONAL", "SOCIAL"]}, "validUntil": IN_A_YEAR},
        {"scope": {"people": ["id-mira"]}, "validUntil": IN_A_YEAR},
        {"scope": {"dataClasses": ["PERSONAL"]}, "validUntil": IN_A_YEAR},
        {"scope": {"people": ["id-kim"], "dataClasses": ["PERSONAL"]}, "validUntil": IN_A_YEAR},
    ]
    for each in wider:
        asked = await change(world, ada, held, **each)
        assert asked["state"] == "PENDING", each
        await world.ask("mutation($id: ID!) {revokeRole(id: $id) {role {id}}}", ada, id=asked["id"])
    sooner = await change(world, ada, held, scope=scope, validUntil=NOON.replace(month=6).isoformat())
    assert sooner["state"] == "ACTIVE"
    # the second administrator finds the role over
    asked = await change(world, ada, held, scope={})
    await world.ask("mutation($id: ID!) {revokeRole(id: $id) {role {id}}}", ada, id=held)
    assert await approve(world, grace, asked["id"]) == "NOT_HELD"
    assert Role.MODERATOR not in (await noor(world)).roles


async def test_a_plain_role_widens_at_once_and_a_limit_ends_with_its_role(staff: Any) -> None:
    world, ada, _, _ = staff
    held = await grant(world, ada, "TRAINER", scope={"people": ["id-mira"]}, validUntil=IN_A_YEAR)
    assert held["state"] == "ACTIVE"
    [event] = await world.events("relationship.changed")
    assert event.payload["scopes"] == [f"trainer@{IN_A_YEAR}"]
    assert await grant(world, ada, "TRAINER", scope={"people": ["id-mira"]}) == "ROLE_HELD"
    other = await grant(world, ada, "TRAINER", scope={"people": ["id-kim"]})
    assert other["state"] == "ACTIVE"
    assert (await change(world, ada, held["id"]))["state"] == "ACTIVE"
    assert (await noor(world)).limits == ()
    told = {event.payload["object_id"]: event.payload for event in await world.events("relationship.changed")}
    assert told["id-kim"]["scopes"] == ["trainer"]
    assert told["id-mira"]["scopes"] == []  # for everybody now: nobody need be named
    await world.ask("mutation($id: ID!) {revokeRole(id: $id) {role {id}}}", ada, id=other["id"])
    last = (await world.events("relationship.changed"))[-1].payload
    assert (last["object_id"], last["scopes"]) == ("id-kim", [])
    assert last["valid_until_utc"] == world.clock[0].isoformat()


async def test_the_last_administrator_of_everybody_stays_one(staff: Any) -> None:
    world, ada, grace, _ = staff
    roles = {}
    for subject in (ada, grace):
        answer = await world.ask(f'{{user(id: "{subject.id}") {{roles {{id role}}}}}}', ada)
        found = answer["data"]["user"]["roles"]
        roles[subject.id] = next(each["id"] for each in found if each["role"] == "ADMINISTRATOR")
    assert await change(world, ada, roles[ada.id], scope={"people": ["id-mira"]}) == "OWN_ROLE"
    narrowed = await change(world, ada, roles[grace.id], scope={"people": ["id-mira"]})
    assert narrowed["state"] == "ACTIVE"
    revoke = await world.ask(
        "mutation($id: ID!) {revokeRole(id: $id) {userErrors {code}}}", ada, id=roles[ada.id]
    )
    assert revoke["data"]["revokeRole"]["userErrors"] == [{"code": "LAST_ADMINISTRATOR"}]


async def test_a_limited_administrator_resets_factors_of_whom_the_role_is_for(staff: Any) -> None:
    world, ada, grace, _ = staff
    await world.person("lind", totp=True)
    await world.person("okafor", totp=True)
    await approve(
        world, grace, (await grant(world, ada, "ADMINISTRATOR", scope={"people": ["id-lind"]}))["id"]
    )
    await world.deliver_facts()
    limited = await noor(world)
    reset = "mutation($id: ID!) {resetSecondFactor(id: $id) {user {id} userErrors {code}}}"
    told = await world.ask(reset, limited, id="id-lind")
    assert told["data"]["resetSecondFactor"]["userErrors"] == []
    for other in ("id-okafor", "id-nobody"):
        answer = await world.ask(reset, limited, id=other)
        assert [error["extensions"] for error in answer["errors"]] == [{"code": "FORBIDDEN"}]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"scope": {"people": ["id-nobody"]}}, "NOT_FOUND"),
        ({"scope": {"organisations": ["none"]}}, "NOT_FOUND"),
        ({"scope": {"regions": ["Norway"]}}, "BAD_REGION"),
        ({"scope": {"regions": ["NO%"]}}, "BAD_REGION"),
        ({"scope": {"people": [f"id-{n}" for n in range(PLACES_MAX + 1)]}}, "SCOPE_TOO_WIDE"),
        ({"licenceRegion": "NO"}, "NO_LICENCE"),
    ],
)
async def test_a_scope_that_cannot_be_is_refused(staff: Any, given: dict[str, Any], code: str) -> None:
    world, ada, _, _ = staff
    assert await grant(world, ada, **given) == code
    assert await world.events("relationship.changed") == []


async def test_a_licence_says_where_a_physician_practises(staff: Any) -> None:
    world, ada, grace, _ = staff
    bad = await grant(world, ada, "MEDICAL_SPECIALIST", licenceRegion="no", validUntil=IN_A_YEAR)
    assert bad == "BAD_REGION"
    asked = await grant(world, ada, "MEDICAL_SPECIALIST", licenceRegion="NO", validUntil=IN_A_YEAR)
    await approve(world, grace, asked["id"])
    subject = await noor(world)
    assert subject.region == "NO"


_scopes = st.builds(
    RoleScope,
    people=st.frozensets(st.sampled_from(["a", "b"])),
    organisations=st.frozensets(st.sampled_from(["o", "p"])),
    regions=st.frozensets(st.sampled_from(["NO", "NO-46", "SE"])),
    classes=st.frozensets(st.sampled_from([DataClass.AUDIT, DataClass.SOCIAL])),
)


def _reached(scope: RoleScope) -> set[tuple[str, str]]:
    """Who is reached in what, of people each of whom is in one place, and one who is nowhere."""
    circles = {"a": {"a"}, "b": {"b"}, "x": {"organisation:o"}, "y": {"organisation:p"}, "z": set()}
    circles |= {"n": {"region:NO"}, "v": {"region:NO", "region:NO-46"}, "s": {"region:SE"}}
    people = {each for each, ins in circles.items() if scope.for_everybody or ins & scope.circles()}
    return {(each, name) for each in people for name in (scope.classes or {"AUDIT", "SOCIAL", "TRAINING"})}


@given(_scopes, _scopes)
def test_a_scope_covers_another_exactly_when_it_reaches_all_that_one_reaches(
    one: RoleScope, other: RoleScope
) -> None:
    assert one.covers(other) == (_reached(other) <= _reached(one))


@given(_scopes)
def test_a_scope_comes_back_from_the_store_as_it_was(scope: RoleScope) -> None:
    assert of_text(as_text(scope)) == scope
