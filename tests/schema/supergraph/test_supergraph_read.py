"""Reading supergraphs: joins by subgraph, the rules on absent joins, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import validate_schema

from schema.supergraph import InvalidSupergraph, TypeKind, read_supergraph
from schema.supergraph.field_sets import InvalidFieldSet, parse_field_set, print_field_set

TESTS = Path(__file__).parents[2]
FILES = [
    *sorted((TESTS / "data" / "graphql" / "supergraphs").glob("**/*supergraph*.graphql")),
    *sorted((TESTS / "data" / "graphql" / "supergraphs" / "audit").glob("*.graphql")),
    *sorted((TESTS / "plan_cases").glob("*/supergraph.graphql")),
]

HEAD = """
schema @link(url: "https://specs.apollo.dev/link/v1.0")
  @link(url: "https://specs.apollo.dev/join/v0.4", for: EXECUTION) { query: Query }
enum join__Graph {
  CATALOG @join__graph(name: "catalog", url: "http://catalog/graphql")
  OLD @join__graph(name: "old", url: "http://old/graphql")
  STOCK @join__graph(name: "stock", url: "http://stock/graphql")
}
type Query @join__type(graph: CATALOG) @join__type(graph: STOCK) {
  items: [Item!]! @join__field(graph: CATALOG)
}
"""
ITEM = """
type Item
  @join__type(graph: CATALOG, key: "sku")
  @join__type(graph: OLD, key: "sku", resolvable: false)
  @join__type(graph: STOCK, key: "sku", extension: true) {
  sku: ID!
  name: String @join__field(graph: CATALOG, type: "String!") @join__field(graph: OLD, type: "String")
  weight: Int @join__field(graph: CATALOG) @join__field(graph: STOCK, external: true)
  fee: Int @join__field(graph: STOCK, requires: "weight")
  label: String
    @join__field(graph: CATALOG, override: "old", overrideLabel: "percent(5)")
    @join__field(graph: OLD, overrideLabel: "percent(5)")
  colour: Colour @join__field(graph: CATALOG) @join__field(graph: OLD, usedOverridden: true)
}
enum Colour @join__type(graph: CATALOG) {
  RED @join__enumValue(graph: CATALOG)
  GHOST @join__enumValue(graph: CATALOG) @inaccessible
}
"""


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_supergraphs_of_others_are_read_and_their_api_is_valid(path: Path) -> None:
    supergraph = read_supergraph(path.read_text())
    assert supergraph.subgraphs
    assert validate_schema(supergraph.api_schema) == []
    assert not [name for name in supergraph.api_schema.type_map if name.startswith(("join__", "link__"))]


def test_a_field_without_joins_belongs_to_every_subgraph_of_its_type() -> None:
    sku = read_supergraph(HEAD + ITEM).types["Item"].fields["sku"]
    assert sorted(sku.joins) == ["CATALOG", "OLD", "STOCK"]
    assert {join.type.text for join in sku.joins.values()} == {"ID!"}


def test_each_subgraph_keeps_its_own_type_of_a_field() -> None:
    name = read_supergraph(HEAD + ITEM).types["Item"].fields["name"]
    assert name.type.text == "String"
    assert {graph: join.type.text for graph, join in name.joins.items()} == {
        "CATALOG": "String!",
        "OLD": "String",
    }


def test_externals_requirements_and_overrides_are_kept_by_subgraph() -> None:
    fields = read_supergraph(HEAD + ITEM).types["Item"].fields
    assert fields["weight"].joins["STOCK"].external
    assert print_field_set(fields["fee"].joins["STOCK"].requires) == "weight"
    assert fields["label"].joins["CATALOG"].override == "old"
    assert fields["label"].joins["OLD"].override_label == "percent(5)"
    assert fields["colour"].joins["OLD"].used_overridden


def test_keys_say_whether_they_lead_in() -> None:
    joins = {join.graph: join for join in read_supergraph(HEAD + ITEM).types["Item"].joins}
    assert (joins["CATALOG"].resolvable, joins["OLD"].resolvable) == (True, False)
    assert joins["STOCK"].extension


def test_a_field_without_a_subgraph_comes_from_an_interface_object() -> None:
    supergraph = read_supergraph(
        (TESTS / "plan_cases/interface_object_both_ways/supergraph.graphql").read_text()
    )
    assert supergraph.types["User"].fields["username"].from_interface_object
    assert supergraph.types["NodeWithName"].interface_object_in("B")
    assert supergraph.types["NodeWithName"].kind is TypeKind.INTERFACE
    assert supergraph.possible_types["NodeWithName"] == {"User", "Coach"}


def test_hidden_elements_are_not_in_the_api() -> None:
    api = read_supergraph(HEAD + ITEM).api_schema
    assert list(api.type_map["Colour"].values) == ["RED"]


def test_directives_outside_the_join_specification_are_found_by_coordinate() -> None:
    text = HEAD + ITEM.replace("weight: Int", 'weight: Int @classified(as: "TRAINING")')
    found = read_supergraph(text).directives_by_coordinate["Item.weight"]
    assert [directive.name.value for directive in found] == ["classified"]


def test_the_first_federation_s_owners_resolve_what_no_join_names() -> None:
    text = """
    schema
      @core(feature: "https://specs.apollo.dev/core/v0.1")
      @core(feature: "https://specs.apollo.dev/join/v0.1") { query: Query }
    enum join__Graph { A @join__graph(name: "a", url: "u") B @join__graph(name: "b", url: "u") }
    type Query { user: User @join__field(graph: A) }
    type User @join__owner(graph: A) @join__type(graph: A, key: "id") @join__type(graph: B, key: "id") {
      id: ID! @join__field(graph: A)
      name: String @join__field(graph: A)
      age: Int
      reviews: [Review] @join__field(graph: B)
    }
    type Review { text: String }
    """
    types = read_supergraph(text).types
    joins = {name: sorted(field.joins) for name, field in types["User"].fields.items()}
    assert joins == {"id": ["A", "B"], "name": ["A"], "age": ["A"], "reviews": ["B"]}
    assert sorted(types["Review"].fields["text"].joins) == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type Query {", "the supergraph is not valid GraphQL"),
        ("type Query { a: Int }", "the text has no enum `join__Graph`"),
        (HEAD.replace("join/v0.4", "join/v0.9"), "`https://specs.apollo.dev/join/v0.9` is not supported"),
        (
            HEAD.replace(
                "{ query", '@link(url: "https://example.org/secret/v1.0", for: SECURITY) { query', 1
            ),
            "`https://example.org/secret/v1.0` is linked for SECURITY",
        ),
        (HEAD + "type T @join__type(graph: NOWHERE) { a: Int }", "unknown subgraph `NOWHERE`"),
        (HEAD + 'type T @join__type(graph: OLD, key: "{") { a: Int }', "on `T`: `{` is not a field set"),
    ],
)
def test_what_cannot_be_served_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidSupergraph) as refusal:
        read_supergraph(text)
    assert message in str(refusal.value)


def test_field_sets_print_as_they_mean() -> None:
    text = 'id price(currency: "USD") owner { ... on Person { id } }'
    assert print_field_set(parse_field_set("{ " + text + " }")) == text


@pytest.mark.parametrize("text", ["", "a {", "...F", "a } query { b"])
def test_other_text_is_no_field_set(text: str) -> None:
    with pytest.raises(InvalidFieldSet):
        parse_field_set(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("type Query { a: Int }", "no enum `join__Graph`"),
        ("{", "not valid GraphQL"),
        (HEAD + "type Item { x: " + "[" * 20_000 + "Int" + "]" * 20_000 + " }", "nested too deeply"),
        (HEAD, "`Query.items` is of the type `Item`, which is not defined"),
        (HEAD + ITEM + "type Item { sku: ID! }", "the type `Item` is defined more than once"),
        (HEAD + ITEM + "type T { a: Int a: Int }", "the field `T.a` is defined more than once"),
        (HEAD + ITEM + "enum E { A A }", "the value `E.A` is defined more than once"),
        (HEAD + ITEM + "schema { query: Query }", "more than one `schema`"),
        (HEAD + ITEM + "type T @join__type(graph: NOBODY) { a: Int }", "joined to unknown subgraph `NOBODY`"),
        (
            HEAD + ITEM + "type T { a: Int @join__field(graph: NOBODY) }",
            "`T.a` is joined to unknown subgraph",
        ),
        (HEAD + ITEM + 'type T { a: Int @join__field(graph: OLD, type: "[") }', "`[` is no type"),
        (HEAD + ITEM + 'union U @join__unionMember(graph: OLD, member: "X") = Item', "the type `X`"),
        (HEAD + ITEM + "type T implements I { a: Int }", "the type `I`, which is not defined"),
        (HEAD + ITEM + 'type T @join__type(graph: OLD, key: "b") { a: Int }', "a key needs `T.b`"),
        (HEAD + ITEM + 'type T @join__type(graph: OLD, key: "a {") { a: Int }', "on `T`"),
    ],
)
def test_bad_supergraphs_are_refused_under_their_code(text: str, said: str) -> None:
    with pytest.raises(InvalidSupergraph) as refused:
        read_supergraph(text)
    assert refused.value.code == "INVALID_FEDERATION_SUPERGRAPH"
    assert said in str(refused.value)
