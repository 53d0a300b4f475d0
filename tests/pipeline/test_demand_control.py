"""Limits on costs: measured or enforced, for all, for a class of clients, for one subgraph."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
import pytest

from authz.identity.subject import ANONYMOUS, Subject
from router.admission import ClientClass, Demand, DemandControl
from router.config import RouterConfig
from router.errors import ClientError
from router.execution import IncrementalFormat
from router.execution.transports.in_process import InProcessTransport
from router.pipeline import GraphQLRequest, Router
from router.snapshot import snapshot_of
from router.telemetry import cost_actual, cost_estimated
from schema.composition import compose
from schema.sources import SubgraphSource

LINK = """
extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@cost", "@listSize"])
"""
BOOKS = LINK + """
type Query {
  books(first: Int): [Book!] @listSize(slicingArguments: ["first"])
  all: [Book!] @listSize(assumedSize: 100)
}
type Mutation { add: Book }
type Subscription { added: Book  flood: Book @cost(weight: 1000) }
type Book @key(fields: "id") { id: ID! title: String }
"""  # fmt: skip
STOCK = LINK + """
type Book @key(fields: "id") { id: ID! copies: Int @cost(weight: 5) }
"""  # fmt: skip
STOCKED = "{ books(first: 2) { title copies } }"
PARTNER = Subject("p", client_id="acme")


class Shelf:
    """Two books, in each of two subgraphs; keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def execute(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> Mapping[str, Any]:
        self.asked.append(query)
        if "_entities" in query:
            return {"data": {"_entities": [{"copies": 1} for _ in variables["representations"]]}}
        books = [{"__typename": "Book", "id": str(number), "title": "t"} for number in (1, 2)]
        return {"data": {"books": books, "all": books, "add": books[0]}}

    async def subscribe(
        self, query: str, variables: dict[str, Any], operation_name: str | None, subject: Subject
    ) -> AsyncIterator[Mapping[str, Any]]:
        self.asked.append(query)
        yield {"data": {"added": {"id": "1"}}}


def router_of(demand: DemandControl, shelf: Shelf, **more: Any) -> Router:
    sources = [
        SubgraphSource(name, f"http://{name}.invalid", sdl)
        for name, sdl in (("books", BOOKS), ("stock", STOCK))
    ]
    sdl = compose(sources).supergraph_sdl
    assert sdl is not None
    config = RouterConfig(demand=demand, **more)
    transport = InProcessTransport({"books": shelf, "stock": shelf})
    return Router(snapshot_of(sdl, config), transport, config=config)


async def ask(router: Router, text: str, subject: Subject = ANONYMOUS, **variables: Any) -> dict[str, Any]:
    response = await router.handle(GraphQLRequest(text=text, variables=variables), subject)
    return orjson.loads(orjson.dumps(response.body()))


async def refused(router: Router, text: str, subject: Subject = ANONYMOUS, **variables: Any) -> ClientError:
    with pytest.raises(ClientError) as raised:
        await ask(router, text, subject, **variables)
    return raised.value


async def test_an_operation_over_the_limit_is_refused_before_any_subgraph_is_asked() -> None:
    shelf = Shelf()
    router = router_of(DemandControl(mode=Demand.ENFORCE, cost_max=50), shelf)
    refusal = await refused(router, "{ all { title } }")
    assert refusal.to_graphql() == {
        "message": "the operation's estimated cost is 100, at most 50 is allowed",
        "extensions": {
            "code": "COST_ESTIMATED_TOO_EXPENSIVE",
            "cost.estimated": 100,
            "cost.max": 50,
        },
    }
    assert shelf.asked == []
    assert (await ask(router, "query($n: Int) { books(first: $n) { title } }", n=50))["data"]
    assert (await refused(router, "query($n: Int) { books(first: $n) { title } }", n=51)).http_status == 400
    assert (await refused(router, "{ books { title } }")).code == "COST_QUERY_PARSE_FAILURE"


async def test_measuring_refuses_nothing_and_counts_all() -> None:
    router = router_of(DemandControl(mode=Demand.MEASURE, cost_max=50, shown=True), Shelf())
    key = ("COST_ESTIMATED_TOO_EXPENSIVE",)
    before = sum(cost_estimated.values[key].counts) if key in cost_estimated.values else 0
    body = await ask(router, "{ all { title } }")
    assert body["extensions"]["cost"] == {
        "estimated": 100, "max": 50, "actual": 2, "result": "COST_ESTIMATED_TOO_EXPENSIVE",
        "bySubgraph": {"books": 100},
    }  # fmt: skip
    assert sum(cost_estimated.values[key].counts) == before + 1
    assert (await ask(router, "{ books { title } }"))["data"]


async def test_costs_are_shown_only_where_that_is_asked_for() -> None:
    assert "extensions" not in await ask(router_of(DemandControl(mode=Demand.MEASURE), Shelf()), STOCKED)
    assert "extensions" not in await ask(router_of(DemandControl(shown=True, cost_max=1), Shelf()), STOCKED)


async def test_a_subgraphs_share_over_its_limit_is_left_out_and_the_rest_answered() -> None:
    shelf = Shelf()
    # stock: 2 books × copies 5 = 10
    limited = DemandControl(mode=Demand.ENFORCE, subgraph_cost_max={"stock": 9, "all": 1_000})
    router = router_of(limited, shelf)
    body = await ask(router, STOCKED)
    assert body["data"] == {"books": [{"title": "t", "copies": None}, {"title": "t", "copies": None}]}
    assert {it["extensions"]["code"] for it in body["errors"]} == {"SUBGRAPH_COST_ESTIMATED_TOO_EXPENSIVE"}
    assert {it["extensions"]["service"] for it in body["errors"]} == {"stock"}
    assert len(shelf.asked) == 1
    assert "errors" not in await ask(router, "{ books(first: 1) { title copies } }")
    for_all = router_of(DemandControl(mode=Demand.ENFORCE, subgraph_cost_max={"all": 9}), Shelf())
    assert "errors" in await ask(for_all, STOCKED)


async def test_an_answer_over_the_limit_is_not_sent() -> None:
    router = router_of(DemandControl(mode=Demand.ENFORCE, actual_cost_max=11), Shelf())
    refusal = await refused(router, STOCKED)
    # 2 × (book 1 + copies 5)
    assert (refusal.code, refusal.extensions) == (
        "COST_ACTUAL_TOO_EXPENSIVE",
        {"cost.actual": 12, "cost.max": 11},
    )
    assert (await ask(router, "{ books(first: 2) { title } }"))["data"]


IN_PARTS = [
    "{ books(first: 2) { title ... @defer { copies } } }",
    "{ books(first: 2) { title ... @defer { copies title } ... @defer { id } } }",
    "{ all @stream(initialCount: 1) { title copies } }",
    "{ all @stream(initialCount: 0) { title ... @defer { copies } } }",
    "{ books(first: 2) { ... on Book { title ... on Book @defer { copies } } } }",
]


async def parts_of(
    router: Router, text: str, format_: IncrementalFormat = IncrementalFormat.PENDING
) -> list[dict[str, Any]]:
    request = GraphQLRequest(text=text)
    graph = router.snapshot
    document = await router.read(request, graph)
    parts = await router.parts(request, document, ANONYMOUS, graph, format_)
    return [orjson.loads(orjson.dumps(one.body())) async for one in parts]


@pytest.mark.parametrize("format_", IncrementalFormat)
@pytest.mark.parametrize("text", IN_PARTS, ids=["defer", "two", "stream", "both", "in a fragment"])
async def test_an_answer_in_parts_costs_what_the_whole_costs(text: str, format_: IncrementalFormat) -> None:
    router = router_of(DemandControl(mode=Demand.MEASURE, shown=True), Shelf())
    before = sum(one.total for one in cost_actual.values.values())
    whole = (await ask(router, text))["extensions"]["cost"]["actual"]
    assert whole == 12  # two books, and the copies of each for five
    first, *_, last = await parts_of(router, text, format_)
    assert first["hasNext"] is True
    assert "extensions" not in first
    assert last["hasNext"] is False
    assert last["extensions"]["cost"]["actual"] == whole
    assert sum(one.total for one in cost_actual.values.values()) - before == 2 * whole


@pytest.mark.parametrize("format_", IncrementalFormat)
async def test_the_part_that_makes_an_answer_too_dear_is_not_sent(format_: IncrementalFormat) -> None:
    router = router_of(DemandControl(mode=Demand.ENFORCE, actual_cost_max=11), Shelf())
    request = GraphQLRequest(text=IN_PARTS[0])
    document = await router.read(request, router.snapshot)
    parts = await router.parts(request, document, ANONYMOUS, router.snapshot, format_)
    first = await anext(parts)
    assert first.body()["data"] == {"books": [{"title": "t"}, {"title": "t"}]}
    with pytest.raises(ClientError) as raised:
        async for part in parts:
            assert "copies" not in str(part.body())
    assert raised.value.code == "COST_ACTUAL_TOO_EXPENSIVE"
    too_dear = router_of(DemandControl(mode=Demand.ENFORCE, actual_cost_max=1), Shelf())
    with pytest.raises(ClientError):
        await parts_of(too_dear, IN_PARTS[0])


async def test_what_a_client_left_before_its_end_cost_what_was_sent() -> None:
    router = router_of(DemandControl(mode=Demand.MEASURE), Shelf())
    request = GraphQLRequest(text=IN_PARTS[0])
    document = await router.read(request, router.snapshot)
    parts = await router.parts(request, document, ANONYMOUS, router.snapshot, IncrementalFormat.PENDING)
    before = sum(one.total for one in cost_actual.values.values())
    await anext(parts)
    await parts.aclose()  # type: ignore[attr-defined]
    assert sum(one.total for one in cost_actual.values.values()) - before == 2


async def test_parts_are_not_counted_where_answers_are_not_measured() -> None:
    demand = DemandControl(mode=Demand.ENFORCE, actual_cost_max=1, measure_answers=False, shown=True)
    *_, last = await parts_of(router_of(demand, Shelf()), IN_PARTS[0])
    assert "actual" not in last["extensions"]["cost"]


async def test_a_class_of_clients_has_a_budget_of_its_own() -> None:
    classes = {"partner": ClientClass(client_ids=("acme",), cost_max=5)}
    router = router_of(DemandControl(mode=Demand.ENFORCE, cost_max=200), Shelf(), client_classes=classes)
    assert (await ask(router, "{ all { title } }"))["data"]
    assert (await refused(router, "{ all { title } }", PARTNER)).extensions["cost.max"] == 5
    assert (await ask(router, "{ books(first: 5) { title } }", PARTNER))["data"]


async def test_subscriptions_are_judged_before_they_are_opened() -> None:
    shelf = Shelf()
    router = router_of(DemandControl(mode=Demand.ENFORCE, cost_max=50), shelf)
    graph = router.snapshot
    for text, fits in (("subscription { flood { id } }", False), ("subscription { added { id } }", True)):
        request = GraphQLRequest(text=text)
        document = await router.read(request, graph)
        if fits:
            events = await router.events(request, document, ANONYMOUS, graph)
            assert [one.body() async for one in events] == [{"data": {"added": {"id": "1"}}}]
        else:
            with pytest.raises(ClientError, match="estimated cost is 1000"):
                await router.events(request, document, ANONYMOUS, graph)
            assert shelf.asked == []


async def test_texts_that_differ_in_literals_alone_are_weighed_each_by_its_own() -> None:
    router = router_of(DemandControl(mode=Demand.ENFORCE, cost_max=50), Shelf())
    for count in (3, 40, 50):
        assert (await ask(router, f"{{ books(first: {count}) {{ title }} }}"))["data"]
    assert (await refused(router, "{ books(first: 51) { title } }")).extensions["cost.estimated"] == 51


async def test_nothing_is_counted_where_it_is_off() -> None:
    counted = (dict(cost_estimated.values), dict(cost_actual.values))
    await ask(router_of(DemandControl(), Shelf()), STOCKED)
    assert (dict(cost_estimated.values), dict(cost_actual.values)) == counted


async def test_a_class_may_be_kept_from_the_schema() -> None:
    classes = {"partner": ClientClass(client_ids=("acme",), introspection=False)}
    router = router_of(DemandControl(), Shelf(), client_classes=classes, introspection=True)
    text = "{ __schema { queryType { name } } }"
    assert (await ask(router, text))["data"]
    assert (await refused(router, text, PARTNER)).code == "INTROSPECTION_DISABLED"
    assert (await ask(router, "{ __typename }", PARTNER))["data"] == {"__typename": "Query"}
    assert "Did you mean" not in (await refused(router, "{ boks { title } }", PARTNER)).message
