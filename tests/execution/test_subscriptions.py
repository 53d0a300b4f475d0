"""Subscriptions from subgraph to client: every event completed by other subgraphs, over every transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from authz.identity.subject import ANONYMOUS
from router.errors import SubgraphCallFailed
from router.execution import subscribe
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.http import HttpTransport
from router.traffic import StreamProtocol, SubgraphTraffic, SubscriptionSource, Traffic
from tests.kit_federation.faults import FAULTS, FaultyTransport
from tests.kit_federation.federation import Federation, federation_of
from tests.kit_federation.mock_subgraph import MockSubgraph
from tests.kit_federation.serving import serving

LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])'
SCORES = f"""{LINK}
type Query {{ matches: [Match] }}
type Subscription {{ scored(match: ID!): Goal }}
type Goal {{ minute: Int! match: Match! by: Player }}
type Match @key(fields: "id") {{ id: ID! goals: Int }}
type Player @key(fields: "id") {{ id: ID! }}
"""
PEOPLE = f"""{LINK}
type Query {{ players: [Player] }}
type Player @key(fields: "id") {{ id: ID! name: String }}
"""


async def scored(_: Any, match: str) -> AsyncIterator[dict[str, Any]]:
    for minute, player in ((3, "p1"), (40, "gone"), (88, "p2"), (90, "p1")):
        by = {"id": player}
        yield {"scored": {"minute": minute, "match": {"id": match}, "by": by}}


@pytest.fixture
def federation() -> Federation:
    return federation_of(
        [
            MockSubgraph("scores", SCORES, resolvers={"Subscription.scored": scored}),
            MockSubgraph(
                "people", PEOPLE, rows={"Player": [{"id": "p1", "name": "Pia"}, {"id": "p2", "name": "Pau"}]}
            ),
        ]
    )


QUERY = "subscription ($m: ID!) { scored(match: $m) { minute who: by { name } match { id } } }"
OWED = [
    {"scored": {"minute": minute, "who": {"name": name}, "match": {"id": "m1"}}}
    for minute, name in ((3, "Pia"), (40, None), (88, "Pau"), (90, "Pia"))
]


async def test_in_process(federation: Federation) -> None:
    answers = [it async for it in federation.events(QUERY, {"m": "m1"})]
    assert [it.data for it in answers] == OWED
    assert all(it.errors == () for it in answers)
    assert federation.calls() == {"scores": 1, "people": 4}


STREAMS = [one for one in StreamProtocol if one not in {StreamProtocol.CALLBACK, StreamProtocol.EVENTS}]


@pytest.mark.parametrize("protocol", STREAMS)
async def test_over_http(federation: Federation, protocol: StreamProtocol) -> None:
    async with serving(federation.subgraphs) as urls:
        source = SubscriptionSource(protocol=protocol)
        transport = HttpTransport(urls, traffic=Traffic(all=SubgraphTraffic(subscriptions=source)))
        answers = [it async for it in federation.events(QUERY, {"m": "m1"}, transport=transport)]
        await transport.close()
    assert [it.data for it in answers] == OWED


async def test_closing_the_clients_stream_ends_the_subgraphs(federation: Federation) -> None:
    ended = False

    async def endless(_: Any, match: str) -> AsyncIterator[dict[str, Any]]:
        nonlocal ended
        try:
            while True:
                yield {"scored": {"minute": 1, "match": {"id": match}, "by": None}}
        finally:
            ended = True

    subgraph = MockSubgraph("scores", SCORES, resolvers={"Subscription.scored": endless})
    whole = Federation((subgraph, federation.subgraphs[1]), federation.supergraph)
    stream = whole.events(QUERY, {"m": "m1"})
    first = await anext(stream)
    assert first.data == {"scored": {"minute": 1, "who": None, "match": {"id": "m1"}}}
    await stream.aclose()  # type: ignore[attr-defined]
    assert ended


class EventsTransport(FaultyTransport):
    """Fetches as the other one does; the events are those of the test. An exception among them is raised."""

    def __init__(self, federation: Federation, *events: SubgraphResponse | Exception) -> None:
        super().__init__(federation.in_process(), -1, FAULTS[0])
        self._events = events

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        for event in self._events:
            if isinstance(event, Exception):
                raise event
            yield event


def goal(minute: Any, player: str | None = "p1") -> SubgraphResponse:
    by = None if player is None else {"__typename": "Player", "id": player}
    return SubgraphResponse({"scored": {"minute": minute, "match": {"id": "m1"}, "by": by}})


async def answers_to(federation: Federation, *events: SubgraphResponse | Exception) -> list[dict[str, Any]]:
    transport = EventsTransport(federation, *events)
    return [it.body() async for it in federation.events(RENAMED, {"m": "m1"}, transport=transport)]


RENAMED = "subscription ($m: ID!) { scored(match: $m) { minute by { name } } }"
NOTHING = {"scored": None}
PIA = {"data": {"scored": {"minute": 1, "by": {"name": "Pia"}}}}


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (
            SubgraphCallFailed("scores", "cut off", code="SUBREQUEST_WEBSOCKET_ERROR"),
            "SUBREQUEST_WEBSOCKET_ERROR",
        ),
        (RuntimeError("a secret of the transport"), "SUBREQUEST_HTTP_ERROR"),
    ],
)
async def test_a_stream_that_is_cut_ends_with_one_answer_that_says_so(
    federation: Federation, failure: Exception, code: str
) -> None:
    first, last = await answers_to(federation, goal(1), failure)
    assert first == PIA
    assert last["data"] == NOTHING
    assert [(it["extensions"]["code"], it["extensions"]["service"]) for it in last["errors"]] == [
        (code, "scores")
    ]
    assert "secret" not in str(last)


async def test_an_event_of_errors_is_told_and_the_stream_goes_on(federation: Federation) -> None:
    refused = {"message": "not now", "path": ["scored"], "locations": [{"line": 1, "column": 1}]}
    first, second, third = await answers_to(
        federation, goal(1), SubgraphResponse(None, errors=(refused,)), goal(1)
    )
    assert first == third == PIA
    assert second == {
        "errors": [{"message": "not now", "extensions": {"service": "scores"}, "path": ["scored"]}],
        "data": NOTHING,
    }


async def test_an_event_with_part_of_its_data_is_completed_with_its_errors(federation: Federation) -> None:
    odd = {"message": "no player", "path": ["scored", "by"]}
    (only,) = await answers_to(federation, SubgraphResponse(goal(7, None).data, errors=(odd,)))
    assert only["data"] == {"scored": {"minute": 7, "by": None}}
    assert [it["path"] for it in only["errors"]] == [["scored", "by"]]


async def test_an_event_that_breaks_its_schema_costs_itself_alone(federation: Federation) -> None:
    answers = await answers_to(
        federation,
        goal("text"),
        SubgraphResponse({"scored": "text"}),
        SubgraphResponse({}),
        SubgraphResponse({"scored": []}),
        goal(1),
    )
    assert [it["data"] for it in answers[:-1]] == [{"scored": None}] * 4
    assert answers[-1] == PIA
    assert "valueCompletion" in answers[0]["extensions"]


async def test_a_hop_that_fails_costs_one_event_its_field(federation: Federation) -> None:
    for fault in FAULTS:
        transport = FaultyTransport(federation.in_process(), 1, fault)
        found = [it async for it in federation.events(QUERY, {"m": "m1"}, transport=transport)]
        names = [it.data["scored"]["who"]["name"] for it in found]  # type: ignore[index, call-overload]
        assert names == ["Pia", None, "Pau", "Pia"]
        assert [len(it.errors) > 0 for it in found] == [False, True, False, False]
        assert {tuple(it["path"]) for it in found[1].errors} == {("scored", "who")}


async def test_an_event_waits_for_its_hops_and_keeps_its_place(federation: Federation) -> None:
    gate = asyncio.Event()

    class Slow(FaultyTransport):
        async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
            if self.count == 0:
                await gate.wait()
            return await super().fetch(request)

    stream = subscribe(
        federation.compiled(QUERY), {"m": "m1"}, ANONYMOUS, Slow(federation.in_process(), -1, FAULTS[0])
    )
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not first.done()
    gate.set()
    assert (await first).data == OWED[0]
    assert [it.data async for it in stream] == OWED[1:]


async def cut_after_one(request: web.Request) -> web.StreamResponse:
    """One event, half of another, and no more."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    event = '{"data":{"scored":{"minute":1,"match":{"id":"m1"},"by":null}}}'
    await response.write(f'event: next\ndata: {event}\n\nevent: next\ndata: {{"da'.encode())
    assert request.transport is not None
    request.transport.abort()
    return response


