"""`@stream`: the first items with their hops first, the rest in growing batches; in both forms."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from authz.identity.subject import ANONYMOUS
from router.execution import IncrementalFormat, execute_incrementally
from router.execution.transport import SubgraphTransport
from tests.kit_federation.faults import FaultyTransport, GatedTransport, unreachable
from tests.kit_federation.federation import Federation, federation_of
from tests.kit_federation.incremental_client import merged
from tests.kit_federation.mock_subgraph import MockSubgraph

PENDING, OF_2022 = IncrementalFormat.PENDING, IncrementalFormat.MULTIPART_2022
LINK = (
    'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@external",'
    ' "@requires", "@shareable"])'
)
ITEMS_COUNT = 45


def shop(*, broken: int | None = None, items_count: int = ITEMS_COUNT) -> Federation:
    """Items in one subgraph, their stock in another, makers in a third; `broken` has no `must`."""
    items = [
        {"id": f"i{it}", "name": f"item {it}", "maker": {"id": f"m{it % 3}"}, "tags": ["a", f"t{it}"]}
        for it in range(items_count)
    ]

    def must(it: Mapping[str, Any]) -> int | None:
        return None if it["id"] == f"i{broken}" else 1

    catalog = MockSubgraph(
        "catalog",
        f"""{LINK} type Query {{ items: [Item!] groups: [Group] fast: Int numbers: [Int] grid: [[Item]] }}
        type Group {{ name: String members: [Item] }}
        type Item @key(fields: "id") {{ id: ID! name: String maker: Maker tags: [String!] }}
        type Maker @key(fields: "id") {{ id: ID! }}""",
        rows={"Item": items, "Maker": [{"id": f"m{it}"} for it in range(3)]},
        root={
            "items": items,
            "groups": [
                {"name": "one", "members": [*items[:4], None, *items[4:6]]},
                None,
                {"name": "two", "members": []},
                {"name": "three", "members": items[:1]},
            ],
            "fast": 1,
            "numbers": list(range(5)),
            "grid": [items[:2], None, items[2:4]],
        },
    )
    stock = MockSubgraph(
        "stock",
        f"""{LINK} type Item @key(fields: "id") {{ id: ID! left: Int must: Int! seller: Maker }}
        type Maker @key(fields: "id") {{ id: ID! }}""",
        rows={"Item": [{"id": it["id"], "left": n, "seller": {"id": "m1"}} for n, it in enumerate(items)]},
        resolvers={"Item.must": must},
    )
    makers = MockSubgraph(
        "makers",
        f'{LINK} type Maker @key(fields: "id") {{ id: ID! name: String makes: [Item] }} '
        'type Item @key(fields: "id") { id: ID! }',
        rows={
            "Maker": [
                {"id": f"m{it}", "name": f"maker {it}", "makes": [{"id": f"i{n}"} for n in range(it, 9, 3)]}
                for it in range(3)
            ]
        },
    )
    return federation_of([catalog, stock, makers])


async def parts_of(
    federation: Federation,
    query: str,
    format_: IncrementalFormat = PENDING,
    *,
    transport: SubgraphTransport | None = None,
    variables: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    stream = execute_incrementally(
        federation.compiled(query),
        variables or {},
        ANONYMOUS,
        transport or federation.in_process(),
        format_=format_,
    )
    return [it.body() async for it in stream]


async def test_the_first_items_come_with_their_hops_and_the_rest_in_growing_batches() -> None:
    federation = shop()
    parts = await parts_of(federation, '{ items @stream(initialCount: 3, label: "all") { id left } }')
    assert parts[0] == {
        "data": {"items": [{"id": f"i{it}", "left": it} for it in range(3)]},
        "pending": [{"id": "0", "path": ["items"], "label": "all"}],
        "hasNext": True,
    }
    batches = [it["items"] for part in parts[1:] for it in part["incremental"]]
    assert [len(it) for it in batches] == [10, 20, 12]
    assert [it for batch in batches for it in batch] == [
        {"id": f"i{it}", "left": it} for it in range(3, ITEMS_COUNT)
    ]
    assert parts[-1]["completed"] == [{"id": "0"}]
    stock = next(it for it in federation.subgraphs if it.name == "stock")
    assert [len(it.representations) for it in stock.calls] == [3, 10, 20, 12]
    assert federation.calls()["catalog"] == 1


async def test_the_form_of_2022_names_each_batch_by_the_index_of_its_first_item() -> None:
    parts = await parts_of(shop(), '{ items @stream(initialCount: 3, label: "all") { left } }', OF_2022)
    assert [list(it) for it in parts] == [["data", "hasNext"], *[["incremental", "hasNext"]] * 3]
    assert [it["path"] for part in parts[1:] for it in part["incremental"]] == [
        ["items", 3],
        ["items", 13],
        ["items", 33],
    ]
    assert all(it["label"] == "all" for part in parts[1:] for it in part["incremental"])


async def test_the_first_part_waits_for_no_hop_of_later_items() -> None:
    federation = shop()
    transport = GatedTransport(federation.in_process(), "stock")
    stream = execute_incrementally(
        federation.compiled("{ items @stream { id left } }"), {}, ANONYMOUS, transport, format_=PENDING
    )
    assert (await anext(stream)).body()["data"] == {"items": []}
    await transport.asked("stock")
    assert [len(it.variables["representations"]) for it in transport.requests[1:]] == [10]
    transport.open("stock")
    rest = [it.body() async for it in stream]
    assert sum(len(it["items"]) for part in rest for it in part["incremental"]) == ITEMS_COUNT


@pytest.mark.parametrize("format_", IncrementalFormat)
@pytest.mark.parametrize(
    "selected",
    [
        "items @stream(initialCount: 2) { id }",
        "items @stream(initialCount: 2) { id tags @stream(initialCount: 1) }",
        "items @stream(initialCount: 45) { left }",
        "items @stream(initialCount: 1000) { left }",
        "numbers @stream(initialCount: 2)",
        "grid @stream(initialCount: 1) { id left }",
        "groups @stream(initialCount: 1) { name members { left } }",
        "groups { name members @stream(initialCount: 2) { left maker { name } } }",
        "groups @stream(initialCount: 1) { name members @stream(initialCount: 1) { left seller { name } } }",
        "items @stream(initialCount: 5) { id ... @defer { left } }",
        "items @stream(initialCount: 5) { id ... @defer { left maker { ... @defer { name } } } }",
        "fast ... @defer { items @stream(initialCount: 5) { left seller { name } } }",
        "items @stream(initialCount: 1) { seller { makes @stream(initialCount: 1) { name left } } }",
        "items @stream { ... @defer { seller { makes @stream(initialCount: 1) { left } } } }",
    ],
)
async def test_put_together_the_parts_are_the_whole_answer(selected: str, format_: IncrementalFormat) -> None:
    federation = shop()
    parts = await parts_of(federation, "{ " + selected + " }", format_)
    whole = await federation.ask("{ " + selected + " }")
    read = merged(parts, format_)
    assert whole.errors == ()
    assert read.errors == []
    assert read.data == whole.data


async def test_a_list_no_longer_than_the_count_is_one_plain_answer() -> None:
    for query in (
        "{ items @stream(initialCount: 45) { id } }",
        "{ items @stream(if: false, initialCount: 1) { id } }",
        "{ items @stream(initialCount: $n) { id } }".replace("{ items", "query ($n: Int = 50) { items", 1),
    ):
        parts = await parts_of(shop(), query, variables={"n": 50})
        assert [list(it) for it in parts] == [["data"]]


async def test_each_list_of_many_is_announced_and_completed_by_itself() -> None:
    query = "{ groups { members @stream(initialCount: 1) { left } } }"
    parts = await parts_of(shop(), query)
    assert parts[0]["pending"] == [{"id": "0", "path": ["groups", 0, "members"]}]
    assert parts[0]["data"]["groups"] == [
        {"members": [{"left": 0}]},
        None,
        {"members": []},
        {"members": [{"left": 0}]},
    ]
    assert merged(parts, PENDING).data["groups"][0]["members"][4] is None


@pytest.mark.parametrize("format_", IncrementalFormat)
async def test_a_null_where_none_may_be_ends_the_list_with_its_reason(format_: IncrementalFormat) -> None:
    parts = await parts_of(shop(broken=7), "{ items @stream(initialCount: 2) { id must } }", format_)
    read = merged(parts, format_)
    assert [it["id"] for it in read.data["items"]] == [f"i{it}" for it in range(7)]
    assert read.ended == [["items"]]
    assert [it["path"] for it in read.errors] == [["items", 7, "must"]]
    assert parts[-1]["hasNext"] is False


async def test_a_null_in_the_first_items_takes_the_list_as_ever() -> None:
    parts = await parts_of(shop(broken=1), "{ items @stream(initialCount: 2) { id must } }")
    assert [it["data"] for it in parts] == [{"items": None}]
    assert [it["path"] for it in parts[0]["errors"]] == [["items", 1, "must"]]


@pytest.mark.parametrize("format_", IncrementalFormat)
async def test_an_error_of_a_later_item_is_told_with_that_item(format_: IncrementalFormat) -> None:
    federation = shop()
    transport = FaultyTransport(federation.in_process(), 2, unreachable)
    parts = await parts_of(
        federation, "{ items @stream(initialCount: 3) { id left } }", format_, transport=transport
    )
    assert [bool(part.get("errors")) for part in parts] == [False] * 4
    assert [[len(it.get("errors", ())) for it in part["incremental"]] for part in parts[1:]] == [
        [1],
        [0],
        [0],
    ]
    read = merged(parts, format_)
    assert [it["left"] for it in read.data["items"]] == [0, 1, 2, *[None] * 10, *range(13, ITEMS_COUNT)]


async def test_what_a_list_item_needs_is_not_asked_for_twice() -> None:
    federation = shop()
    await parts_of(federation, "{ items @stream(initialCount: 3) { left seller { name } } }")
    stock, makers = (next(it for it in federation.subgraphs if it.name == n) for n in ("stock", "makers"))
    asked = [one["id"] for call in stock.calls for one in call.representations]
    assert len(asked) == len(set(asked)) == ITEMS_COUNT
    assert [len(it.representations) for it in makers.calls] == [1, 1, 1, 1]


async def test_a_client_that_goes_away_ends_every_call_under_way() -> None:
    federation = shop()
    transport = GatedTransport(federation.in_process(), "stock", "makers")
    query = "{ items @stream(initialCount: 0) { id left } ... @defer { items2: items { maker { name } } } }"
    stream = execute_incrementally(federation.compiled(query), {}, ANONYMOUS, transport, format_=PENDING)
    await anext(stream)
    await asyncio.gather(transport.asked("stock"), transport.asked("makers"))
    await stream.aclose()  # type: ignore[attr-defined]
    assert transport.cancelled_count == 2
    assert [it for it in asyncio.all_tasks() if "Delivery" in repr(it)] == []


async def test_the_first_part_may_be_given_up_on_as_well() -> None:
    federation = shop()
    transport = GatedTransport(federation.in_process(), "catalog")
    stream = execute_incrementally(
        federation.compiled("{ items @stream { left } }"), {}, ANONYMOUS, transport, format_=PENDING
    )
    first = asyncio.ensure_future(anext(stream))
    await transport.asked("catalog")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert transport.cancelled_count == 1


async def test_a_requirement_of_the_whole_list_is_fetched_for_all_items_first() -> None:
    catalog = MockSubgraph(
        "catalog",
        f"""{LINK} type Query {{ box: Box }}
        type Box @key(fields: "id") {{ id: ID! items: [Item!] }}
        type Item @key(fields: "id") {{ id: ID! }}""",
        rows={"Box": [{"id": "b", "items": [{"id": "1"}, {"id": "2"}, {"id": "3"}]}]},
        root={"box": {"id": "b", "items": [{"id": "1"}, {"id": "2"}, {"id": "3"}]}},
    )
    scale = MockSubgraph(
        "scale",
        f'{LINK} type Item @key(fields: "id") {{ id: ID! weight: Int }}',
        rows={"Item": [{"id": str(it), "weight": it} for it in (1, 2, 3)]},
    )
    post = MockSubgraph(
        "post",
        f"""{LINK} type Box @key(fields: "id") {{ id: ID! items: [Item!] @external
          postage: Int @requires(fields: "items {{ weight }}") }}
        type Item @key(fields: "id") {{ id: ID! weight: Int @external }}""",
        rows={"Box": [{"id": "b"}]},
        resolvers={"Box.postage": lambda it: sum(one["weight"] for one in it["items"])},
    )
    federation = federation_of([catalog, scale, post])
    parts = await parts_of(federation, "{ box { postage items @stream(initialCount: 1) { weight } } }")
    assert parts[0]["data"] == {"box": {"postage": 6, "items": [{"weight": 1}]}}
    assert merged(parts, PENDING).data["box"]["items"] == [{"weight": it} for it in (1, 2, 3)]
    assert [len(it.representations) for it in scale.calls] == [3]
