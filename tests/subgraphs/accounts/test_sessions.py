"""Sessions and refresh tokens: rotation, retries, reuse, races, revocation."""

import asyncio
from typing import Any

import pytest

from authz.classes import Role
from authz.errors import InvalidToken
from authz.identity.subject import Subject
from subgraphs.accounts import sessions
from tests.kit_subgraphs.accounts import PASSWORD, World

SESSIONS = "{me {sessions {id device acr current}}}"


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


async def test_a_refresh_gives_new_tokens_of_the_same_session(any_world: World) -> None:
    world = any_world
    await world.person("mira")
    first = await world.log_in("mira")
    world.later(minutes=9)
    second = await world.refresh(first["refreshToken"])
    assert second["refreshToken"] != first["refreshToken"]
    old, new = (world.verifier.verify(payload["accessToken"]) for payload in (first, second))
    assert (old.id, old.session_id, old.acr) == (new.id, new.session_id, new.acr)
    world.later(minutes=2)
    third = await world.refresh(second["refreshToken"])
    assert codes(third) == []
    with pytest.raises(InvalidToken):
        world.verifier.verify(first["accessToken"])


async def test_of_100_rotations_at_once_one_rotates_and_all_get_its_successor(any_world: World) -> None:
    world = any_world
    await world.person("mira")
    first = await world.log_in("mira")
    answers = await asyncio.gather(*(world.refresh(first["refreshToken"], "r-1") for _ in range(100)))
    assert {tuple(codes(answer)) for answer in answers} == {()}
    successors = {answer["refreshToken"] for answer in answers}
    assert len(successors) == 1
    assert successors.pop().split(".")[2] == "2"
    rows = await world.relational.read(
        lambda c: c.exec_driver_sql("SELECT refresh_counter FROM accounts_sessions").scalars().all()
    )
    assert list(rows) == [2]
    assert await world.events("session.revoked") == []


async def test_the_same_request_sent_again_gets_the_same_successor_for_10_seconds(world: World) -> None:
    await world.person("mira")
    first = await world.log_in("mira")
    second = await world.refresh(first["refreshToken"], "r-1")
    world.later(seconds=10)
    assert (await world.refresh(first["refreshToken"], "r-1"))["refreshToken"] == second["refreshToken"]
    world.later(seconds=1)
    assert codes(await world.refresh(first["refreshToken"], "r-1")) == ["BAD_REFRESH_TOKEN"]
    assert codes(await world.refresh(second["refreshToken"])) == ["BAD_REFRESH_TOKEN"]


async def test_another_request_with_a_used_token_ends_this_session_and_no_other(any_world: World) -> None:
    world = any_world
    await world.person("mira")
    stolen, other = await world.log_in("mira"), await world.log_in("mira")
    session_id = world.verifier.verify(stolen["accessToken"]).session_id
    theirs = await world.refresh(stolen["refreshToken"], "r-thief")
    assert codes(await world.refresh(stolen["refreshToken"], "r-owner")) == ["BAD_REFRESH_TOKEN"]
    assert codes(await world.refresh(theirs["refreshToken"])) == ["BAD_REFRESH_TOKEN"]
    (event,) = await world.events("session.revoked")
    assert (event.payload["session_id"], event.payload["reason"]) == (session_id, "refresh token reused")
    await world.deliver_revocations()
    with pytest.raises(InvalidToken):
        world.verifier.verify(theirs["accessToken"])
    assert world.verifier.verify(other["accessToken"]).id == "id-mira"
    assert codes(await world.refresh(other["refreshToken"])) == []


async def test_a_retry_after_the_successor_was_used_is_reuse(world: World) -> None:
    await world.person("mira")
    first = await world.log_in("mira")
    second = await world.refresh(first["refreshToken"])
    await world.refresh(second["refreshToken"])
    assert codes(await world.refresh(first["refreshToken"])) == ["BAD_REFRESH_TOKEN"]
    assert len(await world.events("session.revoked")) == 1


async def test_refresh_and_revocation_at_once_leave_no_living_token(any_world: World) -> None:
    world = any_world
    await world.person("mira")
    for _ in range(5):
        payload = await world.log_in("mira")
        subject = world.verifier.verify(payload["accessToken"])
        refreshed, _ended = await asyncio.gather(
            world.refresh(payload["refreshToken"]), world.ask("mutation {logOut {ended}}", subject)
        )
        token = refreshed["refreshToken"] or payload["refreshToken"]
        assert codes(await world.refresh(token)) == ["BAD_REFRESH_TOKEN"]


@pytest.mark.parametrize("damage", ["counter", "session", "secret", "version", "text", "long"])
async def test_a_token_that_was_not_issued_ends_nothing(world: World, damage: str) -> None:
    await world.person("mira")
    payload = await world.log_in("mira")
    other = await world.log_in("mira")
    version, session, counter, secret = payload["refreshToken"].split(".")
    forged = {
        "counter": f"{version}.{session}.7.{secret}",
        "session": ".".join([version, other["refreshToken"].split(".")[1], counter, secret]),
        "secret": f"{version}.{session}.{counter}.{secret[::-1]}",
        "version": f"st0.{session}.{counter}.{secret}",
        "text": "' OR 1=1 --",
        "long": payload["refreshToken"] + "x" * 5_000,
    }[damage]
    assert codes(await world.refresh(forged)) == ["BAD_REFRESH_TOKEN"]
    assert await world.events("session.revoked") == []
    assert codes(await world.refresh(payload["refreshToken"])) == []


