"""Programs: registered by administrators, let in by people, with tokens that say what they may do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from authz.classes import DataClass, Role
from authz.decide import Authorizer
from authz.errors import InvalidToken
from authz.identity.subject import Subject
from authz.question import Question
from subgraphs.accounts.oauth import answering
from tests.kit_subgraphs.accounts import NOON, TERMS, World
from tests.kit_subgraphs.programs import (
    CALLBACK,
    Holder,
    Program,
    administrators,
    partner,
    register,
    service,
)

SHARED = '{"keys": [{"kty": "oct", "k": "AAAA", "kid": "one"}]}'
OWN = "{me {authorizations {id scopes client {id name scopes}}}}"


def code_of(told: dict[str, Any]) -> str:
    return str(told["userErrors"][0]["code"])


async def mira(world: World) -> Subject:
    await world.person("mira")
    return await world.subject("mira")


def proven(world: World, answer: Any) -> Subject:
    assert answer.status == 200, answer
    return world.verifier.verify(str(answer.content["access_token"]))


async def test_a_service_gets_a_token_for_itself_that_says_what_it_may_do(any_world: World) -> None:
    two = await administrators(any_world)
    found = await any_world.ask('mutation {createOrganisation(name: "Clinic") {organisation {id}}}', two[0])
    clinic = found["data"]["createOrganisation"]["organisation"]["id"]
    jobs = await service(
        any_world, two, "service:TRAINING:aggregate", "service:AUDIT:read", organisationId=clinic, rate="BULK"
    )
    answer = await jobs.own_leave(scope="service:TRAINING:aggregate")
    assert (answer.content["token_type"], answer.content["expires_in"]) == ("Bearer", 600)
    assert answer.content["scope"] == "service:TRAINING:aggregate"
    assert "refresh_token" not in answer.content and answer.headers["cache-control"] == "no-store"
    subject = proven(any_world, answer)
    assert (subject.id, subject.client_id, subject.roles) == (jobs.id, jobs.id, {Role.SERVICE})
    assert (subject.organisations, subject.client_class) == ({clinic}, "service-ids-bulk")
    authorizer = Authorizer(any_world.facts, clock=lambda: any_world.clock[0])
    asked = [
        Question("id-mira", data_class, action)
        for data_class, action in (
            (DataClass.TRAINING, "aggregate"), (DataClass.TRAINING, "read"), (DataClass.AUDIT, "read"),
        )
    ]  # fmt: skip
    decided = await authorizer.for_request(subject).decide(asked)
    assert [each.allowed for each in decided] == [True, False, False]
    whole = proven(any_world, await jobs.own_leave())
    assert whole.scopes == {"service:TRAINING:aggregate", "service:AUDIT:read"}


async def test_a_service_waits_for_a_second_administrator_and_a_partner_for_records_of_the_sick(
    world: World,
) -> None:
    ada, ben = await administrators(world)
    told = await register(world, ada, kind="SERVICE", scopes=["service:TRAINING:read"], redirectUris=[])
    assert told["client"]["state"] == "PENDING"
    waiting = Program(world, told["client"]["id"], told["secret"])
    assert (await waiting.own_leave()).status == 401
    approve = "mutation($id: ID!) {approveApiClient(id: $id) {client {state} userErrors {code}}}"
    own = await world.ask(approve, ada, id=waiting.id)
    assert code_of(own["data"]["approveApiClient"]) == "OWN_REGISTRATION"
    await world.ask(approve, ben, id=waiting.id)
    assert (await waiting.own_leave()).status == 200
    again = await world.ask(approve, ben, id=waiting.id)
    assert code_of(again["data"]["approveApiClient"]) == "NOT_PENDING"
    record = await register(world, ada, scopes=["patient/Observation.rs"])
    assert record["client"]["state"] == "PENDING"
    eye = await partner(world, ada)
    wider = {"id": eye.id, "scopes": ["activity:read", "patient/*.rs"]}
    change = """mutation($i: ChangeApiClientInput!) {
      changeApiClient(input: $i) {client {state scopes} userErrors {code}}}"""
    widened = await world.ask(change, ada, i=wider)
    assert widened["data"]["changeApiClient"]["client"]["state"] == "PENDING"
    assert (await eye.own_leave()).status == 401


async def test_only_administrators_with_a_second_factor_register_and_see_programs(world: World) -> None:
    ada, _ = await administrators(world)
    eye = await partner(world, ada)
    person = await mira(world)
    query = "query($id: ID!) {apiClient(id: $id) {id name kind state scopes documents rate}}"
    seen = await world.ask(query, ada, id=eye.id)
    assert seen["data"]["apiClient"] == {
        "id": eye.id, "name": "Coach's eye", "kind": "PARTNER", "state": "ACTIVE",
        "scopes": ["activity:read", "profile:read"], "documents": "IDS", "rate": "STANDARD",
    }  # fmt: skip
    listed = await world.ask("{apiClients(first: 1) {totalCount nodes {id}}}", ada)
    assert listed["data"]["apiClients"] == {"totalCount": 1, "nodes": [{"id": eye.id}]}
    mutation = "mutation($id: ID!) {revokeApiClient(id: $id) {client {id}}}"
    for asked in (query, mutation):
        there, missing = [await world.ask(asked, person, id=id_) for id_ in (eye.id, "nothing")]
        assert there == missing
        assert there["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_what_cannot_be_registered_is_refused(world: World) -> None:
    ada, _ = await administrators(world)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"scopes": []}, "BAD_SCOPE"),
        ({"scopes": ["two words"]}, "BAD_SCOPE"),
        ({"scopes": ['quo"te']}, "BAD_SCOPE"),
        ({"scopes": ["service:TRAINING:read"]}, "BAD_SCOPE"),
        ({"scopes": ["tokens:introspect"]}, "BAD_SCOPE"),
        ({"kind": "SERVICE", "redirectUris": [], "scopes": ["patient/*.rs"]}, "BAD_SCOPE"),
        ({"kind": "SERVICE", "redirectUris": [], "scopes": ["service:TRAINING:launder"]}, "BAD_SCOPE"),
        ({"kind": "SERVICE", "scopes": ["service:TRAINING:read"]}, "BAD_REDIRECT_URI"),
        ({"redirectUris": ["http://partner.test/"]}, "BAD_REDIRECT_URI"),
        ({"redirectUris": ["https://partner.test/#part"]}, "BAD_REDIRECT_URI"),
        ({"redirectUris": ["https://user@partner.test/"]}, "BAD_REDIRECT_URI"),
        ({"redirectUris": ["https://*.partner.test/"]}, "BAD_REDIRECT_URI"),
        ({"redirectUris": ["javascript:alert(1)"]}, "BAD_REDIRECT_URI"),
        ({"redirectUris": ["https://partner.test/a", "https://partner.test/a"]}, "BAD_REDIRECT_URI"),
        ({"authentication": "PRIVATE_KEY_JWT"}, "BAD_KEYS"),
        ({"jwks": Holder().jwks()}, "BAD_KEYS"),
        ({"authentication": "PRIVATE_KEY_JWT", "jwks": SHARED}, "BAD_KEYS"),
        ({"authentication": "PRIVATE_KEY_JWT", "jwks": "[]"}, "BAD_KEYS"),
        ({"organisationId": "none"}, "NOT_FOUND"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "BAD_END"),
        ({"name": "  "}, "BAD_NAME"),
    ]  # fmt: skip
    for asked, expected in wrong:
        told = await register(world, ada, **asked)
        assert told["client"] is None and code_of(told) == expected, asked
    alone = {"kind": "SERVICE", "redirectUris": [], "scopes": ["service:TRAINING:read"]}
    told = await register(world, ada, **alone, authentication="NONE")
    assert code_of(told) == "BAD_AUTHENTICATION"
    loopback = await register(world, ada, redirectUris=["http://127.0.0.1:8123/cb", "http://[::1]/cb"])
    assert loopback["userErrors"] == []


async def test_a_secret_is_kept_as_its_digest_and_two_hold_during_a_rotation(any_world: World) -> None:
    ada, _ = await administrators(any_world)
    eye = await partner(any_world, ada)
    rotate = """mutation($id: ID!, $h: Int!) {
      rotateClientSecret(id: $id, overlapHours: $h) {secret userErrors {code}}}"""
    told = (await any_world.ask(rotate, ada, id=eye.id, h=24))["data"]["rotateClientSecret"]
    for secret in (eye.secret, told["secret"]):
        assert (await eye.own_leave(secret=secret)).status == 200
    any_world.later(hours=24)
    assert (await eye.own_leave()).status == 401
    assert (await eye.own_leave(secret=told["secret"])).status == 200
    ada, _ = await any_world.subject("ada"), None
    last = (await any_world.ask(rotate, ada, id=eye.id, h=0))["data"]["rotateClientSecret"]
    assert (await eye.own_leave(secret=told["secret"])).status == 401
    assert (await eye.own_leave(secret=last["secret"])).status == 200
    for hours in (-1, 24 * 7 + 1):
        refused = (await any_world.ask(rotate, ada, id=eye.id, h=hours))["data"]["rotateClientSecret"]
        assert (code_of(refused), refused["secret"]) == ("BAD_OVERLAP", None)
    dumped = await any_world.relational.read(
        lambda c: str(c.exec_driver_sql("SELECT * FROM accounts_client_secrets").all())
    )
    assert last["secret"] not in dumped and str(eye.secret) not in dumped


async def test_an_athlete_lets_a_program_in_for_less_than_it_asked_and_takes_it_back(
    any_world: World,
) -> None:
    ada, _ = await administrators(any_world)
    eye = await partner(any_world, ada)
    person = await mira(any_world)
    request = """query($i: AuthorizationRequestInput!) {
      authorizationRequest(input: $i) {client {name kind} scopes userErrors {code}}}"""
    shown = await any_world.ask(request, person, i=eye.asking())
    assert shown["data"]["authorizationRequest"] == {
        "client": {"name": "Coach's eye", "kind": "PARTNER"},
        "scopes": ["activity:read", "profile:read"],
        "userErrors": [],
    }
    told = await eye.ask(person, "activity:read")
    assert (told["state"], told["iss"], told["app"]) == ("xyz", TERMS.issuer, "1")
    answer = await eye.exchange(told["code"])
    subject = proven(any_world, answer)
    assert (subject.id, subject.client_id, subject.roles) == ("id-mira", eye.id, {Role.PARTNER})
    assert (subject.scopes, subject.acr, subject.amr) == ({"activity:read"}, 1, {"pwd"})
    assert (subject.authenticated_at_utc, subject.client_class) == (NOON, "partner-ids-standard")
    question = Question("id-mira", DataClass.TRAINING), Question("id-mira", DataClass.PERSONAL)
    authorizer = Authorizer(any_world.facts, clock=lambda: any_world.clock[0])
    decided = await authorizer.for_request(subject).decide(question)
    assert [(each.allowed, each.rule) for each in decided] == [
        (True, "training-partner"), (False, "default-deny"),
    ]  # fmt: skip
    own = (await any_world.ask(OWN, person))["data"]["me"]["authorizations"]
    assert [(each["scopes"], each["client"]["name"], each["client"]["scopes"]) for each in own] == [
        (["activity:read"], "Coach's eye", None)
    ]
    withdraw = "mutation($id: ID!) {withdrawAuthorization(id: $id) {withdrawn userErrors {code}}}"
    await any_world.person("tomas")
    for other in (await any_world.subject("tomas"), ada):
        refused = await any_world.ask(withdraw, other, id=own[0]["id"])
        assert code_of(refused["data"]["withdrawAuthorization"]) == "NOT_FOUND"
    taken = await any_world.ask(withdraw, person, id=own[0]["id"])
    assert taken["data"]["withdrawAuthorization"] == {"withdrawn": True, "userErrors": []}
    await any_world.deliver_revocations()
    with pytest.raises(InvalidToken):
        any_world.verifier.verify(str(answer.content["access_token"]))
    assert (await eye.refresh(answer.content["refresh_token"])).error == "invalid_grant"
    assert (await any_world.ask(OWN, person))["data"]["me"]["authorizations"] == []


async def test_a_refused_request_sends_back_word_of_it_and_no_code(world: World) -> None:
    ada, _ = await administrators(world)
    eye = await partner(world, ada)
    told = await eye.ask(await mira(world))
    assert (told["error"], told["state"], told["iss"]) == ("access_denied", "xyz", TERMS.issuer)
    assert "code" not in told


async def test_tokens_are_refreshed_and_each_refresh_token_is_good_for_once(any_world: World) -> None:
    ada, _ = await administrators(any_world)
    eye = await partner(any_world, ada)
    answer = await eye.exchange(await eye.code(await mira(any_world)))
    for _ in range(3):
        any_world.later(days=10)
        former, answer = answer, await eye.refresh(answer.content["refresh_token"])
        assert proven(any_world, answer).scopes == {"activity:read", "profile:read"}
    narrower = await eye.refresh(answer.content["refresh_token"], scope="activity:read")
    assert narrower.content["scope"] == "activity:read"
    assert (await eye.refresh(former.content["refresh_token"])).error == "invalid_grant"
    # …which ended it: the newest is worth nothing any more, nor is its access token
    assert (await eye.refresh(narrower.content["refresh_token"])).error == "invalid_grant"
    await any_world.deliver_revocations()
    with pytest.raises(InvalidToken):
        proven(any_world, narrower)


async def test_an_authorization_that_nobody_refreshes_ends_by_itself(world: World) -> None:
    ada, _ = await administrators(world)
    eye = await partner(world, ada)
    answer = await eye.exchange(await eye.code(await mira(world)))
    world.later(days=30)
    assert (await eye.refresh(answer.content["refresh_token"])).error == "invalid_grant"


async def test_what_an_administrator_takes_from_a_program_it_loses_at_once(world: World) -> None:
    ada, _ = await administrators(world)
    eye = await partner(world, ada)
    answer = await eye.exchange(await eye.code(await mira(world)))
    change = """mutation($i: ChangeApiClientInput!) {changeApiClient(input: $i) {
      client {state scopes rate} userErrors {code}}}"""
    told = await world.ask(change, ada, i={"id": eye.id, "scopes": ["profile:read"], "rate": "RAISED"})
    assert told["data"]["changeApiClient"]["client"] == {
        "state": "ACTIVE", "scopes": ["profile:read"], "rate": "RAISED",
    }  # fmt: skip
    await world.deliver_revocations()
    with pytest.raises(InvalidToken):
        proven(world, answer)
    world.later(seconds=1)
    renewed = proven(world, await eye.refresh(answer.content["refresh_token"]))
    assert (renewed.scopes, renewed.client_class) == ({"profile:read"}, "partner-ids-raised")


async def test_a_revoked_or_expired_program_gets_nothing_and_its_tokens_are_refused(
    any_world: World,
) -> None:
    ada, _ = await administrators(any_world)
    eye, other = await partner(any_world, ada), await partner(any_world, ada)
    person = await mira(any_world)
    answer, own = await eye.exchange(await eye.code(person)), await eye.own_leave()
    kept = proven(any_world, await other.exchange(await other.code(person)))
    revoke = "mutation($id: ID!) {revokeApiClient(id: $id) {client {state} userErrors {code}}}"
    told = await any_world.ask(revoke, ada, id=eye.id)
    assert told["data"]["revokeApiClient"] == {"client": {"state": "REVOKED"}, "userErrors": []}
    assert code_of((await any_world.ask(revoke, ada, id=eye.id))["data"]["revokeApiClient"]) == "REVOKED"
    assert (await eye.own_leave()).error == (await eye.refresh("st1.a.1.b")).error == "invalid_client"
    assert (await eye.ask(person, "activity:read")) == {"refused": "NOT_FOUND"}
    await any_world.deliver_revocations()
    for each in (answer, own):
        with pytest.raises(InvalidToken):
            proven(any_world, each)
    assert any_world.verifier.still_valid(kept) and any_world.verifier.still_valid(person)
    ending = await partner(any_world, ada, expiresAt="2026-03-01T13:00:00Z")
    assert (await ending.own_leave()).status == 200
    any_world.later(hours=1)
    assert (await ending.own_leave()).error == "invalid_client"


async def test_a_client_gives_its_tokens_back_and_no_others(any_world: World) -> None:
    ada, _ = await administrators(any_world)
    eye, other = await partner(any_world, ada), await partner(any_world, ada)
    answer = await eye.exchange(await eye.code(await mira(any_world)))
    tokens = [answer.content[name] for name in ("access_token", "refresh_token")]
    for token in tokens:
        assert (await other.revoke(token)).error == "invalid_grant"
        assert (await other.introspect(token)).content == {"active": False}
    assert (await eye.introspect(tokens[0])).content["active"] is True
    assert (await eye.revoke("no token of ours")).status == 200
    assert (await eye.revoke(tokens[1], token_type_hint="access_token")).status == 200
    for token in tokens:
        assert (await eye.introspect(token)).content == {"active": False}
    await any_world.deliver_revocations()
    with pytest.raises(InvalidToken):
        proven(any_world, answer)
    own = await eye.own_leave()
    assert (await eye.revoke(own.content["access_token"])).status == 200
    await any_world.deliver_revocations()
    with pytest.raises(InvalidToken):
        proven(any_world, own)


async def test_introspection_tells_who_may_know_what_a_token_says(world: World) -> None:
    two = await administrators(world)
    eye = await partner(world, two[0])
    gateway = await service(world, two, "tokens:introspect")
    jobs = await service(world, two, "service:TRAINING:read")
    answer = await eye.exchange(await eye.code(await mira(world)))
    told = (await gateway.introspect(answer.content["access_token"])).content
    now = int(NOON.timestamp())
    assert {name: told[name] for name in told if name != "sid"} == {
        "active": True, "iss": TERMS.issuer, "aud": "stadion", "iat": now, "exp": now + 600,
        "sub": "id-mira", "client_id": eye.id, "client_class": "partner-ids-standard",
        "scope": "activity:read profile:read", "roles": ["partner"], "token_type": "Bearer",
        "acr": 1, "amr": ["pwd"], "auth_time": now,
    }  # fmt: skip
    renewing = (await gateway.introspect(answer.content["refresh_token"])).content
    assert (renewing["token_type"], renewing["sub"]) == ("refresh_token", "id-mira")
    assert (await jobs.introspect(answer.content["access_token"])).content == {"active": False}
    session = (await world.log_in("mira"))["accessToken"]
    assert (await gateway.introspect(session)).content["sub"] == "id-mira"
    assert (await eye.introspect(session)).content == {"active": False}
    world.later(minutes=10)
    assert (await gateway.introspect(answer.content["access_token"])).content == {"active": False}
    unproven = await gateway.introspect(answer.content["access_token"], secret="guess")
    assert (unproven.status, unproven.error) == (401, "invalid_client")


async def test_a_client_proves_itself_with_a_key_in_place_of_a_secret(any_world: World) -> None:
    ada, _ = await administrators(any_world)
    holder = Holder()
    eye = await partner(any_world, ada, authentication="PRIVATE_KEY_JWT", jwks=holder.jwks())
    assert eye.secret is None
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

    async def with_word(assertion: str) -> str:
        answer = await eye.own_leave(client_assertion=assertion, client_assertion_type=kind)
        return answer.error or "proven"

    now_s = any_world.clock[0].timestamp()
    good = holder.assertion(eye.id, now_s)
    assert await with_word(good) == "proven"
    assert await with_word(good) == "invalid_client"  # for once
    at_endpoint = holder.assertion(eye.id, now_s, aud=f"{TERMS.issuer}/oauth/token")
    assert await with_word(at_endpoint) == "proven"
    wrong: list[Callable[[float], str]] = [
        lambda at: Holder().assertion(eye.id, at),
        lambda at: holder.assertion(eye.id, at, kid="two"),
        lambda at: holder.assertion(eye.id, at, aud="https://elsewhere.test"),
        lambda at: holder.assertion(eye.id, at, exp=int(at)),
        lambda at: holder.assertion(eye.id, at, exp=int(at) + 601),
        lambda at: holder.assertion(eye.id, at, exp=None),
        lambda at: holder.assertion(eye.id, at, jti=None),
        lambda at: holder.assertion(eye.id, at, jti="short"),
        lambda at: holder.assertion(eye.id, at, iss="somebody"),
        lambda at: holder.assertion("somebody", at),
        lambda at: holder.assertion(eye.id, at, sub=None),
        lambda at: f"{holder.assertion(eye.id, at)[:-4]}AAAA",
        lambda at: "rubbish",
        lambda at: "a.b.c",
    ]
    for make in wrong:
        assertion = make(now_s)
        assert await with_word(assertion) == "invalid_client", assertion
        # none of them was refused because of the one before
        assert await with_word(holder.assertion(eye.id, now_s)) == "proven"
    both = {"keys": [*_keys(holder.jwks()), *_keys((fresh := Holder()).jwks("two"))]}
    change = "mutation($id: ID!, $k: String!) {setClientKeys(id: $id, jwks: $k) {userErrors {code}}}"
    assert (await any_world.ask(change, ada, id=eye.id, k=json.dumps(both)))["data"]["setClientKeys"][
        "userErrors"
    ] == []
    for each, kid in ((holder, "one"), (fresh, "two")):
        assert await with_word(each.assertion(eye.id, now_s, kid=kid)) == "proven"
    await any_world.ask(change, ada, id=eye.id, k=fresh.jwks("two"))
    assert await with_word(holder.assertion(eye.id, now_s)) == "invalid_client"


def _keys(text: str) -> list[Any]:
    found: list[Any] = json.loads(text)["keys"]
    return found


async def test_an_app_without_a_secret_acts_for_people_and_never_for_itself(world: World) -> None:
    ada, _ = await administrators(world)
    app = await partner(world, ada, authentication="NONE")
    assert app.secret is None
    answer = await app.exchange(await app.code(await mira(world)))
    assert proven(world, answer).client_id == app.id
    assert (await app.refresh(answer.content["refresh_token"])).status == 200
    assert (await app.own_leave()).error == "invalid_client"
    assert (await app.introspect(answer.content["access_token"])).error == "invalid_client"


async def test_who_erases_their_account_leaves_no_program_behind(world: World) -> None:
    ada, _ = await administrators(world)
    eye = await partner(world, ada)
    person = await mira(world)
    answer = await eye.exchange(await eye.code(person))
    erase = 'mutation {eraseAccount(input: {password: "long enough for me"}) {erased}}'
    assert (await world.ask(erase, person))["data"]["eraseAccount"] == {"erased": True}
    assert (await eye.refresh(answer.content["refresh_token"])).error == "invalid_grant"
    await world.deliver_revocations()
    with pytest.raises(InvalidToken):
        proven(world, answer)


async def test_a_suspended_person_s_programs_stand_still(world: World) -> None:
    ada, _ = await administrators(world)
    eye = await partner(world, ada)
    answer = await eye.exchange(await eye.code(await mira(world)))
    suspend = "mutation($id: ID!) {%s(id: $id) {userErrors {code}}}"
    await world.ask(suspend % "suspendUser", ada, id="id-mira")
    await world.deliver_revocations()
    with pytest.raises(InvalidToken):
        proven(world, answer)
    assert (await eye.refresh(answer.content["refresh_token"])).error == "invalid_grant"
    await world.ask(suspend % "reinstateUser", ada, id="id-mira")
    world.later(seconds=1)
    assert (await eye.refresh(answer.content["refresh_token"])).status == 200


def test_the_metadata_names_what_there_is() -> None:
    told = answering.metadata(TERMS.issuer, f"{TERMS.issuer}/oauth", f"{TERMS.issuer}/jwks")
    assert told["token_endpoint"] == "https://stadion.test/oauth/token"
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert "password" not in told["grant_types_supported"] and "implicit" not in told["grant_types_supported"]
    assert "none" not in told["introspection_endpoint_auth_methods_supported"]
    with pytest.raises(ValueError, match="issuer"):
        answering.metadata("http://stadion.test", "http://stadion.test/oauth", "http://stadion.test/jwks")
    assert CALLBACK not in str(told)
