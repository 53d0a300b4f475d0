"""What the README shows is true: its operations are valid, its commands exist."""

from __future__ import annotations

import re

import pytest
from graphql import parse, validate

from deploy.cli import every_command
from deploy.endpoint import published_supergraph
from schema.supergraph import read_supergraph
from tests.kit_platform.process import ROOT, run_stadion

app = every_command()

README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATIONS = re.findall(r"```graphql\n(.*?)```", README, re.DOTALL)
COMMANDS = sorted(set(re.findall(r"^\| `stadion ([a-z-]+)", README, re.MULTILINE)))


@pytest.mark.parametrize("text", OPERATIONS, ids=lambda text: text.split("(")[0].strip()[:20])
def test_every_operation_is_valid_on_the_published_schema(text: str) -> None:
    schema = read_supergraph(published_supergraph()).api_schema
    assert [error.message for error in validate(schema, parse(text))] == []


def test_the_upload_is_valid_too() -> None:
    (query,) = re.findall(r'"query":"(mutation[^"]*)"', README)
    schema = read_supergraph(published_supergraph()).api_schema
    assert [error.message for error in validate(schema, parse(query))] == []


def test_every_command_of_the_table_exists_and_every_command_is_in_the_table() -> None:
    named = {command.name for command in app.registered_commands} | {
        group.name for group in app.registered_groups
    }
    assert set(COMMANDS) <= named
    assert named - set(COMMANDS) <= set(re.findall(r"stadion ([a-z-]+)", README))


def test_help_says_what_each_command_does() -> None:
    outcome = run_stadion("--help")
    assert outcome.returncode == 0
    assert all(f" {command} " in outcome.stdout for command in COMMANDS)


def test_the_two_commands_are_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert targets[:2] == ["run", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
