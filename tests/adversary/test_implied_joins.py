"""Supergraphs of composers that leave out external copies of fields: what is not said is not asked for."""

from __future__ import annotations

from schema.supergraph import read_supergraph
from tests.kit_federation.federation import Federation
from tests.kit_federation.mock_subgraph import MockSubgraph

HEAD = """
schema @link(url: "https://specs.apollo.dev/link/v1.0")
  @link(url: "https://specs.apollo.dev/join/v0.3", for: EXECUTION) { query: Query }
enum join__Graph {
  PEOPLE @join__graph(name: "people", url: "http://people")
  POSTS @join__graph(name: "posts", url: "http://posts") }
"""
INTERFACE_OBJECT = (
    HEAD
    + """
type Query @join__type(graph: PEOPLE) @join__type(graph: POSTS) {
  authors: [Person] @join__field(graph: POSTS)
}
interface Person @join__type(graph: PEOPLE, key: "id")
  @join__type(graph: POSTS, key: "id", isInterfaceObject: true) {
  id: ID!
  name: String
  signature: String @join__field(graph: POSTS, requires: "name")
}
type Player implements Person @join__type(graph: PEOPLE, key: "id")
  @join__implements(graph: PEOPLE, interface: "Person") {
  id: ID!
  name: String
  signature: String @join__field
}
"""
)
PROVIDED = (
    HEAD
    + """
type Query @join__type(graph: PEOPLE) @join__type(graph: POSTS) {
  editor: Person @join__field(graph: POSTS, provides: "... on Player { name }")
}
interface Person @join__type(graph: POSTS) { id: ID! }
type Player implements Person @join__type(graph: PEOPLE, key: "id") @join__type(graph: POSTS, key: "id")
  @join__implements(graph: POSTS, interface: "Person") {
  id: ID!
  name: String @join__field(graph: PEOPLE)
}
"""
)
PEOPLE = """
interface Person @key(fields: "id") { id: ID! name: String }
type Player implements Person @key(fields: "id") { id: ID! name: String }
type Query { p: Int }
"""


def people() -> MockSubgraph:
    row = {"__typename": "Player", "id": "p1", "name": "Pia"}
    return MockSubgraph("people", PEOPLE, rows={"Player": [row], "Person": [row]})


async def test_what_an_interface_object_requires_is_external_there() -> None:
    posts = MockSubgraph(
        "posts",
        """
        type Query { authors: [Person] }
        type Person @key(fields: "id") @interfaceObject {
          id: ID! name: String @external signature: String @requires(fields: "name") }
        """,
        rows={"Person": [{"id": "p1"}]},
        root={"authors": [{"id": "p1"}]},
        resolvers={"Person.signature": lambda it: f"{it['name']}!"},
    )
    federation = Federation((people(), posts), read_supergraph(INTERFACE_OBJECT))
    answer = await federation.ask("{ authors { name signature } }")
    assert answer.data == {"authors": [{"name": "Pia", "signature": "Pia!"}]}
    assert federation.calls() == {"posts": 2, "people": 1}


async def test_what_a_path_provides_is_taken_there() -> None:
    posts = MockSubgraph(
        "posts",
        """
        type Query { editor: Person @provides(fields: "... on Player { name }") }
        interface Person { id: ID! }
        type Player implements Person @key(fields: "id") { id: ID! name: String @external }
        """,
        root={"editor": {"__typename": "Player", "id": "p1", "name": "Pia"}},
    )
    federation = Federation((people(), posts), read_supergraph(PROVIDED))
    answer = await federation.ask("{ editor { ... on Player { name } } }")
    assert answer.data == {"editor": {"name": "Pia"}}
    assert federation.calls() == {"posts": 1}
