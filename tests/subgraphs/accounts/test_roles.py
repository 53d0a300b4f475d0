"""Administrators and roles: four eyes, ends, what each caller sees of an account; suspension; the SDL."""

from pathlib import Path
from typing import Any

import pytest

from authz.classes import Role
from authz.errors import InvalidToken
from authz.identity.subject import ANONYMOUS, Subject
from datastores.relational.migrate import downgrade
from subgraphs.accounts.subgraph import MIGRATIONS, VERSION_TABLE, prepare
from tests.kit_subgraphs.accounts import NOON, World, stepped_down

SDL = Path(__file__).parents[3] / "schema/published/accounts.graphql"
GRANT = """mutation($u: ID!, $r: Role!, $until: DateTime) {
  grantRole(input: {userId: $u, role: $r, validUntil: $until}) {role {id state} userErrors {code field}}}"""
APPROVE = "mutation($id: ID!) {approveRole(id: $id) {role {state approvedBy} userErrors {code}}}"
REVOKE = "mutation($id: ID!) {revokeRole(id: $id) {role {state} userErrors {code}}}"
IN_A_YEAR = NOON.replace(year=2027).isoformat()


@pytest.fixture
async def admins(any_world: World) -> tuple[Subject, Subject]:
    subjects = []
    for handle in ("ada", "grace"):
        await any_world.person(handle, Role.ADMINISTRATOR, totp=True)
        subjects.append(await any_world.subject(handle))
    return subjects[0], subjects[1]


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


async def grant(world: World, actor: Subject, user_id: str, role: str, until: str | None = None) -> Any:
    answer = await world.ask(GRANT, actor, u=user_id, r=role, until=until)
    return answer["data"]["grantRole"]


async def test_a_plain_role_holds_at_once(any_world: World, admins: tuple[Subject, Subject]) -> None:
    world = any_world
    tomas = await world.person("tomas")
    assert (await grant(world, admins[0], tomas, "TRAINER"))["role"]["state"] == "ACTIVE"
    assert (await world.subject("tomas")).roles == {Role.ATHLETE, Role.TRAINER}
    assert [event.payload["roles"] for event in await world.events("role.changed")] == [
        ["athlete", "trainer"]
    ]
    assert codes(await grant(world, admins[0], tomas, "TRAINER")) == ["ROLE_HELD"]


async def test_a_sensitive_role_needs_a_second_administrator(
    any_world: World, admins: tuple[Subject, Subject]
) -> None:
    world, (ada, grace) = any_world, admins
    lind = await world.person("lind", totp=True)
    assert codes(await grant(world, ada, lind, "MEDICAL_SPECIALIST")) == ["END_NEEDED"]
    payload = await grant(world, ada, lind, "MEDICAL_SPECIALIST", IN_A_YEAR)
    assignment = payload["role"]["id"]
    assert payload["role"]["state"] == "PENDING"
    assert (await world.subject("lind")).roles == {Role.ATHLETE}
    pending = await world.ask("{pendingRoles {id user {id} role}}", grace)
    assert pending["data"]["pendingRoles"] == [
        {"id": assignment, "user": {"id": lind}, "role": "MEDICAL_SPECIALIST"}
    ]
    own = (await world.ask(APPROVE, ada, id=assignment))["data"]["approveRole"]
    assert codes(own) == ["SECOND_ADMINISTRATOR"]
    approved = (await world.ask(APPROVE, grace, id=assignment))["data"]["approveRole"]
    assert approved["role"] == {"state": "ACTIVE", "approvedBy": "id-grace"}
    again = (await world.ask(APPROVE, grace, id=assignment))["data"]["approveRole"]
    assert codes(again) == ["NOT_PENDING"]
    world.later(seconds=30)
    assert Role.MEDICAL_SPECIALIST in (await world.subject("lind")).roles


async def test_a_role_ends_with_its_date(any_world: World, admins: tuple[Subject, Subject]) -> None:
    world, (ada, grace) = any_world, admins
    lind = await world.person("lind", totp=True)
    until = NOON.replace(day=2).isoformat()
    payload = await grant(world, ada, lind, "MEDICAL_SPECIALIST", until)
    await world.ask(APPROVE, grace, id=payload["role"]["id"])
    world.later(hours=23)
    assert Role.MEDICAL_SPECIALIST in (await world.subject("lind")).roles
    world.later(hours=2)
    assert Role.MEDICAL_SPECIALIST not in (await world.subject("lind")).roles


