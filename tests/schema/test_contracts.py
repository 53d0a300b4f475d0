"""A contract hides what its tags do not let through, and leaves no hole."""

import pytest
from graphql import GraphQLSchema

from schema.composition import compose
from schema.composition.contracts import Contract, ContractEmpty, apply_contract
from schema.sources import SubgraphSource
from schema.supergraph import read_supergraph

SDL = """
extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@tag"])
type Query {
  open: T @tag(name: "partner")
  closed: Secret @tag(name: "partner")
  staff: Int @tag(name: "staff")
  plain: Int
}
type T @key(fields: "id") @tag(name: "partner") {
  id: ID!
  name(in: In): String
  salary: Int @tag(name: "staff")
  next: T
  other: Secret
}
type Secret @tag(name: "staff") { x: Int }
input In { a: Int }
"""


def api(contract: Contract) -> GraphQLSchema:
    sdl = compose([SubgraphSource("a", "http://a", SDL)]).unwrap()
    return read_supergraph(apply_contract(sdl, contract)).api_schema


def fields(schema: GraphQLSchema, name: str) -> list[str]:
    return sorted(schema.type_map[name].fields)  # type: ignore[attr-defined]


def test_excluded_parts_and_what_leads_to_them_are_hidden() -> None:
    schema = api(Contract(exclude=frozenset({"staff"})))
    assert fields(schema, "Query") == ["open", "plain"]
    assert fields(schema, "T") == ["id", "name", "next"]
    assert "Secret" not in schema.type_map


def test_only_included_parts_are_shown() -> None:
    schema = api(Contract(include=frozenset({"partner"}), exclude=frozenset({"staff"})))
    assert fields(schema, "Query") == ["open"]
    assert fields(schema, "T") == ["id", "name", "next"]


def test_a_contract_without_tags_changes_nothing_for_clients() -> None:
    assert fields(api(Contract()), "Query") == ["closed", "open", "plain", "staff"]


def test_a_contract_that_leaves_no_query_is_refused() -> None:
    with pytest.raises(ContractEmpty):
        api(Contract(include=frozenset({"nobody"})))


def test_the_router_can_still_use_what_clients_do_not_see() -> None:
    sdl = compose([SubgraphSource("a", "http://a", SDL)]).unwrap()
    text = apply_contract(sdl, Contract(exclude=frozenset({"staff"})))
    assert "salary" in text
    assert apply_contract(text, Contract(exclude=frozenset({"staff"}))) == text