async def refuse_in_json(_: web.Request) -> web.StreamResponse:
    """No stream at all: a GraphQL answer that says why."""
    return web.json_response({"errors": [{"message": "not for you"}]})


async def answers_over_sse(federation: Federation, handler: Any) -> list[dict[str, Any]]:
    async with serving(federation.subgraphs, instead=handler) as urls:
        source = SubscriptionSource(protocol=StreamProtocol.SSE)
        transport = HttpTransport(urls, traffic=Traffic(all=SubgraphTraffic(subscriptions=source)))
        found = [it.body() async for it in federation.events(RENAMED, {"m": "m1"}, transport=transport)]
        await transport.close()
    return found


async def test_an_event_stream_that_breaks_off_is_told(federation: Federation) -> None:
    first, last = await answers_over_sse(federation, cut_after_one)
    assert first == {"data": {"scored": {"minute": 1, "by": None}}}
    assert last["data"] == NOTHING
    assert [it["extensions"]["code"] for it in last["errors"]] == ["SUBREQUEST_HTTP_ERROR"]


async def test_a_subgraph_that_refuses_to_stream_is_told(federation: Federation) -> None:
    (only,) = await answers_over_sse(federation, refuse_in_json)
    assert only["data"] == NOTHING
    assert only["errors"]