async def test_a_revoked_role_ends_with_its_tokens_and_refresh_gives_tokens_without_it(
    any_world: World, admins: tuple[Subject, Subject]
) -> None:
    world, (ada, _) = any_world, admins
    tomas = await world.person("tomas")
    assignment = (await grant(world, ada, tomas, "TRAINER"))["role"]["id"]
    payload = await world.log_in("tomas")
    world.later(seconds=5)
    revoked = (await world.ask(REVOKE, ada, id=assignment))["data"]["revokeRole"]
    assert revoked["role"] == {"state": "REVOKED"}
    await world.deliver_revocations()
    with pytest.raises(InvalidToken):
        world.verifier.verify(payload["accessToken"])
    world.later(seconds=5)
    refreshed = await world.refresh(payload["refreshToken"])
    assert world.verifier.verify(refreshed["accessToken"]).roles == {Role.ATHLETE}


async def test_nobody_serves_themselves_and_the_last_administrator_stays(
    any_world: World, admins: tuple[Subject, Subject]
) -> None:
    world, (ada, grace) = any_world, admins
    assert codes(await grant(world, ada, "id-ada", "FINANCE")) == ["OWN_ROLE"]
    assert codes(await grant(world, ada, "id-nobody", "TRAINER")) == ["NOT_FOUND"]
    roles = {}
    for handle in ("ada", "grace"):
        answer = await world.ask(f'{{user(id: "id-{handle}") {{roles {{id role}}}}}}', ada)
        roles[handle] = next(r["id"] for r in answer["data"]["user"]["roles"] if r["role"] == "ADMINISTRATOR")
    assert codes((await world.ask(REVOKE, ada, id=roles["grace"]))["data"]["revokeRole"]) == []
    last = (await world.ask(REVOKE, grace, id=roles["ada"]))["data"]["revokeRole"]
    assert codes(last) == ["LAST_ADMINISTRATOR"]


ADMINISTRATION = [
    "{users {totalCount}}",
    "{pendingRoles {id}}",
    'mutation {grantRole(input: {userId: "id-mira", role: TRAINER}) {userErrors {code}}}',
    'mutation {approveRole(id: "x") {userErrors {code}}}',
    'mutation {revokeRole(id: "x") {userErrors {code}}}',
    'mutation {suspendUser(id: "id-mira") {userErrors {code}}}',
    'mutation {reinstateUser(id: "id-mira") {userErrors {code}}}',
    'mutation {resetSecondFactor(id: "id-mira") {userErrors {code}}}',
]


@pytest.mark.parametrize("operation", ADMINISTRATION)
async def test_administration_is_for_administrators_with_a_second_factor(
    world: World, operation: str
) -> None:
    await world.person("ada", Role.ADMINISTRATOR, totp=True)
    ada = await world.subject("ada")
    callers = [
        (ANONYMOUS, "UNAUTHENTICATED"),
        (Subject(id="id-mira"), "FORBIDDEN"),
        (stepped_down(ada), "FORBIDDEN"),
    ]
    for caller, code in callers:
        answer = await world.ask(operation, caller)
        assert [error["extensions"]["code"] for error in answer["errors"]] == [code]
    obligations = [
        (await world.ask(operation, stepped_down(ada)))["errors"][0]["extensions"].get("obligation")
    ]
    assert obligations == ["STEP_UP"]
    assert "errors" not in await world.ask(operation, ada)


async def test_what_each_caller_sees_of_an_account(world: World) -> None:
    await world.person("mira")
    await world.person("ada", Role.ADMINISTRATOR, totp=True)
    query = '{user(id: "id-mira") {id handle email status createdAt roles {role state}}}'
    full = {
        "id": "id-mira",
        "handle": "mira",
        "email": "mira@example.org",
        "status": "ACTIVE",
        "createdAt": "2026-03-01T12:00:00Z",
        "roles": [{"role": "ATHLETE", "state": "ACTIVE"}],
    }
    own = await world.ask(query, await world.subject("mira"))
    assert own == {"data": {"user": full}}
    administrators = await world.ask(query, await world.subject("ada"))
    assert administrators["data"]["user"] == {**full, "email": None}
    assert [error["path"] for error in administrators["errors"]] == [["user", "email"]]
    strangers = await world.ask(query, Subject(id="id-tomas", roles=frozenset({Role.TRAINER}), acr=1))
    assert strangers["data"]["user"] == {
        "id": "id-mira",
        "handle": "mira",
        "email": None,
        "status": None,
        "createdAt": None,
        "roles": None,
    }
    assert {tuple(error["path"]) for error in strangers["errors"]} == {
        ("user", field) for field in ("email", "status", "createdAt", "roles")
    }
    missing = await world.ask('{user(id: "id-none") {id}}', Subject(id="id-tomas"))
    assert missing["errors"][0]["extensions"] == {"code": "NOT_FOUND"}
    assert (await world.ask("{me {id}}"))["data"] == {"me": None}


