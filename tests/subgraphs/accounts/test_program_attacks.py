"""What somebody tries who has a part of what a program has: a code, a token, an id, a guess; bound tokens.

Source of the attacks: RFC 9700 §4, RFC 9449 §11.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from authz.errors import InvalidToken
from authz.identity.proof_nonces import ProofNonces
from authz.identity.subject import Subject
from subgraphs.accounts.model import FAILURES_FREE
from subgraphs.accounts.oauth import answering
from subgraphs.accounts.oauth.calls import OAuthAnswer, OAuthCall
from tests.kit_subgraphs.accounts import TERMS, World
from tests.kit_subgraphs.programs import (
    AUTHORIZE,
    BASE,
    CALLBACK,
    VERIFIER,
    Holder,
    Program,
    administrators,
    partner,
)

ELSEWHERE = "https://evil.test/callback"


@pytest.fixture
async def here(any_world: World) -> tuple[World, Program, Subject]:
    """A partner's program, and a person who lets it in."""
    ada, _ = await administrators(any_world)
    await any_world.person("mira")
    return any_world, await partner(any_world, ada), await any_world.subject("mira")


async def refused(world: World, answer: OAuthAnswer) -> bool:
    await world.deliver_revocations()
    try:
        world.verifier.verify(str(answer.content["access_token"]))
    except InvalidToken:
        return True
    return False


async def test_a_code_that_comes_twice_ends_all_that_came_of_it(here: Any) -> None:
    world, eye, mira = here
    code = await eye.code(mira)
    answer = await eye.exchange(code)
    assert not await refused(world, answer)
    assert (await eye.exchange(code)).error == "invalid_grant"
    assert await refused(world, answer)
    assert (await eye.refresh(answer.content["refresh_token"])).error == "invalid_grant"


async def test_a_code_is_good_for_a_minute(here: Any) -> None:
    world, eye, mira = here
    code = await eye.code(mira)
    world.later(seconds=60)
    assert (await eye.exchange(code)).error == "invalid_grant"


async def test_a_stolen_code_is_worth_nothing_without_its_verifier(here: Any) -> None:
    """And another verifier, none, or the challenge itself are no way around (PKCE downgrade)."""
    _, eye, mira = here
    code = await eye.code(mira)
    challenge = str(eye.asking()["codeChallenge"])
    for verifier in (None, "", challenge, VERIFIER[:-1] + "4", VERIFIER.upper(), "x" * 42):
        answer = await eye.exchange(code, code_verifier=verifier)
        assert answer.error in {"invalid_grant", "invalid_request"}, verifier
    assert (await eye.exchange(code)).status == 200


async def test_no_code_is_given_without_a_challenge_by_sha_256(here: Any) -> None:
    _, eye, mira = here
    for changed in (
        {"codeChallengeMethod": "plain"},
        {"codeChallengeMethod": "s256"},
        {"codeChallenge": "short"},
        {"codeChallenge": " " * 43},
        {"codeChallenge": ""},
    ):
        assert await eye.ask(mira, "activity:read", **changed) == {"refused": "BAD_REQUEST"}, changed


async def test_codes_go_nowhere_but_where_the_program_is_registered(here: Any) -> None:
    """Not even word of an error goes to an address that a client only says it has."""
    _, eye, mira = here
    for target in (
        ELSEWHERE,
        CALLBACK + "&more=1",
        CALLBACK.replace("?app=1", ""),
        CALLBACK.replace("partner.test", "PARTNER.test"),
        CALLBACK.replace("/callback", "/callback/../evil"),
        CALLBACK + "#fragment",
        CALLBACK.replace("https", "http"),
        "https://partner.test@evil.test/callback?app=1",
        "",
    ):
        for scopes in (["activity:read"], []):
            assert await eye.ask(mira, *scopes, redirectUri=target) == {"refused": "NOT_FOUND"}, target
    code = await eye.code(mira)
    for target in (ELSEWHERE, None, "https://partner.test/callback"):
        assert (await eye.exchange(code, redirect_uri=target)).error == "invalid_grant", target
    assert (await eye.exchange(code)).status == 200


