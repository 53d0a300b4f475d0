"""Executable directives that the supergraph declares reach the subgraphs that answer their fields."""

from __future__ import annotations

import pytest

from router.operation.print_normal import print_selections
from router.planner.plan import QueryPlan
from schema.supergraph import Supergraph
from tests.kit_federation.federation import Federation, federation_of
from tests.kit_federation.mock_subgraph import MockSubgraph
from tests.kit_planner.cases import normal_of, plan_of
from tests.kit_planner.compare import fetches

LINK = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable"])\n'
)
DIRECTIVES = "directive @hint(level: Int) on FIELD directive @once repeatable on FIELD\n"
BOX = 'type Box @key(fields: "id") { id: ID! weight: Int lid: Lid } type Lid { size: Int round: Boolean }'
PRICES = 'type Box @key(fields: "id") { id: ID! price(in: String): Int }'


def federation() -> Federation:
    rows = {"id": "b1", "weight": 4, "price": 9, "lid": {"size": 2, "round": True}}
    boxes = f"{LINK}{DIRECTIVES}type Query {{ box: Box }} {BOX}"
    return federation_of(
        [
            MockSubgraph("boxes", boxes, rows={"Box": [rows]}, root={"box": rows}),
            MockSubgraph("prices", LINK + DIRECTIVES + PRICES, rows={"Box": [rows]}),
        ]
    )


def supergraph() -> Supergraph:
    return federation().supergraph


def texts(plan: QueryPlan) -> list[str]:
    return [" ".join(fetch.operation.split()) for fetch, _, _ in fetches(plan.node)]


def test_a_directive_goes_with_its_field_to_each_subgraph() -> None:
    root, entity = texts(
        plan_of(supergraph(), '{ box { w: weight @hint(level: 2) price(in: "EUR") @hint(level: 1) } }')
    )
    assert "w: weight @hint(level: 2)" in root
    assert 'price(in: "EUR") @hint(level: 1)' in entity


def test_its_variables_are_declared_and_passed_on() -> None:
    plan = plan_of(supergraph(), "query ($n: Int) { box { weight price @hint(level: $n) } }")
    root, entity = (fetch for fetch, _, _ in fetches(plan.node))
    assert (root.variable_usages, entity.variable_usages) == ((), ("n",))
    assert "$n: Int" in entity.operation


def test_conditions_and_directives_stand_together() -> None:
    (root,) = texts(
        plan_of(supergraph(), "query ($a: Boolean!) { box { id weight @skip(if: $a) @once @once } }")
    )
    assert "weight @skip(if: $a) @once @once" in root


def test_what_is_said_of_two_selections_of_a_field_is_said_of_one() -> None:
    query = "{ box { lid @hint(level: 1) { size } lid @once { round } weight ... { weight @once } } }"
    (root,) = texts(plan_of(supergraph(), query))
    assert root == "{box{lid @hint(level: 1) @once{size round} weight @once}}"


@pytest.mark.parametrize("directive", ["@hint(level: 1)", "@once"])
def test_operations_that_differ_in_a_directive_are_planned_apart(directive: str) -> None:
    plain = normal_of(supergraph(), "{ box { weight } }")
    told = normal_of(supergraph(), f"{{ box {{ weight {directive} }} }}")
    assert plain.signature != told.signature
    assert print_selections(told.selections) == f"{{box{{weight {directive}}}}}"


async def test_subgraphs_take_the_directives_and_answer() -> None:
    answer = await federation().ask("{ box { weight @hint(level: 3) @once price @hint(level: 1) } }")
    assert (answer.data, answer.errors) == ({"box": {"weight": 4, "price": 9}}, ())