async def test_users_are_paged_by_handle(world: World) -> None:
    for handle in ("mira", "mika", "tomas", "mi_lo"):
        await world.person(handle)
    await world.person("ada", Role.ADMINISTRATOR, totp=True)
    ada = await world.subject("ada")
    query = """query($p: String, $a: String) {users(handlePrefix: $p, first: 2, after: $a) {
        totalCount nodes {handle} pageInfo {hasNextPage endCursor}}}"""
    first = (await world.ask(query, ada, p="mi"))["data"]["users"]
    assert (first["totalCount"], [n["handle"] for n in first["nodes"]]) == (3, ["mi_lo", "mika"])
    rest = (await world.ask(query, ada, p="mi", a=first["pageInfo"]["endCursor"]))["data"]["users"]
    assert ([n["handle"] for n in rest["nodes"]], rest["pageInfo"]["hasNextPage"]) == (["mira"], False)
    wild = (await world.ask(query, ada, p="mi%"))["data"]["users"]
    assert wild["totalCount"] == 0


async def test_a_suspended_account_is_shut_at_once_until_it_is_reinstated(
    any_world: World, admins: tuple[Subject, Subject]
) -> None:
    world, (ada, _) = any_world, admins
    await world.person("mira")
    payload = await world.log_in("mira")
    world.later(seconds=2)
    await world.ask('mutation {suspendUser(id: "id-mira") {userErrors {code}}}', ada)
    await world.deliver_revocations()
    with pytest.raises(InvalidToken):
        world.verifier.verify(payload["accessToken"])
    assert codes(await world.refresh(payload["refreshToken"])) == ["BAD_REFRESH_TOKEN"]
    assert codes(await world.log_in("mira")) == ["SUSPENDED"]
    assert codes(await world.log_in("mira", "wrong")) == ["BAD_CREDENTIALS"]
    world.later(seconds=2)
    await world.ask('mutation {reinstateUser(id: "id-mira") {userErrors {code}}}', ada)
    assert codes(await world.log_in("mira")) == []


async def test_a_lost_second_factor_is_reset_by_another_administrator(
    any_world: World, admins: tuple[Subject, Subject]
) -> None:
    world, (ada, grace) = any_world, admins
    reset = "mutation($id: ID!) {resetSecondFactor(id: $id) {user {id} userErrors {code}}}"
    assert codes(await world.log_in("ada")) == ["OTP_REQUIRED"]
    own = (await world.ask(reset, ada, id="id-ada"))["data"]["resetSecondFactor"]
    assert codes(own) == ["OWN_ACCOUNT"]
    done = (await world.ask(reset, grace, id="id-ada"))["data"]["resetSecondFactor"]
    assert done == {"user": {"id": "id-ada"}, "userErrors": []}
    assert [event.payload["session_id"] for event in await world.events("session.revoked")] == [
        ada.session_id
    ]
    payload = await world.log_in("ada")
    subject = world.verifier.verify(payload["accessToken"])
    assert (subject.acr, Role.ADMINISTRATOR in subject.roles) == (1, False)
    again = (await world.ask(reset, grace, id="id-ada"))["data"]["resetSecondFactor"]
    assert codes(again) == ["NOT_ENROLLED"]


async def test_a_user_is_an_entity_and_a_forged_one_is_the_real_row(world: World) -> None:
    await world.person("mira")
    query = "query($r: [_Any!]!) {_entities(representations: $r) {... on User {id handle email}}}"
    forged = {
        "__typename": "User",
        "id": "id-mira",
        "email": "x@y.example",
        "handle": "root",
        "ownerId": "id-tomas",
    }
    missing = {"__typename": "User", "id": "id-none"}
    answer = await world.ask(query, Subject(id="id-tomas", acr=1), r=[forged, missing])
    assert answer["data"]["_entities"] == [{"id": "id-mira", "handle": "mira", "email": None}, None]
    assert [error["path"] for error in answer["errors"]] == [["_entities", 0, "email"]]


async def test_the_migrations_go_up_and_down_on_both_stores(any_world: World) -> None:
    await any_world.person("mira")
    await downgrade(any_world.relational, MIGRATIONS, VERSION_TABLE)
    await prepare(any_world.relational)
    await any_world.person("mira")


async def test_the_sdl_is_what_was_published(world: World) -> None:
    assert world.subgraph.sdl() == SDL.read_text(encoding="utf-8")
