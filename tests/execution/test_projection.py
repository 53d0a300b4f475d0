"""The answer's shape: client order, checked values, null propagation, denials."""

from __future__ import annotations

from typing import Any

from router.operation.model import AllowedOperation, Denial, NormalField, NormalOperation, NormalSelection
from tests.kit_federation.shop import ScriptedTransport, normal_of, root, run_plan


async def answer_of(query: str, data: dict[str, Any], **more: Any) -> Any:
    return await run_plan(query, root(), ScriptedTransport(catalog=[{"data": data}]), **more)


async def test_keys_come_in_the_clients_order_and_routing_fields_go() -> None:
    data = {"items": [{"__typename": "Item", "sku": "a", "name": "A", "weight": 1}]}
    answer = await answer_of(
        "{items{weight n: name} again: __typename}", {**data, "items": [{"n": "A", **data["items"][0]}]}
    )
    assert list(answer.data) == ["items", "again"]
    assert answer.data == {"items": [{"weight": 1, "n": "A"}], "again": "Query"}
    assert list(answer.data["items"][0]) == ["weight", "n"]


async def test_a_field_that_nobody_fetched_is_null() -> None:
    answer = await answer_of("{items{name}}", {"items": [{}]})
    assert answer.data == {"items": [{"name": None}]}


async def test_null_where_none_may_be_takes_the_nearest_parent_that_may() -> None:
    data = {"items": [{"sku": "a", "left": None}]}
    answer = await answer_of("{items{sku left} item(sku:1){sku}}", {**data, "item": {"sku": "i"}})
    assert answer.data == {"items": None, "item": {"sku": "i"}}
    assert answer.errors == ()
    assert [it["path"] for it in answer.extensions["valueCompletion"]] == [["items", 0, "left"]]
    assert answer.extensions["valueCompletion"][0]["extensions"] == {"code": "RESPONSE_VALIDATION_FAILED"}


async def test_null_in_a_nullable_object_stops_there() -> None:
    answer = await answer_of("{items{maker{name city}}}", {"items": [{"maker": {"city": "C"}}]})
    assert answer.data == {"items": [{"maker": None}]}


async def test_null_can_propagate_to_the_whole_answer() -> None:
    answer = await answer_of("{must{left} items{sku}}", {"must": {"left": None}, "items": []})
    assert answer.data is None


async def test_values_of_the_wrong_type_are_null_and_not_repeated() -> None:
    data = {"items": [{"name": 5, "weight": "heavy", "left": 1, "state": "LOST", "maker": "x", "makers": {}}]}
    answer = await answer_of("{items{name weight left state maker{name} makers{name}}}", data)
    assert answer.data == {
        "items": [{"name": None, "weight": None, "left": 1, "state": None, "maker": None, "makers": None}]
    }
    told = answer.extensions["valueCompletion"]
    assert [it["path"][-1] for it in told] == ["name", "weight", "state", "maker", "makers"]
    assert "LOST" not in str(told), "hidden names are not told"


async def test_integers_out_of_range_and_booleans_are_no_integers() -> None:
    answer = await answer_of(
        "{a: items{weight}}", {"a": [{"weight": 2**31}, {"weight": True}, {"weight": 7}]}
    )
    assert answer.data == {"a": [{"weight": None}, {"weight": None}, {"weight": 7}]}


async def test_fields_follow_the_runtime_type() -> None:
    data = {
        "things": [
            {"__typename": "Tool", "id": "1", "x": 5},
            {"__typename": "Toy", "id": "2", "x": 3},
            None,
        ]
    }
    answer = await answer_of(
        "{things{__typename kind: __typename ...on Tool{x: weight} ...on Toy{x: age} id}}", data
    )
    assert answer.data == {
        "things": [
            {"__typename": "Tool", "kind": "Tool", "x": 5, "id": "1"},
            {"__typename": "Toy", "kind": "Toy", "x": 3, "id": "2"},
            None,
        ]
    }


async def test_nullability_is_that_of_the_runtime_type() -> None:
    data = {"things": [{"__typename": "Tool", "label": None}, {"__typename": "Toy", "label": None}]}
    answer = await answer_of("{things{label}}", data)
    assert answer.data == {"things": [{"label": None}, None]}


async def test_unknown_and_hidden_types_are_null_without_their_names() -> None:
    data = {"things": [{"__typename": "Secret", "id": "1"}, {"__typename": "Made", "id": "2"}]}
    answer = await answer_of("{things{id}}", data)
    assert answer.data == {"things": [None, None]}
    assert "Secret" not in str(answer.extensions)
    assert "Made" not in str(answer.extensions)
    assert len(answer.extensions["valueCompletion"]) == 2


async def test_without_a_typename_the_interfaces_own_fields_are_answered() -> None:
    answer = await answer_of("{things{id ...on Tool{weight}}}", {"things": [{"id": "1"}]})
    assert answer.data == {"things": [{"id": "1"}]}


async def test_an_interface_name_is_no_answer_for_typename() -> None:
    answer = await answer_of("{medium{__typename id}}", {"medium": {"__typename": "Medium", "id": "1"}})
    assert answer.data == {"medium": None}
    answer = await answer_of("{medium{id}}", {"medium": {"__typename": "Medium", "id": "1"}})
    assert answer.data == {"medium": {"id": "1"}}


async def test_skip_and_include_decide_by_the_requests_variables() -> None:
    query = """query($a: Boolean!, $b: Boolean!) {
        items { sku @include(if: $a) name @skip(if: $b) ... on Item @include(if: $a) { weight } } }"""
    data = {"items": [{"sku": "s", "name": "n", "weight": 1}]}
    for variables, keys in (
        ({"a": True, "b": True}, ["sku", "weight"]),
        ({"a": False, "b": False}, ["name"]),
        ({"a": True, "b": False}, ["sku", "name", "weight"]),
    ):
        answer = await answer_of(query, data, variables=variables)
        assert list(answer.data["items"][0]) == keys


