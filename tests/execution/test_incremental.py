"""`@defer`: what comes first, what follows and when, in both forms of payloads; which fetches wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from authz.identity.subject import ANONYMOUS
from router.execution import CompiledPlan, IncrementalFormat, compile_plan, execute_incrementally
from router.execution.transport import SubgraphTransport
from router.operation.model import AllowedOperation, Denial
from router.planner.plan import Defer, DeferredPart, QueryPlan
from tests.kit_federation.case_files import case_subgraphs, read_case
from tests.kit_federation.faults import FaultyTransport, GatedTransport, unreachable
from tests.kit_federation.federation import Federation, federation_of
from tests.kit_federation.incremental_client import merged
from tests.kit_federation.mock_subgraph import MockSubgraph
from tests.kit_federation.shop import (
    SHOP,
    ScriptedTransport,
    entities,
    normal_of,
    root,
)

PENDING, OF_2022 = IncrementalFormat.PENDING, IncrementalFormat.MULTIPART_2022
QUERY = '{ products { name ... @defer(label: "more") { inStock shipping } } }'


@pytest.fixture
def federation() -> Federation:
    return federation_of(case_subgraphs(read_case("everyday_mix")))


async def parts_of(
    compiled: CompiledPlan, transport: SubgraphTransport, format_: IncrementalFormat = PENDING
) -> list[dict[str, Any]]:
    stream = execute_incrementally(compiled, {}, ANONYMOUS, transport, format_=format_)
    return [it.body() async for it in stream]


async def test_the_current_form_names_what_is_pending_and_completes_it(federation: Federation) -> None:
    parts = await parts_of(federation.compiled(QUERY), federation.in_process())
    assert parts == [
        {
            "data": {"products": [{"name": "one"}, {"name": "two"}]},
            "pending": [
                {"id": "0", "path": ["products", 0], "label": "more"},
                {"id": "1", "path": ["products", 1], "label": "more"},
            ],
            "hasNext": True,
        },
        {
            "incremental": [
                {"id": "0", "data": {"inStock": True, "shipping": 11}},
                {"id": "1", "data": {"inStock": False, "shipping": 44}},
            ],
            "completed": [{"id": "0"}, {"id": "1"}],
            "hasNext": False,
        },
    ]


async def test_the_form_of_2022_names_each_part_by_path_and_label(federation: Federation) -> None:
    parts = await parts_of(federation.compiled(QUERY), federation.in_process(), OF_2022)
    assert parts[0] == {"data": {"products": [{"name": "one"}, {"name": "two"}]}, "hasNext": True}
    assert parts[1] == {
        "incremental": [
            {"data": {"inStock": True, "shipping": 11}, "path": ["products", 0], "label": "more"},
            {"data": {"inStock": False, "shipping": 44}, "path": ["products", 1], "label": "more"},
        ],
        "hasNext": False,
    }


async def test_the_first_part_does_not_wait_for_what_only_follows(federation: Federation) -> None:
    transport = GatedTransport(federation.in_process(), "inventory")
    stream = execute_incrementally(federation.compiled(QUERY), {}, ANONYMOUS, transport, format_=PENDING)
    first = await anext(stream)
    assert first.data == {"products": [{"name": "one"}, {"name": "two"}]}
    transport.open("inventory")
    rest = [it.body() async for it in stream]
    assert [it["hasNext"] for it in rest] == [False]
    assert federation.calls() == {"products": 1, "inventory": 1}


async def test_what_is_deferred_is_asked_for_before_the_first_part_is_ready(federation: Federation) -> None:
    query = "{ products { name inStock ... @defer { reviews { id } } } }"
    transport = GatedTransport(federation.in_process(), "inventory")
    stream = execute_incrementally(federation.compiled(query), {}, ANONYMOUS, transport, format_=PENDING)
    first = asyncio.ensure_future(anext(stream))
    await transport.asked("reviews")
    assert not first.done()
    transport.open("inventory")
    assert (await first).data == {
        "products": [{"name": "one", "inStock": True}, {"name": "two", "inStock": False}]
    }
    assert not [it async for it in stream if it.body()["hasNext"]]


async def test_a_slow_subgraph_does_not_delay_a_quick_deferred_part(federation: Federation) -> None:
    slow, quick = '... @defer(label: "slow") { inStock }', '... @defer(label: "quick") { reviews { id } }'
    query = f"{{ products {{ name {slow} {quick} }} }}"
    for format_ in IncrementalFormat:
        transport = GatedTransport(federation.in_process(), "inventory")
        stream = execute_incrementally(federation.compiled(query), {}, ANONYMOUS, transport, format_=format_)
        await anext(stream)
        quick = (await anext(stream)).body()
        assert [it["data"] for it in quick["incremental"]] == [
            {"reviews": [{"id": "r1"}]},
            {"reviews": [{"id": "r2"}]},
        ]
        assert quick["hasNext"]
        transport.open("inventory")
        slow = (await anext(stream)).body()
        assert [it["data"] for it in slow["incremental"]] == [{"inStock": True}, {"inStock": False}]
        assert not slow["hasNext"]
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_deferred_fragments_may_hang_at_many_places(federation: Federation) -> None:
    query = "{ products { shipping ... @defer { inStock } reviews { ... @defer { author { name } } } } }"
    parts = await parts_of(federation.compiled(query), federation.in_process())
    assert [sorted(it) for it in parts[0]["data"]["products"]] == [["reviews", "shipping"]] * 2
    assert [it["path"] for it in parts[0]["pending"]] == [
        ["products", 0],
        ["products", 0, "reviews", 0],
        ["products", 1],
        ["products", 1, "reviews", 0],
    ]
    assert merged(parts, PENDING).data == {
        "products": [
            {"shipping": 11, "inStock": True, "reviews": [{"author": {"name": "Me"}}]},
            {"shipping": 44, "inStock": False, "reviews": [{"author": {"name": "You"}}]},
        ]
    }


async def test_a_fragment_deferred_inside_a_deferred_one_follows_it(federation: Federation) -> None:
    query = "{ products { name ... @defer { reviews { id ... @defer { author { name } } } } } }"
    transport = GatedTransport(federation.in_process(), "accounts")
    stream = execute_incrementally(federation.compiled(query), {}, ANONYMOUS, transport, format_=PENDING)
    first, second = (await anext(stream)).body(), (await anext(stream)).body()
    assert first["data"] == {"products": [{"name": "one"}, {"name": "two"}]}
    assert [it["data"] for it in second["incremental"]] == [
        {"reviews": [{"id": "r1"}]},
        {"reviews": [{"id": "r2"}]},
    ]
    assert [it["path"] for it in second["pending"]] == [
        ["products", 0, "reviews", 0],
        ["products", 1, "reviews", 0],
    ]
    transport.open("accounts")
    third = (await anext(stream)).body()
    assert [it["data"] for it in third["incremental"]] == [
        {"author": {"name": "Me"}},
        {"author": {"name": "You"}},
    ]
    assert not third["hasNext"]


async def test_the_current_form_does_not_say_a_field_twice(federation: Federation) -> None:
    query = """{ products { name reviews { id } ... @defer(label: "a") { name reviews { id author { name } } }
      ... @defer(label: "b") { inStock reviews { author { name username } } } } }"""
    parts = await parts_of(federation.compiled(query), federation.in_process())
    read = merged(parts, PENDING)
    assert read.data == {
        "products": [
            {
                "name": "one",
                "reviews": [{"id": "r1", "author": {"name": "Me", "username": "me"}}],
                "inStock": True,
            },
            {
                "name": "two",
                "reviews": [{"id": "r2", "author": {"name": "You", "username": "you"}}],
                "inStock": False,
            },
        ]
    }
    said = [key for part in parts[1:] for it in part.get("incremental", ()) for key in it["data"]]
    assert "reviews" not in said
    sub_paths = [it["subPath"] for part in parts for it in part.get("incremental", ()) if "subPath" in it]
    assert ["reviews", 0] in sub_paths


@pytest.mark.parametrize(
    "query",
    [
        "{ products { name ... @defer(if: false) { inStock } } }",
        "{ products { name inStock } }",
    ],
)
async def test_where_nothing_has_to_be_waited_for_there_is_one_plain_answer(
    federation: Federation, query: str
) -> None:
    parts = await parts_of(federation.compiled(query), federation.in_process())
    assert [list(it) for it in parts] == [["data"]]
    assert len(parts[0]["data"]["products"][0]) == 2


async def test_a_fetch_that_fails_later_costs_only_the_later_part(federation: Federation) -> None:
    for format_ in IncrementalFormat:
        transport = FaultyTransport(federation.in_process(), 1, unreachable)
        parts = await parts_of(federation.compiled(QUERY), transport, format_)
        assert parts[0]["data"] == {"products": [{"name": "one"}, {"name": "two"}]}
        assert "errors" not in parts[0]
        first, second = parts[1]["incremental"]
        assert first["data"] == second["data"] == {"inStock": None, "shipping": None}
        assert [it["extensions"]["service"] for it in first["errors"]] == ["inventory"]
        assert "errors" not in second


async def test_a_part_that_null_takes_whole_is_completed_with_its_errors() -> None:
    normal = normal_of("{ item(sku: 1) { sku ... @defer { left } } }")
    node = Defer(root(), (DeferredPart(("item",), None, (), entities("item", "sku")),))
    compiled = compile_plan(QueryPlan(node), AllowedOperation(normal, normal), SHOP)
    refused = {"message": "no", "path": ["_entities", 0, "left"]}

    def transport() -> ScriptedTransport:
        return ScriptedTransport(
            catalog=[{"data": {"item": {"sku": "1"}}}],
            stock=[{"data": {"_entities": [None]}, "errors": [refused]}],
        )

    parts = await parts_of(compiled, transport())
    assert parts[1] == {
        "completed": [
            {
                "id": "0",
                "errors": [{"message": "no", "extensions": {"service": "stock"}, "path": ["item", "left"]}],
            }
        ],
        "hasNext": False,
    }
    parts = await parts_of(compiled, transport(), OF_2022)
    assert parts[1]["incremental"][0]["data"] is None


async def test_an_object_that_is_null_in_the_first_part_has_nothing_to_follow() -> None:
    normal = normal_of("{ item(sku: 1) { sku ... @defer { left } } }")
    node = Defer(root(), (DeferredPart(("item",), None, (), entities("item", "sku")),))
    compiled = compile_plan(QueryPlan(node), AllowedOperation(normal, normal), SHOP)
    transport = ScriptedTransport(catalog=[{"data": {"item": None}}])
    assert await parts_of(compiled, transport) == [{"data": {"item": None}}]
    assert len(transport.requests) == 1


async def test_a_denied_field_in_a_deferred_part_is_told_there() -> None:
    original = normal_of("{ item(sku: 1) { sku ... @defer { name left } } }")
    kept = normal_of("{ item(sku: 1) { sku ... @defer { left } } }")
    denial = Denial(("item", "name"), "Item.name", "FORBIDDEN_FIELD", {})
    node = Defer(root(), (DeferredPart(("item",), None, (), entities("item", "sku")),))
    compiled = compile_plan(QueryPlan(node), AllowedOperation(kept, original, (denial,)), SHOP)
    transport = ScriptedTransport(
        catalog=[{"data": {"item": {"sku": "1", "name": "secret"}}}],
        stock=[{"data": {"_entities": [{"left": 1}]}}],
    )
    parts = await parts_of(compiled, transport)
    assert "errors" not in parts[0]
    assert parts[1]["incremental"][0]["data"] == {"name": None, "left": 1}
    assert [it["path"] for it in parts[1]["incremental"][0]["errors"]] == [["item", "name"]]


async def test_a_deferred_part_does_not_bring_back_what_is_null_around_it() -> None:
    link = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@shareable"])'

    def refuse(_: Any) -> None:
        raise ValueError("no")

    left = MockSubgraph(
        "left",
        f"{link} type Query {{ a: A @shareable }} type A {{ x: Int }}",
        resolvers={"Query.a": refuse},
    )
    right = MockSubgraph(
        "right", f"{link} type Query {{ a: A @shareable }} type A {{ y: Int }}", root={"a": {"y": 2}}
    )
    federation = federation_of([left, right])
    transport = GatedTransport(federation.in_process(), "left")
    query = "{ a { x } ... @defer { a { y } } }"
    stream = execute_incrementally(federation.compiled(query), {}, ANONYMOUS, transport, format_=PENDING)
    first = asyncio.ensure_future(anext(stream))
    await transport.asked("left")
    transport.open("left")
    parts = [(await first).body(), *[it.body() async for it in stream]]
    assert parts[0]["data"] == {"a": None}
    assert [it["path"] for it in parts[0]["errors"]] == [["a"]]
    assert merged(parts, PENDING).data == {"a": None}
