"""Subscriptions over SSE and multipart: frames, heartbeats, slow clients, ends."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest

from router.admission import Proxies
from router.config import RouterConfig, StreamLimits
from router.telemetry import dropped_count
from tests.kit_edge.running import Running, running

pytestmark = pytest.mark.timeout(20)
COUNT = {"query": "subscription { count(to: 2) }"}
TICKS = {"query": "subscription { ticks }"}
PARTS = 'multipart/mixed;subscriptionSpec="1.0", application/json'


@pytest.fixture
async def router():
    async with running() as it:
        yield it


def events(text: str) -> list[tuple[str, str]]:
    """(event, data) of a whole event stream, comments left out."""
    blocks = [block.split("\n") for block in text.split("\n\n") if block and not block.startswith(":")]
    return [(lines[0].removeprefix("event: "), lines[1].removeprefix("data:").strip()) for lines in blocks]


def parts(text: str) -> list[object]:
    """The JSON of every part; the closing boundary must be there."""
    *found, last = text.split("--graphql")
    assert last.strip() == "--"
    return [json.loads(part.split("\r\n\r\n", 1)[1]) for part in found if part.strip()]


async def test_sse_sends_every_event_and_complete(router: Running) -> None:
    async with router.http.post(router.url, json=COUNT, headers={"accept": "text/event-stream"}) as it:
        assert it.status == 200
        assert it.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert events(await it.text()) == [
            ("next", '{"data":{"count":1}}'),
            ("next", '{"data":{"count":2}}'),
            ("complete", ""),
        ]


async def test_an_event_source_gets_queries_refusals_and_subscriptions_by_url(router: Running) -> None:
    for text, data in (
        ("{ hello }", '{"data":{"hello":"hello world"}}'),
        ("subscription { count(to: 1) }", '{"data":{"count":1}}'),
    ):
        async with router.http.get(
            router.url, params={"query": text}, headers={"accept": "text/event-stream"}
        ) as it:
            assert events(await it.text()) == [("next", data), ("complete", "")]
    async with router.http.get(
        router.url, params={"query": "{ no }"}, headers={"accept": "text/event-stream"}
    ) as it:
        [(kind, data), _] = events(await it.text())
        assert kind == "next"
        assert json.loads(data)["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_multipart_wraps_each_event_in_a_payload(router: Running) -> None:
    async with router.http.post(router.url, json=COUNT, headers={"accept": PARTS}) as it:
        assert it.headers["content-type"].startswith('multipart/mixed; boundary="graphql"; subscriptionSpec')
        heartbeat, *payloads = parts(await it.text())
        assert heartbeat == {}
        assert payloads == [{"payload": {"data": {"count": n}}} for n in (1, 2)]


async def test_a_subscription_needs_a_media_type_that_streams(router: Running) -> None:
    status, body, _ = await router.post(COUNT)
    assert status == 406
    assert body["errors"][0]["extensions"]["code"] == "NOT_ACCEPTABLE"


async def test_a_quiet_stream_shows_signs_of_life() -> None:
    async with (
        running(RouterConfig(streams=StreamLimits(heartbeat_ms=20))) as router,
        router.http.post(router.url, json=TICKS, headers={"accept": "text/event-stream"}) as it,
    ):
        assert await it.content.readexactly(9) == b":\n\n" * 3


async def test_a_client_that_leaves_ends_the_subgraphs_stream(router: Running) -> None:
    async with router.http.post(router.url, json=TICKS, headers={"accept": "text/event-stream"}):
        await router.hall.started.wait()
    await router.hall.unsubscribed.wait()
    assert router.hall.subscribers == 0


async def test_a_failing_stream_says_so_and_ends(router: Running) -> None:
    request = {"query": "subscription { failing }"}
    async with router.http.post(router.url, json=request, headers={"accept": "text/event-stream"}) as it:
        first, failure, last = events(await it.text())
    assert first == ("next", '{"data":{"failing":1}}')
    assert json.loads(failure[1])["errors"]
    assert "kaput" not in failure[1]
    assert last == ("complete", "")


async def test_a_stopping_router_ends_its_streams_with_a_reason(router: Running) -> None:
    async with router.http.post(router.url, json=TICKS, headers={"accept": PARTS}) as it:
        await router.hall.started.wait()
        router.app.state.drain.stop()
        _, last = parts(await it.text())
    assert last["payload"] is None
    assert last["errors"][0]["extensions"]["code"] == "SERVICE_OVERLOADED"


async def test_streams_have_a_cap() -> None:
    async with (
        running(RouterConfig(streams=StreamLimits(connections_max=1))) as router,
        router.http.post(router.url, json=TICKS, headers={"accept": "text/event-stream"}),
    ):
        await router.hall.started.wait()
        status, body, response = await router.post(TICKS, accept="text/event-stream, application/json")
        assert status == 503
        assert response.headers["retry-after"] == "1"
        assert body["errors"][0]["extensions"]["code"] == "SERVICE_OVERLOADED"


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    config = RouterConfig(streams=StreamLimits(send_wait_ms_max=100, lost_events_max=0))
    before = dropped_count.values.get((), 0)
    async with running(config) as router:
        router.hall.long_tick = "x" * 500_000
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(router.url.split(":")[2].split("/")[0])
        )
        body = json.dumps({"query": "subscription { longTicks }"}).encode()
        lines = (
            "POST /graphql HTTP/1.1",
            "host: x",
            "accept: text/event-stream",
            "content-type: application/json",
            f"content-length: {len(body)}\r\n\r\n",
        )
        writer.write("\r\n".join(lines).encode() + body)
        await router.hall.started.wait()
        for _ in range(200):
            await router.hall.ticks.put(1)
        await asyncio.wait_for(router.hall.unsubscribed.wait(), 15)
        assert dropped_count.values[()] == before + 1
        assert router.app.state.drain.streams == 0
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        del reader


async def test_one_caller_may_not_take_all_streams() -> None:
    config = RouterConfig(streams=StreamLimits(per_caller_max=1), proxies=Proxies(trusted=("127.0.0.0/8",)))
    async with (
        running(config) as router,
        router.http.post(router.url, json=TICKS, headers={"accept": "text/event-stream"}),
    ):
        await router.hall.started.wait()
        accept = "text/event-stream, application/json"
        status, body, _ = await router.post(TICKS, accept=accept)
        assert (status, body["errors"][0]["extensions"]["code"]) == (429, "RATE_LIMITED")
        assert body["errors"][0]["message"] == "at most 1 streams may be open at a time"
        headers = {"accept": accept, "x-forwarded-for": "192.0.2.9"}
        async with router.http.post(router.url, json=TICKS, headers=headers) as other:
            assert other.status == 200