async def test_introspection_is_answered_without_any_fetch() -> None:
    transport = ScriptedTransport()
    answer = await run_plan('{t: __type(name:"Maker"){name fields{name}} __typename}', None, transport)
    assert answer.data == {
        "t": {"name": "Maker", "fields": [{"name": "name"}, {"name": "city"}]},
        "__typename": "Query",
    }
    answer = await run_plan('{__type(name:"Secret"){name}}', None, transport)
    assert answer.data == {"__type": None}
    answer = await run_plan(
        "query($n:String!){__type(name:$n){name}}", None, transport, variables={"n": "Item"}
    )
    assert answer.data == {"__type": {"name": "Item"}}


async def test_an_error_path_ends_where_the_clients_selection_does() -> None:
    error = {"message": "m", "path": ["items", 0, "maker", "name"]}
    transport = ScriptedTransport(catalog=[{"data": {"items": [{"sku": "a"}]}, "errors": [error]}])
    answer = await run_plan("{items{sku}}", root(), transport)
    assert [it["path"] for it in answer.errors] == [["items", 0]]


def without(
    normal: NormalOperation, *paths: tuple[str, ...], code: str = "FORBIDDEN_FIELD"
) -> AllowedOperation:
    """The operation less the fields at `paths`, as authorisation cuts it."""
    denials: list[Denial] = []

    def cut(selections: tuple[NormalSelection, ...], at: tuple[str, ...]) -> tuple[NormalSelection, ...]:
        kept: list[NormalSelection] = []
        for it in selections:
            below = (*at, it.response_key) if isinstance(it, NormalField) else at
            if isinstance(it, NormalField) and below in paths:
                denials.append(Denial(below, f"{it.parent_type}.{it.name}", code, {"obligation": "CONSENT"}))
                continue
            inner = cut(it.selections, below)
            if it.selections and not inner:
                continue
            arguments = {name: getattr(it, name) for name in it.__dataclass_fields__}
            kept.append(type(it)(**{**arguments, "selections": inner}))
        return tuple(kept)

    selections = cut(normal.selections, ())
    rest = {name: getattr(normal, name) for name in normal.__dataclass_fields__}
    return AllowedOperation(NormalOperation(**{**rest, "selections": selections}), normal, tuple(denials))


async def test_a_denied_field_is_null_with_one_error_for_each_real_path() -> None:
    query = "{items{sku name weight}}"
    allowed = without(normal_of(query), ("items", "name"))
    data = {"items": [{"sku": "a", "name": "fetched for routing", "weight": 1}, {"sku": "b", "weight": 2}]}
    answer = await answer_of(query, data, allowed=allowed)
    assert answer.data == {
        "items": [{"sku": "a", "name": None, "weight": 1}, {"sku": "b", "name": None, "weight": 2}]
    }
    assert [(it["path"], it["message"], it["extensions"]) for it in answer.errors] == [
        (
            ["items", index, "name"],
            "not allowed to read `Item.name`",
            {"code": "FORBIDDEN_FIELD", "obligation": "CONSENT"},
        )
        for index in (0, 1)
    ]


async def test_a_denied_field_that_may_not_be_null_takes_its_parent() -> None:
    query = "{items{sku maker{name city}}}"
    allowed = without(normal_of(query), ("items", "maker", "name"))
    answer = await answer_of(query, {"items": [{"sku": "a", "maker": {"city": "C"}}]}, allowed=allowed)
    assert answer.data == {"items": [{"sku": "a", "maker": None}]}
    assert [it["path"] for it in answer.errors] == [["items", 0, "maker", "name"]]
    assert "valueCompletion" not in answer.extensions


async def test_an_object_of_which_everything_is_denied_is_null() -> None:
    query = "{items{sku maker{city}}}"
    allowed = without(normal_of(query), ("items", "maker", "city"))
    answer = await answer_of(query, {"items": [{"sku": "a"}]}, allowed=allowed)
    assert answer.data == {"items": [{"sku": "a", "maker": None}]}
    assert [it["path"] for it in answer.errors] == [["items", 0, "maker", "city"]]


async def test_where_all_is_denied_no_subgraph_is_asked() -> None:
    query = "{items{name}}"
    allowed = without(normal_of(query), ("items",))
    transport = ScriptedTransport()
    answer = await run_plan(query, None, transport, allowed=allowed)
    assert answer.data == {"items": None}
    assert [it["path"] for it in answer.errors] == [["items"]]
    assert transport.requests == []


async def test_the_same_key_denied_on_one_type_is_answered_on_another() -> None:
    query = "{things{...on Tool{x: weight} ...on Toy{x: age}}}"
    normal = normal_of(query)
    tool, toy = normal.selections[0].selections
    rest = {name: getattr(normal, name) for name in normal.__dataclass_fields__}
    field = {name: getattr(normal.selections[0], name) for name in normal.selections[0].__dataclass_fields__}
    kept = NormalOperation(**{**rest, "selections": (NormalField(**{**field, "selections": (toy,)}),)})
    denial = Denial(("things", "x"), "Tool.weight", "FORBIDDEN_FIELD", {})
    data = {"things": [{"__typename": "Tool", "x": 1}, {"__typename": "Toy", "x": 2}]}
    answer = await answer_of(query, data, allowed=AllowedOperation(kept, normal, (denial,)))
    assert answer.data == {"things": [{"x": None}, {"x": 2}]}
    assert [it["path"] for it in answer.errors] == [["things", 0, "x"]]
    assert tool is not toy
