"""The budgets of the code itself: sizes, names, places. An exception stands in a list, with its reason."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("subgraphs", "router", "schema", "authz", "datastores", "clients", "deploy")
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
FORBIDDEN_NAMES = {"common", "core", "shared", "utils", "util", "helpers", "misc"}
FORBIDDEN_SUFFIXES = ("Manager", "Helper", "Util", "Utils")

# module → why it may be longer. The list shrinks.
LONG_MODULES: dict[str, str] = {}
# module:function → why it may be longer. The list shrinks.
LONG_FUNCTIONS: dict[str, str] = {}

TOP_LEVEL = {
    *PACKAGES,
    "tests",
    "pyproject.toml",
    "README.md",
    "Makefile",
    "LICENSE",
    "CHANGELOG.md",
    "requirements.lock",
    ".ci",
    ".gitignore",
}


def modules() -> list[Path]:
    """Every Python file of the program, in a stable order."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def parsed() -> Iterator[tuple[str, ast.Module]]:
    """Each module's path from the root, and its syntax tree."""
    for path in modules():
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def functions() -> Iterator[tuple[str, int]]:
    """Each function as `module:name`, with its length in lines."""
    for name, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_module_is_longer_than_its_budget() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in modules()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MODULE_LINES_MAX
    }
    assert {name: lines for name, lines in long.items() if name not in LONG_MODULES} == {}
    assert set(LONG_MODULES) <= set(long), "a listed module is short again: take it off the list"


def test_no_function_is_longer_than_its_budget() -> None:
    long = {name: lines for name, lines in functions() if lines > FUNCTION_LINES_MAX}
    assert {name: lines for name, lines in long.items() if name not in LONG_FUNCTIONS} == {}
    assert set(LONG_FUNCTIONS) <= set(long), "a listed function is short again: take it off the list"


def test_every_module_says_its_place_in_one_docstring() -> None:
    assert [name for name, tree in parsed() if not ast.get_docstring(tree)] == []


def test_names_are_domain_words() -> None:
    folders = {part for path in modules() for part in path.relative_to(ROOT).with_suffix("").parts}
    assert folders & FORBIDDEN_NAMES == set()
    classes = [
        f"{name}:{node.name}"
        for name, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith(FORBIDDEN_SUFFIXES)
    ]
    assert classes == []


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        name
        for name, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "getenv"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    assert readers <= {"deploy/settings.py"}


def test_the_top_level_is_the_agreed_one() -> None:
    listing = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    if not listing:
        pytest.skip("not a git checkout: nothing says which files belong to the project")
    assert {line.split("/", 1)[0] for line in listing} - TOP_LEVEL == set()


def test_every_top_level_folder_says_what_belongs_there() -> None:
    missing = [folder for folder in (*PACKAGES, "tests") if not (ROOT / folder / "README.md").is_file()]
    assert missing == []


def test_no_file_names_a_path_of_a_machine() -> None:
    marks = ("/" + "work/", "/" + "root/", "/" + "tmp/")
    listing = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.toml", "Makefile", ".ci/*"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.splitlines()  # fmt: skip
    found = [
        line
        for line in listing
        if not line.startswith("tests/data/")
        and (ROOT / line).is_file()
        and any(mark in (ROOT / line).read_text(encoding="utf-8", errors="replace") for mark in marks)
    ]
    assert found == []