async def test_a_program_has_nothing_from_the_codes_and_tokens_of_another(here: Any) -> None:
    """And its attempts take nothing from the one whose they are."""
    world, eye, mira = here
    ada = await world_administrator(world)
    other = await partner(world, ada)
    code = await eye.code(mira)
    assert (await other.exchange(code)).error == "invalid_grant"
    answer = await eye.exchange(code)
    assert (await other.exchange(code)).error == "invalid_grant"
    assert (await other.refresh(answer.content["refresh_token"])).error == "invalid_grant"
    assert (await eye.refresh(answer.content["refresh_token"], as_client=other.id)).error == "invalid_client"
    mixed = await eye.refresh(answer.content["refresh_token"], secret=other.secret)
    assert mixed.error == "invalid_client"
    assert not await refused(world, answer)
    assert (await eye.refresh(answer.content["refresh_token"])).status == 200


async def world_administrator(world: World) -> Subject:
    world.later(seconds=31)  # a code of a second factor is good for once
    return await world.subject("ada")


async def test_no_scope_is_had_that_was_not_agreed_to(here: Any) -> None:
    world, eye, mira = here
    for asked, approved in (
        ("activity:read wellness:read", ["activity:read", "wellness:read"]),
        ("activity:read", ["activity:read", "profile:read"]),
        ("activity:read", ["patient/*.rs"]),
        ("service:TRAINING:read", ["service:TRAINING:read"]),
        (None, ["activity:write"]),
    ):
        assert await eye.ask(mira, *approved, scope=asked) == {"refused": "BAD_SCOPE"}, asked
    answer = await eye.exchange(await eye.code(mira, "activity:read"), scope="activity:read profile:read")
    assert answer.content["scope"] == "activity:read"
    token = answer.content["refresh_token"]
    assert (await eye.refresh(token, scope="activity:read profile:read")).error == "invalid_scope"
    assert (await eye.own_leave(scope="activity:read admin")).error == "invalid_scope"
    assert world.verifier.verify(str((await eye.own_leave()).content["access_token"])).id == eye.id


async def test_only_a_person_in_a_session_of_their_own_lets_programs_in(here: Any) -> None:
    """A program cannot agree for the person it acts for, and so widen what it has."""
    world, eye, mira = here
    answer = await eye.exchange(await eye.code(mira, "activity:read"))
    acting = world.verifier.verify(str(answer.content["access_token"]))
    assert await eye.ask(acting, "profile:read") == {"refused": "NOT_A_PERSON"}
    own = world.verifier.verify(str((await eye.own_leave()).content["access_token"]))
    assert await eye.ask(own, "profile:read") == {"refused": "NOT_A_PERSON"}


async def test_guesses_of_a_secret_wait_longer_and_longer_and_shut_nobody_else_out(here: Any) -> None:
    world, eye, _ = here
    for number in range(FAILURES_FREE):
        assert (await eye.own_leave(secret=f"guess {number}")).status == 401
    world.later(milliseconds=100)
    waiting = await eye.own_leave()  # even the right one, from there
    assert (waiting.status, waiting.headers["retry-after"]) == (429, "1")
    assert (await eye.own_leave(origin="address 198.51.100.7/32")).status == 200
    # from many addresses, a hundred and more: the program itself goes on
    for number in range(130):
        await eye.own_leave(secret="guess", origin=f"address 203.0.113.{number}/32")
    assert (await eye.own_leave(origin="address 198.51.100.7/32")).status == 200
    # one address that tries many programs waits as well
    for number in range(60):
        last = await eye.own_leave(
            secret="guess", as_client=f"client-{number}", origin="address 192.0.2.9/32"
        )
    assert last.status == 429


