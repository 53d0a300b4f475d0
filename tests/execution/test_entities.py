"""Entity fetches: representations, merging, and where errors are told."""

from __future__ import annotations

from dataclasses import replace

from router.errors import SubgraphCallFailed
from router.execution.run import ERRORS_MAX
from router.execution.subgraph_errors import PATHS_PER_ERROR_MAX
from router.planner.plan import (
    Fetch,
    Flatten,
    KeyRenamer,
    Parallel,
    RequiresField,
    ValueSetter,
)
from tests.kit_federation.shop import (
    ScriptedTransport,
    entities,
    in_order,
    path_of,
    root,
    run_plan,
)


def item(sku: str | None, **more: object) -> dict[str, object]:
    return {"__typename": "Item", "sku": sku, **more}


async def test_equal_representations_are_sent_once_and_merged_at_every_place() -> None:
    transport = ScriptedTransport(
        catalog=[{"data": {"items": [item("a"), item("b"), item("a")]}}],
        stock=[{"data": {"_entities": [{"left": 1}, {"left": 2}]}}],
    )
    answer = await run_plan("{items{left}}", in_order(root(), entities("items.@", "sku")), transport)
    assert answer.data == {"items": [{"left": 1}, {"left": 2}, {"left": 1}]}
    assert answer.errors == ()
    assert transport.representations(1) == [
        {"__typename": "Item", "sku": "a"},
        {"__typename": "Item", "sku": "b"},
    ]


async def test_an_error_of_one_entity_is_told_at_each_of_its_places() -> None:
    error = {"message": "gone", "path": ["_entities", 0, "left"], "locations": [{"line": 1, "column": 2}]}
    transport = ScriptedTransport(
        catalog=[{"data": {"items": [item("a"), item("b", parent=item("a"))]}}],
        stock=[{"data": {"_entities": [None, {"left": 2}]}, "errors": [error]}],
    )
    answer = await run_plan("{items{sku state}}", in_order(root(), entities("items.@", "sku")), transport)
    assert [it["path"] for it in answer.errors] == [["items", 0]]
    assert answer.errors[0]["extensions"] == {"service": "stock"}
    assert "locations" not in answer.errors[0]

    transport = ScriptedTransport(
        catalog=[{"data": {"items": [item("a"), item("b"), item("a")]}}],
        stock=[
            {
                "data": {"_entities": [{"state": None}, {"state": "FULL"}]},
                "errors": [{"message": "x", "path": ["_entities", 0, "state"], "extensions": {"code": "C"}}],
            }
        ],
    )
    answer = await run_plan("{items{state}}", in_order(root(), entities("items.@", "sku")), transport)
    assert [it["path"] for it in answer.errors] == [["items", 0, "state"], ["items", 2, "state"]]
    assert answer.errors[0]["extensions"] == {"code": "C", "service": "stock"}
    assert answer.data == {"items": [{"state": None}, {"state": "FULL"}, {"state": None}]}


async def test_an_error_without_a_path_is_told_once_at_the_fetch() -> None:
    transport = ScriptedTransport(
        catalog=[{"data": {"items": [item("a"), item("b")]}}],
        stock=[{"data": None, "errors": [{"message": "no"}]}],
    )
    answer = await run_plan("{items{state}}", in_order(root(), entities("items.@", "sku")), transport)
    assert [(it["message"], it["path"]) for it in answer.errors] == [("no", ["items"])]
    assert answer.data == {"items": [{"state": None}, {"state": None}]}


async def test_a_null_entity_is_null_for_its_own_fields_only() -> None:
    transport = ScriptedTransport(
        catalog=[{"data": {"items": [item("a", name="A"), item("b", name="B")]}}],
        stock=[{"data": {"_entities": [None, {"state": "EMPTY"}]}}],
    )
    answer = await run_plan("{items{name state}}", in_order(root(), entities("items.@", "sku")), transport)
    assert answer.data == {"items": [{"name": "A", "state": None}, {"name": "B", "state": "EMPTY"}]}
    assert answer.errors == ()


async def test_a_short_or_absent_entity_list_is_an_error() -> None:
    for data in ({"_entities": [{"state": "FULL"}]}, {}, {"_entities": None}):
        transport = ScriptedTransport(
            catalog=[{"data": {"items": [item("a"), item("b")]}}], stock=[{"data": data}]
        )
        answer = await run_plan("{items{sku state}}", in_order(root(), entities("items.@", "sku")), transport)
        assert [it["extensions"]["code"] for it in answer.errors] == ["SUBREQUEST_MALFORMED_RESPONSE"], data
        assert answer.errors[0]["path"] == ["items"]
        assert [it["sku"] for it in answer.data["items"]] == ["a", "b"]  # type: ignore[index]


