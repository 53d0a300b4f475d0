"""The list of what planning owes is whole: each point has a case that exists, each case folder is on it."""

from __future__ import annotations

import re

import pytest

from tests.kit_planner.cases import AUDIT, CASES, TESTS, case_names

POINT = re.compile(r"^(\d+)\. (.+): ((?:[a-z]+:[\w-]+(?:, )?)+)$")
LINES = [line for line in (CASES / "README.md").read_text().splitlines() if re.match(r"^\d+\.", line)]
POINTS = {line: POINT.match(line) for line in LINES}


def cases_of(line: str) -> list[tuple[str, str]]:
    found = POINT.match(line)
    assert found is not None
    return [(kind, name) for kind, name in (case.split(":") for case in found[3].split(", "))]


def test_the_points_are_numbered_without_a_gap() -> None:
    assert [int(found[1]) for found in POINTS.values() if found] == list(range(1, 57))
    assert all(POINTS.values()), [line for line, found in POINTS.items() if found is None]


@pytest.mark.parametrize("line", LINES, ids=[line.split(".")[0] for line in LINES])
def test_each_point_has_cases_that_exist(line: str) -> None:
    places = {
        "plan": lambda name: CASES / name / "case.md",
        "federation": lambda name: TESTS / "federation_cases" / f"{name}.yaml",
        "adversary": lambda name: TESTS / "adversary" / "cases" / f"{name}.yaml",
        "audit": lambda name: AUDIT / name / "tests.json",
        "test": lambda name: TESTS / "planner" / f"{name}.py",
    }
    assert cases_of(line)
    for kind, name in cases_of(line):
        assert places[kind](name).is_file(), f"{kind}:{name}"


def test_each_folder_is_a_case_of_some_point() -> None:
    named = {name for line in LINES for kind, name in cases_of(line) if kind == "plan"}
    folders = {path.parent.name for path in CASES.glob("*/case.md")}
    assert folders == named
    assert {path.parent.name for path in CASES.glob("*/answers.yaml")} | set(case_names()) == folders


def test_each_suite_of_the_audit_is_a_case_of_some_point() -> None:
    named = {name for line in LINES for kind, name in cases_of(line) if kind == "audit"}
    assert named == {path.parent.name for path in AUDIT.glob("*/tests.json")}