async def test_a_session_ends_after_30_idle_days_and_180_in_all(world: World) -> None:
    await world.person("mira")
    idle = await world.log_in("mira")
    world.later(days=30)
    assert codes(await world.refresh(idle["refreshToken"])) == ["BAD_REFRESH_TOKEN"]
    assert await world.events("session.revoked") == []
    busy = await world.log_in("mira")
    for _ in range(8):
        world.later(days=20)
        busy = await world.refresh(busy["refreshToken"])
        assert codes(busy) == []
    world.later(days=20)
    assert codes(await world.refresh(busy["refreshToken"])) == ["BAD_REFRESH_TOKEN"]


async def test_sessions_are_listed_and_one_or_all_others_are_ended(any_world: World) -> None:
    world = any_world
    await world.person("mira")
    await world.person("tomas")
    payloads = []
    for name in ("phone", "watch", "laptop"):
        payloads.append(await world.log_in("mira", device=name))
        world.later(seconds=1)
    phone, watch, laptop = (world.verifier.verify(payload["accessToken"]) for payload in payloads)
    listed = (await world.ask(SESSIONS, laptop))["data"]["me"]["sessions"]
    assert [(each["device"], each["current"]) for each in listed] == [
        ("laptop", True),
        ("watch", False),
        ("phone", False),
    ]
    revoke = "mutation($id: ID!) {revokeSession(id: $id) {ended userErrors {code}}}"
    tomas = await world.subject("tomas")
    foreign = await world.ask(revoke, tomas, id=phone.session_id)
    assert foreign["data"]["revokeSession"] == {"ended": 0, "userErrors": [{"code": "NOT_FOUND"}]}
    own = await world.ask(revoke, laptop, id=phone.session_id)
    assert own["data"]["revokeSession"] == {"ended": 1, "userErrors": []}
    others = await world.ask("mutation {revokeOtherSessions {ended}}", laptop)
    assert others["data"]["revokeOtherSessions"] == {"ended": 1}
    assert [event.payload["session_id"] for event in await world.events("session.revoked")] == [
        phone.session_id,
        watch.session_id,
    ]
    outcomes = [codes(await world.refresh(payload["refreshToken"])) for payload in payloads]
    assert outcomes == [["BAD_REFRESH_TOKEN"], ["BAD_REFRESH_TOKEN"], []]


async def test_a_user_has_a_bounded_number_of_sessions_and_old_ones_are_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 3)
    await world.person("mira")
    payloads = []
    for _ in range(5):
        payloads.append(await world.log_in("mira"))
        world.later(seconds=1)
    outcomes = [codes(await world.refresh(payload["refreshToken"])) for payload in payloads]
    assert outcomes == [["BAD_REFRESH_TOKEN"]] * 2 + [[]] * 3
    told = [event.payload["reason"] for event in await world.events("session.revoked")]
    assert told == ["too many sessions"] * 2
    world.later(days=61)
    await world.log_in("mira")
    count = await world.relational.read(
        lambda c: c.exec_driver_sql("SELECT count(*) FROM accounts_sessions").scalar()
    )
    assert count == 1


async def test_a_new_password_ends_every_other_session(world: World) -> None:
    await world.person("mira")
    other, here = await world.log_in("mira"), await world.log_in("mira")
    change = """mutation($c: String!, $n: String!) {
        changePassword(input: {current: $c, new: $n}) {userErrors {code}}}"""
    subject = world.verifier.verify(here["accessToken"])
    answer = await world.ask(change, subject, c=PASSWORD, n="a new and longer secret")
    assert codes(answer["data"]["changePassword"]) == []
    assert codes(await world.refresh(other["refreshToken"])) == ["BAD_REFRESH_TOKEN"]
    assert codes(await world.refresh(here["refreshToken"])) == []
    assert codes(await world.log_in("mira")) == ["BAD_CREDENTIALS"]
    assert codes(await world.log_in("mira", "a new and longer secret")) == []


async def test_nobody_else_sees_sessions(world: World) -> None:
    await world.person("mira")
    await world.log_in("mira")
    for stranger in (Subject(id="id-tomas", acr=1), await administrator(world)):
        answer = await world.ask('{user(id: "id-mira") {handle sessions {id} secondFactor}}', stranger)
        assert answer["data"]["user"] == {"handle": "mira", "sessions": None, "secondFactor": None}
        assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [
            (["user", "sessions"], "FORBIDDEN_FIELD"),
            (["user", "secondFactor"], "FORBIDDEN_FIELD"),
        ]


async def administrator(world: World) -> Subject:
    await world.person("ada", Role.ADMINISTRATOR, totp=True)
    return await world.subject("ada")