async def test_a_program_that_there_is_not_answers_as_one_with_another_secret(here: Any) -> None:
    world, eye, _ = here
    ada = await world_administrator(world)
    gone = await partner(world, ada)
    await world.ask("mutation($id: ID!) {revokeApiClient(id: $id) {client {id}}}", ada, id=gone.id)
    wrong = [
        await eye.own_leave(secret="guess"),
        await eye.own_leave(secret="guess", as_client="no-such-client"),
        await gone.own_leave(),
        await eye.token(grant_type="client_credentials", secret=None),
        await eye.own_leave(secret=""),
        await eye.token(grant_type="authorization_code", code="x", secret=None, as_client="no-such-client"),
    ]
    assert len({(each.status, str(each.content), str(sorted(each.headers.items()))) for each in wrong}) == 1
    assert wrong[0].headers["www-authenticate"].startswith("Basic")


async def test_requests_that_are_not_as_they_should_be_are_refused(here: Any) -> None:
    world, eye, _ = here
    accounts = world.accounts

    async def told(*parameters: tuple[str, str], like: OAuthCall | None = None) -> str | None:
        call = like or eye.call("token")
        changed = OAuthCall("POST", call.url, parameters, call.authorization, call.proof, call.origin)
        return (await answering.token(accounts, changed)).error

    own = ("grant_type", "client_credentials")
    assert await told(own) is None
    assert await told(own, own) == "invalid_request"
    assert await told(own, ("scope", "activity:read"), ("scope", "profile:read")) == "invalid_request"
    assert await told(own, ("client_secret", str(eye.secret))) == "invalid_request"
    assert await told(own, ("client_assertion", "a.b.c")) == "invalid_request"
    assert await told(own, ("scope", "x" * 9_000)) == "invalid_request"
    assert await told(own, ("scope", "a\x00b")) == "invalid_request"
    assert await told(*((f"p{number}", "x") for number in range(31))) == "invalid_request"
    assert await told(("grant_type", "password")) == "unsupported_grant_type"
    assert await told() == "unsupported_grant_type"
    assert await told(("grant_type", "authorization_code")) == "invalid_request"
    assert await told(("grant_type", "refresh_token")) == "invalid_request"
    got = await answering.token(
        accounts, OAuthCall("GET", f"{BASE}/token", (own,), eye.call("token").authorization)
    )
    assert got.error == "unsupported_grant_type"


async def test_a_bound_token_names_the_key_and_is_refreshed_with_it_alone(any_world: World) -> None:
    ada, _ = await administrators(any_world)
    await any_world.person("mira")
    holder = Holder()
    eye = await partner(any_world, ada, proofRequired=True, holder=holder)
    mira = await any_world.subject("mira")
    code = await eye.code(mira)
    assert (await eye.exchange(code, prove=False)).error == "invalid_dpop_proof"
    answer = await eye.exchange(code)
    assert answer.content["token_type"] == "DPoP"
    subject = any_world.verifier.verify(str(answer.content["access_token"]))
    assert subject.key_thumbprint == holder.key.thumbprint()
    token = answer.content["refresh_token"]
    thief = Program(any_world, eye.id, eye.secret, Holder())
    assert (await thief.refresh(token)).error == "invalid_grant"
    assert (await eye.refresh(token, prove=False)).error == "invalid_dpop_proof"
    renewed = await eye.refresh(token)
    assert any_world.verifier.verify(str(renewed.content["access_token"])).key_thumbprint
    told = (await eye.introspect(renewed.content["access_token"])).content
    assert (told["token_type"], told["cnf"]) == ("DPoP", {"jkt": holder.key.thumbprint()})


async def test_a_token_asked_for_with_a_proof_is_bound_though_it_need_not_be(world: World) -> None:
    ada, _ = await administrators(world)
    holder = Holder()
    eye = await partner(world, ada, holder=holder)
    answer = await eye.own_leave()
    assert answer.content["token_type"] == "DPoP"
    assert (await eye.own_leave(prove=False)).content["token_type"] == "Bearer"


