"""`authz/README.md` promises nothing without a test: every name in its table is there, every row has one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "authz" / "README.md"
NAME = re.compile(r"`([^`]+)`")


def rows() -> list[tuple[str, list[str]]]:
    """Each promise, and the names that are to show it."""
    _, _, table = PAGE.read_text(encoding="utf-8").partition("## What is promised")
    lines = [line for line in table.splitlines() if line.startswith("| ") and "Shown by" not in line]
    cells = [line.strip("| ").rsplit(" | ", 1) for line in lines]
    return [(promise, NAME.findall(shown)) for promise, shown in cells]


@cache
def cases_in(file: Path) -> frozenset[str]:
    """The functions of a module."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize(("promise", "names"), rows(), ids=[promise[:60] for promise, _ in rows()])
def test_a_promise_is_shown_by_tests_that_are_there(promise: str, names: list[str]) -> None:
    assert names, f"nothing shows `{promise}`"
    for name in names:
        file, _, case = name.partition("::")
        assert (TESTS / file).is_file(), name
        found = cases_in(TESTS / file)
        if case:
            assert case in found, name
        elif not file.startswith("benchmarks/"):
            assert any(each.startswith("test_") for each in found), name


def test_the_table_speaks_of_every_test_of_whole_platforms_authorization() -> None:
    assert len(rows()) > 25
    named = {name.partition("::")[0] for _, names in rows() for name in names}
    mine = {
        "no_oracle_anywhere",
        "canaries_at_rest",
        "revocation_everywhere",
        "declared_inputs",
        "escape_hunt",
    }
    assert {f"platform/test_{each}.py" for each in mine} <= named
