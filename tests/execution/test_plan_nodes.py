"""Plan nodes: order, conditions, paths, contexts, mutations, subscriptions, time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from authz.identity.subject import ANONYMOUS
from router.errors import PlanInvariantBroken, SubgraphCallFailed
from router.execution import ErrorsShown, ExecutionOptions, compile_plan, execute, subscribe
from router.execution.transports.in_process import InProcessTransport
from router.operation.model import AllowedOperation, OperationKind
from router.planner.plan import (
    ConditionNode,
    ContextRewrite,
    Defer,
    DeferredPart,
    Fetch,
    Flatten,
    Parallel,
    PathKey,
    PathList,
    QueryPlan,
    Sequence,
    Subscription,
)
from router.telemetry import request_trace_id
from tests.kit_federation.shop import (
    SHOP,
    ScriptedTransport,
    entities,
    in_order,
    normal_of,
    root,
    run_plan,
)


async def test_a_condition_runs_the_branch_of_its_variable() -> None:
    node = ConditionNode("yes", root("catalog"), root("stock"))
    query = "query($yes:Boolean!){items @include(if:$yes){sku}}"
    for yes, service in ((True, "catalog"), (False, "stock")):
        transport = ScriptedTransport(catalog=[{"data": {"items": []}}], stock=[{"data": {}}])
        answer = await run_plan(query, node, transport, variables={"yes": yes})
        assert [it.service for it in transport.requests] == [service]
        assert answer.data == ({"items": []} if yes else {})


async def test_only_the_variables_that_a_fetch_uses_are_sent_and_absent_ones_stay_absent() -> None:
    node = in_order(root(variable_usages=("a", "absent")), entities("item", "sku", variable_usages=("b",)))
    transport = ScriptedTransport(
        catalog=[{"data": {"item": {"sku": "1"}}}], stock=[{"data": {"_entities": [{"left": 1}]}}]
    )
    await run_plan("{item(sku:1){left}}", node, transport, variables={"a": 1, "b": None, "c": 3})
    assert transport.requests[0].variables == {"a": 1}
    assert set(transport.requests[1].variables) == {"b", "representations"}


async def test_type_filters_on_a_path_pass_only_those_objects() -> None:
    flatten = entities("things.@", "id", on="Thing")
    filtered = Flatten((PathKey("things"), PathList(frozenset({"Toy"}))), flatten.node)
    transport = ScriptedTransport(
        catalog=[{"data": {"things": [{"__typename": "Tool", "id": "1"}, {"__typename": "Toy", "id": "2"}]}}],
        stock=[{"data": {"_entities": [{"label": "L"}]}}],
    )
    answer = await run_plan("{things{label}}", in_order(root(), filtered), transport)
    assert transport.representations(1) == [{"__typename": "Toy", "id": "2"}]
    assert answer.data == {"things": [{"label": None}, {"label": "L"}]}


async def test_lists_of_lists_are_walked_level_by_level() -> None:
    flatten = entities("items.@.@.makers.@", "sku")
    transport = ScriptedTransport(
        catalog=[{"data": {"items": [[{"makers": [{"sku": "1"}, None]}, None], [], None]}}],
        stock=[
            {"data": {"_entities": [{"left": 1}]}, "errors": [{"message": "m", "path": ["_entities", 0]}]}
        ],
    )
    answer = await run_plan("{__typename}", in_order(root(), flatten), transport)
    assert transport.representations(1) == [{"__typename": "Item", "sku": "1"}]
    assert len(answer.errors) == 1


async def test_a_root_fetch_can_hang_below_a_field() -> None:
    below = Flatten((PathKey("rename"),), root("stock"))
    transport = ScriptedTransport(
        catalog=[{"data": {"rename": {"sku": "1"}}}], stock=[{"data": {"name": "N"}}]
    )
    answer = await run_plan(
        'mutation{rename(sku:"1"){sku name}}', in_order(root(kind=OperationKind.MUTATION), below), transport
    )
    assert answer.data == {"rename": {"sku": "1", "name": "N"}}


async def test_mutations_run_in_order_even_where_one_fails() -> None:
    node = in_order(
        root("catalog", OperationKind.MUTATION),
        root("stock", OperationKind.MUTATION),
        root("catalog", OperationKind.MUTATION),
    )
    transport = ScriptedTransport(
        catalog=[{"data": {"a": {"sku": "1"}}}, {"data": {"c": {"sku": "2"}}}],
        stock=[SubgraphCallFailed("stock", "answered HTTP 500")],
    )
    answer = await run_plan(
        'mutation{a:rename(sku:"1"){sku} b:refill(sku:"1") c:rename(sku:"2"){sku}}', node, transport
    )
    assert [it.service for it in transport.requests] == ["catalog", "stock", "catalog"]
    assert answer.data == {"a": {"sku": "1"}, "b": None, "c": {"sku": "2"}}
    assert len(answer.errors) == 1
    assert "path" not in answer.errors[0]


async def test_a_context_value_is_read_from_above_and_splits_the_calls() -> None:
    flatten = entities(
        "items.@.parent",
        "sku",
        context_rewrites=(ContextRewrite(("..", "... on Item", "name"), "ctx"),),
    )
    rows = [
        {"__typename": "Item", "sku": sku, "name": name, "parent": {"__typename": "Item", "sku": "p"}}
        for sku, name in (("1", "x"), ("2", "y"), ("3", "x"))
    ]
    transport = ScriptedTransport(
        catalog=[{"data": {"items": rows}}],
        stock=[
            lambda it: {"data": {"_entities": [{"state": "FULL" if it.variables["ctx"] == "x" else "EMPTY"}]}}
        ]
        * 2,
    )
    answer = await run_plan("{items{parent{state}}}", in_order(root(), flatten), transport)
    assert answer.data == {
        "items": [
            {"parent": {"state": "FULL"}},
            {"parent": {"state": "EMPTY"}},
            {"parent": {"state": "FULL"}},
        ]
    }
    assert len(transport.requests) == 3


async def test_deferred_parts_are_answered_whole_where_nobody_asked_for_increments() -> None:
    node = Defer(root(), (DeferredPart(("item",), None, (), entities("item", "sku")),))
    transport = ScriptedTransport(
        catalog=[{"data": {"item": {"sku": "1"}}}], stock=[{"data": {"_entities": [{"left": 3}]}}]
    )
    answer = await run_plan("{item(sku:1){sku left}}", node, transport)
    assert answer.data == {"item": {"sku": "1", "left": 3}}


async def test_a_deadline_that_has_passed_stops_further_calls() -> None:
    now = 0.0

    def late(_: object) -> dict[str, object]:
        nonlocal now
        now = 11.0
        return {"data": {"items": [{"sku": "a"}]}}

    transport = ScriptedTransport(catalog=[late])
    options = ExecutionOptions(deadline_s=10.0, subgraph_timeout_s=30.0, clock=lambda: now)
    answer = await run_plan(
        "{items{sku state}}", in_order(root(), entities("items.@", "sku")), transport, options=options
    )
    assert transport.requests[0].timeout_s == 10.0
    assert len(transport.requests) == 1
    assert answer.data == {"items": [{"sku": "a", "state": None}]}
    assert [it["extensions"]["code"] for it in answer.errors] == ["REQUEST_TIMEOUT"]


async def test_a_hidden_subgraph_error_keeps_only_its_code() -> None:
    error = {"message": "SELECT * FROM x", "extensions": {"code": "FORBIDDEN_FIELD", "trace": "x.py"}}
    other = {"message": "y", "extensions": {"code": "SOMETHING_OF_ITS_OWN"}}
    transport = ScriptedTransport(catalog=[{"data": {"items": None}, "errors": [error, other]}])
    options = ExecutionOptions(errors=ErrorsShown(all_=False))
    answer = await run_plan("{items{sku}}", root(), transport, options=options)
    assert [it["extensions"] for it in answer.errors] == [
        {"code": "FORBIDDEN_FIELD", "service": "catalog"},
        {"service": "catalog"},
    ]
    assert "SELECT" not in str(answer.errors)


async def test_a_hidden_subgraph_error_is_in_the_log_whole_under_the_trace_id_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = request_trace_id.set("4bf92f3577b34da6a3ce929d0e0e4736")
    try:
        error = {"message": "SELECT * FROM x", "extensions": {"trace": "x.py"}}
        transport = ScriptedTransport(catalog=[{"data": {"items": None}, "errors": [error]}])
        options = ExecutionOptions(errors=ErrorsShown(all_=False))
        answer = await run_plan("{items{sku}}", root(), transport, options=options)
    finally:
        request_trace_id.reset(token)
    assert answer.errors[0]["extensions"]["traceId"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    (line,) = [one.getMessage() for one in caplog.records if "SELECT" in one.getMessage()]
    assert "4bf92f3577b34da6a3ce929d0e0e4736" in line
    assert "x.py" in line


@pytest.mark.parametrize(
    ("allowed", "told"),
    [
        (None, {"code": "A", "stack": "x.py", "service": "catalog"}),
        (frozenset({"code"}), {"code": "A", "service": "catalog"}),
        (frozenset({"other"}), {"service": "catalog"}),
        (frozenset({"service"}), {"service": "catalog"}),
    ],
)
async def test_clients_see_those_extensions_that_are_let_through(
    allowed: frozenset[str] | None, told: dict[str, str]
) -> None:
    error = {"message": "no", "extensions": {"code": "A", "stack": "x.py", "service": "forged"}}
    bare = {"message": "no", "extensions": "none"}
    transport = ScriptedTransport(catalog=[{"data": {"items": None}, "errors": [error, bare]}])
    options = ExecutionOptions(errors=ErrorsShown(extensions=allowed))
    answer = await run_plan("{items{sku}}", root(), transport, options=options)
    assert [one["extensions"] for one in answer.errors] == [told, {"service": "catalog"}]
    assert [one["message"] for one in answer.errors] == ["no", "no"]


class Stuck:
    """A subgraph that answers nothing until it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.started = asyncio.Event()

    async def execute(self, *_: object) -> dict[str, object]:
        self.started.set()
        try:
            return await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def test_cancelling_the_request_cancels_every_fetch_under_way() -> None:
    catalog, stock = Stuck(), Stuck()
    transport = InProcessTransport({"catalog": catalog, "stock": stock})  # type: ignore[dict-item]
    normal = normal_of("{items{sku}}")
    compiled = compile_plan(
        QueryPlan(Parallel((root("catalog"), root("stock")))), AllowedOperation(normal, normal), SHOP
    )
    task = asyncio.create_task(execute(compiled, {}, ANONYMOUS, transport))
    await catalog.started.wait()
    await stock.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert catalog.cancelled.is_set()
    assert stock.cancelled.is_set()


