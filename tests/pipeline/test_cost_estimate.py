"""What operations cost, computed by hand beside each; from `@cost` and `@listSize` as composed."""

from __future__ import annotations

from typing import Any

import pytest

from router.demand.actual import answer_cost
from router.demand.by_subgraph import fetch_costs, objects_on
from router.demand.estimate import Estimator, cost_nodes, own_cost, told
from router.demand.weights import Weights
from router.errors import ClientError
from router.operation.normalize import normalize
from router.operation.parse import ParseLimits, parse
from router.operation.validate import validate
from router.operation.variables import coerce
from router.planner import plan_operation
from schema.composition import compose
from schema.sources import SubgraphSource
from schema.supergraph import Supergraph, read_supergraph
from tests.kit_edge.supergraphs import supergraph_of

LINK = """
extend schema @link(url: "https://specs.apollo.dev/federation/v2.9",
  import: ["@key", "@cost", "@listSize", "@external", "@requires", "@shareable"])
"""
BOOKS = (
    LINK
    + """
type Query {
  book(id: ID): Book
  books: [Book!]!
  bestsellers: [Book] @listSize(assumedSize: 5)
  newest(first: Int = 3, last: Int): [Book]
    @listSize(slicingArguments: ["first", "last"], requireOneSlicingArgument: false)
  shelf(first: Int, last: Int): [Book] @listSize(assumedSize: 7, slicingArguments: ["first", "last"])
  page(first: Int): Page @listSize(slicingArguments: ["first"], sizedFields: ["books", "edges"])
  search(filter: Filter, words: [String!] @cost(weight: 2)): [Thing] @listSize(assumedSize: 4)
  dear: Int @cost(weight: 7)
  thing: Thing
}
type Mutation { add(filter: Filter): Book  count: Int @cost(weight: 3) }
type Subscription { added: Book }
input Filter { text: String @cost(weight: 4)  below: Filter  tags: [String] }
type Page { books: [Book] edges: [Edge] total: Int others: [Book] }
type Edge { node: Book }
type Book @key(fields: "id") {
  id: ID!  title: String  author: Author  publisher: Publisher  sequels: [Book] @listSize(assumedSize: 2)
}
type Author { name: String address: DearAddress }
type Publisher { name: String address: Address }
type Address { zipCode: Int  street: Street }
type DearAddress @cost(weight: 5) { zipCode: Int }
enum Street @cost(weight: 1) { HIGH LOW }
type Film { title: String @cost(weight: 2) studio: Publisher }
union Thing = Book | Film
"""
)
REVIEWS = (
    LINK
    + """
type Book @key(fields: "id") { id: ID!  reviews: [Review!] @listSize(assumedSize: 6) }
type Review { stars: Int @cost(weight: 1)  by: Critic }
type Critic { name: String }
"""
)


@pytest.fixture(scope="module")
def graph() -> Supergraph:
    result = compose(
        [
            SubgraphSource("books", "http://books.invalid", BOOKS),
            SubgraphSource("reviews", "http://reviews.invalid", REVIEWS),
        ]
    )
    assert result.supergraph_sdl is not None, result.problems
    return read_supergraph(result.supergraph_sdl)


def normal_of(text: str, graph: Supergraph) -> Any:
    valid = validate(parse(text, limits=ParseLimits()), graph.api_schema, None)
    return normalize(valid, graph)


