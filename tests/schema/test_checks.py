"""A change is breaking, dangerous or safe, and registered operations say for whom."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy.compose_command import register
from schema.checks import Impact, Operation, broken_operations, compare
from schema.checks.changes import SchemaUnreadable, read_schema
from schema.composition import compose
from schema.sources import SubgraphSource

OLD = "type Query { a(x: Int): Int b: String old: Int } enum E { P }"
NEW = "type Query { a(x: Int, y: Int = 1): Int b: Int c: E } enum E { P Q }"


def impacts() -> dict[Impact, list[str]]:
    changes = compare(read_schema(OLD), read_schema(NEW))
    return {impact: [c.kind for c in changes if c.impact is impact] for impact in Impact}


def test_changes_are_sorted_by_what_they_do_to_clients() -> None:
    found = impacts()
    assert found[Impact.BREAKING] == ["FIELD_CHANGED_KIND", "FIELD_REMOVED"]
    assert found[Impact.DANGEROUS] == ["OPTIONAL_ARG_ADDED", "VALUE_ADDED_TO_ENUM"]
    assert "FIELD_ADDED" in found[Impact.SAFE]


def test_a_schema_is_as_it_was() -> None:
    assert compare(read_schema(OLD), read_schema(OLD)) == ()


def test_only_operations_that_worked_before_can_break() -> None:
    operations = [
        Operation("fine", "{ a }"),
        Operation("gone", "{ old }"),
        Operation("never worked", "{ nonsense }"),
        Operation("no operation", "{"),
    ]
    broken = broken_operations(read_schema(OLD), read_schema(NEW), operations)
    assert [b.name for b in broken] == ["gone"]
    assert broken[0].reasons[0].startswith("Cannot query field 'old'")


def test_supergraphs_are_compared_as_clients_see_them() -> None:
    def supergraph(extra: str) -> str:
        sdl = (
            'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@inaccessible"])'
        )
        return compose([SubgraphSource("a", "", f"{sdl} type Query {{ a: Int {extra} }}")]).unwrap()

    shown, hidden = supergraph("b: Int"), supergraph("b: Int @inaccessible")
    assert [c.kind for c in compare(read_schema(shown), read_schema(hidden))] == ["FIELD_REMOVED"]
    assert compare(read_schema(hidden), read_schema(supergraph(""))) == ()


def test_what_is_no_schema_is_refused() -> None:
    with pytest.raises(SchemaUnreadable):
        read_schema("type Query {")
    with pytest.raises(SchemaUnreadable):
        read_schema("type Query { a: Nothing }")


def cli() -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


def test_the_command_exits_with_1_on_breaking_changes(tmp_path: Path) -> None:
    old, new, operations = tmp_path / "old.graphql", tmp_path / "new.graphql", tmp_path / "operations"
    old.write_text(OLD)
    new.write_text(NEW)
    operations.mkdir()
    (operations / "gone.graphql").write_text("{ old }")
    result = CliRunner().invoke(cli(), ["check", str(old), str(new), "--operations", str(operations)])
    assert result.exit_code == 1
    assert "breaking: Field Query.old was removed." in result.stdout
    assert "operation `gone.graphql` breaks" in result.stdout
    assert CliRunner().invoke(cli(), ["check", str(old), str(old)]).exit_code == 0
    plain = CliRunner().invoke(cli(), ["check", str(old), str(new), "--format", "json"])
    assert [c["kind"] for c in json.loads(plain.stdout)["changes"]][:2] == [
        "FIELD_CHANGED_KIND",
        "FIELD_REMOVED",
    ]
