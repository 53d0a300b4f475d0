"""A program of one region and a person of another: each door takes both, and each keeps what is its own."""

from __future__ import annotations

import html
import re
import time
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import sqlalchemy as sa

from deploy.regions import Regions, regional_endpoint
from tests.kit_clients.scene import Browser
from tests.kit_regions.people import Door, arrive, leave_traces, somebody, until
from tests.kit_regions.programs import AGREE, Program, registered
from tests.kit_subgraphs.programs import CALLBACK, CHALLENGE

pytestmark = pytest.mark.asyncio(loop_scope="module")
OWN = "{ me { id activities { totalCount } profile { displayName } } }"
REVOKE = "mutation R($id: ID!) { revokeApiClient(id: $id) { client { state } userErrors { code } } }"
WITHIN_S = 2.0


async def two_people(embedded: Regions, doors: dict[str, Door]) -> tuple:
    """An administrator of `us`, and an athlete of `eu`."""
    ada, mira = somebody("ada"), somebody("mira")
    await arrive(embedded, doors["us"], ada)
    await arrive(embedded, doors["eu"], mira)
    await leave_traces(doors["eu"], mira)
    return ada, mira


async def test_a_person_lets_a_program_of_another_region_in_at_any_door(
    embedded: Regions, doors: dict[str, Door]
) -> None:
    ada, mira = await two_people(embedded, doors)
    eye = await registered(embedded.platforms["us"], doors["us"], ada)
    shown = await eye.known(doors["us"], mira)
    assert (shown["client"]["name"], shown["vouchedBy"]) == ("Eye", []), "no handle crosses"
    code = await eye.code(doors["us"], mira, shown["ticket"])
    answer = await eye.exchange(doors["us"], code)
    assert answer.status_code == 200, answer.text
    bearer = replace(mira, token=answer.json()["access_token"])
    for door in doors.values():
        seen = (await door.ask(OWN, bearer))["data"]["me"]
        assert (seen["id"], seen["activities"]["totalCount"], seen["profile"]) == (mira.id, 1, None)
    refresh = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
    again = await eye.post(doors["eu"], "token", **refresh)
    assert again.status_code == 200
    reused = await eye.post(doors["us"], "token", **refresh)
    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")
    told = await eye.post(doors["us"], "introspect", token=again.json()["access_token"])
    assert told.json()["active"] is False, "the reuse has ended it, wherever it is asked about"


async def test_a_code_is_good_for_once_whichever_doors_it_is_brought_to(
    embedded: Regions, doors: dict[str, Door]
) -> None:
    ada, mira = await two_people(embedded, doors)
    eye = await registered(embedded.platforms["us"], doors["us"], ada)
    await eye.known(doors["eu"], mira)
    code = await eye.code(doors["eu"], mira)
    assert (await eye.exchange(doors["us"], code)).status_code == 200
    for door in doors.values():
        answer = await eye.exchange(door, code)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    wrong = Program(eye.id, "sts_wrong")
    for door in doors.values():
        assert (await wrong.exchange(door, code)).status_code == 401


async def test_a_program_s_own_token_is_of_where_it_is_registered(
    embedded: Regions, doors: dict[str, Door]
) -> None:
    ada, mira = await two_people(embedded, doors)
    eye = await registered(embedded.platforms["us"], doors["us"], ada)
    await eye.known(doors["eu"], mira)
    for door in doors.values():
        answer = await eye.post(door, "token", grant_type="client_credentials")
        assert answer.status_code == 200, answer.text
        subject = embedded.platforms["us"].verifier.verify(answer.json()["access_token"])
        assert (subject.id, subject.client_id) == (eye.id, eye.id)
        told = await eye.post(door, "introspect", token=answer.json()["access_token"])
        assert told.json()["active"] is True
        assert (await eye.post(door, "revoke", token=answer.json()["access_token"])).status_code == 200


async def test_a_program_that_is_revoked_in_its_region_is_gone_from_all(
    embedded: Regions, doors: dict[str, Door]
) -> None:
    ada, mira = await two_people(embedded, doors)
    eye = await registered(embedded.platforms["us"], doors["us"], ada)
    await eye.known(doors["eu"], mira)
    tokens = (await eye.exchange(doors["eu"], await eye.code(doors["eu"], mira))).json()
    bearer = replace(mira, token=tokens["access_token"])
    assert (await doors["eu"].ask(OWN, bearer))["data"]["me"]["id"] == mira.id
    revoked = (await doors["us"].data(REVOKE, ada, id=eye.id))["revokeApiClient"]
    assert revoked["client"] == {"state": "REVOKED"}
    began = time.monotonic()

    async def refused() -> bool:
        return "errors" in await doors["eu"].ask("{ me { id } }", bearer)

    await until(refused)
    assert time.monotonic() - began < WITHIN_S
    given = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await eye.post(doors["eu"], "token", **given)).status_code == 401
    told = (await doors["eu"].data(AGREE, mira, i=eye.asking, s=["activity:read"], t=None))["authorizeClient"]
    assert [each["code"] for each in told["userErrors"]] == ["NOT_FOUND"]


async def test_a_program_is_administered_where_it_is_registered_alone(
    embedded: Regions, doors: dict[str, Door]
) -> None:
    ada, mira = await two_people(embedded, doors)
    other = somebody("ben")
    await arrive(embedded, doors["eu"], other)
    eye = await registered(embedded.platforms["us"], doors["us"], ada)
    await eye.known(doors["eu"], mira)
    await registered(embedded.platforms["eu"], doors["eu"], other)  # ben is an administrator now
    answer = await doors["eu"].ask(REVOKE, other, id=eye.id)
    assert "NOT_FOUND" in str(answer) or "ELSEWHERE" in str(answer), answer
    row = sa.text("SELECT * FROM accounts_api_clients WHERE id = :id")
    rows = embedded.platforms["eu"].stores.relational["accounts"]
    kept = str(await rows.read(lambda c: c.execute(row, {"id": eye.id}).one()))
    assert ada.id not in kept and "ACTIVE" in kept, "nobody's id has crossed"


async def test_the_page_takes_a_person_of_another_region(embedded: Regions, doors: dict[str, Door]) -> None:
    ada, mira = await two_people(embedded, doors)
    eye = await registered(embedded.platforms["us"], doors["us"], ada)
    await eye.known(doors["eu"], mira)
    there = replace(embedded, homes=replace(embedded.homes, home="us"))
    browser = Browser.of(regional_endpoint(there))
    asked = {
        "response_type": "code", "client_id": eye.id, "redirect_uri": CALLBACK, "scope": "activity:read",
        "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    }  # fmt: skip
    led = await browser.open(f"/oauth/authorize?{urlencode(asked)}")
    await browser.open(led.headers["location"])
    shown = await browser.log_in(mira.handle, mira.password)
    assert "Let Eye in?" in shown.text and "approved here" not in shown.text
    await browser.answer("agree", "activity:read")
    [target] = re.findall(r'content="0;url=([^"]*)"', browser.text)
    code = parse_qs(urlsplit(html.unescape(target)).query)["code"][0]
    assert (await eye.exchange(doors["us"], code)).status_code == 200
    assert "See your activities" in (await browser.open("/oauth/programs")).text
    await browser.http.aclose()