def estimated(text: str, graph: Supergraph, *, strict: bool = True, **variables: Any) -> float:
    normal, weights = normal_of(text, graph), Weights(graph)
    values = coerce(variables, normal.variables, graph.api_schema)
    total = Estimator(weights, 10, strict).total(cost_nodes(normal, weights), values)
    return own_cost(normal.kind) + total


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        # objects: book 1 + author 1 + publisher 1 + address 1; scalars nothing
        ("{ book(id: 1) { title author { name } publisher { name address { zipCode } } } }", 4),
        # the same below a list of 5 books: 5 × 4
        ("{ bestsellers { title author { name } publisher { name address { zipCode } } } }", 20),
        # the author's address weighs 5: 5 × (book 1 + author 1 + address 5)
        ("{ bestsellers { author { address { zipCode } } } }", 35),
        # no `@listSize`: 10 are assumed
        ("{ books { title } }", 10),
        # lists in lists: 5 × (1 + 2 × (1 + 2 × 1))
        ("{ bestsellers { sequels { sequels { id } } } }", 35),
        # a scalar, and an enum, with a weight of their own: 1 book + 1 publisher + 1 address + 1
        ("{ dear }", 7),
        ("{ book { publisher { address { street } } } }", 4),
        # the default of an argument counts, then what is given, then the greater of two
        ("{ newest { id } }", 3),
        ("{ newest(first: 8) { id } }", 8),
        ("{ newest(first: 8, last: 9) { id } }", 9),
        ("{ shelf(last: 2) { id } }", 2),
        ("{ shelf(first: 0) { id } }", 0),
        # sized fields have the size of the field above: page 1 + 4 books; 4 × (edge 1 + node 1); others 10
        ("{ page(first: 4) { books { id } } }", 5),
        ("{ page(first: 4) { edges { node { id } } total } }", 9),
        ("{ page(first: 4) { ... { books { id } } others { id } } }", 15),
        # 4 × thing 1; arguments: filter 1 + text 4; words 2 + 2 × 2
        ('{ search(filter: {text: "a"}) { __typename } }', 9),
        ('{ search(filter: {below: {text: "a", tags: ["b"]}}) { __typename } }', 10),
        ('{ search(words: ["a", "b"]) { __typename } }', 10),
        ("{ search(filter: null) { __typename } }", 4),
        # all fragments of a union count: 4 × (thing 1 + film's title 2 + studio 1 + author 1)
        ("{ search { ... on Film { title studio { name } } ... on Book { author { name } } } }", 20),
        # a field that two fragments select counts once
        ("{ book { ...A author { name } } } fragment A on Book { author { name } }", 2),
        # mutations cost 10 before anything else; subscriptions nothing
        ("mutation { add { id } }", 11),
        ("mutation { add(filter: {}) { id } count }", 15),
        ("subscription { added { id } }", 1),
        ("{ __schema { types { name } } }", 0),
        # across subgraphs: 5 × (book 1 + 6 × (review 1 + stars 1 + critic 1))
        ("{ bestsellers { reviews { stars by { name } } } }", 95),
    ],
)
def test_the_estimate_is_what_the_hand_counts(graph: Supergraph, text: str, cost: float) -> None:
    assert estimated(text, graph) == cost


def test_variables_decide_sizes_conditions_and_arguments(graph: Supergraph) -> None:
    text = "query($n: Int, $with: Boolean!) { shelf(first: $n) { id author @include(if: $with) { name } } }"
    assert estimated(text, graph, n=3, **{"with": True}) == 6
    assert estimated(text, graph, n=3, **{"with": False}) == 3
    text = "query($f: Filter, $w: [String!]) { search(filter: $f, words: $w) { __typename } }"
    # 4 things; filter 1 + text 4 + below 1; words 2 + 3 × 2
    assert estimated(text, graph, f={"text": "x", "below": {}}, w=["a", "b", "c"]) == 18
    assert estimated(text, graph) == 4
    skipped = "query($no: Boolean!) { books @skip(if: $no) { id } ... @include(if: $no) { dear } }"
    assert estimated(skipped, graph, no=True) == 7
    assert estimated(skipped, graph, no=False) == 10


@pytest.mark.parametrize("given", ["", "(first: 1, last: 1)", "(first: null)", "(first: -1)"])
def test_a_list_that_asks_for_one_slicing_argument_gets_exactly_one(graph: Supergraph, given: str) -> None:
    text = f"{{ shelf{given} {{ id }} }}"
    with pytest.raises(ClientError) as refused:
        estimated(text, graph)
    assert refused.value.code == "COST_QUERY_PARSE_FAILURE"
    assert "`Query.shelf` needs exactly one of its slicing arguments" in refused.value.message
    # where limits are only measured, what is assumed counts, or the greatest
    assert estimated(text, graph, strict=False) == (1 if "last" in given else 7)


