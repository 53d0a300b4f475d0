"""Keys of the cache: two audiences that may see different things never share one."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.cache.keys import Audience, Everyone, Holders, Person, cache_key
from datastores.cache.port import KEY_BYTES_MAX

ATHLETE = frozenset({"athlete"})
AUDIENCES: list[Audience] = [
    Everyone(),
    Holders(frozenset(), "p1"),
    Holders(ATHLETE, "p1"),
    Holders(ATHLETE, "p2"),
    Holders(ATHLETE | {"coach"}, "p1"),
    Person("u1", ATHLETE, "p1", 1),
    Person("u2", ATHLETE, "p1", 1),
    Person("u1", ATHLETE, "p1", 2),
    Person("u1", ATHLETE, "p2", 1),
    Person("u1", frozenset(), "p1", 1),
    Person("u1", ATHLETE, "p1", 1, "TREATMENT"),
    Person("u1", ATHLETE, "p1", 1, ""),
]


def test_whatever_changes_a_right_changes_the_key() -> None:
    keys = [cache_key("plan", 1, audience, ["a"]) for audience in AUDIENCES]
    assert [(a, b) for a, b in combinations(keys, 2) if a == b] == []


def test_the_order_of_rights_does_not_matter() -> None:
    one, other = Holders(frozenset(["a", "b"]), "p"), Holders(frozenset(["b", "a"]), "p")
    assert cache_key("plan", 1, one, []) == cache_key("plan", 1, other, [])


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_different_parts_are_different_keys(one: list[str], other: list[str]) -> None:
    same = cache_key("k", 1, Everyone(), one) == cache_key("k", 1, Everyone(), other)
    assert same == (one == other)


def test_a_key_is_short_and_tells_nobodys_id() -> None:
    key = cache_key("medical.summary", 12, Person("patient-77", ATHLETE, "p1", 1), ["jansen" * 100])
    assert len(key) <= KEY_BYTES_MAX
    assert key.startswith("medical.summary:v12:p:")
    assert "patient-77" not in key
    assert "jansen" not in key


def test_a_kind_is_words() -> None:
    with pytest.raises(ValueError, match="kind"):
        cache_key("Medical Summary", 1, Everyone(), [])
