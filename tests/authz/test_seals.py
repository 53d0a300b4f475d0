"""Seals of calls to subgraphs of others: what the router sealed is taken once, and nothing else is."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from authz.errors import InvalidCall
from authz.identity.seals import WINDOW_S, SeenSeals, seal_of, verify_seal

SECRET, OTHER = b"s" * 32, b"o" * 32
BODY = b'{"query":"{a}"}'
NOW = 1_700_000_000.9


def taken(seal: str, *, name: str = "books", body: bytes = BODY, now_s: float = NOW, **more: object) -> bool:
    try:
        verify_seal(seal, name, body, more.pop("secrets", [SECRET]), now_s=now_s, **more)  # type: ignore[arg-type]
    except InvalidCall:
        return False
    return True


def test_a_seal_is_what_the_documentation_says_it_is() -> None:
    """Made here by hand, as a subgraph in any language would check it."""
    text = f"v1\n1700000000\nabcdefghijklmnop\nbooks\n{hashlib.sha256(BODY).hexdigest()}"
    mac = hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()
    seal = seal_of("books", BODY, SECRET, now_s=NOW, nonce="abcdefghijklmnop")
    assert seal == f"t=1700000000,n=abcdefghijklmnop,v1={mac}"
    assert taken(seal)


def test_a_seal_is_for_one_subgraph_one_body_and_one_secret() -> None:
    seal = seal_of("books", BODY, SECRET, now_s=NOW)
    assert not taken(seal, name="stock")
    assert not taken(seal, body=BODY + b" ")
    assert not taken(seal, secrets=[OTHER])
    assert not taken(seal, secrets=[])
    assert taken(seal, secrets=[OTHER, SECRET])  # while one is replaced by the other


@pytest.mark.parametrize(
    ("late_s", "good"),
    [(0, True), (WINDOW_S - 1, True), (WINDOW_S + 1, False), (-WINDOW_S, True), (-WINDOW_S - 2, False)],
)
def test_a_seal_is_good_within_its_window(late_s: int, good: bool) -> None:
    assert taken(seal_of("books", BODY, SECRET, now_s=NOW), now_s=NOW + late_s) is good


def test_a_seal_is_taken_once_for_as_long_as_it_is_good() -> None:
    seen = SeenSeals()
    seal = seal_of("books", BODY, SECRET, now_s=NOW + WINDOW_S)
    assert taken(seal, seen=seen)
    for late_s in (0, 1, WINDOW_S, 2 * WINDOW_S):
        assert not taken(seal, seen=seen, now_s=NOW + late_s)
    assert taken(seal_of("books", BODY, SECRET, now_s=NOW), seen=seen)


def test_a_forged_seal_takes_no_place_among_the_seen_and_a_full_memory_refuses() -> None:
    seen = SeenSeals(seals_max=1)
    seal = seal_of("books", BODY, SECRET, now_s=NOW, nonce="n" * 16)
    assert not taken(seal_of("books", BODY, OTHER, now_s=NOW, nonce="n" * 16), seen=seen)
    assert taken(seal, seen=seen)
    assert not taken(seal_of("books", BODY, SECRET, now_s=NOW), seen=seen)
    later = NOW + 3 * WINDOW_S
    assert taken(seal_of("books", BODY, SECRET, now_s=later), seen=seen, now_s=later)


@pytest.mark.parametrize(
    "change",
    [
        ("t=1", "t=2"),
        ("t=", "t=0"),
        ("t=", "t=-"),
        ("n=", "n=x"),
        ("v1=", "v0="),
        ("v1=", "v1=0"),
        (",v1=", ", v1="),
        ("t=", " t="),
        ("t=", "t=9" * 300),
        ("n=", "n=\n"),
    ],
)
def test_a_changed_seal_is_refused(change: tuple[str, str]) -> None:
    seal = seal_of("books", BODY, SECRET, now_s=NOW)
    assert not taken(seal.replace(*change, 1))
    assert not taken("")
    assert not taken(seal + "\n")
    assert not taken(seal.upper())


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes or more"):
        seal_of("books", BODY, b"s" * 31, now_s=NOW)
