"""`extensions.nullReasons`: each null that a fetch left, and what happened to it; off by default."""

from __future__ import annotations

from typing import Any

import pytest

from router.execution import ExecutionOptions
from tests.kit_federation.case_files import case_subgraphs, read_case
from tests.kit_federation.faults import FAULTS, Fault, FaultyTransport, unreachable
from tests.kit_federation.federation import Federation, federation_of
from tests.kit_federation.mock_subgraph import MockSubgraph

TOLD = ExecutionOptions(null_reasons=True)
LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])'


@pytest.fixture
def federation() -> Federation:
    return federation_of(case_subgraphs(read_case("everyday_mix")))


def reasons(answer: Any) -> list[tuple[Any, ...]]:
    found = answer.extensions.get("nullReasons", [])
    return [(".".join(map(str, it["path"])), it["reason"], it["service"]) for it in found]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fetch_that_fails_is_the_reason_of_its_nulls(federation: Federation, fault: Fault) -> None:
    transport = FaultyTransport(federation.in_process(), 1, fault)
    query = "{ products { name inStock stocked: inStock } }"
    answer = await federation.ask(query, transport=transport, options=TOLD)
    assert reasons(answer) == [
        (f"products.{index}.{key}", "FETCH_FAILED", "inventory")
        for index in (0, 1)
        for key in ("inStock", "stocked")
    ]


async def test_a_root_fetch_that_fails_is_the_reason_of_its_fields(federation: Federation) -> None:
    transport = FaultyTransport(federation.in_process(), 0, unreachable)
    answer = await federation.ask("{ products { name inStock } }", transport=transport, options=TOLD)
    assert reasons(answer) == [("products", "FETCH_FAILED", "products")]


async def test_off_nothing_is_told(federation: Federation) -> None:
    transport = FaultyTransport(federation.in_process(), 1, unreachable)
    answer = await federation.ask("{ products { name inStock } }", transport=transport)
    assert answer.data is not None
    assert "nullReasons" not in answer.extensions


async def test_an_answer_without_such_nulls_says_nothing(federation: Federation) -> None:
    answer = await federation.ask("{ products { name inStock } }", options=TOLD)
    assert answer.extensions == {}


def keys_missing() -> Federation:
    """The second item has no key for the other subgraph, which does not know the third."""
    a = MockSubgraph(
        "a",
        f'{LINK} type Query {{ items: [Item] }} type Item @key(fields: "code") {{ id: ID! code: String }}',
        root={"items": [{"id": "1", "code": "x"}, {"id": "2", "code": None}, {"id": "3", "code": "z"}]},
    )
    b = MockSubgraph(
        "b",
        f'{LINK} type Item @key(fields: "code") {{ code: String price: Int cost: Int must: Must }}'
        " type Must { really: Int! }",
        rows={"Item": [{"code": "x", "price": 7, "cost": None, "must": {"really": None}}]},
    )
    return federation_of([a, b])


async def test_a_skipped_fetch_and_an_unknown_entity_are_told_apart_from_a_null_value() -> None:
    answer = await keys_missing().ask("{ items { id price cost } }", options=TOLD)
    assert answer.data == {
        "items": [
            {"id": "1", "price": 7, "cost": None},
            {"id": "2", "price": None, "cost": None},
            {"id": "3", "price": None, "cost": None},
        ]
    }
    assert reasons(answer) == [
        ("items.1.price", "FETCH_SKIPPED", "b"),
        ("items.1.cost", "FETCH_SKIPPED", "b"),
        ("items.2.price", "ENTITY_IS_NULL", "b"),
        ("items.2.cost", "ENTITY_IS_NULL", "b"),
    ]


async def test_a_null_that_came_up_is_told_where_it_stands() -> None:
    a = MockSubgraph(
        "a",
        f"{LINK} type Query {{ box: Box }} type Box {{ name: String item: Item! }}"
        ' type Item @key(fields: "id") { id: ID! }',
        root={"box": {"name": "box", "item": {"id": "1"}}},
    )
    b = MockSubgraph("b", f'{LINK} type Item @key(fields: "id") {{ id: ID! must: Int! }}')
    answer = await federation_of([a, b]).ask("{ box { name item { must } } }", options=TOLD)
    assert answer.data == {"box": None}
    assert reasons(answer) == [("box", "ENTITY_IS_NULL", "b")]
