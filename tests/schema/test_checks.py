"""A change is breaking, dangerous or safe, and registered operations say for whom."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy.compose_command import register
from schema.checks import (
    Impact,
    Operation,
    SchemaVersion,
    broken_operations,
    compare,
    compare_versions,
    read_version,
)
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
    assert result.stdout.startswith("2 breaking changes\n  ")
    assert "\n  Field Query.old was removed.\n" in result.stdout
    assert "\n\n2 dangerous changes\n" in result.stdout
    assert "\n\noperation `gone.graphql` breaks\n  Cannot query field 'old'" in result.stdout
    assert result.stdout.endswith("\n\n1 of 1 operation would break\n")
    assert CliRunner().invoke(cli(), ["check", str(old), str(old)]).exit_code == 0
    assert CliRunner().invoke(cli(), ["check", str(old), str(old)]).stdout == "no change\n"
    plain = CliRunner().invoke(cli(), ["check", str(old), str(new), "--format", "json"])
    report = json.loads(plain.stdout)
    assert (report["breaks"], report["operations_checked"], report["operations"]) == (True, 0, [])
    assert [c["kind"] for c in report["changes"]][:2] == [
        "FIELD_CHANGED_KIND",
        "FIELD_REMOVED",
    ]


def test_a_change_that_breaks_no_registered_operation_passes(tmp_path: Path) -> None:
    old, new, operations = tmp_path / "old.graphql", tmp_path / "new.graphql", tmp_path / "operations"
    old.write_text(OLD)
    new.write_text(NEW)
    operations.mkdir()
    (operations / "fine.graphql").write_text("{ a }")
    result = CliRunner().invoke(cli(), ["check", str(old), str(new), "--operations", str(operations)])
    assert result.exit_code == 0
    assert result.stdout.endswith("0 of 1 operation would break\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "xml"], "`--format` is text or json, not `xml`"),
        (["--operations", "nowhere"], "`nowhere` is no folder of operations, and no manifest of them"),
    ],
)
def test_options_that_cannot_be_used_are_refused(tmp_path: Path, options: list[str], said: str) -> None:
    old = tmp_path / "old.graphql"
    old.write_text(OLD)
    result = CliRunner().invoke(cli(), ["check", str(old), str(old), *options])
    assert (result.exit_code, result.stderr) == (2, f"error: {said}\n")


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("a: Int", "a: Int @deprecated", ("safe", "DEPRECATION_ADDED")),
        ("a: Int @deprecated", "a: Int", ("safe", "DEPRECATION_REMOVED")),
        ('a: Int @deprecated(reason: "x")', "a: Int @deprecated", ("safe", "DEPRECATION_REASON_CHANGED")),
        ("a(x: Int): Int", "a(x: Int @deprecated): Int", ("safe", "DEPRECATION_ADDED")),
        ("a: Int } enum E { P", "a: Int } enum E { P @deprecated", ("safe", "DEPRECATION_ADDED")),
        ("a: Int } input I { x: Int", "a: Int } input I { x: Int @deprecated", ("safe", "DEPRECATION_ADDED")),
        ("a: Int } input I { x: Int", "a: Int } input I @oneOf { x: Int", ("breaking", "ONE_OF_ADDED")),
        ("a: Int } input I @oneOf { x: Int", "a: Int } input I { x: Int", ("safe", "ONE_OF_REMOVED")),
        (
            "s: S } scalar S type T { x: Int",
            's: S } scalar S @specifiedBy(url: "u") type T { x: Int',
            ("safe", "SPECIFIED_BY_ADDED"),
        ),
        (
            's: S } scalar S @specifiedBy(url: "u") type T { x: Int',
            's: S } scalar S @specifiedBy(url: "w") type T { x: Int',
            ("dangerous", "SPECIFIED_BY_CHANGED"),
        ),
    ],
)
def test_changes_beside_names_and_types(old: str, new: str, found: tuple[str, str]) -> None:
    before, after = (read_schema(f"type Query {{ {text} }}") for text in (old, new))
    assert [(c.impact.value, c.kind) for c in compare(before, after)] == [found]


def test_roots_that_come_go_and_are_renamed() -> None:
    types = " type Query { a: Int } type Mutation { b: Int } type Other { a: Int }"
    both = read_schema("schema { query: Query mutation: Mutation }" + types)
    one = read_schema("schema { query: Query }" + types)
    other = read_schema("schema { query: Other }" + types)
    assert [c.kind for c in compare(both, one)] == ["ROOT_REMOVED"]
    assert [c.impact for c in compare(both, one)] == [Impact.BREAKING]
    assert [(c.impact, c.kind) for c in compare(one, both)] == [(Impact.SAFE, "ROOT_ADDED")]
    assert [(c.impact, c.kind) for c in compare(one, other)] == [(Impact.DANGEROUS, "ROOT_RENAMED")]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("a(x: Int! = 1): Int", "a(x: Int!): Int", ("breaking", "ARG_NOW_REQUIRED")),
        (
            "a: Int } input I { x: Int! = 1",
            "a: Int } input I { x: Int!",
            ("breaking", "INPUT_FIELD_NOW_REQUIRED"),
        ),
        ("a(x: Int = 1): Int", "a(x: Int = 2): Int", ("dangerous", "ARG_DEFAULT_VALUE_CHANGE")),
        (
            "a: Int } input I { x: Int = 1",
            "a: Int } input I { x: Int = 2",
            ("dangerous", "INPUT_FIELD_DEFAULT_VALUE_CHANGE"),
        ),
        (
            "i: I } interface I { x: Int",
            "i: I } type A implements I { x: Int } interface I { x: Int",
            ("dangerous", "TYPE_ADDED_TO_INTERFACE"),
        ),
    ],
)
def test_changes_of_defaults_and_of_what_an_interface_can_be(
    old: str, new: str, found: tuple[str, str]
) -> None:
    before, after = (read_schema(f"type Query {{ {text} }}") for text in (old, new))
    assert found in [(c.impact.value, c.kind) for c in compare(before, after)]


SPEC = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@authenticated",'
SPEC += ' "@requiresScopes", "@policy", "@tag", "@cost", "@listSize", "@inaccessible"])\n'


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("", "@authenticated", [("breaking", "AUTHENTICATION_ADDED")]),
        ("@authenticated", "", [("dangerous", "AUTHENTICATION_REMOVED")]),
        ("", '@requiresScopes(scopes: [["a"]])', [("breaking", "SCOPES_ADDED")]),
        ('@requiresScopes(scopes: [["a"]])', "", [("dangerous", "SCOPES_REMOVED")]),
        (
            '@requiresScopes(scopes: [["a"]])',
            '@requiresScopes(scopes: [["a", "b"]])',
            [("breaking", "SCOPES_CHANGED")],
        ),
        (
            '@requiresScopes(scopes: [["a"]])',
            '@requiresScopes(scopes: [["b"]])',
            [("breaking", "SCOPES_CHANGED")],
        ),
        (
            '@requiresScopes(scopes: [["a"]])',
            '@requiresScopes(scopes: [["a"], ["b"]])',
            [("dangerous", "SCOPES_LOOSENED")],
        ),
        ('@requiresScopes(scopes: [["a", "b"]])', '@requiresScopes(scopes: [["b", "a"]])', []),
        ('@policy(policies: [["a"]])', '@policy(policies: [["b"]])', [("breaking", "POLICY_CHANGED")]),
        ("", '@policy(policies: [["a"]])', [("breaking", "POLICY_ADDED")]),
        ('@tag(name: "x")', '@tag(name: "y")', [("dangerous", "TAG_ADDED"), ("dangerous", "TAG_REMOVED")]),
        ("@cost(weight: 1)", "@cost(weight: 2)", [("dangerous", "COST_CHANGED")]),
        ("@listSize(assumedSize: 1)", "", [("dangerous", "LIST_SIZE_CHANGED")]),
        ("", "@inaccessible", [("breaking", "FIELD_REMOVED")]),
        ("@inaccessible", "", [("safe", "FIELD_ADDED")]),
    ],
)
def test_changes_of_who_may_ask_and_of_what_it_costs(
    old: str, new: str, found: list[tuple[str, str]]
) -> None:
    def version(directives: str) -> SchemaVersion:
        sdl = f"{SPEC} type Query {{ a: [Int] {directives} b: Int }}"
        return read_version(compose([SubgraphSource("s", "", sdl)]).unwrap())

    changes = compare_versions(version(old), version(new))
    assert [(c.impact.value, c.kind) for c in changes] == found
    assert all(
        c.message.startswith(("Query.a", "@", "Field", "Tag")) or "Query.a" in c.message for c in changes
    )


def test_a_directive_of_ones_own_and_one_on_a_type_an_argument_and_a_value() -> None:
    own = "directive @mine(x: Int) on OBJECT | ARGUMENT_DEFINITION | ENUM_VALUE | ENUM "
    old = own + "type Query @mine(x: 1) { a(b: Int @mine): E } enum E { A @mine(x: 1) }"
    new = own + "type Query @mine(x: 2) { a(b: Int): E } enum E { A }"
    changes = compare_versions(read_version(old), read_version(new))
    assert [(c.kind, c.message.split(" was ")[0]) for c in changes] == [
        ("DIRECTIVE_CHANGED", "@mine of E.A"),
        ("DIRECTIVE_CHANGED", "@mine of Query"),
        ("DIRECTIVE_CHANGED", "@mine of Query.a(b:)"),
    ]
