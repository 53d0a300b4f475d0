"""`router/FEATURES.md` speaks of what there is: every setting, command, variable and test on it exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import every_command
from deploy.settings import Settings
from router import reference
from router.config import RouterConfig

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "router" / "FEATURES.md"
NAME = re.compile(r"`([^`]+)`")
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def rows() -> list[list[str]]:
    """The cells of every row of the tables whose last column names tests."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    lines = [
        line
        for section in sections
        if not section.startswith("Defaults")
        for line in section.splitlines()
        if line.startswith("| ")
    ]
    cells = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    return [row for row in cells if row[-1] != "Shown by"]


ROWS = rows()


@cache
def settings() -> frozenset[str]:
    """Every setting and limit, and every section of them."""
    names = [one.name for one in (*reference.settings_of(RouterConfig()), *reference.limits())]
    return frozenset(
        ".".join(parts[:length])
        for parts in (name.split(".") for name in names)
        for length in range(1, len(parts) + 1)
    )


@cache
def cases_in(file: Path) -> frozenset[str]:
    """The test functions of a module."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(
        one.name
        for one in tree.body
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith("test_")
    )


@cache
def help_of(command: tuple[str, ...]) -> str:
    outcome = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}).invoke(
        every_command(), [*command, "--help"]
    )
    assert outcome.exit_code == 0, (command, outcome.output)
    return re.sub(r"\x1b\[[0-9;]*m", "", outcome.output)


def is_known(name: str) -> bool:
    """Whether a name of the middle column is one of a setting, a command, a variable or a directive."""
    if name.startswith("stadion "):
        words = name.split()[1:]
        told = help_of(tuple(word for word in words if not word.startswith("--")))
        return all(word in told for word in words if word.startswith("--"))
    if name.startswith("STADION_"):
        return name.removeprefix("STADION_").lower() in Settings.model_fields
    return name.startswith("@") or name in settings()


def is_shown(name: str) -> bool:
    """Whether a name of the last column is a folder of a case, a test module, or a test in one."""
    path, _, test = name.partition("::")
    file = ROOT / "tests" / path
    if file.is_dir():
        return not test and any(file.iterdir())
    return file.is_file() and (test in cases_in(file) if test else bool(cases_in(file)))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.sub(r"\W+", " ", row[0])[:60])
def test_a_row_names_settings_and_tests_that_there_are(row: list[str]) -> None:
    assert len(row) == 3, row
    unknown = [name for name in NAME.findall(row[1]) if not is_known(name)]
    assert unknown == []
    shown = NAME.findall(row[2])
    assert shown, "name the test that shows it"
    assert [name for name in shown if not is_shown(name)] == []


def test_every_setting_has_a_row() -> None:
    """A new setting is a capability that somebody looks for: it belongs on the page, or its section does."""
    text = PAGE.read_text(encoding="utf-8")
    named = {name for name in NAME.findall(text) if name in settings()}
    leaves = [one.name for one in reference.settings_of(RouterConfig())]
    missing = [
        name
        for name in leaves
        if not any(name == one or name.startswith(f"{one}.") for one in named)
        and not any(
            name.replace("[]", "").startswith(f"{one}.") or name.split("[]")[0] == one for one in named
        )
    ]
    assert missing == []


def test_the_page_has_all_its_parts() -> None:
    assert HEADING.findall(PAGE.read_text(encoding="utf-8")) == [
        "Composition and schema",
        "Planning and execution",
        "Protocols",
        "Security",
        "Operations",
        "Promises of the edge, one by one",
        "Attacks",
        "What others complain of, and what stands here against it",
        "What stands here and nowhere else whole",
        "Defaults that differ from what others have",
    ]
    assert len(ROWS) > 90
    assert len({row[0] for row in ROWS}) == len(ROWS)


def test_defaults_that_differ_are_those_of_settings_that_there_are() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## Defaults")[2]
    named = [NAME.findall(line)[0] for line in section.splitlines() if line.startswith("| `")]
    assert named
    assert set(named) <= {one.name for one in reference.settings_of(RouterConfig())}


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("rate.burst_requests_max", True),
        ("rate", True),
        ("rate.bursts", False),
        ("stadion up --persisted", True),
        ("stadion up --nothing", False),
        ("STADION_RATE_URL", True),
        ("STADION_NOTHING", False),
    ],
)
def test_a_name_that_is_none_is_noticed(name: str, known: bool) -> None:
    assert is_known(name) is known
    assert not is_shown("edge/test_attacks.py::test_nothing")
    assert not is_shown("edge/test_nothing.py")
