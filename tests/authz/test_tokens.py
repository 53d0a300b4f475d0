"""Access tokens: what is issued verifies, and nothing else does."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from joserfc import jws
from joserfc.jwk import OctKey, RSAKey

from authz.classes import DataClass, Role
from authz.errors import InvalidToken
from authz.identity.keys import KeyRing, PublicKeys, generate_key
from authz.identity.revocation import RevokedSessions
from authz.identity.subject import ANONYMOUS, RoleLimit, Subject
from authz.identity.tokens import TOKEN_BYTES_MAX, TokenIssuer, TokenTerms, TokenVerifier
from tests.kit_authz.people import NOW

TERMS = TokenTerms(issuer="https://stadion.example", audience="stadion")
ANN = Subject(
    id="ann",
    roles=frozenset({Role.ATHLETE, Role.TRAINER}),
    session_id="session-1",
    acr=2,
    client_id="web",
    scopes=frozenset({"activity:read", "openid"}),
    region="NL",
    device="registered",
    limits=(RoleLimit(Role.ATHLETE), RoleLimit(Role.TRAINER, frozenset({DataClass.TRAINING}))),
)


@pytest.fixture(params=["Ed25519", "ES256"])
def ring(request):
    return KeyRing([generate_key(algorithm=request.param, created_at_utc=NOW)])


@pytest.fixture
def issue(ring, clock):
    return TokenIssuer(TERMS, ring, clock=clock).issue


@pytest.fixture
def verify(ring, clock):
    return TokenVerifier(TERMS, ring, clock=clock).verify


def _segments(token: str) -> tuple[dict, dict, str]:
    header, payload, signature = token.split(".")
    return json.loads(_decoded(header)), json.loads(_decoded(payload)), signature


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _encoded(value: object) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _resigned(ring: KeyRing, token: str, *, header: dict | None = None, **claims: object) -> str:
    """The token with other claims and a good signature: what a buggy or stolen issuer could send."""
    old_header, old_claims, _ = _segments(token)
    changed = {name: value for name, value in (old_claims | claims).items() if value is not ...}
    key = ring.signing_key
    return jws.serialize_compact(
        header or old_header, json.dumps(changed), key.jwk, [(header or old_header)["alg"]]
    )


def test_a_token_proves_its_subject_for_ten_minutes(issue, verify, clock):
    token = issue(ANN)
    assert verify(token) == replace(ANN, expires_at_utc=NOW + timedelta(minutes=10))
    clock.forward(minutes=9, seconds=59)
    assert verify(token).id == "ann"


def test_a_token_names_its_algorithm_and_key_and_carries_nothing_unneeded(ring, issue):
    header, claims, _ = _segments(issue(Subject(id="ann")))
    assert header == {"alg": ring.signing_key.algorithm, "kid": ring.signing_key.kid, "typ": "at+jwt"}
    assert set(claims) == {"iss", "aud", "iat", "exp", "jti", "sub", "roles", "acr"}


@pytest.mark.parametrize(
    "limits", [[], ["administrator"], {"administrator": "AUDIT"}, {"trainer": [1]}, None, 0]
)
def test_limits_of_another_shape_are_refused(ring, issue, verify, limits):
    """A limit that cannot be read must not become none."""
    with pytest.raises(InvalidToken):
        verify(_resigned(ring, issue(ANN), limits=limits))


def test_a_limit_of_what_this_version_does_not_know_opens_nothing(ring, issue, verify):
    told = verify(_resigned(ring, issue(ANN), limits={"trainer": ["GENOMIC"], "wizard": ["TRAINING"]}))
    assert told.limits == (RoleLimit(Role.TRAINER),)


def test_an_expired_token_is_refused(issue, verify, clock):
    token = issue(ANN)
    clock.forward(minutes=10)
    with pytest.raises(InvalidToken):
        verify(token)


def test_a_token_of_tomorrow_is_refused_and_a_small_skew_is_not(issue, verify, clock):
    clock.forward(seconds=4)
    slightly_ahead = issue(ANN)
    clock.forward(seconds=10)
    far_ahead = issue(ANN)
    clock.now = NOW
    assert verify(slightly_ahead).id == "ann"
    with pytest.raises(InvalidToken):
        verify(far_ahead)


@pytest.mark.parametrize(
    "terms", [replace(TERMS, issuer="https://evil.example"), replace(TERMS, audience="another")]
)
def test_a_token_of_another_issuer_or_for_another_audience_is_refused(ring, verify, clock, terms):
    with pytest.raises(InvalidToken):
        verify(TokenIssuer(terms, ring, clock=clock).issue(ANN))


def test_a_token_of_an_unknown_key_is_refused(verify, clock):
    stranger = KeyRing([generate_key(created_at_utc=NOW)])
    with pytest.raises(InvalidToken):
        verify(TokenIssuer(TERMS, stranger, clock=clock).issue(ANN))


def test_a_key_id_borrowed_by_another_key_does_not_help(ring, verify, clock):
    thief = generate_key(algorithm=ring.signing_key.algorithm, created_at_utc=NOW)
    posing = KeyRing([replace(thief, kid=ring.signing_key.kid)])
    with pytest.raises(InvalidToken):
        verify(TokenIssuer(TERMS, posing, clock=clock).issue(ANN))


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
def test_an_unsigned_token_is_refused(issue, verify, name):
    header, claims, _ = _segments(issue(ANN))
    for signature in ("", "AAAA"):
        with pytest.raises(InvalidToken):
            verify(f"{_encoded(header | {'alg': name})}.{_encoded(claims)}.{signature}")


def test_a_token_signed_with_the_public_key_as_a_shared_secret_is_refused(ring, issue, verify):
    header, claims, _ = _segments(issue(ANN))
    public = ring.find(ring.signing_key.kid).jwk
    secrets = [
        public.as_pem(private=False),
        public.as_der(private=False),
        json.dumps(ring.jwks()["keys"][0]).encode(),
        _decoded(public.as_dict(private=False)["x"]),
    ]
    for secret in secrets:
        signed = f"{_encoded(header | {'alg': 'HS256'})}.{_encoded(claims)}"
        signature = _encoded(hmac.new(secret, signed.encode(), hashlib.sha256).digest())
        with pytest.raises(InvalidToken):
            verify(f"{signed}.{signature}")


def test_another_algorithm_name_for_the_same_key_is_refused(ring, issue, verify):
    other = {"Ed25519": "ES256", "ES256": "Ed25519"}[ring.signing_key.algorithm]
    header, claims, signature = _segments(issue(ANN))
    with pytest.raises(InvalidToken):
        verify(f"{_encoded(header | {'alg': other})}.{_encoded(claims)}.{signature}")


@pytest.mark.parametrize(
    "extra",
    [
        {"jwk": {"kty": "OKP"}},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example"},
        {"crit": ["exp"]},
        {"b64": False},
        {"typ": "JWT"},
        {"kid": 7},
        {"kid": ""},
        {"kid": "../../etc/passwd"},
    ],
)
def test_a_header_that_says_more_or_else_is_refused(issue, verify, extra):
    header, claims, signature = _segments(issue(ANN))
    with pytest.raises(InvalidToken):
        verify(f"{_encoded(header | extra)}.{_encoded(claims)}.{signature}")


def test_every_changed_byte_is_noticed(issue, verify):
    token = issue(ANN)
    for position in range(0, len(token) - 1, 7):
        other = "A" if token[position] != "A" else "B"
        with pytest.raises(InvalidToken):
            verify(token[:position] + other + token[position + 1 :])


def test_claims_swapped_under_an_old_signature_are_refused(issue, verify):
    header, claims, signature = _segments(issue(ANN))
    with pytest.raises(InvalidToken):
        verify(f"{_encoded(header)}.{_encoded(claims | {'roles': ['administrator']})}.{signature}")


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": ...},
        {"iat": ...},
        {"iss": ...},
        {"aud": ...},
        {"sub": ...},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 10**30},
        {"exp": int(NOW.timestamp()) + 86_400},
        {"aud": ["stadion", "another"]},
        {"acr": 99},
        {"acr": "2"},
        {"roles": "administrator"},
        {"roles": [{}]},
        {"scope": ["a"]},
        {"sid": 1},
    ],
)
def test_signed_claims_of_another_shape_are_refused(ring, issue, verify, claims):
    with pytest.raises(InvalidToken):
        verify(_resigned(ring, issue(ANN), **claims))


def test_a_role_of_a_newer_version_grants_nothing(ring, issue, verify):
    token = _resigned(ring, issue(ANN), roles=["athlete", "emperor"])
    assert verify(token).roles == {Role.ATHLETE}


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "a" * 100,
        "é.é.é",
        "\x00",
        "e30.e30.e30",
        "W10.W10.W10",
        "[" * 3000 + "..",
        "eyJ" * 900,
    ],
)
def test_garbage_is_refused_in_one_way(verify, garbage):
    with pytest.raises(InvalidToken):
        verify(garbage)


def test_deeply_nested_json_is_refused(verify):
    with pytest.raises(InvalidToken):
        verify(f"{_encoded(b'[' * 2_900)}.e30.AAAA")


def test_an_oversized_token_is_refused_before_it_is_read(ring, issue, verify):
    token = _resigned(ring, issue(ANN), scope="s" * TOKEN_BYTES_MAX)
    assert len(token) > TOKEN_BYTES_MAX
    with pytest.raises(InvalidToken):
        verify(token)


def test_a_subject_whose_token_would_be_too_large_gets_none(issue):
    with pytest.raises(ValueError, match="4096 bytes"):
        issue(replace(ANN, scopes=frozenset(f"scope-{number}" for number in range(500))))


def test_all_refusals_say_the_same_and_show_no_cause(issue, verify, clock):
    token = issue(ANN)
    clock.forward(hours=1)
    said = set()
    for refused in (token, "garbage", token[:-4] + "AAAA"):
        with pytest.raises(InvalidToken) as caught:
            verify(refused)
        said.add(str(caught.value))
        assert caught.value.__suppress_context__
        assert caught.value.__cause__ is None
    assert said == {"the access token is not valid; log in again"}


def test_an_anonymous_subject_gets_no_token(issue):
    with pytest.raises(ValueError, match="anonymous"):
        issue(ANONYMOUS)


@pytest.mark.parametrize("names", [("", "stadion"), ("https://stadion.example", "")])
def test_terms_without_issuer_or_audience_are_refused(names):
    with pytest.raises(ValueError, match="issuer and an audience"):
        TokenTerms(*names)


def test_the_jwks_document_verifies_and_holds_nothing_private(ring, issue, clock):
    document = json.loads(json.dumps(ring.jwks()))
    assert [set(key) & {"d", "k"} for key in document["keys"]] == [set()]
    assert TokenVerifier(TERMS, PublicKeys(document), clock=clock).verify(issue(ANN)).id == "ann"


def test_a_jwks_document_with_shared_or_private_keys_gives_no_key_to_verify_with():
    shared = OctKey.import_key(b"k" * 32).as_dict(private=True) | {"kid": "shared", "alg": "HS256"}
    disguised = shared | {"kid": "disguised", "alg": "Ed25519"}
    rsa = RSAKey.generate_key(2048).as_dict(private=False) | {"kid": "rsa", "alg": "RS256"}
    private = generate_key(created_at_utc=NOW)
    leaked = private.jwk.as_dict(private=True) | {"kid": "leaked", "alg": "Ed25519"}
    keys = PublicKeys({"keys": [shared, disguised, rsa, leaked, "text", {}, {"kid": "x", "alg": "Ed25519"}]})
    assert [keys.find(kid) for kid in ("shared", "disguised", "rsa", "leaked", "x")] == [None] * 5


def test_a_revoked_session_is_refused_at_the_next_call_and_its_stream_ends(ring, issue, clock):
    revoked = RevokedSessions()
    verifier = TokenVerifier(TERMS, ring, revocations=revoked, clock=clock)
    token = issue(ANN)
    subject = verifier.verify(token)
    other = verifier.verify(issue(replace(ANN, session_id="session-2")))
    assert verifier.still_valid(subject)

    revoked.apply_event({"session_id": "session-1", "revoked_at_utc": NOW.isoformat()})

    with pytest.raises(InvalidToken):
        verifier.verify(token)
    assert not verifier.still_valid(subject)
    assert verifier.still_valid(other)


def test_a_stream_ends_with_its_token(ring, issue, clock):
    verifier = TokenVerifier(TERMS, ring, clock=clock)
    subject = verifier.verify(issue(ANN))
    clock.forward(minutes=10)
    assert not verifier.still_valid(subject)
    assert verifier.still_valid(ANONYMOUS)


def test_a_signature_is_proven_once_and_everything_that_ages_each_time(ring, issue, clock, monkeypatch):
    proofs = []
    prove = jws.deserialize_compact
    monkeypatch.setattr(
        "authz.identity.tokens.jws.deserialize_compact", lambda *a, **k: proofs.append(a) or prove(*a, **k)
    )
    revoked = RevokedSessions()
    verify = TokenVerifier(TERMS, ring, revocations=revoked, clock=clock).verify
    token = issue(ANN)
    assert verify(token) == verify(token)
    assert len(proofs) == 1
    revoked.apply_event({"session_id": "session-1", "revoked_at_utc": NOW.isoformat()})
    with pytest.raises(InvalidToken):
        verify(token)
    other = issue(replace(ANN, session_id="session-2"))
    verify(other)
    clock.forward(minutes=10)
    with pytest.raises(InvalidToken):
        verify(other)
    assert len(proofs) == 2


def test_a_proof_does_not_outlive_its_key(ring, issue, clock):
    keys = PublicKeys(ring.jwks())

    class Changing:
        def find(self, kid: str):
            return keys.find(kid)

    verify = TokenVerifier(TERMS, Changing(), clock=clock).verify
    token = issue(ANN)
    verify(token)
    keys = PublicKeys({"keys": []})
    with pytest.raises(InvalidToken):
        verify(token)


def test_proofs_are_bounded(issue, ring, clock, monkeypatch):
    monkeypatch.setattr("authz.identity.tokens.PROVEN_TOKENS_MAX", 3)
    verifier = TokenVerifier(TERMS, ring, clock=clock)
    for number in range(5):
        verifier.verify(issue(replace(ANN, session_id=f"session-{number}")))
    assert len(verifier._proven) == 3
