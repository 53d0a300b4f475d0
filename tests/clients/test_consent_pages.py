"""A person, a program and the page between them; and what somebody tries who is neither."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.kit_clients.scene import Browser, Scene
from tests.kit_subgraphs.accounts import PASSWORD
from tests.kit_subgraphs.programs import CALLBACK, partner

OWN = "{me {authorizations {id scopes}}}"
ELSEWHERE = "https://evil.test/callback"


def led_to(browser: Browser) -> dict[str, str]:
    """What the program gets at its callback."""
    [target] = re.findall(r'http-equiv="refresh" content="0;url=([^"]*)"', browser.text)
    assert unescape(target).startswith(CALLBACK)
    return {name: values[0] for name, values in parse_qs(urlsplit(unescape(target)).query).items()}


async def given(scene: Scene, handle: str = "mira") -> list[str]:
    """The scopes that programs hold of somebody."""
    answer = await scene.world.ask(OWN, await scene.world.subject(handle))
    return [scope for each in answer["data"]["me"]["authorizations"] for scope in each["scopes"]]


async def test_a_person_sees_who_asks_for_what_and_agrees_to_a_part(scene: Scene) -> None:
    browser = scene.browser
    shown = await browser.open(scene.asking())
    assert (shown.status_code, "<h1>Log in</h1>" in shown.text) == (200, True)
    assert "eye" not in shown.text, "who has not logged in is shown nothing of a program"
    shown = await browser.log_in("mira")
    assert "Coach&#x27;s &lt;b&gt;eye&lt;/b&gt;" in shown.text and "<b>" not in shown.text
    for told in ("approved here by ada", "See your activities", "(training, places)", "180 days", "30 days"):
        assert told in shown.text, told
    assert "partner.test" in shown.text and "checked" not in shown.text
    await browser.answer("agree", "activity:read")
    back = led_to(browser)
    assert (back["app"], back["state"], back["iss"]) == ("1", "xyz", "https://stadion.test")
    answer = await scene.program.exchange(back["code"])
    assert (answer.status, answer.content["scope"]) == (200, "activity:read")


async def test_who_refuses_is_sent_back_with_word_of_it(scene: Scene) -> None:
    browser = await scene.arrive()
    await browser.answer("refuse")
    assert led_to(browser)["error"] == "access_denied"
    assert await given(scene) == []


async def test_nothing_is_agreed_to_that_was_not_ticked(scene: Scene) -> None:
    browser = await scene.arrive()
    shown = await browser.answer("agree")
    assert "Tick what you agree to" in shown.text and "http-equiv" not in shown.text
    await browser.answer("agree", "profile:read")
    assert "code" in led_to(browser)


async def test_a_person_takes_back_what_they_have_let_in(scene: Scene) -> None:
    browser = await scene.arrive()
    await browser.answer("agree", "activity:read")
    answer = await scene.program.exchange(led_to(browser)["code"])
    shown = await browser.open("/oauth/programs")
    assert "See your activities" in shown.text
    shown = await browser.send("/oauth/programs", browser.hidden())
    assert "You have let no program in" in shown.text
    assert (await scene.program.refresh(answer.content["refresh_token"])).error == "invalid_grant"


async def test_who_logs_out_has_no_session_left(scene: Scene) -> None:
    browser = await scene.arrive()
    token = browser.http.cookies["__Host-stadion-session"]
    await browser.open("/oauth/programs")
    shown = await browser.send("/oauth/log-out", browser.hidden())
    assert "<h1>Log in</h1>" in shown.text
    browser.http.cookies.set("__Host-stadion-session", token, domain="stadion.test")
    assert "<h1>Log in</h1>" in (await browser.open("/oauth/programs")).text


async def test_a_wrong_password_and_a_missing_code_are_told_in_the_form(scene: Scene) -> None:
    browser = scene.browser
    await browser.open(scene.asking())
    shown = await browser.log_in("mira", "wrong")
    assert (shown.status_code, 'role="alert"' in shown.text) == (401, True)
    assert (await browser.log_in("nobody", "wrong")).text == shown.text
    assert "needs the code" in (await browser.log_in("ada")).text
    scene.world.later(seconds=60)
    assert "would like to act" in (await browser.log_in("ada", otp=scene.world.code("ada"))).text


async def test_attempts_are_counted_by_the_address_of_the_browser(scene: Scene) -> None:
    for number in range(12):
        await scene.browser.open(scene.asking())
        shown = await scene.browser.log_in("mira", f"wrong {number}")
    assert "too many attempts" in shown.text


async def test_pages_are_neither_framed_kept_nor_scripted(scene: Scene) -> None:
    shown = [await scene.browser.open(scene.asking()), await scene.browser.log_in("mira")]
    shown.append(await scene.browser.answer("agree", "activity:read"))
    shown.append(await scene.browser.open("/oauth/programs"))
    for page in shown:
        policy = page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
        assert "script" not in policy and "<script" not in page.text
        assert (page.headers["x-frame-options"], page.headers["cache-control"]) == ("DENY", "no-store")
    await scene.browser.open(scene.asking())
    login = scene.another_browser()
    await login.open(scene.asking())
    kept = (await login.http.post(
        "/oauth/log-in",
        data={**login.hidden(), "login": "mira", "password": PASSWORD},
        headers={"sec-fetch-site": "same-origin"},
    )).headers.get_list("set-cookie")  # fmt: skip
    session = next(each for each in kept if each.startswith("__Host-stadion-session="))
    for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert word in session, session


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "", "origin": "https://evil.test"},
    ],
)
async def test_forms_of_others_do_nothing(scene: Scene, headers: dict[str, str]) -> None:
    browser = await scene.arrive()
    fields = {**browser.hidden(), "answer": "agree", "scope": "activity:read"}
    assert (await browser.send("/oauth/consent", fields, **headers)).status_code == 403
    assert (await browser.send("/oauth/log-out", {"seal": fields["seal"]}, **headers)).status_code == 403
    assert await given(scene) == []


@pytest.mark.parametrize("origin", ["https://evil.test", "null", ""])
async def test_a_browser_without_fetch_metadata_is_known_by_its_origin(scene: Scene, origin: str) -> None:
    browser = await scene.arrive()
    fields = {**browser.hidden(), "answer": "refuse"}
    answer = await browser.http.post("/oauth/consent", data=fields, headers={"origin": origin})
    assert answer.status_code == 403
    answer = await browser.http.post(
        "/oauth/consent", data=fields, headers={"origin": "https://stadion.test"}
    )
    assert answer.status_code == 200


async def test_a_consent_without_the_page_s_own_words_is_none(scene: Scene) -> None:
    """Forged: no cookie, somebody else's form, another seal, another form's seal."""
    browser, other = await scene.arrive(), scene.another_browser()
    fields = {**browser.hidden(), "answer": "agree", "scope": "activity:read"}
    await scene.world.person("eve")
    assert (await other.send("/oauth/consent", fields)).status_code == 403
    await other.open(scene.asking())
    await other.log_in("eve")
    theirs = {**other.hidden(), "answer": "agree", "scope": "activity:read"}
    for forged in (
        theirs,
        {**fields, "seal": theirs["seal"]},
        {**fields, "seal": ""},
        {**fields, "seal": fields["seal"].upper()},
        {**fields, "seal": "é"},
    ):
        assert (await browser.send("/oauth/consent", forged)).status_code == 403, forged
    shown = await browser.send("/oauth/consent", {**fields, "ticket": theirs["ticket"]})
    assert shown.status_code == 409 and "changed since it was shown" in shown.text
    assert await given(scene) == await given(scene, "eve") == []


async def test_an_answer_counts_once(scene: Scene) -> None:
    browser = await scene.arrive()
    fields = {**browser.hidden(), "answer": "agree", "scope": "activity:read"}
    await browser.send("/oauth/consent", fields)
    assert (await scene.program.exchange(led_to(browser)["code"])).status == 200
    shown = await browser.send("/oauth/consent", fields)
    assert (shown.status_code, "http-equiv" in shown.text) == (409, False)
    assert await given(scene) == ["activity:read"]


async def test_what_was_shown_is_what_is_agreed_to(scene: Scene) -> None:
    """Not more scopes, another target or state, after ten minutes, nor a program that has changed since."""
    browser = await scene.arrive()
    fields = {**browser.hidden(), "answer": "agree"}
    for scopes in (["patient/*.rs"], ["activity:read", "contact:read"]):
        shown = await browser.send("/oauth/consent", {**fields, "scope": scopes})
        assert (shown.status_code, "http-equiv" in shown.text) == (400, False), scopes
    for changed in ({"scope": "activity:read"}, {"state": "other"}, {"redirect_uri": ELSEWHERE}):
        request = scene.asking(**changed).partition("?")[2]
        shown = await browser.send("/oauth/consent", {**fields, "request": request, "scope": "activity:read"})
        assert shown.status_code == 403, changed
    change = """mutation($i: ChangeApiClientInput!) { changeApiClient(input: $i) { userErrors {code} } }"""
    scopes = ["activity:read", "profile:read", "contact:read"]
    await scene.world.ask(change, scene.administrator, i={"id": scene.program.id, "scopes": scopes})
    shown = await browser.send("/oauth/consent", {**fields, "scope": "activity:read"})
    assert shown.status_code == 409
    fields = {**browser.hidden(), "answer": "agree", "scope": "activity:read"}
    scene.world.later(minutes=10)
    shown = await browser.send("/oauth/consent", fields)
    assert "code=" not in shown.text and "http-equiv" not in shown.text
    assert await given(scene) == []


async def test_nobody_is_led_where_a_request_says(scene: Scene) -> None:
    """To what is registered alone, and what is not is the same page for all that it may be."""
    browser = await scene.arrive()
    unknown = (await browser.open(scene.asking(client_id="00000000-0000-7000-8000-000000000000"))).text
    for changed in (
        {"redirect_uri": ELSEWHERE},
        {"redirect_uri": f"{CALLBACK}&more=1"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "https://[bad"},
        {"redirect_uri": None},
        {"client_id": None},
        {"client_id": "x" * 5_000},
    ):
        shown = await browser.open(scene.asking(**changed))
        assert (shown.status_code, shown.text) == (400, unknown), changed
        assert "location" not in shown.headers
    twice = scene.asking() + "&redirect_uri=https%3A%2F%2Fevil.test%2Fcallback"
    assert (await browser.open(twice)).text == unknown
    assert "evil" not in unknown and "javascript" not in unknown


async def test_a_request_that_is_not_as_it_has_to_be_is_not_shown(scene: Scene) -> None:
    browser = await scene.arrive()
    for changed in (
        {"response_type": "token"},
        {"response_type": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": "short"},
        {"scope": "contact:read"},
        {"scope": "activity:read\x00"},
    ):
        assert (await browser.open(scene.asking(**changed))).status_code == 400, changed


async def test_nobody_is_logged_in_by_another_site(scene: Scene) -> None:
    browser, eve = scene.browser, scene.another_browser()
    await scene.world.person("eve")
    await eve.open(scene.asking())
    theirs = {**eve.hidden(), "login": "eve", "password": PASSWORD}
    assert (await browser.send("/oauth/log-in", theirs)).status_code == 403
    await browser.open(scene.asking())
    assert (await browser.send("/oauth/log-in", theirs)).status_code == 403
    own = {**browser.hidden(), "login": "eve", "password": PASSWORD, "request": "client_id=x"}
    assert (await browser.send("/oauth/log-in", own)).status_code == 403
    assert "__Host-stadion-session" not in browser.http.cookies


async def test_another_s_program_is_not_taken_back(scene: Scene) -> None:
    browser = await scene.arrive()
    await browser.answer("agree", "activity:read")
    await scene.program.exchange(led_to(browser)["code"])
    [id_] = re.findall(r'name="id" value="([^"]*)"', (await browser.open("/oauth/programs")).text)
    await scene.world.person("eve")
    eve = scene.another_browser()
    await eve.open("/oauth/programs")
    await eve.log_in("eve")
    assert (await eve.send("/oauth/programs", {**eve.hidden(), "id": id_})).status_code == 403
    assert await given(scene) == ["activity:read"]


async def test_a_program_s_token_is_no_person_s(scene: Scene) -> None:
    """It cannot agree to more of itself, whatever cookie it sends."""
    other = await partner(scene.world, scene.administrator)
    code = await scene.program.code(await scene.world.subject("mira"))
    token = str((await scene.program.exchange(code)).content["access_token"])
    browser = scene.another_browser()
    browser.http.cookies.set("__Host-stadion-session", token, domain="stadion.test")
    assert (await browser.open(scene.asking(client_id=other.id))).status_code in {400, 503}
