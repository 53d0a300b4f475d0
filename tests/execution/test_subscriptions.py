"""Subscriptions from subgraph to client: every event completed by other subgraphs, over every transport."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from router.execution.transports.http import HttpTransport
from router.traffic import StreamProtocol, SubgraphTraffic, SubscriptionSource, Traffic
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


STREAMS = [one for one in StreamProtocol if one is not StreamProtocol.CALLBACK]


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
