"""Scopes in words: each that the policy knows has some, and they name the classes that it opens."""

from __future__ import annotations

import csv
import re
from importlib.resources import files

import pytest

from authz.classes import DataClass
from subgraphs.accounts.oauth.meanings import meaning

LINES = files("authz.policies").joinpath("policy.csv").read_text(encoding="utf-8").splitlines()
GRANTED = re.compile(r"granted(?:_metric)?:([a-z]+:[a-z]+)")


def opened() -> dict[str, set[DataClass]]:
    """The classes that the policy opens to each scope."""
    found: dict[str, set[DataClass]] = {}
    for line in csv.reader(LINES):
        if len(line) > 5 and line[0] == "p" and (match := GRANTED.search(line[5])):
            found.setdefault(match[1], set()).add(DataClass(line[3].strip()))
    return found


def test_every_scope_of_the_policy_is_told_with_the_classes_it_opens() -> None:
    found = opened()
    assert len(found) >= 7
    for scope, classes in found.items():
        told = meaning(scope)
        assert (set(told.data_classes), "another service" in told.words) == (classes, False), scope


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("patient/Observation.rs", "Read and search `Observation` in your medical record"),
        ("patient/*.cruds", "Add, read, change, delete and search everything in your medical record"),
        ("wellness:read:sleep_score", "See your readings of `sleep score`"),
        ("hall:read", "Use `hall:read` of another service"),
    ],
)
def test_a_scope_with_parts_is_told_by_them(scope: str, words: str) -> None:
    assert meaning(scope).words.startswith(words)
