"""Signing keys on disk: private to their owner, rotated, damaged ones refused."""

import json
import stat
from datetime import timedelta

import pytest

from authz.errors import KeyFileUnsafe
from authz.identity.keys import KeyRing, open_key_ring
from authz.identity.subject import Subject
from authz.identity.tokens import TokenIssuer, TokenTerms, TokenVerifier
from tests.kit_authz.people import NOW

TERMS = TokenTerms(issuer="https://stadion.example", audience="stadion")


def test_a_key_survives_a_restart_and_only_its_owner_can_read_it(tmp_path, clock):
    first = open_key_ring(tmp_path / "keys", clock=clock)
    (path,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    token = TokenIssuer(TERMS, first, clock=clock).issue(Subject(id="ann"))
    again = open_key_ring(tmp_path / "keys", clock=clock)
    assert again.signing_key.kid == first.signing_key.kid
    assert TokenVerifier(TERMS, again, clock=clock).verify(token).id == "ann"


def test_rotation_signs_with_the_new_key_and_verifies_with_the_old_one_for_a_day(tmp_path, clock):
    ring = open_key_ring(tmp_path, clock=clock)
    old = ring.signing_key.kid
    token = TokenIssuer(TERMS, ring, clock=clock).issue(Subject(id="ann"))

    clock.forward(minutes=5)
    ring.rotate(now=clock())
    assert ring.signing_key.kid != old
    assert TokenVerifier(TERMS, ring, clock=clock).verify(token).id == "ann"
    assert [key["kid"] for key in ring.jwks()["keys"]] == [ring.signing_key.kid, old]

    clock.forward(days=2)
    ring.rotate(now=clock())
    assert ring.find(old) is None
    assert len(list(tmp_path.glob("signing-*.jwk"))) == 2


def test_an_old_key_is_replaced_when_the_ring_is_opened(tmp_path, clock):
    old = open_key_ring(tmp_path, clock=clock).signing_key
    clock.forward(days=30)
    ring = open_key_ring(tmp_path, clock=clock)
    assert ring.signing_key.created_at_utc == NOW + timedelta(days=30)
    assert ring.find(old.kid) is not None


def test_a_key_that_others_can_read_is_refused(tmp_path, clock):
    open_key_ring(tmp_path, clock=clock)
    (path,) = tmp_path.iterdir()
    path.chmod(0o640)
    with pytest.raises(KeyFileUnsafe, match="chmod 600"):
        open_key_ring(tmp_path, clock=clock)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "not json", '{"kty": "oct", "k": "AAAA", "alg": "Ed25519"}']
)
def test_a_damaged_key_is_refused_without_being_overwritten(tmp_path, clock, content):
    open_key_ring(tmp_path, clock=clock)
    (path,) = tmp_path.iterdir()
    path.write_text(content)
    with pytest.raises(KeyFileUnsafe, match="damaged") as caught:
        open_key_ring(tmp_path, clock=clock)
    assert path.read_text() == content
    assert str(tmp_path) not in str(caught.value)


def test_a_public_key_in_the_place_of_a_private_one_cannot_sign(tmp_path, clock):
    open_key_ring(tmp_path, clock=clock)
    (path,) = tmp_path.iterdir()
    document = json.loads(path.read_text())
    del document["d"]
    path.write_text(json.dumps(document))
    with pytest.raises(KeyFileUnsafe, match="damaged"):
        open_key_ring(tmp_path, clock=clock)


def test_a_key_shows_nothing_private_when_printed(tmp_path, clock):
    key = open_key_ring(tmp_path, clock=clock).signing_key
    assert key.jwk.as_dict(private=True)["d"] not in repr(key)


def test_a_ring_without_keys_is_refused():
    with pytest.raises(ValueError, match="at least one key"):
        KeyRing([])


def test_what_another_process_signs_with_a_newer_key_is_believed_at_once(tmp_path, clock):
    ours = open_key_ring(tmp_path, clock=clock)
    clock.forward(days=30)
    theirs = open_key_ring(tmp_path, clock=clock)
    token = TokenIssuer(TERMS, theirs, clock=clock).issue(Subject(id="ann"))
    assert TokenVerifier(TERMS, ours, clock=clock).verify(token).id == "ann"
    assert ours.signing_key.kid != theirs.signing_key.kid
    assert [key["kid"] for key in ours.jwks()["keys"]] == [theirs.signing_key.kid, ours.signing_key.kid]


def test_an_added_key_that_others_can_read_is_not_believed(tmp_path, clock):
    ours = open_key_ring(tmp_path, clock=clock)
    clock.forward(days=30)
    theirs = open_key_ring(tmp_path, clock=clock)
    (tmp_path / f"signing-{theirs.signing_key.kid}.jwk").chmod(0o644)
    assert ours.find(theirs.signing_key.kid) is None


def test_a_folder_that_cannot_be_written_keeps_its_old_key(tmp_path, clock, monkeypatch):
    old = open_key_ring(tmp_path, clock=clock).signing_key.kid
    clock.forward(days=90)
    monkeypatch.setattr("authz.identity.keys.os.access", lambda *_: False)
    assert open_key_ring(tmp_path, clock=clock).signing_key.kid == old
    assert len(list(tmp_path.iterdir())) == 1
