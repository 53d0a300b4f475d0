"""The reference in the README and the JSON schema hold every setting, limit and error code there is."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema_rs import Draft202012Validator, meta
from typer.testing import CliRunner

from deploy.cli import every_command
from router import reference
from router.config import OperationLimits, RouterConfig
from router.errors import ERROR_CODES
from router.instruments import Counter, Distribution, Instruments
from router.telemetry import SPANS

ROUTER = Path(reference.__file__).parent
README = (ROUTER / "README.md").read_text(encoding="utf-8")


def told(*arguments: str) -> str:
    outcome = CliRunner().invoke(every_command(), ["config", *arguments])
    assert outcome.exit_code == 0, outcome.stderr
    return outcome.stdout


def names_of(section: Any, at: str = "") -> set[str]:
    """Every dotted name below a section, by its values alone."""
    found: set[str] = set()
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        name = f"{at}{field.name}"
        found |= names_of(value, f"{name}.") if dataclasses.is_dataclass(value) else {name}
    return found


def test_the_readme_has_the_reference_as_it_is_now() -> None:
    assert reference.page() in README, "run `stadion config reference --into router/README.md`"
    assert told("reference").strip() == reference.page().strip()


def test_every_setting_and_every_code_is_on_the_page_with_a_meaning() -> None:
    rows = {line.split(" | ")[0].strip("| `"): line for line in README.splitlines() if line.startswith("| `")}
    settings = names_of(RouterConfig())
    assert len(settings) > 40
    assert settings | set(ERROR_CODES) <= set(rows)
    told_of = [rows[name].split(" | ") for name in settings | set(ERROR_CODES)]
    assert all(len(parts) == 3 and parts[2].strip(" |") for parts in told_of)


def test_every_metric_and_span_is_on_the_page() -> None:
    made = {one.name for one in reference.metrics()}
    assert len(made) > 20
    assert all(f"| `{name}` |" in README for name in made | set(reference.SPAN_MEANINGS))
    assert {"router", "fetch", *SPANS.values()} == set(reference.SPAN_MEANINGS)


def test_a_metric_without_a_meaning_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = Instruments()
    bare.counter("stadion.router.bare", "")
    monkeypatch.setattr(reference, "instruments", bare)
    with pytest.raises(reference.Undocumented, match=r"`stadion\.router\.bare`"):
        reference.page()


def test_every_code_that_the_router_raises_is_in_the_table() -> None:
    raised = {
        keyword.value.value
        for file in ROUTER.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant) and keyword.value.value
    }
    assert len(raised) > 15
    assert raised <= set(ERROR_CODES)


def test_every_code_that_an_error_class_has_is_in_the_table() -> None:
    held = {
        one.value.value
        for file in ROUTER.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for one in node.body
        if isinstance(one, ast.Assign | ast.AnnAssign) and isinstance(one.value, ast.Constant)
        for name in ([one.target] if isinstance(one, ast.AnnAssign) else one.targets)
        if isinstance(name, ast.Name) and name.id == "code"
        if isinstance(one.value.value, str) and one.value.value
    }
    assert len(held) > 5
    assert held <= set(ERROR_CODES)


def test_no_code_is_promised_that_nothing_says() -> None:
    """Each code stands somewhere beside the table: where it is raised, or where subgraphs raise it."""
    folders = ("router", "subgraphs", "authz", "deploy")
    texts = [
        file.read_text(encoding="utf-8")
        for folder in folders
        for file in (ROUTER.parent / folder).rglob("*.py")
        if file.name != "errors.py" or file.parent.name != "router"
    ]
    table = (ROUTER / "errors.py").read_text(encoding="utf-8")
    said = {
        code for code in ERROR_CODES if any(f'"{code}"' in it for it in texts) or table.count(f'"{code}"') > 1
    }
    assert set(ERROR_CODES) - said == set()


def test_a_metrics_labels_on_the_page_are_those_that_it_gets() -> None:
    """Where it is counted: the names stand in the call, in the order of the page."""
    counted = re.compile(
        r"\b(\w+)\.(?:add|record|set|series)\((?:[^(){}]|\([^()]*\))*?\{((?:\"[\w.]+\": [^,{}]+,? ?)+)\}"
    )
    by_variable = {
        name: one
        for module in list(sys.modules.values())
        if module.__name__.startswith("router.")
        for name, one in vars(module).items()
        if isinstance(one, Counter | Distribution)
    }
    checked = 0
    for file in ROUTER.rglob("*.py"):
        for variable, labels in counted.findall(file.read_text(encoding="utf-8")):
            one = by_variable.get(variable)
            if one is None or not one.labels:
                continue
            given = re.findall(r'"([\w.]+)":', labels)
            assert len(given) == len(one.labels), (file.name, variable, given, one.labels)
            checked += 1
    assert checked >= 10


def test_a_setting_without_a_meaning_is_named() -> None:
    @dataclass(frozen=True)
    class Bare:
        bytes_max: int = 1

    with pytest.raises(reference.Undocumented, match=r"`http\.bytes_max`"):
        list(reference.settings_of(Bare(), "http."))


def test_a_limit_without_a_meaning_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(reference.FIXED_MEANINGS, "planner.depth_max")
    with pytest.raises(reference.Undocumented, match=r"`planner\.depth_max`"):
        list(reference.limits())


def test_no_meaning_is_left_of_a_limit_that_is_gone() -> None:
    assert {one.name for one in reference.limits()} == set(reference.FIXED_MEANINGS)


def test_the_page_is_made_anew_where_it_stands_and_added_where_it_is_not(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"before\n{reference.BEGIN}\nold\n{reference.END}\nafter\n")
    told("reference", "--into", str(file))
    assert file.read_text() == f"before\n{reference.page()}\nafter\n"
    assert reference.placed("alone\n") == f"alone\n\n{reference.page()}\n"


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    found = json.loads(told("schema"))
    meta.validate(found)
    return Draft202012Validator(found)


def test_the_schema_takes_what_the_router_takes(schema: Draft202012Validator) -> None:
    assert list(schema.iter_errors(yaml.safe_load(told("show")))) == []
    assert list(schema.iter_errors({})) == []
    assert list(schema.iter_errors({"operation": {"depth_max": 10}, "cors": {"origins": ["*"]}})) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"introspecton": True},
        {"operation": {"depth": 1}},
        {"operation": {"depth_max": -1}},
        {"operation": {"depth_max": "10"}},
        {"persisted": {"safelist": "sometimes"}},
        {"forward_headers": "authorization"},
        {"explorer": 1},
        {"operation": []},
    ],
)
def test_the_schema_refuses_what_the_router_refuses(
    schema: Draft202012Validator, tmp_path: Path, settings: dict[str, Any]
) -> None:
    assert list(schema.iter_errors(settings)) != []
    file = tmp_path / "router.yaml"
    file.write_text(yaml.safe_dump(settings))
    assert CliRunner().invoke(every_command(), ["config", "check", str(file)]).exit_code == 1


def test_defaults_of_the_schema_are_the_defaults() -> None:
    limits = reference.json_schema()["properties"]["operation"]["properties"]
    assert {name: one["default"] for name, one in limits.items()} == dataclasses.asdict(OperationLimits())