async def test_entities_without_a_filled_key_are_not_asked_for() -> None:
    transport = ScriptedTransport(
        catalog=[{"data": {"items": [item(None), {"__typename": "Item"}, {"sku": "x"}]}}],
        stock=[{"data": {"_entities": [{"state": "FULL"}]}}],
    )
    answer = await run_plan("{items{state}}", in_order(root(), entities("items.@", "sku")), transport)
    assert answer.data == {"items": [{"state": None}, {"state": None}, {"state": "FULL"}]}
    assert transport.representations(1) == [{"__typename": "Item", "sku": "x"}]


async def test_without_anything_to_ask_for_there_is_no_call() -> None:
    transport = ScriptedTransport(
        catalog=[{"data": {"items": [item(None), None, {"__typename": "Nope", "sku": 1}]}}]
    )
    await run_plan("{items{state}}", in_order(root(), entities("items.@", "sku")), transport)
    assert len(transport.requests) == 1
    transport = ScriptedTransport(catalog=[{"data": {"items": None}}])
    answer = await run_plan("{items{state}}", in_order(root(), entities("items.@", "sku")), transport)
    assert answer.data == {"items": None}
    assert len(transport.requests) == 1


MAKER = RequiresField("maker", "maker", (RequiresField("name", "name"),))


async def test_null_requirements_are_sent_where_they_may_be_null() -> None:
    transport = ScriptedTransport(
        catalog=[
            {
                "data": {
                    "items": [
                        item("a", weight=None, maker=None),
                        item("b", weight=2, maker={"name": "M", "city": "C"}),
                        item("c", weight=3, maker={"name": None}),
                        item("d"),
                    ]
                }
            }
        ],
        stock=[{"data": {"_entities": [{"fee": 1}, {"fee": 2}, {"fee": 3}, {"fee": 4}]}}],
    )
    node = in_order(root(), entities("items.@", "sku", "weight", MAKER))
    answer = await run_plan("{items{fee}}", node, transport)
    assert transport.representations(1) == [
        {"__typename": "Item", "sku": "a", "weight": None, "maker": None},
        {"__typename": "Item", "sku": "b", "weight": 2, "maker": {"name": "M"}},
        # a maker whose name is null is no maker: the requirement ends as null where it may
        {"__typename": "Item", "sku": "c", "weight": 3, "maker": None},
        {"__typename": "Item", "sku": "d", "weight": None, "maker": None},
    ]
    assert [it["fee"] for it in answer.data["items"]] == [1, 2, 3, 4]  # type: ignore[index]


async def test_a_requirement_that_could_not_be_fetched_is_not_sent_as_null() -> None:
    transport = ScriptedTransport(
        catalog=[
            {"data": {"items": [item("a", maker=None)]}},
            SubgraphCallFailed("catalog", "timed out"),
        ],
    )
    weight = entities("items.@", "sku", service="catalog")
    answer = await run_plan(
        "{items{sku fee}}",
        in_order(root(), weight, entities("items.@", "sku", "weight", MAKER)),
        transport,
    )
    assert answer.data == {"items": [{"sku": "a", "fee": None}]}
    assert [it["extensions"]["code"] for it in answer.errors] == ["SUBREQUEST_HTTP_ERROR"]
    assert answer.errors[0]["path"] == ["items"]


async def test_a_required_field_is_read_from_its_source_and_sent_under_its_name() -> None:
    transport = ScriptedTransport(
        catalog=[{"data": {"items": [item("a", _r_weight=7, weight=1, maker=None)]}}],
        stock=[{"data": {"_entities": [{"fee": 5}]}}],
    )
    node = in_order(root(), entities("items.@", "sku", RequiresField("weight", "_r_weight")))
    await run_plan("{items{fee}}", node, transport)
    assert transport.representations(1) == [{"__typename": "Item", "sku": "a", "weight": 7}]


async def test_an_interface_object_is_asked_for_under_the_interface_name() -> None:
    transport = ScriptedTransport(
        catalog=[{"data": {"medium": {"__typename": "Film", "id": "1"}}}],
        stock=[{"data": {"_entities": [{"__typename": "Medium", "rank": 4}]}}],
    )
    node = in_order(
        root(),
        entities(
            "medium",
            "id",
            on="Film",
            input_rewrites=(ValueSetter(("... on Film", "__typename"), "Medium"),),
        ),
    )
    answer = await run_plan("{medium{__typename rank}}", node, transport)
    assert transport.representations(1) == [{"__typename": "Medium", "id": "1"}]
    assert answer.data == {"medium": {"__typename": "Film", "rank": 4}}, (
        "the true type outlives the interface"
    )


