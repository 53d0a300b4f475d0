"""Entity fetches of one stage go as one request: what it says, and what its faults cost."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import parse

from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest
from router.planner.plan import ConditionNode, Flatten, Parallel, PlanNode
from tests.kit_federation.shop import ScriptedTransport, entities, in_order, root, run_plan

QUERY = "query($r0:ID){items{sku left} item(sku:$r0){sku state}}"
LEFT = "{...on Item{left}}"
STATE = "{...on Item{state}}"


def found(_: SubgraphRequest) -> dict[str, Any]:
    return {"data": {"items": [{"sku": "1"}, {"sku": "2"}], "item": {"sku": "2"}}}


def two_parts(first: str = LEFT, second: str = STATE) -> PlanNode:
    return in_order(
        root(),
        Parallel(
            (
                entities(
                    "items.@",
                    "sku",
                    entity_selection=first,
                    declarations=("$r0: ID",),
                    variable_usages=("r0",),
                ),
                entities(
                    "item", "sku", entity_selection=second, declarations=("$r0: ID",), variable_usages=("r0",)
                ),
            )
        ),
    )


async def test_two_fetches_of_one_stage_are_one_request_with_the_variables_of_both() -> None:
    transport = ScriptedTransport(
        catalog=[found], stock=[{"data": {"_e0": [{"left": 1}, {"left": 2}], "_e1": [{"state": "FULL"}]}}]
    )
    answer = await run_plan(QUERY, two_parts(), transport, variables={"r0": "2"})
    assert answer.data == {
        "items": [{"sku": "1", "left": 1}, {"sku": "2", "left": 2}],
        "item": {"sku": "2", "state": "FULL"},
    }
    assert not answer.errors
    sent = transport.requests[1]
    assert set(sent.variables) == {"r0", "_r0", "_r1"}, "the client's variable keeps its name"
    assert [it["sku"] for it in sent.variables["_r0"]] == ["1", "2"]
    assert [it["sku"] for it in sent.variables["_r1"]] == ["2"]
    parse(sent.query)
    assert sent.query.count("$r0: ID") == 1


async def test_fetches_that_ask_the_same_ask_for_each_entity_once() -> None:
    transport = ScriptedTransport(
        catalog=[found], stock=[{"data": {"_entities": [{"left": 1}, {"left": 2}]}}]
    )
    answer = await run_plan("{items{sku left} item(sku:1){sku left}}", two_parts(LEFT, LEFT), transport)
    assert answer.data is not None
    assert answer.data["item"] == {"sku": "2", "left": 2}
    assert [it["sku"] for it in transport.representations(1)] == ["1", "2"]


async def test_a_part_without_objects_is_left_out() -> None:
    transport = ScriptedTransport(
        catalog=[{"data": {"items": None, "item": {"sku": "2"}}}],
        stock=[{"data": {"_entities": [{"state": "FULL"}]}}],
    )
    answer = await run_plan(QUERY, two_parts(), transport)
    assert answer.data == {"items": None, "item": {"sku": "2", "state": "FULL"}}
    assert set(transport.requests[1].variables) == {"representations"}


async def test_an_error_of_one_part_has_the_path_of_its_object() -> None:
    error = {"message": "m", "path": ["_e1", 0, "state"]}
    transport = ScriptedTransport(
        catalog=[found],
        stock=[
            {"data": {"_e0": [{"left": 1}, {"left": 2}], "_e1": [{"state": None}]}, "errors": [error]},
        ],
    )
    answer = await run_plan(QUERY, two_parts(), transport)
    assert [it["path"] for it in answer.errors] == [["item", "state"]]
    assert answer.data is not None
    assert answer.data["item"] == {"sku": "2", "state": None}


async def test_a_call_that_fails_nulls_its_parts_and_is_told_for_each() -> None:
    transport = ScriptedTransport(catalog=[found], stock=[SubgraphCallFailed("stock", "timed out")])
    answer = await run_plan(QUERY, two_parts(), transport)
    assert answer.data == {"items": None, "item": {"sku": "2", "state": None}}
    assert [it["path"] for it in answer.errors] == [["items"], ["item"]]


async def test_a_fault_of_one_part_that_nulls_all_does_not_cost_the_other() -> None:
    error = {"message": "m", "path": ["_e0"]}
    transport = ScriptedTransport(
        catalog=[found],
        stock=[{"data": None, "errors": [error]}, {"data": {"_entities": [{"state": "FULL"}]}}],
    )
    answer = await run_plan(QUERY, two_parts(), transport)
    assert answer.data == {"items": None, "item": {"sku": "2", "state": "FULL"}}
    assert [it["message"] for it in answer.errors] == ["m"]


async def test_a_server_that_takes_no_such_documents_is_asked_for_each_part() -> None:
    def one(request: SubgraphRequest) -> dict[str, object]:
        answered = [
            {"left": 3} if request.query else {"state": "FULL"} for _ in request.variables["representations"]
        ]
        return {"data": {"_entities": answered}}

    refused = {"errors": [{"message": "no aliases", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}]}
    transport = ScriptedTransport(catalog=[found], stock=[refused, one, one])
    answer = await run_plan("{items{sku left} item(sku:1){sku left}}", two_parts(LEFT, "{x:left}"), transport)
    assert len(transport.requests) == 4
    assert not answer.errors
    assert answer.data is not None
    assert [it["left"] for it in answer.data["items"]] == [3, 3]


async def test_a_server_in_trouble_is_not_asked_again() -> None:
    transport = ScriptedTransport(catalog=[found], stock=[{"errors": [{"message": "too many requests"}]}])
    answer = await run_plan(QUERY, two_parts(), transport)
    assert len(transport.requests) == 2
    assert [it["path"] for it in answer.errors] == [["items"], ["item"]]


@pytest.mark.parametrize("yes", [True, False])
async def test_what_hangs_on_a_condition_is_joined_where_that_holds(yes: bool) -> None:
    parallel = two_parts()
    assert not isinstance(parallel, Flatten)
    first, second = parallel.nodes[1].nodes  # type: ignore[union-attr]
    node = in_order(root(), Parallel((first, ConditionNode("yes", second))))
    left = [{"left": 1}, {"left": 2}]
    joined = {"_e0": left, "_e1": [{"state": "FULL"}]}
    transport = ScriptedTransport(catalog=[found], stock=[{"data": joined if yes else {"_entities": left}}])
    query = "query($yes:Boolean!){items{sku left} item(sku:1){sku state @include(if:$yes)}}"
    answer = await run_plan(query, node, transport, variables={"yes": yes})
    assert answer.data is not None
    assert [it["left"] for it in answer.data["items"]] == [1, 2]
    assert answer.data["item"] == {"sku": "2"} | ({"state": "FULL"} if yes else {})
    assert len(transport.requests) == 2