async def test_a_call_past_its_time_is_cancelled() -> None:
    catalog = Stuck()
    transport = InProcessTransport({"catalog": catalog})  # type: ignore[dict-item]
    normal = normal_of("{items{sku}}")
    compiled = compile_plan(QueryPlan(root()), AllowedOperation(normal, normal), SHOP)
    answer = await execute(
        compiled, {}, ANONYMOUS, transport, options=ExecutionOptions(subgraph_timeout_s=0.01)
    )
    assert answer.errors[0]["extensions"]["reason"] == "timed out"
    assert catalog.cancelled.is_set()


async def test_each_event_of_a_subscription_is_completed_by_the_rest_of_the_plan() -> None:
    normal = normal_of("subscription{itemChanged{sku left}}")
    node = Subscription(root(kind=OperationKind.SUBSCRIPTION), entities("itemChanged", "sku"))
    compiled = compile_plan(QueryPlan(node), AllowedOperation(normal, normal), SHOP)
    transport = ScriptedTransport(
        catalog=[
            {"data": {"itemChanged": {"sku": "1"}}},
            {"data": {"itemChanged": None}, "errors": [{"message": "m", "path": ["itemChanged"]}]},
        ],
        stock=[{"data": {"_entities": [{"left": 1}]}}],
    )
    answers = [it async for it in subscribe(compiled, {}, ANONYMOUS, transport)]
    assert [it.data for it in answers] == [{"itemChanged": {"sku": "1", "left": 1}}, {"itemChanged": None}]
    assert [it["path"] for it in answers[1].errors] == [["itemChanged"]]