async def test_a_proof_at_the_token_endpoint_is_for_this_request_and_for_once(world: World) -> None:
    ada, _ = await administrators(world)
    holder = Holder()
    eye = await partner(world, ada, holder=holder)
    now_s, url = world.clock[0].timestamp(), f"{BASE}/token"
    good = holder.prove("POST", url, now_s)
    assert (await eye.own_leave(proof=good)).status == 200
    wrong = [
        good,
        "",
        "rubbish",
        holder.prove("GET", url, now_s),
        holder.prove("POST", f"{BASE}/revoke", now_s),
        holder.prove("POST", "https://evil.test/oauth/token", now_s),
        holder.prove("POST", url, now_s - 51),
        holder.prove("POST", url, now_s + 6),
        holder.prove("POST", url, now_s, jti="short"),
        holder.prove("POST", url, now_s, jti=None),
        holder.prove("POST", url, now_s, iat=None),
        holder.prove("POST", url, now_s, header={"typ": "at+jwt"}),
        holder.prove("POST", url, now_s, header={"jwk": Holder().public}),
        holder.prove("POST", url, now_s, header={"jwk": holder.key.as_dict(private=True)}),
    ]
    for proof in wrong:
        answer = await eye.own_leave(proof=proof)
        assert (answer.status, answer.error) == (400, "invalid_dpop_proof"), proof
    same = holder.prove(
        "POST", f"{TERMS.issuer.upper().replace('HTTPS', 'https')}:443/oauth/token?x=1", now_s
    )
    assert (await eye.own_leave(proof=same)).status == 200


async def test_a_proof_that_was_made_before_the_server_s_nonce_is_good_for_nothing(here: Any) -> None:
    world, _, _ = here
    holder, now_s = Holder(), world.clock[0].timestamp()
    eye = await partner(world, await world_administrator(world), proofRequired=True, holder=holder)
    world.accounts = replace(world.accounts, nonces=ProofNonces(clock=lambda: world.clock[0]))

    async def asked(**changed: Any) -> OAuthAnswer:
        return await eye.own_leave(proof=holder.prove("POST", f"{BASE}/token", now_s, **changed))

    told = await asked()
    assert (told.status, told.error) == (400, "use_dpop_nonce")
    nonce = told.headers["dpop-nonce"]
    assert (await asked(nonce=nonce)).status == 200
    assert (await asked(nonce=f"{nonce}x")).error == "use_dpop_nonce"
    assert (await asked(nonce=nonce, htm="GET")).error == "invalid_dpop_proof"


NOT_WORDS = ("\x00", "a\x1fb", '"', "\\", "\u0096", "\ue000", "ü" * 2_000)


@pytest.mark.parametrize("value", NOT_WORDS, ids=range(len(NOT_WORDS)))
async def test_what_is_no_word_of_the_protocol_is_refused_and_echoed_nowhere(here: Any, value: str) -> None:
    """An error's description may hold few characters only (RFC 6749 §5.2)."""
    world, eye, mira = here
    for name in ("clientId", "redirectUri", "codeChallenge", "codeChallengeMethod", "responseType", "scope"):
        for scopes in (None, ["profile:read"], [value]):
            answer = await world.ask(AUTHORIZE, mira, i=eye.asking(**{name: value}), s=scopes)
            assert "errors" not in answer, (name, answer)
            told = answer["data"]["authorizeClient"]
            assert told["userErrors"], (name, told)
            assert all(value not in error["code"] for error in told["userErrors"])
    for changed in ("grant_type", "code", "code_verifier", "redirect_uri", "client_id", "scope"):
        given = {"grant_type": "authorization_code", "code": "x", "redirect_uri": CALLBACK, changed: value}
        answer = await eye.token(**given)
        assert answer.error, changed
        assert value not in str(answer.content.get("error_description", ""))
    for hint in (value, "refresh_token"):
        assert (await eye.revoke("x", token_type_hint=hint)).status in {200, 400, 401}
