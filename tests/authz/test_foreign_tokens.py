"""Tokens of somebody else's issuer: RSA by its published keys, and every known way around them refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from authz.classes import Role
from authz.errors import InvalidToken
from authz.identity.keys import ForeignAlgorithm, PublicKeys
from authz.identity.subject import Subject
from authz.identity.tokens import FOREIGN_TOKEN_BYTES_MAX, ForeignTerms, TokenTerms, TokenVerifier
from tests.kit_authz.people import NOW

RSA_ALONE: tuple[ForeignAlgorithm, ...] = ("RS256", "PS256")
TERMS = TokenTerms(
    "https://login.example",
    "stadion",
    lifetime=timedelta(hours=1),
    foreign=ForeignTerms(
        algorithms=RSA_ALONE, roles=frozenset({Role.ATHLETE, Role.PARTNER}), subject_prefix="login|"
    ),
)
ISSUED = int(NOW.timestamp())
CLAIMS: dict[str, Any] = {
    "iss": "https://login.example",
    "aud": "stadion",
    "sub": "7",
    "iat": ISSUED,
    "exp": ISSUED + 3_600,
}


@cache
def rsa_key(bits: int = 2_048, exponent: int = 65_537, number: int = 0) -> RSAKey:
    """`number` tells keys apart that are alike in everything else."""
    private = rsa.generate_private_key(public_exponent=exponent, key_size=bits)
    return RSAKey.import_key(private)


def published(*keys: RSAKey, **more: Any) -> dict[str, Any]:
    return {"keys": [{**key.as_dict(private=False), "kid": f"k{n}", **more} for n, key in enumerate(keys)]}


def signed(key: Any, algorithm: str = "RS256", *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    changed = {name: value for name, value in (CLAIMS | claims).items() if value is not ...}
    full = {"alg": algorithm, "kid": "k0", "typ": "at+jwt", **(header or {})}
    full = {name: value for name, value in full.items() if value is not ...}
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jws.serialize_compact(full, json.dumps(changed), key, [algorithm], registry=registry)


def verifier(
    document: dict[str, Any] | None = None, terms: TokenTerms = TERMS, clock: Any = lambda: NOW
) -> TokenVerifier:
    assert terms.foreign is not None
    keys = PublicKeys(document or published(rsa_key(), alg="RS256"), algorithms=terms.foreign.algorithms)
    return TokenVerifier(terms, keys, clock=clock)


def refused(token: str, by: TokenVerifier | None = None) -> None:
    with pytest.raises(InvalidToken):
        (by or verifier()).verify(token)


def encoded(value: object) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", RSA_ALONE)
@pytest.mark.parametrize("bits", [2_048, 3_072])
def test_a_token_by_rsa_proves_its_subject(algorithm: str, bits: int) -> None:
    known = verifier(published(rsa_key(bits), alg=algorithm))
    subject = known.verify(signed(rsa_key(bits), algorithm, scope="read write", azp="app"))
    expires = NOW + timedelta(hours=1)
    assert subject == Subject(
        "login|7", client_id="app", scopes=frozenset({"read", "write"}), expires_at_utc=expires
    )
    assert known.still_valid(subject)


def test_rsa_is_taken_only_where_it_is_named() -> None:
    others: list[tuple[ForeignAlgorithm, ...]] = [("Ed25519", "ES256"), ("PS256",)]
    for algorithms in others:
        assert TERMS.foreign is not None
        foreign = replace(TERMS.foreign, algorithms=algorithms)
        refused(signed(rsa_key()), verifier(terms=replace(TERMS, foreign=foreign)))
    assert PublicKeys(published(rsa_key(), alg="RS256")).is_empty
    own = TokenVerifier(replace(TERMS, foreign=None), PublicKeys(published(rsa_key(), alg="RS256")))
    refused(signed(rsa_key()), own)


def test_a_key_is_used_with_one_algorithm_alone() -> None:
    refused(signed(rsa_key(), "PS256"))
    refused(signed(rsa_key(), "RS256"), verifier(published(rsa_key(), alg="PS256")))
    for other in ("RS384", "RS512", "PS384"):
        refused(signed(rsa_key(), other))
    # a key that names no algorithm is for the first that was asked for
    unnamed = verifier(published(rsa_key()))
    assert unnamed.verify(signed(rsa_key())).id == "login|7"
    refused(signed(rsa_key(), "PS256"), unnamed)


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
def test_an_unsigned_token_is_refused(name: str) -> None:
    header = {"alg": name, "kid": "k0", "typ": "at+jwt"}
    for signature in ("", "AAAA"):
        refused(f"{encoded(header)}.{encoded(CLAIMS)}.{signature}")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_token_signed_with_the_public_key_as_a_shared_secret_is_refused(algorithm: str) -> None:
    document = published(rsa_key(), alg="RS256")
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    public = rsa_key()
    secrets = [
        public.as_pem(private=False),
        public.as_pem(private=False).rstrip(b"\n"),
        public.as_der(private=False),
        json.dumps(document["keys"][0]).encode(),
        base64.urlsafe_b64decode(document["keys"][0]["n"] + "=="),
    ]
    for secret in secrets:
        text = f"{encoded({'alg': algorithm, 'kid': 'k0', 'typ': 'at+jwt'})}.{encoded(CLAIMS)}"
        refused(f"{text}.{encoded(hmac.new(secret, text.encode(), digest).digest())}")


@pytest.mark.parametrize(
    "member",
    [
        {"kty": "oct", "k": encoded(b"s" * 32), "alg": "HS256"},
        {"kty": "oct", "k": encoded(b"s" * 32), "alg": "RS256"},
        {"kty": "EC", "crv": "P-256", "alg": "RS256"},
        {"kty": "OKP", "crv": "Ed25519", "alg": "RS256"},
        {"kty": "RSA", "crv": "P-256", "alg": "RS256"},
        {"kty": "RSA", "alg": "ES256"},
        {"kty": "RSA", "alg": "none"},
        {"kty": "RSA", "alg": "RS256", "use": "enc"},
        {"kty": "RSA", "alg": "RS256", "key_ops": ["encrypt"]},
        {"kty": "RSA", "alg": "RS256", "n": ""},
        {"kty": "RSA", "alg": "RS256", "n": "?"},
        {"kty": "RSA", "alg": "RS256", "e": "AQ"},
        {"kty": "RSA", "alg": "RS256", "e": "Aw"},
        {"kty": "RSA", "alg": "RS256", "e": encoded((2**40 + 1).to_bytes(6, "big"))},
        {"kty": "RSA", "alg": "RS256", "kid": 7},
        {"kty": "RSA", "alg": "RS256", "kid": ["k0"]},
    ],
    ids=lambda one: "-".join(f"{name}={value}" for name, value in one.items() if name != "k"),
)
def test_a_key_of_another_kind_than_its_algorithm_is_not_taken(member: dict[str, Any]) -> None:
    full = published(rsa_key())["keys"][0] | member
    assert PublicKeys({"keys": [full]}, algorithms=RSA_ALONE).is_empty


def test_private_keys_in_the_document_are_not_taken() -> None:
    private = {**rsa_key().as_dict(private=True), "kid": "k0", "alg": "RS256"}
    assert PublicKeys({"keys": [private]}, algorithms=RSA_ALONE).is_empty


def test_short_rsa_keys_are_not_taken() -> None:
    private = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
    numbers = private.public_key().public_numbers()
    modulus = encoded(numbers.n.to_bytes(128, "big"))
    member = {"kty": "RSA", "alg": "RS256", "kid": "k0", "n": modulus, "e": "AQAB"}
    assert PublicKeys({"keys": [member]}, algorithms=RSA_ALONE).is_empty


def test_a_modulus_that_would_make_each_token_a_load_is_not_taken() -> None:
    huge = encoded((2**16_384 - 1).to_bytes(2_048, "big"))
    member = {"kty": "RSA", "alg": "RS256", "kid": "k0", "n": huge, "e": "AQAB"}
    assert PublicKeys({"keys": [member]}, algorithms=RSA_ALONE).is_empty


@pytest.mark.parametrize(
    "kid",
    ["", "../../etc/passwd", "' OR 1=1 --", "k1", "K0", "k0\0", "https://evil.example/k0", 0, None, ["k0"]],
)
def test_a_key_id_finds_nothing_but_a_published_key(kid: object) -> None:
    header = {"alg": "RS256", "kid": kid, "typ": "at+jwt"}
    text = f"{encoded(header)}.{encoded(CLAIMS)}"
    real = signed(rsa_key())
    refused(f"{text}.{real.rsplit('.', 1)[1]}")
    refused(signed(rsa_key(), header={"kid": ...}))


def test_a_key_that_a_token_brings_along_is_not_used() -> None:
    stranger = rsa_key(number=1)
    public = stranger.as_dict(private=False)
    for header in (
        {"jwk": {**public, "kid": "k0"}},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": [encoded(stranger.as_der(private=False))]},
        {"jwk": {"kty": "oct", "k": encoded(b"s" * 32)}},
    ):
        refused(signed(stranger, header=header))
        # by the issuer's own key the same header is only not looked at
        assert verifier().verify(signed(rsa_key(), header=header)).id == "login|7"
    refused(signed(OctKey.import_key(b"s" * 32), "HS256"))
    refused(signed(ECKey.generate_key("P-256"), "ES256"))


@pytest.mark.parametrize("header", [{"crit": ["exp"], "exp": 1}, {"b64": False}, {"crit": []}])
def test_a_header_that_changes_what_a_signature_means_is_refused(header: dict[str, Any]) -> None:
    full = {"alg": "RS256", "kid": "k0", "typ": "at+jwt", **header}
    real = signed(rsa_key())
    refused(f"{encoded(full)}.{real.split('.', 1)[1]}")


def test_keys_rotate_by_the_document_and_a_withdrawn_one_stops_to_count() -> None:
    old, new = rsa_key(), rsa_key(number=1)
    both = published(old, new, alg="RS256")
    for key, kid in ((old, "k0"), (new, "k1")):
        assert verifier(both).verify(signed(key, header={"kid": kid})).id == "login|7"
    refused(signed(old, header={"kid": "k1"}), verifier(both))
    alone = {"keys": both["keys"][1:]}
    refused(signed(old, header={"kid": "k0"}), verifier(alone))
    # of two keys under one id the first counts, whatever else is published later
    twice = {"keys": [both["keys"][0], {**both["keys"][1], "kid": "k0"}]}
    assert verifier(twice).verify(signed(old)).id == "login|7"
    refused(signed(new), verifier(twice))


@pytest.mark.parametrize("audience", ["stadion", ["stadion"], ["other", "stadion"]])
def test_a_token_for_us_among_others_is_taken(audience: object) -> None:
    assert verifier().verify(signed(rsa_key(), aud=audience)).id == "login|7"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other"},
        {"aud": ["other"]},
        {"aud": []},
        {"aud": "stadion2"},
        {"aud": {"stadion": 1}},
        {"aud": ...},
        {"iss": "https://login.example/"},
        {"iss": "https://stadion.example"},
        {"iss": ["https://login.example"]},
        {"iss": ...},
        {"exp": ISSUED},
        {"exp": ISSUED + 3_601},
        {"exp": ...},
        {"iat": ...},
        {"iat": ISSUED + 60, "exp": ISSUED + 600},
        {"nbf": ISSUED + 60},
        {"nbf": "soon"},
        {"sub": ""},
        {"sub": 7},
        {"sub": ...},
        {"scope": 7},
        {"scp": {"a": 1}},
        {"roles": "athlete"},
        {"client_id": 3},
    ],
)
def test_claims_that_do_not_fit_the_terms_are_refused(claims: dict[str, Any]) -> None:
    refused(signed(rsa_key(), **claims))


def test_an_issuer_gives_no_more_than_it_is_believed() -> None:
    claims: dict[str, Any] = {
        "roles": ["administrator", "athlete", "medic"],
        "acr": 9,
        "region": "eu",
        "device": "d",
        "sid": "s",
    }
    subject = verifier().verify(signed(rsa_key(), **claims))
    assert subject.roles == {Role.ATHLETE}
    assert (subject.acr, subject.region, subject.device, subject.session_id) == (0, None, None, None)


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "a b"}, {"a", "b"}),
        ({"scp": ["a", "b"]}, {"a", "b"}),
        ({"scp": "a"}, {"a"}),
        ({"scope": ""}, set()),
    ],
)
def test_scopes_are_read_as_issuers_write_them(claims: dict[str, Any], scopes: set[str]) -> None:
    assert verifier().verify(signed(rsa_key(), **claims)).scopes == scopes


@pytest.mark.parametrize(
    ("type_", "taken"),
    [
        ("at+jwt", True),
        ("JWT", True),
        ("application/at+jwt", True),
        ("dpop+jwt", False),
        (..., False),
        (7, False),
    ],
)
def test_a_token_is_of_a_type_that_was_named(type_: object, taken: bool) -> None:
    header = {"alg": "RS256", "kid": "k0"} | ({} if type_ is ... else {"typ": type_})
    text = f"{encoded(header)}.{encoded(CLAIMS)}"
    signature = signature_of(text)
    if taken:
        assert verifier().verify(f"{text}.{signature}").id == "login|7"
    else:
        refused(f"{text}.{signature}")
    assert TERMS.foreign is not None
    nameless = replace(TERMS, foreign=replace(TERMS.foreign, types=frozenset({""})))
    if type_ is ...:
        assert verifier(terms=nameless).verify(f"{text}.{signature}").id == "login|7"


def signature_of(text: str) -> str:
    private: Any = rsa_key().private_key
    return encoded(private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))


def test_a_long_token_is_refused_before_it_is_read() -> None:
    long = signed(rsa_key(), padding="x" * FOREIGN_TOKEN_BYTES_MAX)
    refused(long)
    assert verifier().verify(signed(rsa_key(), padding="x" * 8_000)).id == "login|7"
    began = time.process_time()
    refused("a" * 10_000_000)
    assert time.process_time() - began < 0.1