async def test_a_stream_that_breaks_ends_with_one_error() -> None:
    normal = normal_of("subscription{itemChanged{sku}}")
    compiled = compile_plan(
        QueryPlan(Subscription(root(kind=OperationKind.SUBSCRIPTION))), AllowedOperation(normal, normal), SHOP
    )
    lost = SubgraphCallFailed("catalog", "closed", code="SUBREQUEST_WEBSOCKET_ERROR")
    transport = ScriptedTransport(catalog=[{"data": {"itemChanged": {"sku": "1"}}}, lost])
    answers = [it async for it in subscribe(compiled, {}, ANONYMOUS, transport)]
    assert [it.data for it in answers] == [{"itemChanged": {"sku": "1"}}, {"itemChanged": None}]
    assert [it["extensions"]["code"] for it in answers[1].errors] == ["SUBREQUEST_WEBSOCKET_ERROR"]


async def test_only_a_subscriptions_plan_can_be_subscribed_to() -> None:
    normal = normal_of("{items{sku}}")
    compiled = compile_plan(QueryPlan(root()), AllowedOperation(normal, normal), SHOP)
    with pytest.raises(PlanInvariantBroken):
        await anext(aiter(subscribe(compiled, {}, ANONYMOUS, ScriptedTransport())))


def asking(path: str, service: str) -> Flatten:
    """An entity fetch that may be sent together with others."""
    return entities(path, "sku", service=service, entity_selection="{__typename}")