async def test_the_planners_aliases_are_undone_in_data_and_in_error_paths() -> None:
    transport = ScriptedTransport(
        catalog=[{"data": {"items": [item("a")]}}],
        stock=[
            {
                "data": {"_entities": [{"__typename": "Item", "_a_state": "FULL"}]},
                "errors": [{"message": "m", "path": ["_entities", 0, "_a_state"]}],
            }
        ],
    )
    fetch = entities("items.@", "sku", output_rewrites=(KeyRenamer(("... on Item", "_a_state"), "state"),))
    answer = await run_plan("{items{state}}", in_order(root(), fetch), transport)
    assert answer.data == {"items": [{"state": "FULL"}]}
    assert [it["path"] for it in answer.errors] == [["items", 0, "state"]]


async def test_nested_answers_merge_into_what_is_there_and_delete_nothing() -> None:
    transport = ScriptedTransport(
        catalog=[
            {"data": {"items": [item("a", maker={"name": "M"}, makers=[{"name": "1"}, {"name": "2"}])]}},
            {
                "data": {
                    "_entities": [
                        {"maker": {"city": "C"}, "makers": [{"city": "x"}, {"city": "y"}], "name": None}
                    ]
                }
            },
            {"data": {"_entities": [{"maker": None, "makers": None}]}},
        ],
    )
    more = entities("items.@", "sku", service="catalog")
    answer = await run_plan(
        "{items{name maker{name city} makers{city name}}}", in_order(root(), more, more), transport
    )
    assert answer.data == {
        "items": [
            {
                "name": None,
                "maker": {"name": "M", "city": "C"},
                "makers": [{"city": "x", "name": "1"}, {"city": "y", "name": "2"}],
            }
        ]
    }


async def test_one_failed_fetch_leaves_its_siblings_whole() -> None:
    transport = ScriptedTransport(
        catalog=[
            {"data": {"items": [item("a")], "item": item("b")}},
            {"data": {"_entities": [{"name": "A"}]}},
        ],
        stock=[SubgraphCallFailed("stock", "timed out")],
    )
    both = Parallel((entities("items.@", "sku"), entities("item", "sku", service="catalog")))
    answer = await run_plan("{items{sku state} item(sku:1){name}}", in_order(root(), both), transport)
    assert answer.data == {"items": [{"sku": "a", "state": None}], "item": {"name": "A"}}
    assert [it["path"] for it in answer.errors] == [["items"]]
    assert answer.errors[0]["extensions"] == {
        "code": "SUBREQUEST_HTTP_ERROR",
        "service": "stock",
        "reason": "timed out",
    }


async def test_a_fault_inside_a_transport_is_masked_and_costs_one_fetch() -> None:
    def broken(_: object) -> object:
        raise ZeroDivisionError("secret detail")

    transport = ScriptedTransport(
        catalog=[{"data": {"items": [item("a")]}}],
        stock=[broken],
    )
    answer = await run_plan("{items{sku state}}", in_order(root(), entities("items.@", "sku")), transport)
    assert answer.data == {"items": [{"sku": "a", "state": None}]}
    assert "secret" not in str(answer.errors)
    assert len(answer.errors) == 1


def test_paths_print_as_written() -> None:
    assert [getattr(it, "key", "@") for it in path_of("a.@.b")] == ["a", "@", "b"]


async def test_the_representations_go_under_the_name_that_the_operation_gives_them() -> None:
    transport = ScriptedTransport(
        catalog=[{"data": {"item": item("a")}}], stock=[{"data": {"_entities": [{"state": "FULL"}]}}]
    )
    flatten = entities("item", "sku", variable_usages=("representations",))
    assert isinstance(flatten.node, Fetch)
    text = "query($representations:Int,$r_1:[_Any!]!){_entities(representations: $r_1){__typename}}"
    named = Flatten(flatten.path, replace(flatten.node, operation=text))
    await run_plan(
        "{item(sku:1){state}}", in_order(root(), named), transport, variables={"representations": 5}
    )
    assert transport.requests[1].variables == {
        "representations": 5,
        "r_1": [{"__typename": "Item", "sku": "a"}],
    }


async def test_errors_over_long_lists_do_not_flood_the_answer() -> None:
    many = [item("same") for _ in range(500)]
    told = [{"message": "m", "path": ["_entities", 0, "state"]} for _ in range(100)]
    transport = ScriptedTransport(
        catalog=[{"data": {"items": many}}],
        stock=[{"data": {"_entities": [{"state": None}]}, "errors": told}],
    )
    answer = await run_plan("{items{state}}", in_order(root(), entities("items.@", "sku")), transport)
    assert len(answer.data["items"]) == 500  # type: ignore[index]
    assert len(answer.errors) == ERRORS_MAX
    assert {it["path"][1] for it in answer.errors} == set(range(PATHS_PER_ERROR_MAX))
