"""Subscriptions from the event bus: each event asks the subgraph what its caller may see of the entity."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from graphql import GraphQLError

from authz.identity.subject import ANONYMOUS
from datastores.events.embedded import EmbeddedEvents
from datastores.events.port import Event
from datastores.relational.opening import open_relational
from datastores.relational.port import Relational
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.http import HttpTransport
from router.operation.model import OperationKind
from router.traffic import EventTopic, StreamProtocol, SubgraphTraffic, SubscriptionSource, Traffic
from tests.kit_federation.mock_subgraph import MockSubgraph
from tests.kit_federation.serving import serving

SDL = """extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
type Query { runs: [Run] }
type Subscription { runChanged(of: ID!): Run anyRun: Run untold: Run }
type Run @key(fields: "id") { id: ID! title(upper: Boolean): String heart: Int }
"""
TOPICS = {
    "runChanged": EventTopic(topic="run.changed", type="Run", fields=("id",), argument="of"),
    "anyRun": EventTopic(topic="run.changed", type="Run"),
}


@dataclass
class Bus:
    """A router's transport over a served subgraph, and the events that a test publishes."""

    transport: HttpTransport
    subgraph: MockSubgraph
    events: EmbeddedEvents
    store: Relational

    async def publish(self, run: str, *, of: str = "mira", **more: Any) -> None:
        payload = {"id": run, "heart": 999, **more}
        told = Event(str(uuid.uuid4()), "run.changed", of, payload, datetime.now(UTC))
        await self.store.write(lambda connection: self.events.outbox.append(connection, [told]))

    def subscribe(self, query: str, **variables: Any) -> AsyncIterator[SubgraphResponse]:
        request = SubgraphRequest(
            service="runs",
            kind=OperationKind.SUBSCRIPTION,
            query=query,
            variables=variables,
            subject=ANONYMOUS,
        )
        return self.transport.subscribe(request)


def heart(run: dict[str, Any]) -> int:
    if run["id"] == "r3":
        raise GraphQLError("not allowed")
    return 120


@asynccontextmanager
async def bus(folder: Path) -> AsyncIterator[Bus]:
    rows = [{"id": one, "title": f"Run {one}"} for one in ("r1", "r2", "r3")]
    resolvers = {
        "Run.heart": heart,
        "Run.title": lambda run, upper=False: run["title"].upper() if upper else run["title"],
    }
    subgraph = MockSubgraph("runs", SDL, rows={"Run": rows}, resolvers=resolvers)
    store = open_relational(f"sqlite:///{folder / 'runs.db'}")
    await store.open()
    events = EmbeddedEvents([store])
    await events.open()
    source = SubscriptionSource(protocol=StreamProtocol.EVENTS, topics=TOPICS)
    async with serving([subgraph]) as urls:
        transport = HttpTransport(
            urls, traffic=Traffic(all=SubgraphTraffic(subscriptions=source)), feed=events
        )
        yield Bus(transport, subgraph, events, store)
        await transport.close()
    await events.close()
    await store.close()


async def begun(stream: AsyncIterator[SubgraphResponse]) -> asyncio.Future[SubgraphResponse]:
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    return first  # type: ignore[return-value]


async def test_an_event_brings_what_the_subgraph_says_of_its_entity_now(tmp_path: Path) -> None:
    query = (
        "subscription($of:ID!,$up:Boolean){r:runChanged(of:$of){...F heart}} "
        "fragment F on Run{title(upper:$up)}"
    )
    async with bus(tmp_path) as it:
        stream = it.subscribe(query, of="mira", up=True)
        first = await begun(stream)
        await it.publish("r2", of="tomas")  # of another key
        await it.publish("r1")
        answer = await first
        # the event's own words are no answer: 999 is not told
        assert answer.data == {"r": {"title": "RUN R1", "heart": 120}}
        await it.publish("unknown")  # nothing of it may be seen: nothing is told
        await it.publish("r1", id=None)
        await it.publish("r3")
        second = await anext(stream)
        assert second.data == {"r": {"title": "RUN R3", "heart": None}}
        assert [one["path"] for one in second.errors] == [["r", "heart"]]
        await stream.aclose()  # type: ignore[attr-defined]
    asked = [call.variables for call in it.subgraph.calls]
    assert [one["stadionRepresentations"][0]["id"] for one in asked] == ["r1", "unknown", "r3"]
    assert all(one.keys() == {"stadionRepresentations", "up"} for one in asked)


async def test_a_subgraph_that_fails_costs_one_event_and_not_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events come by the bus: a subgraph that is started anew ends nobody's stream."""

    async def away(*_: object) -> None:
        raise web.HTTPBadGateway

    async with bus(tmp_path) as it:
        stream = it.subscribe("subscription{r:anyRun{id}}")
        first = await begun(stream)
        await it.publish("r1")
        assert (await first).data == {"r": {"id": "r1"}}
        with monkeypatch.context() as patched:
            patched.setattr(it.subgraph, "answer", away)
            await it.publish("r2")
            second = await anext(stream)
        assert second.data == {"r": None}
        assert [(one["path"], one["extensions"]["code"]) for one in second.errors] == [
            (["r"], "SUBREQUEST_HTTP_ERROR")
        ]
        await it.publish("r2")
        assert (await anext(stream)).data == {"r": {"id": "r2"}}
        await stream.aclose()  # type: ignore[attr-defined]


async def test_without_an_argument_events_of_every_key_are_told(tmp_path: Path) -> None:
    async with bus(tmp_path) as it:
        stream = it.subscribe("subscription{anyRun{id}}")
        first = await begun(stream)
        await it.publish("r1", of="mira")
        await it.publish("r2", of="tomas")
        assert (await first).data == {"anyRun": {"id": "r1"}}
        assert (await anext(stream)).data == {"anyRun": {"id": "r2"}}
        await stream.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("subscription{untold{id}}", "no topic is set for `untold`"),
        ("subscription{runChanged(of:null){id}}", "the argument `of` says"),
        ("subscription{runChanged{id}}", "the argument `of` says"),
        ("subscription{", "cannot be read"),
        ("subscription{__typename}", "selects fields of an entity"),
    ],
)
async def test_what_no_event_can_answer_is_refused(tmp_path: Path, query: str, says: str) -> None:
    async with bus(tmp_path) as it:
        with pytest.raises(SubgraphCallFailed, match=says):
            await anext(it.subscribe(query))


async def test_without_a_bus_nothing_is_subscribed_to() -> None:
    source = SubscriptionSource(protocol=StreamProtocol.EVENTS, topics=TOPICS)
    transport = HttpTransport(
        {"runs": "http://127.0.0.1:1/"}, traffic=Traffic(all=SubgraphTraffic(subscriptions=source))
    )
    request = SubgraphRequest(
        service="runs", kind=OperationKind.SUBSCRIPTION, query="subscription{anyRun{id}}", variables={},
        subject=ANONYMOUS,
    )  # fmt: skip
    with pytest.raises(SubgraphCallFailed, match="no event bus"):
        await anext(transport.subscribe(request))
    await transport.close()
