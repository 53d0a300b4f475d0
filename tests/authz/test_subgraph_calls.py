"""The router's signature on a subgraph call: for this subgraph, this body, half a minute, once."""

import hashlib
import json
from datetime import timedelta

import pytest
from joserfc import jws
from joserfc.jwk import OctKey

from authz.classes import DataClass, Role
from authz.errors import InvalidCall
from authz.identity.internal import SeenCalls, call_key, sign_call, verify_call
from authz.identity.subject import ANONYMOUS, RoleLimit, Subject
from tests.kit_authz.people import NOW

KEY = bytes(range(32))
BODY = hashlib.sha256(b'{"query": "{ me { id } }"}').hexdigest()
DOC = Subject(
    id="doc",
    roles=frozenset({Role.MEDICAL_SPECIALIST}),
    session_id="session-7",
    acr=2,
    client_id="web",
    scopes=frozenset({"openid"}),
    region="NL",
    device="attested",
    limits=(RoleLimit(Role.MEDICAL_SPECIALIST, frozenset({DataClass.CLINICAL})),),
    expires_at_utc=NOW + timedelta(minutes=10),
)


@pytest.mark.parametrize(
    "subject",
    [
        DOC,
        ANONYMOUS,
        Subject(id="plain"),
        Subject(id="plain", client_address="192.0.2.7"),
        Subject(id=None, client_address="2001:db8::7"),
    ],
)
def test_a_subject_arrives_as_it_was_sent(subject):
    signature = sign_call(subject, "medical", BODY, KEY, NOW)
    assert verify_call(signature, "medical", BODY, KEY, NOW) == subject


def test_a_call_for_another_subgraph_is_refused():
    with pytest.raises(InvalidCall):
        verify_call(sign_call(DOC, "training", BODY, KEY, NOW), "medical", BODY, KEY, NOW)


def test_another_body_under_the_same_signature_is_refused():
    other = hashlib.sha256(b'{"query": "{ users { id } }"}').hexdigest()
    with pytest.raises(InvalidCall):
        verify_call(sign_call(DOC, "medical", BODY, KEY, NOW), "medical", other, KEY, NOW)


@pytest.mark.parametrize(("age_s", "accepted"), [(-6, False), (-5, True), (0, True), (29, True), (30, False)])
def test_a_call_is_good_for_half_a_minute(age_s, accepted):
    signature = sign_call(DOC, "medical", BODY, KEY, NOW)
    later = NOW + timedelta(seconds=age_s)
    if accepted:
        assert verify_call(signature, "medical", BODY, KEY, later) == DOC
    else:
        with pytest.raises(InvalidCall):
            verify_call(signature, "medical", BODY, KEY, later)


def test_a_call_is_accepted_once():
    seen = SeenCalls()
    signature = sign_call(DOC, "medical", BODY, KEY, NOW)
    assert verify_call(signature, "medical", BODY, KEY, NOW, seen=seen) == DOC
    with pytest.raises(InvalidCall):
        verify_call(signature, "medical", BODY, KEY, NOW, seen=seen)
    again = sign_call(DOC, "medical", BODY, KEY, NOW)
    assert verify_call(again, "medical", BODY, KEY, NOW, seen=seen) == DOC


def test_when_no_more_calls_can_be_remembered_new_ones_are_refused_until_old_ones_expire():
    seen = SeenCalls(calls_max=2)
    first, second, third = (sign_call(DOC, "medical", BODY, KEY, NOW) for _ in range(3))
    for signature in (first, second):
        verify_call(signature, "medical", BODY, KEY, NOW, seen=seen)
    with pytest.raises(InvalidCall):
        verify_call(third, "medical", BODY, KEY, NOW, seen=seen)
    later = NOW + timedelta(seconds=35)
    verify_call(sign_call(DOC, "medical", BODY, KEY, later), "medical", BODY, KEY, later, seen=seen)


def test_a_refused_call_is_not_remembered():
    seen = SeenCalls(calls_max=1)
    stale = sign_call(DOC, "medical", BODY, KEY, NOW - timedelta(minutes=1))
    with pytest.raises(InvalidCall):
        verify_call(stale, "medical", BODY, KEY, NOW, seen=seen)
    assert verify_call(sign_call(DOC, "medical", BODY, KEY, NOW), "medical", BODY, KEY, NOW, seen=seen) == DOC


def test_a_call_signed_with_another_key_is_refused_and_with_the_previous_one_is_not():
    previous = b"p" * 32
    signature = sign_call(DOC, "medical", BODY, previous, NOW)
    with pytest.raises(InvalidCall):
        verify_call(signature, "medical", BODY, KEY, NOW)
    assert verify_call(signature, "medical", BODY, [KEY, previous], NOW) == DOC


def test_a_short_key_signs_nothing_and_a_key_shows_nothing():
    with pytest.raises(ValueError, match="32 bytes"):
        sign_call(DOC, "medical", BODY, b"k" * 31, NOW)
    assert repr(call_key(KEY)) == "CallKey(…)"


def test_a_verifier_without_keys_refuses():
    with pytest.raises(InvalidCall):
        verify_call(sign_call(DOC, "medical", BODY, KEY, NOW), "medical", BODY, [], NOW)


def test_an_access_token_is_no_call_though_signed_with_the_shared_key():
    claims = {"iss": "stadion-router", "aud": "medical", "sub": "doc"}
    token = jws.serialize_compact(
        {"alg": "HS256", "typ": "JWT"}, json.dumps(claims), OctKey.import_key(KEY), ["HS256"]
    )
    with pytest.raises(InvalidCall):
        verify_call(token, "medical", BODY, KEY, NOW)


def test_every_changed_byte_is_noticed_in_a_call():
    signature = sign_call(DOC, "medical", BODY, KEY, NOW)
    for position in range(0, len(signature) - 1, 11):
        other = "A" if signature[position] != "A" else "B"
        with pytest.raises(InvalidCall):
            verify_call(signature[:position] + other + signature[position + 1 :], "medical", BODY, KEY, NOW)


@pytest.mark.parametrize("garbage", ["", "a.b.c", "..", "é", "x" * 9_000, "e30.e30.", "{}"])
def test_garbage_is_no_call(garbage):
    with pytest.raises(InvalidCall):
        verify_call(garbage, "medical", BODY, KEY, NOW)


def _signed(claims: dict) -> str:
    header = {"alg": "HS256", "typ": "stadion-call+jwt"}
    return jws.serialize_compact(header, json.dumps(claims), OctKey.import_key(KEY), ["HS256"])


GOOD = {
    "iss": "stadion-router",
    "aud": "medical",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 30,
    "jti": "call-1",
    "body": BODY,
    "subject": {"sub": "doc", "roles": [], "acr": 1},
}


def test_the_claims_that_the_next_test_breaks_are_good():
    assert verify_call(_signed(GOOD), "medical", BODY, KEY, NOW).id == "doc"


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"},
        {"exp": int(NOW.timestamp()) + 3_600},
        {"exp": None},
        {"iat": "now"},
        {"jti": None},
        {"body": None},
        {"body": 7},
        {"subject": None},
        {"subject": "doc"},
        {"subject": {"sub": ""}},
        {"subject": {"sub": "doc", "roles": "administrator"}},
        {"subject": {"sub": "doc", "expires_at": "later"}},
    ],
)
def test_signed_call_claims_of_another_shape_are_refused(change):
    with pytest.raises(InvalidCall):
        verify_call(_signed(GOOD | change), "medical", BODY, KEY, NOW)