async def test_parallel_branches_that_ask_the_same_make_one_call() -> None:
    def branch(path: str, number: int) -> Sequence:
        head, tail = asking(path, "stock"), asking(path, "catalog")
        assert isinstance(head.node, Fetch)
        named = replace(
            head.node, id=number, operation=head.node.operation.replace("query(", f"query Op__{number}(")
        )
        return Sequence((Flatten(head.path, named), tail))

    node = in_order(root(), Parallel((branch("items.@", 3), branch("item", 4), asking("must", "stock"))))
    transport = ScriptedTransport(
        catalog=[
            {"data": {"items": [{"sku": "a"}, {"sku": "b"}], "item": {"sku": "a"}, "must": {"sku": "m"}}},
            {"data": {"_entities": [{"name": "A"}, {"name": "B"}]}},
        ],
        stock=[
            {
                "data": {"_entities": [{"state": "FULL"}, None, {"state": "EMPTY"}]},
                "errors": [
                    {"message": "x", "path": ["_entities", 0, "left"]},
                    {"message": "y", "path": ["_entities", 1]},
                ],
            },
        ],
    )
    answer = await run_plan("{items{state name} item(sku:1){state name} must{state}}", node, transport)
    assert answer.data == {
        "items": [{"state": "FULL", "name": "A"}, {"state": None, "name": "B"}],
        "item": {"state": "FULL", "name": "A"},
        "must": {"state": "EMPTY"},
    }
    assert [it["sku"] for it in transport.representations(1)] == ["a", "b", "m"]
    assert [it.service for it in transport.requests] == ["catalog", "stock", "catalog"]
    # `left` was fetched but not selected: the path ends at what the client sees
    assert [(it["message"], it["path"]) for it in answer.errors] == [
        ("x", ["items", 0]),
        ("x", ["item"]),
        ("y", ["items", 1]),
    ]


async def test_a_joined_call_that_fails_is_told_at_each_of_its_paths() -> None:
    both = Parallel((asking("items.@", "stock"), asking("item", "stock")))
    transport = ScriptedTransport(
        catalog=[{"data": {"items": [{"sku": "a"}], "item": {"sku": "a"}}}],
        stock=[SubgraphCallFailed("stock", "timed out")],
    )
    answer = await run_plan("{items{state} item(sku:1){state}}", in_order(root(), both), transport)
    assert [it["path"] for it in answer.errors] == [["items"], ["item"]]
