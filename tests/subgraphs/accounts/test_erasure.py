"""Who erases the account proves anew that it is theirs; then nothing of it is left, and everybody is told."""

from __future__ import annotations

from typing import Any

import pytest

from authz.classes import Role
from authz.errors import InvalidToken
from authz.identity.subject import ANONYMOUS
from tests.kit_subgraphs.accounts import PASSWORD, World

ERASE = """mutation($password: String!, $otp: String) {
  eraseAccount(input: {password: $password, otp: $otp}) { erased userErrors { code } } }"""


async def erase(world: World, handle: str, **given: Any) -> dict[str, Any]:
    subject = await world.subject(handle)
    answer = await world.ask(ERASE, subject, **{"password": PASSWORD, **given})
    assert "errors" not in answer, answer
    payload: dict[str, Any] = answer["data"]["eraseAccount"]
    return payload


async def test_nothing_of_an_erased_account_is_left(any_world: World) -> None:
    world = any_world
    user_id = await world.person("mira", Role.TRAINER)
    token = (await world.log_in("mira"))["accessToken"]
    assert await erase(world, "mira") == {"erased": True, "userErrors": []}
    assert [dict(event.payload)["user_id"] for event in await world.events("user.erased")] == [user_id]
    for table in ("accounts_users", "accounts_sessions", "accounts_role_assignments"):
        rows = await world.relational.read(lambda c, t=table: list(c.exec_driver_sql(f"SELECT * FROM {t}")))  # type: ignore[misc]
        assert rows == []
    assert (await world.log_in("mira"))["userErrors"][0]["code"] == "BAD_CREDENTIALS"
    await world.deliver_revocations()
    with pytest.raises(InvalidToken):
        world.verifier.verify(token)


async def test_the_password_is_asked_for_again_and_guesses_are_counted(world: World) -> None:
    await world.person("mira")
    codes = [(await erase(world, "mira", password="not hers"))["userErrors"][0]["code"] for _ in range(11)]
    assert set(codes[:10]) == {"BAD_CREDENTIALS"} and codes[10] == "THROTTLED"
    assert await world.events("user.erased") == []


async def test_a_second_factor_is_asked_for_where_there_is_one(world: World) -> None:
    await world.person("lind", Role.MEDICAL_SPECIALIST, totp=True)
    subject = await world.subject("lind")
    for otp in (None, "000000"):
        answer = await world.ask(ERASE, subject, password=PASSWORD, otp=otp)
        assert [each["code"] for each in answer["data"]["eraseAccount"]["userErrors"]] == ["BAD_CREDENTIALS"]
    world.later(seconds=30)
    answer = await world.ask(ERASE, subject, password=PASSWORD, otp=world.code("lind"))
    assert answer["data"]["eraseAccount"]["erased"] is True


async def test_the_last_administrator_stays(world: World) -> None:
    await world.person("ada", Role.ADMINISTRATOR, totp=True)
    subject = await world.subject("ada")
    world.later(seconds=30)
    answer = await world.ask(ERASE, subject, password=PASSWORD, otp=world.code("ada"))
    assert [each["code"] for each in answer["data"]["eraseAccount"]["userErrors"]] == ["LAST_ADMINISTRATOR"]
    assert (await world.ask("{ me { id } }", subject))["data"]["me"] == {"id": "id-ada"}


async def test_nobody_who_has_not_logged_in_erases_anything(world: World) -> None:
    answer = await world.ask(ERASE, ANONYMOUS, password=PASSWORD, otp=None)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]
