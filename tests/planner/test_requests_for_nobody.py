"""A request of which the variables leave nothing is not made; one that something is left of is made once."""

from __future__ import annotations

from itertools import product

import pytest

from tests.kit_federation.federation import federation_of
from tests.kit_federation.mock_subgraph import MockSubgraph
from tests.kit_planner.cases import plan_of
from tests.kit_planner.compare import fetches

LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])\n'
THING = {"id": "t", "size": 5, "color": "red"}
SUBGRAPHS = [
    MockSubgraph(
        "a",
        LINK + 'type Query { one: Int two: Int thing: Thing } type Thing @key(fields: "id") { id: ID! }',
        root={"one": 1, "two": 2, "thing": THING},
    ),
    MockSubgraph(
        "b",
        LINK + 'type Thing @key(fields: "id") { id: ID! size: Int color: String }',
        rows={"Thing": [THING]},
    ),
]
BOOLEANS = [pytest.param(*both, id=f"{both[0]}-{both[1]}") for both in product((True, False), repeat=2)]


@pytest.mark.parametrize(("x", "y"), BOOLEANS)
async def test_a_root_request_is_made_where_one_of_its_fields_is_asked_for(x: bool, y: bool) -> None:
    federation = federation_of(SUBGRAPHS)
    for subgraph in SUBGRAPHS:
        subgraph.calls.clear()
    query = "query ($x: Boolean!, $y: Boolean = false) { one @include(if: $x) two @skip(if: $y) }"
    answer = await federation.ask(query, {"x": x, "y": y})
    assert answer.data == ({"one": 1} if x else {}) | ({} if y else {"two": 2})
    assert federation.calls() == ({"a": 1} if x or not y else {})


@pytest.mark.parametrize(("x", "y"), BOOLEANS)
async def test_an_entity_request_is_made_where_one_of_its_fields_is_asked_for(x: bool, y: bool) -> None:
    federation = federation_of(SUBGRAPHS)
    for subgraph in SUBGRAPHS:
        subgraph.calls.clear()
    query = (
        "query ($x: Boolean!, $y: Boolean!) { thing { size @include(if: $x) color @include(if: $y) } one }"
    )
    answer = await federation.ask(query, {"x": x, "y": y})
    expected = ({"size": 5} if x else {}) | ({"color": "red"} if y else {})
    assert answer.data == {"thing": expected, "one": 1}
    assert federation.calls() == {"a": 1} | ({"b": 1} if x or y else {})


def test_past_eight_occasions_the_request_is_made_in_any_case() -> None:
    names = [f"v{i}" for i in range(9)]
    declared = ", ".join(f"${name}: Boolean!" for name in names)
    fields = " ".join(f"a{i}: one @include(if: ${name})" for i, name in enumerate(names))
    plan = plan_of(federation_of(SUBGRAPHS).supergraph, f"query ({declared}) {{ {fields} }}")
    ((_, _, conditions),) = fetches(plan.node)
    assert conditions == ()


PETS = [
    MockSubgraph(
        "a",
        LINK
        + "type Query { pets: [Pet] } interface Pet { id: ID! }"
        + ' type Cat implements Pet @key(fields: "id") { id: ID! }'
        + ' type Dog implements Pet @key(fields: "id") { id: ID! }',
        root={"pets": [{"__typename": "Cat", "id": "c"}, {"__typename": "Dog", "id": "d"}]},
    ),
    MockSubgraph(
        "b",
        LINK
        + 'type Cat @key(fields: "id") { id: ID! lives: Int }'
        + ' type Dog @key(fields: "id") { id: ID! age: Int }',
        rows={"Cat": [{"id": "c", "lives": 9}], "Dog": [{"id": "d", "age": 4}]},
    ),
]


@pytest.mark.parametrize(("x", "y"), BOOLEANS)
async def test_types_under_different_conditions_share_a_request(x: bool, y: bool) -> None:
    federation = federation_of(PETS)
    for subgraph in PETS:
        subgraph.calls.clear()
    query = (
        "query ($x: Boolean!, $y: Boolean!) { pets {"
        " ... on Cat { lives @include(if: $x) } ... on Dog { age @skip(if: $y) } } }"
    )
    answer = await federation.ask(query, {"x": x, "y": y})
    assert answer.errors == ()
    assert answer.data == {"pets": [{"lives": 9} if x else {}, {} if y else {"age": 4}]}
    assert federation.calls() == {"a": 1} | ({"b": 1} if x or not y else {})
    sent = [one for call in PETS[1].calls for one in call.variables.values() if isinstance(one, list)]
    assert sum(len(one) for one in sent) == x + (not y)
