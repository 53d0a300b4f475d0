"""Devices: registered by a key's proof, kept through refreshes, judged by administrators, revoked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey

from authz.classes import DataClass, Purpose, Relation, Role
from authz.decide import Authorizer
from authz.errors import InvalidProof, InvalidToken
from authz.facts.model import RelationshipFact
from authz.identity.device_proof import PROOF_TYPE, proof_claims, proven_key
from authz.identity.subject import Subject
from authz.question import Question
from subgraphs.accounts.devices import DEVICES_MAX
from tests.kit_subgraphs.accounts import NOON, TERMS, World

_NUMBERS = count()
REGISTER = """mutation($n: String!, $p: String!) {registerDevice(name: $n, proof: $p) {
    device {id name state} userErrors {code field}}}"""


@dataclass
class Machine:
    """A key, and the proofs that it makes."""

    world: World
    key: ECKey | OKPKey = field(default_factory=lambda: ECKey.generate_key("P-256"))

    def prove(self, act: str, text: str, **changed: Any) -> str:
        parts = self.key.as_dict(private=False)
        public = {name: parts[name] for name in ("kty", "crv", "x", "y") if name in parts}
        header = {"alg": self.algorithm, "typ": PROOF_TYPE, "jwk": public}
        claims = proof_claims(
            audience=TERMS.issuer,
            act=act,
            text=text,
            now=self.world.clock[0],
            nonce=f"nonce-{next(_NUMBERS):06}",
        )
        return jws.serialize_compact(
            {**header, **changed.pop("header", {})},
            json.dumps({**claims, **changed}),
            self.key,
            [self.algorithm],
        )

    @property
    def algorithm(self) -> str:
        return "ES256" if isinstance(self.key, ECKey) else "Ed25519"


@pytest.fixture
async def here(any_world: World) -> tuple[World, Machine]:
    """Mira, who has an account, and a machine of hers."""
    await any_world.person("mira")
    return any_world, Machine(any_world)


async def register(world: World, machine: Machine, subject: Subject, **changed: Any) -> Any:
    proof = machine.prove("register", changed.pop("text", subject.session_id or ""), **changed)
    answer = await world.ask(REGISTER, subject, n="Phone", p=proof)
    told = answer["data"]["registerDevice"]
    return told["userErrors"][0]["code"] if told["userErrors"] else told["device"]


async def registered(world: World, machine: Machine) -> tuple[Any, str]:
    """A device, and the refresh token of the session that is bound to it."""
    told = await world.log_in("mira")
    subject = world.verifier.verify(told["accessToken"])
    assert subject.device is None
    return await register(world, machine, subject), told["refreshToken"]


def claim(world: World, payload: dict[str, Any]) -> str | None:
    return world.verifier.verify(payload["accessToken"]).device


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


@pytest.mark.parametrize("kind", ["P-256", "Ed25519"])
async def test_a_bound_session_refreshes_with_its_device_and_says_so(any_world: World, kind: str) -> None:
    await any_world.person("mira")
    key = ECKey.generate_key("P-256") if kind == "P-256" else OKPKey.generate_key("Ed25519")
    machine = Machine(any_world, key)
    device, token = await registered(any_world, machine)
    assert isinstance(device, dict), device
    assert (device["name"], device["state"]) == ("Phone", "REGISTERED")
    for _ in range(2):
        any_world.later(minutes=5)
        told = await any_world.refresh(token, proof=machine.prove("refresh", token))
        assert claim(any_world, told) == "registered"
        token = told["refreshToken"]
    subject = any_world.verifier.verify(told["accessToken"])
    seen = await any_world.ask("{me {devices {id state lastSeenAt} sessions {deviceId}}}", subject)
    assert seen["data"]["me"] == {
        "devices": [{"id": device["id"], "state": "REGISTERED", "lastSeenAt": "2026-03-01T12:10:00Z"}],
        "sessions": [{"deviceId": device["id"]}],
    }


async def test_a_stolen_refresh_token_is_worth_nothing_elsewhere_and_is_not_used_up(here: Any) -> None:
    world, machine = here
    _, token = await registered(world, machine)
    thief = Machine(world)
    wrong = [
        None,
        thief.prove("refresh", token),
        machine.prove("refresh", "another token"),
        machine.prove("log_in", token),
        machine.prove("refresh", token, aud="https://elsewhere.test"),
        machine.prove("refresh", token, iat=int((NOON - timedelta(seconds=61)).timestamp())),
        machine.prove("refresh", token, iat=int((NOON + timedelta(seconds=6)).timestamp())),
        "rubbish",
        "",
    ]
    for proof in wrong:
        told = await world.refresh(token, proof=proof)
        assert codes(told) in (["BAD_REFRESH_TOKEN"], ["BAD_DEVICE_PROOF"]), proof
        assert told["accessToken"] is None
    assert codes(await world.refresh(token, proof=machine.prove("refresh", token))) == []


async def test_a_proof_is_good_for_once(here: Any) -> None:
    world, machine = here
    await registered(world, machine)
    proof = machine.prove("log_in", "mira")
    assert claim(world, await world.log_in("mira", proof=proof)) == "registered"
    assert codes(await world.log_in("mira", proof=proof)) == ["BAD_DEVICE_PROOF"]


async def test_a_log_in_with_a_device_is_bound_to_it_and_only_for_its_owner(here: Any) -> None:
    world, machine = here
    await registered(world, machine)
    await world.person("tomas")
    told = await world.log_in("tomas", proof=machine.prove("log_in", "tomas"))
    assert codes(told) == ["BAD_DEVICE_PROOF"]
    wrong = await world.log_in("mira", "a wrong password indeed", proof=machine.prove("log_in", "mira"))
    assert codes(wrong) == ["BAD_CREDENTIALS"]
    told = await world.log_in("mira", proof=machine.prove("log_in", "mira"))
    assert codes(await world.refresh(told["refreshToken"])) == ["BAD_REFRESH_TOKEN"]
    proof = machine.prove("refresh", told["refreshToken"])
    assert claim(world, await world.refresh(told["refreshToken"], proof=proof)) == "registered"


async def test_a_session_that_is_not_bound_takes_no_proof(here: Any) -> None:
    world, machine = here
    await registered(world, machine)
    told = await world.log_in("mira")
    assert claim(world, told) is None
    proof = machine.prove("refresh", told["refreshToken"])
    assert codes(await world.refresh(told["refreshToken"], proof=proof)) == ["BAD_REFRESH_TOKEN"]
    assert codes(await world.refresh(told["refreshToken"])) == []


async def test_revoking_a_device_ends_its_sessions_and_no_other(here: Any) -> None:
    world, machine = here
    device, token = await registered(world, machine)
    bound = await world.refresh(token, proof=machine.prove("refresh", token))
    elsewhere = await world.subject("mira")
    await world.person("tomas")
    revoke = "mutation($id: ID!) {revokeDevice(id: $id) {device {state} userErrors {code}}}"
    for stranger in (await world.subject("tomas"), Subject("id-nobody")):
        answer = await world.ask(revoke, stranger, id=device["id"])
        assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    world.later(seconds=1)
    answer = await world.ask(revoke, elsewhere, id=device["id"])
    assert answer["data"]["revokeDevice"] == {"device": {"state": "REVOKED"}, "userErrors": []}
    await world.deliver_revocations()
    with pytest.raises(InvalidToken):
        world.verifier.verify(bound["accessToken"])
    assert world.verifier.still_valid(elsewhere)
    later = machine.prove("refresh", bound["refreshToken"])
    assert codes(await world.refresh(bound["refreshToken"], proof=later)) == ["BAD_REFRESH_TOKEN"]
    assert codes(await world.log_in("mira", proof=machine.prove("log_in", "mira"))) == ["BAD_DEVICE_PROOF"]
    assert (await world.ask("{me {devices {id}}}", elsewhere))["data"]["me"] == {"devices": []}


async def test_what_an_administrator_says_of_a_device_reaches_tokens_and_decisions(here: Any) -> None:
    world, machine = here
    await world.person("lind", Role.MEDICAL_SPECIALIST, totp=True)
    await world.person("ada", Role.ADMINISTRATOR, totp=True)
    told = await world.log_in("lind", otp=world.code("lind"))
    device = await register(world, machine, world.verifier.verify(told["accessToken"]))
    ada = await world.subject("ada")
    judge = "mutation($id: ID!) {%s(id: $id) {device {state decidedBy} userErrors {code}}}"
    token = told["refreshToken"]
    world.facts.put(RelationshipFact("id-lind", Relation.TREATING, "id-mira", frozenset(), NOON, None, 1))
    clinical = Question("id-mira", DataClass.CLINICAL, purpose=Purpose.TREATMENT)
    for name, state, allowed in (
        ("attestDevice", "ATTESTED", True),
        ("markDeviceCompromised", "COMPROMISED", False),
    ):
        world.later(seconds=5)
        answer = await world.ask(judge % name, ada, id=device["id"])
        assert answer["data"][name] == {"device": {"state": state, "decidedBy": "id-ada"}, "userErrors": []}
        again = await world.ask(judge % name, ada, id=device["id"])
        assert codes(again["data"][name]) == ["KNOWN_SO"]
        world.later(seconds=5)
        refreshed = await world.refresh(token, proof=machine.prove("refresh", token))
        token, subject = refreshed["refreshToken"], world.verifier.verify(refreshed["accessToken"])
        assert subject.device == state.lower()
        request = Authorizer(world.facts, clock=lambda: world.clock[0]).for_request(subject)
        [decision] = await request.decide([clinical])
        assert decision.allowed == allowed
    mira = await world.ask(judge % "attestDevice", await world.subject("mira"), id=device["id"])
    assert mira["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    own = await register(world, Machine(world), ada)
    answer = await world.ask(judge % "attestDevice", ada, id=own["id"])
    assert codes(answer["data"]["attestDevice"]) == ["OWN_DEVICE"]


async def test_registering_what_cannot_be_is_refused(here: Any) -> None:
    world, machine = here
    subject = await world.subject("mira")
    assert await register(world, machine, subject, text="another session") == "BAD_DEVICE_PROOF"
    private = {"jwk": machine.key.as_dict(private=True)}
    assert await register(world, machine, subject, header=private) == "BAD_DEVICE_PROOF"
    assert (await register(world, machine, subject))["state"] == "REGISTERED"
    assert await register(world, Machine(world), subject) == "SESSION_BOUND"
    other = await world.subject("mira")
    assert await register(world, machine, other) == "KEY_IN_USE"
    for _ in range(DEVICES_MAX - 1):
        assert (await register(world, Machine(world), await world.subject("mira")))["state"] == "REGISTERED"
    assert await register(world, Machine(world), await world.subject("mira")) == "TOO_MANY_DEVICES"


def _signed(header: dict[str, Any], claims: Any, key: Any) -> str:
    algorithms = [header["alg"]]
    text = claims if isinstance(claims, str) else json.dumps(claims)
    return jws.serialize_compact(header, text, key, algorithms)


def test_proofs_of_other_shapes_are_refused_alike() -> None:
    """No algorithm but the key's own, no key of the signer's choice but the one it shows, nothing half."""
    key = ECKey.generate_key("P-256")
    public = {name: key.as_dict(private=False)[name] for name in ("kty", "crv", "x", "y")}
    good = {"alg": "ES256", "typ": PROOF_TYPE, "jwk": public}
    claims = proof_claims(audience="a", act="register", text="t", now=NOON, nonce="12345678")

    def proven(proof: str) -> Any:
        return proven_key(proof, audience="a", act="register", text="t", now=NOON)

    assert proven(_signed(good, claims, key)).thumbprint == key.thumbprint()
    secret = OctKey.import_key(b"k" * 32)
    broken = [
        _signed({**good, "alg": "HS256"}, claims, secret),
        _signed({**good, "typ": "at+jwt"}, claims, key),
        _signed({**good, "kid": "x"}, claims, key),
        _signed({**good, "jwk": {**public, "d": "AA"}}, claims, key),
        _signed({**good, "jwk": {"kty": "EC"}}, claims, key),
        _signed(good, claims, ECKey.generate_key("P-256")),
        _signed(good, "[]", key),
        _signed(good, {**claims, "jti": "short"}, key),
        _signed(good, {**claims, "iat": True}, key),
        _signed(good, {name: claims[name] for name in claims if name != "sha256"}, key),
        _signed(good, {**claims, "act": "refresh"}, key),
        _signed(good, claims, key)[:-2],
        "a.b.c",
        "é" * 10,
        "x" * 3_000,
    ]
    for proof in broken:
        with pytest.raises(InvalidProof):
            proven(proof)