def test_a_negative_slice_never_makes_the_rest_cheaper(graph: Supergraph) -> None:
    assert estimated("{ newest(first: -1000) { id } books { id } }", graph, strict=False) >= 10


def test_a_bomb_of_lists_has_a_cost_that_can_be_told(graph: Supergraph) -> None:
    depth = 150
    text = "{ books { " + "sequels { " * depth + "id" + " }" * depth + " } }"
    huge = estimated(text, graph)
    assert huge > 1e15
    assert told(huge) == 10**15
    assert told(2.0) == 2
    assert told(2.5) == 2.5


@pytest.mark.parametrize(
    ("text", "data", "cost"),
    [
        # 2 books + 1 author (the other is null) + 1 address of 5
        (
            "{ bestsellers { title author { address { zipCode } } } }",
            {"bestsellers": [{"author": {"address": {"zipCode": 1}}}, {"title": "b", "author": None}]},
            8,
        ),
        ("{ books { id } }", {"books": []}, 0),
        ("{ books { id } }", None, 0),
        ("{ dear }", {"dear": 3}, 7),
        # a film 1 + title 2 + studio 1; a book 1 + author 1; arguments 2 + 2 once
        (
            '{ search(words: ["a"]) '
            "{ ... on Film { title studio { name } } ... on Book { author { name } } } }",
            {"search": [{"title": "f", "studio": {"name": "s"}}, {"author": {"name": "a"}}]},
            10,
        ),
        # the same key in two fragments is one value
        (
            "{ thing { ... on Book { author { name } } ... on Film { author: studio { name } } } }",
            {"thing": {"author": {"name": "a"}}},
            2,
        ),
        (
            "{ bestsellers { reviews { stars } } }",
            {"bestsellers": [{"reviews": [{"stars": 1}, {"stars": 2}]}]},
            5,
        ),
    ],
)
def test_the_answers_cost_is_counted_over_what_came(
    graph: Supergraph, text: str, data: Any, cost: float
) -> None:
    normal, weights = normal_of(text, graph), Weights(graph)
    assert answer_cost(cost_nodes(normal, weights), data, Estimator(weights, 10, strict=True), {}) == cost


def test_each_subgraphs_share_counts_the_objects_that_it_is_asked_for(graph: Supergraph) -> None:
    normal, weights = normal_of("{ bestsellers { title reviews { stars } } }", graph), Weights(graph)
    estimator = Estimator(weights, 10, strict=False)
    nodes = cost_nodes(normal, weights)
    found = {}
    for one in fetch_costs(plan_operation(normal, graph).node, graph, weights):
        objects = objects_on(one.path, nodes, estimator, {})
        found[one.service] = one.base + objects * estimator.total(one.nodes, {})
    # books: 5 books. reviews: 5 representations × 6 × (review 1 + stars 1)
    assert found == {"books": 5, "reviews": 60}


def test_directives_are_known_by_the_names_that_links_give_them() -> None:
    imported = '[{name: "@cost", as: "@price"}, "@listSize"]'
    links = f'@link(url: "https://specs.apollo.dev/cost/v0.1", import: {imported})'
    sdl = """
    type Query { a: Int @price(weight: 9) b: Int @cost(weight: 3) c: [A] @listSize(assumedSize: 2) }
    type A { d: Int }
    """
    graph = read_supergraph(supergraph_of(sdl, links=links))
    assert estimated("{ a b c { d } }", graph) == 11


def test_a_slicing_argument_may_stand_inside_an_input_object() -> None:
    links = '@link(url: "https://specs.apollo.dev/cost/v0.1", import: ["@cost", "@listSize"])'
    sdl = """
    type Query { sliced(by: Slice!): [A] @listSize(slicingArguments: ["by.first"]) }
    type A { d: Int }
    input Slice { first: Int }
    """
    graph = read_supergraph(supergraph_of(sdl, links=links))
    # 6 objects, and the input object 1
    assert estimated("{ sliced(by: {first: 6}) { d } }", graph) == 7
    assert estimated("query($by: Slice!) { sliced(by: $by) { d } }", graph, by={"first": 2}) == 3
