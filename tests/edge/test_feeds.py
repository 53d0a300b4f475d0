"""Equal streams of equal callers: one run of the subscription, each event put into words once, none lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from authz.identity.subject import ANONYMOUS, Subject
from router.broadcast import QUIET
from router.config import RouterConfig, StreamLimits
from router.edge.credentials import Credentials
from router.edge.drain import Drain
from router.edge.feeds import Feeds, Reading
from router.edge.framing import EVENTS, SUBSCRIPTION_PARTS
from router.edge.streams import Watch
from router.errors import ClientError
from router.execution import GraphQLResponse
from router.pipeline import GraphQLRequest
from router.snapshot import Snapshot, snapshot_of
from router.telemetry import streams_open
from tests.kit_edge.running import Running, running
from tests.kit_edge.supergraphs import supergraph_of

pytestmark = pytest.mark.timeout(30)
ANNA, BEN = Subject("anna"), Subject("ben")
REQUEST = GraphQLRequest(text="subscription { ticks }")


class Source:
    """Runs of one subscription: each gets what is told; `open` are those that go on."""

    def __init__(self) -> None:
        self.begun = 0
        self.open: list[asyncio.Queue[Any]] = []

    async def run(self) -> AsyncIterator[GraphQLResponse]:
        self.begun += 1
        told: asyncio.Queue[Any] = asyncio.Queue()
        self.open.append(told)
        try:
            while (event := await told.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield GraphQLResponse({"ticks": event})
        finally:
            self.open.remove(told)

    async def tell(self, event: object) -> None:
        await asyncio.sleep(0)
        for told in self.open:
            told.put_nowait(event)


@pytest.fixture
def graph() -> Snapshot:
    return snapshot_of(
        supergraph_of("type Query { a: Int } type Subscription { ticks: Int }"), RouterConfig()
    )


def feeds_of(*, shared: bool = True, credentials: Credentials | None = None) -> Feeds:
    watch = Watch(credentials or Credentials(), Drain(in_flight_max=10, streams_max=10))
    return Feeds(watch, StreamLimits(), shared=shared)


async def nexts(*readings: Reading) -> list[Any]:
    found = await asyncio.gather(*(one.next() for one in readings))
    return [one and one.answer.body["data"]["ticks"] for one in found]


async def test_equal_streams_read_one_run_until_the_last_of_them_leaves(graph: Snapshot) -> None:
    feeds, source = feeds_of(), Source()
    readings = [feeds.reading(source.run(), REQUEST, ANNA, graph) for _ in range(3)]
    waiting = [asyncio.ensure_future(one.next()) for one in readings]
    await asyncio.sleep(0)
    await source.tell(1)
    events = [one for one in await asyncio.gather(*waiting) if one is not None]
    assert source.begun == 1
    assert events[0] is events[1] is events[2]
    assert events[0].answer.text() is events[2].answer.text()  # made once
    assert events[0].framed(EVENTS) is events[1].framed(EVENTS)
    assert events[0].framed(SUBSCRIPTION_PARTS).startswith(b"\r\ncontent-type")
    await readings[0].aclose()
    await readings[1].aclose()
    await source.tell(2)
    assert await nexts(readings[2]) == [2]
    await readings[2].aclose()
    assert source.open == []


@pytest.mark.parametrize(
    ("request_", "subject", "shared"),
    [
        (REQUEST, BEN, True),
        (replace(REQUEST, variables={"a": 1}), ANNA, True),
        (replace(REQUEST, headers={"tenant": "blue"}), ANNA, True),
        (replace(REQUEST, text="subscription { again: ticks }"), ANNA, True),
        (REQUEST, replace(ANNA, session_id="another"), True),
        (REQUEST, ANNA, False),
    ],
)
async def test_what_differs_in_anything_that_an_event_may_depend_on_runs_by_itself(
    graph: Snapshot, request_: GraphQLRequest, subject: Subject, shared: bool
) -> None:
    feeds, source = feeds_of(shared=shared), Source()
    one, other = (
        feeds.reading(source.run(), REQUEST, ANNA, graph),
        feeds.reading(source.run(), request_, subject, graph),
    )
    waiting = [asyncio.ensure_future(it.next()) for it in (one, other)]
    await asyncio.sleep(0)
    await source.tell(1)
    await asyncio.gather(*waiting)
    assert source.begun == 2
    await one.aclose()
    await other.aclose()


async def test_who_comes_after_the_first_event_gets_a_run_with_a_first_event_of_its_own(
    graph: Snapshot,
) -> None:
    feeds, source = feeds_of(), Source()
    early = feeds.reading(source.run(), REQUEST, ANNA, graph)
    first = asyncio.ensure_future(early.next())
    await asyncio.sleep(0)
    await source.tell(1)
    await first
    late = [feeds.reading(source.run(), REQUEST, ANNA, graph) for _ in range(2)]
    waiting = [asyncio.ensure_future(one.next()) for one in late]
    await asyncio.sleep(0)
    await source.tell(2)
    assert [one and one.answer.body["data"]["ticks"] for one in await asyncio.gather(*waiting)] == [2, 2]
    assert await nexts(early) == [2]
    assert source.begun == 2
    for one in (early, *late):
        await one.aclose()


async def test_a_failure_and_the_end_reach_every_reader_after_what_came_before(graph: Snapshot) -> None:
    feeds, source = feeds_of(), Source()
    for last in (None, RuntimeError("kaput")):
        readings = [feeds.reading(source.run(), REQUEST, ANNA, graph) for _ in range(2)]
        waiting = [asyncio.ensure_future(one.next()) for one in readings]
        await asyncio.sleep(0)
        for event in (1, 2, last):
            await source.tell(event)
        await asyncio.gather(*waiting)
        assert await nexts(*readings) == [2, 2]
        for one in readings:
            if last is None:
                assert await one.next() is None
            else:
                with pytest.raises(RuntimeError, match="kaput"):
                    await one.next()
            await one.aclose()


async def test_callers_are_judged_once_an_event_and_anew_where_an_event_waited(
    graph: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged, revoked = [], set()

    def is_active(subject: Subject) -> bool:
        judged.append(subject)
        return subject.id not in revoked

    feeds, source = feeds_of(credentials=Credentials(is_active=is_active)), Source()
    readings = [feeds.reading(source.run(), REQUEST, ANNA, graph) for _ in range(5)]
    waiting = [asyncio.ensure_future(one.next()) for one in readings]
    await asyncio.sleep(0)
    judged.clear()
    await source.tell(1)
    await asyncio.gather(*waiting)
    assert judged == [ANNA]
    await source.tell(2)
    assert await nexts(*readings[:4]) == [2] * 4
    monkeypatch.setattr(
        "router.edge.feeds.JUDGED_S", -1.0
    )  # as if the fifth client had read nothing for long
    revoked.add("anna")
    with pytest.raises(ClientError) as raised:
        await readings[4].next()
    assert raised.value.code == "SUBSCRIPTION_EXPIRED"
    await source.tell(3)
    for one in readings[:4]:
        with pytest.raises(ClientError):
            await one.next()
    for one in readings:
        await one.aclose()
    assert source.open == []


async def test_a_quiet_stream_says_so_and_loses_nothing(graph: Snapshot) -> None:
    feeds, source = feeds_of(), Source()
    reading = feeds.reading(source.run(), REQUEST, ANONYMOUS, graph)
    assert await reading.next(quiet_s=0.001) is QUIET
    assert await reading.next(quiet_s=0.001) is QUIET
    await source.tell(1)
    assert await nexts(reading) == [1]
    await reading.aclose()


async def test_a_stream_that_never_begins_leaves_nothing_open(graph: Snapshot) -> None:
    feeds, source = feeds_of(), Source()
    await feeds.reading(source.run(), REQUEST, ANNA, graph).aclose()
    assert source.begun == 0


async def test_the_router_subscribes_once_for_all_equal_clients_of_either_protocol() -> None:
    before = streams_open.values.get((), 0)
    async with running() as router:
        streams = [await opened(router) for _ in range(4)]
        await router.hall.started.wait()
        async with router.http.ws_connect(router.socket_url, protocols=("graphql-transport-ws",)) as socket:
            await socket.send_json({"type": "connection_init"})
            await socket.receive_json()
            payload = {"query": "subscription { ticks }"}
            await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
            while streams_open.values.get((), 0) < before + 5:
                await asyncio.sleep(0.001)
            assert router.hall.subscribers == 1
            await router.hall.ticks.put(7)
            assert (await socket.receive_json())["payload"] == {"data": {"ticks": 7}}
            for stream in streams:
                while (line := await stream.content.readline()) != b'data: {"data":{"ticks":7}}\n':
                    assert line
                stream.close()
        await router.hall.unsubscribed.wait()


async def opened(router: Running) -> Any:
    return await router.http.post(
        router.url, json={"query": "subscription { ticks }"}, headers={"accept": "text/event-stream"}
    )
