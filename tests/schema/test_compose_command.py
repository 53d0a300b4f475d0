"""`stadion compose`: a configuration in, a supergraph or a readable report out."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy.compose_command import register
from schema.composition.config import ConfigInvalid, load_supergraph_yaml
from schema.supergraph import read_supergraph

LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])\n'
A = LINK + 'type Query { t: T }\ntype T @key(fields: "id") { id: ID! x: Int }\n'
B = LINK + 'type T @key(fields: "id") { id: ID! y: Int }\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "schemas"
    folder.mkdir()
    (folder / "a.graphql").write_text(A)
    (folder / "b.graphql").write_text(B)
    path = tmp_path / "supergraph.yaml"
    path.write_text(
        "federation_version: =2.3.2\n"
        "subgraphs:\n"
        "  a:\n    routing_url: http://a/graphql\n    schema:\n      file: ./schemas/a.graphql\n"
        "  b:\n    routing_url: http://b/graphql\n    schema: schemas/b.graphql\n"
    )
    return path


def run(*arguments: str) -> tuple[int, str, str]:
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["compose", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_files_are_found_beside_the_configuration(config: Path) -> None:
    sources = load_supergraph_yaml(config)
    assert [(s.name, s.url, s.sdl) for s in sources] == [
        ("a", "http://a/graphql", A),
        ("b", "http://b/graphql", B),
    ]


def test_the_schema_may_stand_in_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "supergraph.yaml"
    path.write_text("subgraphs:\n  a:\n    schema:\n      sdl: |\n        type Query { a: Int }\n")
    (source,) = load_supergraph_yaml(path)
    assert (source.url, source.sdl.strip()) == ("", "type Query { a: Int }")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be a mapping"),
        ("- a", "must be a mapping"),
        ("subgraphs: {}", "lists no subgraphs"),
        ("subgraphs: [a]", "lists no subgraphs"),
        ("subgraphs:\n  a: x.graphql", "must be a mapping with `routing_url` and `schema`"),
        ("subgraphs:\n  a: {routing_url: 3, schema: x}", "`routing_url` of subgraph `a`"),
        ("subgraphs:\n  a: {schema: {subgraph_url: http://x}}", "fetching a schema by URL is not supported"),
        ("subgraphs:\n  a: {schema: {file: none.graphql}}", "`none.graphql`: No such file"),
        ("subgraphs: {a: [", "is not YAML"),
    ],
)
def test_a_configuration_that_cannot_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "supergraph.yaml"
    path.write_text(text)
    with pytest.raises(ConfigInvalid):
        load_supergraph_yaml(path)
    code, _, errors = run("--config", str(path))
    assert code == 2
    assert said in errors


def test_a_missing_configuration_is_said_so(tmp_path: Path) -> None:
    code, _, errors = run("--config", str(tmp_path / "none.yaml"))
    assert code == 2
    assert "cannot read" in errors


def test_the_supergraph_goes_to_the_output(config: Path, tmp_path: Path) -> None:
    output = tmp_path / "supergraph.graphql"
    code, _, errors = run("--config", str(config), "--output", str(output))
    assert code == 0
    assert "composed: 0 problem(s)" in errors
    assert set(read_supergraph(output.read_text()).types["T"].fields) == {"id", "x", "y"}


def test_without_an_output_it_goes_to_standard_output_alone(config: Path) -> None:
    code, printed, _ = run("--config", str(config))
    assert code == 0
    assert read_supergraph(printed).types["T"].fields


def test_problems_name_both_definitions_and_the_mend(config: Path, tmp_path: Path) -> None:
    (config.parent / "schemas" / "b.graphql").write_text(B.replace("y: Int", "x: String"))
    output = tmp_path / "supergraph.graphql"
    code, printed, errors = run("--config", str(config), "--output", str(output))
    assert (code, printed, output.exists()) == (1, "", False)
    assert (
        "error[FIELD_TYPE_MISMATCH] `T.x` has types that cannot be one:"
        " `Int` in `a` and `String` in `b`" in errors
    )
    assert "  at a:3:37\n  at b:2:37\n  mend: " in errors
    assert "error[INVALID_FIELD_SHARING]" in errors


def test_json_for_tools(config: Path) -> None:
    (config.parent / "schemas" / "b.graphql").write_text(B.replace("y: Int", "x: Int"))
    code, printed, _ = run("--config", str(config), "--format", "json")
    report = json.loads(printed)
    assert (code, report["composed"], report["supergraph"]) == (1, False, None)
    (problem,) = report["problems"]
    assert problem["code"] == "INVALID_FIELD_SHARING"
    assert problem["locations"][0] == {"subgraph": "a", "line": 3, "column": 37}


def test_holes_can_be_accepted(config: Path) -> None:
    (config.parent / "schemas" / "b.graphql").write_text(
        B.replace('@key(fields: "id")', "")
        .replace("id: ID!", "")
        .replace("type T", "type Query { u: T } type T")
    )
    assert run("--config", str(config))[0] == 1
    assert run("--config", str(config), "--no-satisfiability")[0] == 0


def tagged(config: Path) -> None:
    """Put tags on what subgraph `b` adds."""
    text = B.replace('["@key"]', '["@key", "@tag"]').replace("y: Int", 'y: Int @tag(name: "staff") z: Int')
    (config.parent / "schemas" / "b.graphql").write_text(text)


def test_a_contract_hides_what_its_tags_exclude(config: Path, tmp_path: Path) -> None:
    tagged(config)
    output = tmp_path / "partner.graphql"
    code, _, _ = run("--config", str(config), "--exclude-tag", "staff", "--output", str(output))
    supergraph = read_supergraph(output.read_text())
    assert code == 0
    assert set(supergraph.types["T"].fields) == {"id", "x", "y", "z"}
    assert set(supergraph.api_schema.type_map["T"].fields) == {"id", "x", "z"}  # type: ignore[attr-defined]


def test_a_contract_shows_what_its_tags_include(config: Path) -> None:
    tagged(config)
    sdl = (config.parent / "schemas" / "a.graphql").read_text()
    (config.parent / "schemas" / "a.graphql").write_text(
        sdl.replace('["@key"]', '["@key", "@tag"]').replace("t: T }", 't: T @tag(name: "staff") u: Int }')
    )
    code, printed, _ = run("--config", str(config), "--include-tag", "staff", "--include-tag", "partner")
    schema = read_supergraph(printed).api_schema
    assert code == 0
    assert set(schema.type_map["Query"].fields) == {"t"}  # type: ignore[attr-defined]
    assert set(schema.type_map["T"].fields) == {"y"}  # type: ignore[attr-defined]


def test_a_contract_that_leaves_nothing_is_refused(config: Path, tmp_path: Path) -> None:
    output = tmp_path / "empty.graphql"
    code, printed, errors = run("--config", str(config), "--include-tag", "nobody", "--output", str(output))
    assert (code, printed, output.exists()) == (2, "", False)
    assert "error: the contract lets no query through" in errors


def test_a_contract_of_what_does_not_compose_shows_the_problems(config: Path) -> None:
    (config.parent / "schemas" / "b.graphql").write_text(B.replace("y: Int", "x: String"))
    code, _, errors = run("--config", str(config), "--exclude-tag", "staff")
    assert code == 1
    assert "error[FIELD_TYPE_MISMATCH]" in errors
