"""The HTTP transport against real servers: good answers, bad answers, streams, headers, files."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from authz.identity.subject import ANONYMOUS
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.http import HttpTransport
from router.execution.transports.websocket import websocket_url
from router.header_settings import HeaderRule, Inserted
from router.operation.model import OperationKind
from router.operation.upload import Upload
from router.traffic import (
    RetryPolicy,
    StreamProtocol,
    SubgraphTraffic,
    SubscriptionSource,
    Traffic,
)
from tests.kit_federation.mock_subgraph import MockSubgraph
from tests.kit_federation.serving import serving

SDL = "type Query { hello(name: String): String } type Subscription { tick(count: Int!): Int }"


IMPATIENT = RetryPolicy(unreachable_wait_ms_max=0, attempts_max=2, pause_ms_base=1)
STREAMS = [one for one in StreamProtocol if one not in {StreamProtocol.CALLBACK, StreamProtocol.EVENTS}]


async def ticks(_: Any, count: int) -> AsyncIterator[dict[str, int]]:
    for number in range(count):
        yield {"tick": number}


def greeter() -> MockSubgraph:
    return MockSubgraph(
        "greeter",
        SDL,
        resolvers={"Query.hello": lambda _, name=None: f"hello {name}", "Subscription.tick": ticks},
    )


def for_all(**settings: Any) -> Traffic:
    return Traffic(all=SubgraphTraffic(retry=IMPATIENT, **settings))


def call(query: str = "{hello}", **more: Any) -> SubgraphRequest:
    arguments: dict[str, Any] = {"service": "greeter", "kind": OperationKind.QUERY, "variables": {}}
    return SubgraphRequest(query=query, subject=ANONYMOUS, **{**arguments, **more})


async def test_a_query_comes_back_as_decoded_values() -> None:
    subgraph = greeter()
    async with serving([subgraph]) as urls:
        transport = HttpTransport(urls, traffic=for_all())
        answer = await transport.fetch(
            call("query Q($n:String){hello(name:$n)}", variables={"n": "ü"}, operation_name="Q")
        )
        await transport.close()
    assert answer.data == {"hello": "hello ü"}
    assert subgraph.calls[0].operation_name == "Q"
    assert subgraph.calls[0].headers["accept"] == "application/graphql-response+json, application/json"


async def test_headers_go_in_their_precedence_and_the_signature_covers_the_sent_bytes() -> None:
    subgraph = greeter()
    signed: list[bytes] = []

    def sign(request: SubgraphRequest, body: bytes) -> dict[str, str]:
        signed.append(body)
        return {"stadion-subject": f"for {request.service}"}

    forwarded = {"x-a": "client", "x-b": "client", "stadion-subject": "forged", "Content-Length": "1"}
    async with serving([subgraph]) as urls:
        rules = (HeaderRule(insert=Inserted(name="X-B", value="static")),)
        transport = HttpTransport(urls, sign=sign, traffic=for_all(headers=rules))
        await transport.fetch(call(headers=forwarded))
        await transport.close()
    headers = subgraph.calls[0].headers
    assert (headers["x-a"], headers["x-b"], headers["stadion-subject"]) == ("client", "static", "for greeter")
    assert json.loads(signed[0]) == {"query": "{hello}"}


def answering(
    body: bytes | str, *, status: int = 200, content_type: str = "application/json"
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(_: web.Request) -> web.StreamResponse:
        raw = body.encode() if isinstance(body, str) else body
        return web.Response(body=raw, status=status, content_type=content_type)

    return handle


@pytest.mark.parametrize(
    ("body", "status", "content_type", "code"),
    [
        ("<html>", 200, "text/html", "SUBREQUEST_HTTP_ERROR"),
        ("busy", 503, "text/plain", "SUBREQUEST_HTTP_ERROR"),
        ("", 500, "application/json", "SUBREQUEST_HTTP_ERROR"),
        ('{"error":"x"}', 404, "application/json", "SUBREQUEST_HTTP_ERROR"),
        ("{", 200, "application/json", "SUBREQUEST_MALFORMED_RESPONSE"),
        ("[1]", 200, "application/json", "SUBREQUEST_MALFORMED_RESPONSE"),
        ("{}", 200, "application/json", "SUBREQUEST_MALFORMED_RESPONSE"),
        ('{"data": 5}', 200, "application/json", "SUBREQUEST_MALFORMED_RESPONSE"),
        ('{"errors": {"a": 1}}', 200, "application/json", "SUBREQUEST_MALFORMED_RESPONSE"),
        ('{"errors": ["x"]}', 200, "application/json", "SUBREQUEST_MALFORMED_RESPONSE"),
    ],
)
async def test_what_is_not_a_graphql_answer_is_a_typed_failure(
    body: str, status: int, content_type: str, code: str
) -> None:
    handler = answering(body, status=status, content_type=content_type)
    async with serving([greeter()], instead=handler) as urls:
        transport = HttpTransport(urls, traffic=for_all())
        with pytest.raises(SubgraphCallFailed) as failed:
            await transport.fetch(call())
        await transport.close()
    assert failed.value.code == code
    assert failed.value.to_graphql()["extensions"]["http"] == {"status": status}
    assert "127.0.0.1" not in failed.value.message


async def test_an_error_status_with_a_graphql_body_keeps_the_body_after_the_error() -> None:
    handler = answering('{"data":{"hello":"x"},"errors":[{"message":"m"}]}', status=500)
    async with serving([greeter()], instead=handler) as urls:
        transport = HttpTransport(urls, traffic=for_all())
        answer = await transport.fetch(call())
        await transport.close()
    assert answer.data == {"hello": "x"}
    assert [it["message"] for it in answer.errors] == [
        "call to subgraph `greeter` failed: answered HTTP 500",
        "m",
    ]


async def test_an_answer_over_the_limit_is_refused_even_when_it_was_compressed() -> None:
    async def large(_: web.Request) -> web.StreamResponse:
        response = web.Response(
            text=json.dumps({"data": {"hello": "x" * 100_000}}), content_type="application/json"
        )
        response.enable_compression()
        return response

    async with serving([greeter()], instead=large) as urls:
        transport = HttpTransport(urls, traffic=for_all(answer_bytes_max=10_000))
        with pytest.raises(SubgraphCallFailed, match="more than 10000 bytes"):
            await transport.fetch(call())
        await transport.close()


@pytest.mark.parametrize("trusted", [True, False])
async def test_only_a_trusted_subgraphs_answer_passes_unread(trusted: bool) -> None:
    text = '{"data":{"hello":' + "x" * 10_000 + "}}"

    async def no_json(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type="application/json")

    async with serving([greeter()], instead=no_json) as urls:
        transport = HttpTransport(urls, traffic=for_all(trusted_answers=trusted))
        if trusted:
            response = await transport.fetch(call(whole=True))
            assert response.sent is not None
            assert response.sent.text == text.encode()
        with pytest.raises(SubgraphCallFailed, match="not JSON"):
            await transport.fetch(call(whole=not trusted))
        await transport.close()


async def test_a_redirect_is_not_followed() -> None:
    async def redirect(_: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("http://elsewhere.invalid/")

    async with serving([greeter()], instead=redirect) as urls:
        transport = HttpTransport(urls, traffic=for_all())
        with pytest.raises(SubgraphCallFailed, match="answered HTTP 307"):
            await transport.fetch(call())
        await transport.close()


async def test_a_subgraph_that_is_not_there_or_too_slow_fails_in_time() -> None:
    release = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    async with serving([greeter()], instead=slow) as urls:
        transport = HttpTransport(urls, traffic=for_all())
        with pytest.raises(SubgraphCallFailed, match="timed out"):
            await transport.fetch(call(timeout_s=0.02))
        release.set()
    with pytest.raises(SubgraphCallFailed, match="could not be reached"):
        await transport.fetch(call())
    with pytest.raises(SubgraphCallFailed, match="has no address"):
        await transport.fetch(call(service="nobody"))
    await transport.close()


@pytest.mark.parametrize(("kind", "arrivals"), [(OperationKind.QUERY, 2), (OperationKind.MUTATION, 1)])
async def test_a_lost_connection_is_tried_again_for_queries_alone(kind: OperationKind, arrivals: int) -> None:
    arrived = 0

    async def hang_up(request: web.Request) -> web.StreamResponse:
        nonlocal arrived
        arrived += 1
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving([greeter()], instead=hang_up) as urls:
        transport = HttpTransport(urls, traffic=for_all())
        with pytest.raises(SubgraphCallFailed, match="the connection was lost"):
            await transport.fetch(call(kind=kind))
        await transport.close()
    assert arrived == arrivals


async def test_files_are_sent_on_as_a_multipart_form() -> None:
    seen: dict[str, Any] = {}

    async def receive(request: web.Request) -> web.StreamResponse:
        form = await request.post()
        seen.update(
            {key: it.file.read() if isinstance(it, web.FileField) else it for key, it in form.items()}
        )
        seen["filename"] = form["0"].filename  # type: ignore[union-attr]
        return web.json_response({"data": {"hello": "got it"}})

    upload = Upload(io.BytesIO(b"bytes"), filename='a"b\r\n.fit', content_type="application/fit", size=5)
    async with serving([greeter()], instead=receive) as urls:
        transport = HttpTransport(urls, traffic=for_all())
        request = call("mutation($f:Upload!){hello}", kind=OperationKind.MUTATION, variables={"f": [upload]})
        assert (await transport.fetch(request)).data == {"hello": "got it"}
        await transport.close()
    assert json.loads(seen["operations"])["variables"] == {"f": [None]}
    assert json.loads(seen["map"]) == {"0": ["variables.f.0"]}
    assert seen["0"] == b"bytes"
    assert seen["filename"] == "a_b__.fit"


SUBSCRIBE = call("subscription{tick(count:3)}", kind=OperationKind.SUBSCRIPTION)


def streaming(urls: dict[str, str], protocol: StreamProtocol) -> HttpTransport:
    return HttpTransport(urls, traffic=for_all(subscriptions=SubscriptionSource(protocol=protocol)))


async def collected(stream: AsyncIterator[SubgraphResponse]) -> list[Any]:
    return [it.data for it in [event async for event in stream]]


@pytest.mark.parametrize("protocol", STREAMS)
async def test_a_subscription_yields_each_event_and_ends(protocol: StreamProtocol) -> None:
    async with serving([greeter()]) as urls:
        transport = streaming(urls, protocol)
        assert await collected(transport.subscribe(SUBSCRIBE)) == [{"tick": 0}, {"tick": 1}, {"tick": 2}]
        await transport.close()


@pytest.mark.parametrize("protocol", STREAMS)
async def test_closing_a_subscription_stops_the_subgraph(protocol: StreamProtocol) -> None:
    stopped = asyncio.Event()

    async def endless(_: Any, count: int) -> AsyncIterator[dict[str, int]]:
        try:
            yield {"tick": count}
            await asyncio.get_running_loop().create_future()
        finally:
            stopped.set()

    subgraph = MockSubgraph("greeter", SDL, resolvers={"Subscription.tick": endless})
    async with serving([subgraph]) as urls:
        transport = streaming(urls, protocol)
        stream = transport.subscribe(SUBSCRIBE)
        assert (await anext(stream)).data == {"tick": 3}
        await stream.aclose()  # type: ignore[attr-defined]
        await transport.close()
        if "websocket" in protocol:
            await asyncio.wait_for(stopped.wait(), 5)


@pytest.mark.parametrize("protocol", STREAMS)
async def test_a_refused_subscription_is_one_answer_with_errors(protocol: StreamProtocol) -> None:
    refused = call("subscription{tick(count:null)}", kind=OperationKind.SUBSCRIPTION)
    async with serving([greeter()]) as urls:
        transport = streaming(urls, protocol)
        answers = [it async for it in transport.subscribe(refused)]
        await transport.close()
    assert len(answers) == 1
    assert answers[0].errors


@pytest.mark.parametrize(
    ("protocol", "code"),
    [
        (StreamProtocol.WEBSOCKET, "SUBREQUEST_WEBSOCKET_ERROR"),
        (StreamProtocol.SSE, "SUBREQUEST_HTTP_ERROR"),
    ],
)
async def test_a_subgraph_without_streams_is_a_typed_failure(protocol: StreamProtocol, code: str) -> None:
    async with serving([greeter()], instead=answering("no", content_type="text/plain")) as urls:
        transport = streaming(urls, protocol)
        with pytest.raises(SubgraphCallFailed) as failed:
            await collected(transport.subscribe(SUBSCRIBE))
        await transport.close()
    assert failed.value.code == code


async def test_event_streams_may_split_lines_anywhere() -> None:
    text = b'event: next\r\ndata: {"data":\r\ndata: {"tick":1}}\r\n\r\n: keep\r\revent: complete\rdata:\r\r'

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for index in range(len(text)):
            await response.write(text[index : index + 1])
        return response

    async with serving([greeter()], instead=drip) as urls:
        transport = streaming(urls, StreamProtocol.SSE)
        assert await collected(transport.subscribe(SUBSCRIBE)) == [{"tick": 1}]
        await transport.close()


async def test_a_stream_that_ends_without_completing_is_a_failure() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'event: next\ndata: {"data":{"tick":1}}\n\n')
        return response

    async with serving([greeter()], instead=cut) as urls:
        transport = streaming(urls, StreamProtocol.SSE)
        stream = transport.subscribe(SUBSCRIBE)
        assert (await anext(stream)).data == {"tick": 1}
        with pytest.raises(SubgraphCallFailed, match="without completing"):
            await anext(stream)
        await transport.close()


def test_websocket_urls_follow_the_http_scheme() -> None:
    assert websocket_url("http://h/p") == "ws://h/p"
    assert websocket_url("https://h/p") == "wss://h/p"
    assert websocket_url("wss://h/p") == "wss://h/p"
