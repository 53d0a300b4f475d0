"""graphql-transport-ws on raw sockets: messages, close codes, limits, expiry, drain."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from authz.errors import InvalidToken
from authz.identity.subject import Subject
from router.admission import Proxies
from router.config import CorsConfig, RouterConfig, StreamLimits
from router.edge.credentials import Credentials
from router.pipeline import GraphQLRequest
from router.snapshot import snapshot_of
from router.telemetry import dropped_count
from tests.kit_edge.running import Running, running
from tests.kit_edge.supergraphs import supergraph_of

pytestmark = pytest.mark.timeout(20)
INIT = {"type": "connection_init"}
APP = "https://app.example"
DEEP = "[" * 900 + "]" * 900
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def socket_to(router: Running, *, init: dict | None = INIT, protocol: str = "graphql-transport-ws"):
    async with connect(router.socket_url, subprotocols=[protocol]) as socket:
        if init is not None:
            await say(socket, init)
            assert await heard(socket) == {"type": "connection_ack"}
        yield socket


async def say(socket: ClientConnection, *messages: object) -> None:
    for message in messages:
        await socket.send(message if isinstance(message, str | bytes) else json.dumps(message))


async def heard(socket: ClientConnection) -> dict:
    async with asyncio.timeout(5):
        return json.loads(await socket.recv())


async def closed(socket: ClientConnection) -> int:
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code


def ask(text: str, id_: str = "1", **variables: object) -> dict:
    return {"id": id_, "type": "subscribe", "payload": {"query": text, "variables": variables}}


def with_token(token: str) -> dict:
    return {**INIT, "payload": {"Authorization": f"Bearer {token}"}}


@pytest.fixture
async def router():
    async with running() as it:
        yield it


async def test_queries_mutations_and_subscriptions_share_a_connection(router: Running) -> None:
    async with socket_to(router) as socket:
        await say(socket, ask("query($n: String) { hello(name: $n) }", n="you"))
        assert await heard(socket) == {"id": "1", "type": "next", "payload": {"data": {"hello": "hello you"}}}
        assert await heard(socket) == {"id": "1", "type": "complete"}
        await say(socket, ask("mutation { bump }"))
        assert (await heard(socket))["payload"] == {"data": {"bump": 1}}
        assert (await heard(socket))["type"] == "complete"
        await say(socket, ask("subscription { count(to: 3) }"))
        numbers = [(await heard(socket))["payload"]["data"]["count"] for _ in range(3)]
        assert numbers == [1, 2, 3]
        assert (await heard(socket))["type"] == "complete"


async def test_a_ping_is_answered_with_its_payload_before_and_after_init(router: Running) -> None:
    async with socket_to(router, init=None) as socket:
        await say(socket, {"type": "ping"}, {"type": "ping", "payload": {"a": 1}}, {"type": "pong"})
        assert await heard(socket) == {"type": "pong"}
        assert await heard(socket) == {"type": "pong", "payload": {"a": 1}}


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["{"], 4400),
        (["[]"], 4400),
        ([b"\x00"], 4400),
        ([{"type": 1}], 4400),
        ([{"type": "start"}], 4400),
        ([{"type": "ping", "payload": 1}], 4400),
        ([ask("{ hello }")], 4401),
        ([INIT, INIT], 4429),
        ([INIT, {"type": "subscribe"}], 4400),
        ([INIT, {"type": "subscribe", "id": "1", "payload": {"query": 1}}], 4400),
        ([INIT, {"type": "subscribe", "id": "", "payload": {"query": "{ hello }"}}], 4400),
        ([INIT, ask("subscription { ticks }"), ask("{ hello }")], 4409),
        ([f'{{"type": "ping", "payload": {{"a": {DEEP}}}}}'], 4400),
        ([INIT, json.dumps(ask("{ hello }")).replace("{}", f'{{"a": {DEEP}}}')], 4400),
    ],
)
async def test_a_breach_of_the_protocol_closes_with_its_code(router: Running, messages, code) -> None:
    async with socket_to(router, init=None) as socket:
        await say(socket, *messages)
        assert await closed(socket) == code


async def test_another_subprotocol_is_4406(router: Running) -> None:
    async with connect(router.socket_url, subprotocols=["soap"]) as socket:
        assert await closed(socket) == 4406
    async with connect(router.socket_url) as socket:
        assert await closed(socket) == 4406


async def test_a_silent_client_is_4408() -> None:
    async with (
        running(RouterConfig(streams=StreamLimits(init_wait_ms_max=20))) as router,
        socket_to(router, init=None) as socket,
    ):
        assert await closed(socket) == 4408


async def test_an_id_is_free_again_after_its_end(router: Running) -> None:
    async with socket_to(router) as socket:
        for _ in range(2):
            await say(socket, ask("subscription { ticks }"))
            await router.hall.started.wait()
            await router.hall.ticks.put(1)
            assert (await heard(socket))["payload"] == {"data": {"ticks": 1}}
            await say(socket, {"id": "1", "type": "complete"})
            await router.hall.unsubscribed.wait()
            router.hall.started.clear()
            router.hall.unsubscribed.clear()
        assert router.hall.subscribers == 0


async def test_a_refused_operation_is_an_error_message_and_the_connection_stays(router: Running) -> None:
    async with socket_to(router) as socket:
        await say(socket, ask("{ nothing }"))
        refusal = await heard(socket)
        assert (refusal["type"], refusal["id"]) == ("error", "1")
        assert refusal["payload"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        await say(socket, ask("{ hello }"))
        assert (await heard(socket))["type"] == "next"


async def test_a_client_that_goes_away_ends_its_subscriptions(router: Running) -> None:
    async with socket_to(router) as socket:
        await say(socket, ask("subscription { ticks }"))
        await router.hall.started.wait()
    async with asyncio.timeout(5):
        await router.hall.unsubscribed.wait()


async def test_one_connection_has_a_cap_on_operations() -> None:
    async with (
        running(RouterConfig(streams=StreamLimits(operations_per_connection_max=2))) as router,
        socket_to(router) as socket,
    ):
        await say(socket, *(ask("subscription { ticks }", id_) for id_ in "123"))
        refusal = await heard(socket)
        assert (refusal["id"], refusal["type"]) == ("3", "error")
        assert refusal["payload"][0]["extensions"]["code"] == "SERVICE_OVERLOADED"


async def test_connections_have_a_cap() -> None:
    async with (
        running(RouterConfig(streams=StreamLimits(connections_max=1))) as router,
        socket_to(router),
        connect(router.socket_url, subprotocols=["graphql-transport-ws"]) as more,
    ):
        assert await closed(more) == 1013


async def test_a_message_over_its_size_closes_the_connection() -> None:
    async with (
        running(RouterConfig(streams=StreamLimits(message_bytes_max=1_000))) as router,
        socket_to(router) as socket,
    ):
        await say(socket, ask("{ hello }" + " " * 1_000))
        assert await closed(socket) == 1009


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = EPOCH

    def __call__(self) -> datetime:
        return self.now


ANNA = Subject("anna", session_id="s1", expires_at_utc=EPOCH + timedelta(minutes=10))


async def anna_only(token: str) -> Subject:
    if token != "good":
        raise InvalidToken
    return ANNA


def authorised(token: str = "good") -> dict:
    return {"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}


async def test_the_token_of_connection_init_says_who_asks() -> None:
    async with (
        running(credentials=Credentials(authenticate=anna_only, now=Clock())) as router,
        socket_to(router, init=authorised()) as socket,
    ):
        await say(socket, ask("{ me secret }"))
        assert (await heard(socket))["payload"] == {"data": {"me": "anna", "secret": "42"}}


@pytest.mark.parametrize("payload", [{"authorization": "Bearer bad"}, {"authorization": "good"}])
async def test_a_bad_token_is_4403_without_a_reason(payload) -> None:
    async with (
        running(credentials=Credentials(authenticate=anna_only)) as router,
        socket_to(router, init=None) as socket,
    ):
        await say(socket, {"type": "connection_init", "payload": payload})
        assert await closed(socket) == 4403
        assert socket.close_reason == "Forbidden"


async def test_a_stream_ends_when_its_token_expires() -> None:
    clock = Clock()
    async with (
        running(credentials=Credentials(authenticate=anna_only, now=clock)) as router,
        socket_to(router, init=authorised()) as socket,
    ):
        await say(socket, ask("subscription { ticks }"))
        await router.hall.ticks.put(1)
        assert (await heard(socket))["payload"] == {"data": {"ticks": 1}}
        clock.now += timedelta(minutes=10)
        await router.hall.ticks.put(2)
        last = await heard(socket)
        assert (last["type"], last["payload"][0]["extensions"]["code"]) == (
            "error",
            "SUBSCRIPTION_EXPIRED",
        )
        assert await closed(socket) == 4403


async def test_a_quiet_stream_ends_at_expiry_too() -> None:
    soon = replace(ANNA, expires_at_utc=datetime.now(UTC) + timedelta(milliseconds=200))

    async def authenticate(_: str) -> Subject:
        return soon

    credentials = Credentials(authenticate=authenticate)
    async with running(credentials=credentials) as router, socket_to(router, init=authorised()) as socket:
        await say(socket, ask("subscription { ticks }"))
        assert (await heard(socket))["payload"][0]["extensions"]["code"] == "SUBSCRIPTION_EXPIRED"
        assert await closed(socket) == 4403


async def test_a_revoked_session_gets_no_further_event() -> None:
    revoked: set[str] = set()
    credentials = Credentials(
        authenticate=anna_only, is_active=lambda it: it.session_id not in revoked, now=Clock()
    )
    async with running(credentials=credentials) as router, socket_to(router, init=authorised()) as socket:
        await say(socket, ask("subscription { ticks }"))
        await router.hall.ticks.put(1)
        await heard(socket)
        revoked.add("s1")
        await router.hall.ticks.put(2)
        assert (await heard(socket))["type"] == "error"
        assert await closed(socket) == 4403


async def test_a_stopping_router_tells_its_clients_to_go_elsewhere(router: Running) -> None:
    async with socket_to(router) as socket:
        await say(socket, ask("subscription { ticks }"))
        await router.hall.started.wait()
        router.app.state.drain.stop()
        assert await closed(socket) == 1001
    async with router.http.get(router.url.replace("graphql", "health/ready")) as it:
        assert it.status == 503
    async with router.http.get(router.url.replace("graphql", "health/live")) as it:
        assert it.status == 200


async def test_a_stream_ends_where_the_new_schema_has_no_place_for_it(router: Running) -> None:
    async with socket_to(router) as socket:
        await say(socket, ask("subscription { ticks }"))
        await router.hall.started.wait()
        await router.router.take(snapshot_of(supergraph_of("type Query { other: Int }"), RouterConfig()))
        ended = await heard(socket)
        assert ended["payload"][0]["extensions"]["code"] == "SUBSCRIPTION_SCHEMA_RELOAD"
        await router.hall.unsubscribed.wait()


async def test_a_stream_outlives_a_compatible_reload(router: Running) -> None:
    async with socket_to(router) as socket:
        await say(socket, ask("subscription { ticks }"))
        await router.hall.started.wait()
        sdl = "type Query { other: Int } type Subscription { ticks: Int }"
        await router.router.take(snapshot_of(supergraph_of(sdl), RouterConfig()))
        await router.hall.ticks.put(1)
        assert (await heard(socket))["payload"] == {"data": {"ticks": 1}}
        await say(socket, ask("{ hello }", "2"))
        assert (await heard(socket))["type"] == "error"


async def test_an_older_client_is_spoken_to_in_its_words(router: Running) -> None:
    async with connect(router.socket_url, subprotocols=["graphql-ws"]) as socket:
        await say(socket, INIT, {**ask("subscription { ticks }"), "type": "start"})
        assert await heard(socket) == {"type": "connection_ack"}
        assert await heard(socket) == {"type": "ka"}
        await router.hall.ticks.put(1)
        assert await heard(socket) == {"id": "1", "type": "data", "payload": {"data": {"ticks": 1}}}
        await say(socket, {"type": "stop", "id": "1"}, {**ask("{ no }", "2"), "type": "start"})
        refusal = await heard(socket)
        assert (refusal["type"], refusal["id"]) == ("error", "2")
        assert refusal["payload"]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        await say(socket, {"type": "connection_terminate"})
        assert await closed(socket) == 1000
    async with connect(router.socket_url, subprotocols=["graphql-ws"]) as socket:
        await say(socket, INIT, {**ask("{ hello }"), "type": "subscribe"})
        assert await closed(socket) == 4400


async def test_an_older_client_hears_signs_of_life_for_as_long_as_it_stays() -> None:
    """One that has heard one such sign leaves when no other follows."""
    async with (
        running(RouterConfig(streams=StreamLimits(heartbeat_ms=20))) as router,
        connect(router.socket_url, subprotocols=["graphql-ws"]) as socket,
    ):
        await say(socket, INIT)
        assert await heard(socket) == {"type": "connection_ack"}
        assert [await heard(socket) for _ in range(4)] == [{"type": "ka"}] * 4


async def test_an_older_client_that_uses_an_id_again_ends_what_had_it(router: Running) -> None:
    async with connect(router.socket_url, subprotocols=["graphql-ws"]) as socket:
        await say(socket, INIT, {**ask("subscription { ticks }"), "type": "start"})
        assert [(await heard(socket))["type"] for _ in range(2)] == ["connection_ack", "ka"]
        await router.hall.started.wait()
        await say(socket, {**ask("{ hello }"), "type": "start"})
        assert (await heard(socket))["payload"] == {"data": {"hello": "hello world"}}
        assert await heard(socket) == {"id": "1", "type": "complete"}
        await asyncio.wait_for(router.hall.unsubscribed.wait(), 5)


async def test_an_older_client_is_told_that_its_connection_is_refused() -> None:
    async def nobody(_: str) -> Subject:
        raise InvalidToken

    async with (
        running(credentials=Credentials(authenticate=nobody)) as router,
        connect(router.socket_url, subprotocols=["graphql-ws"]) as socket,
    ):
        await say(socket, {**INIT, "payload": {"Authorization": "Bearer bad"}})
        assert await heard(socket) == {"type": "connection_error", "payload": {"message": "Forbidden"}}
        assert await closed(socket) == 4403


@pytest.mark.parametrize(
    ("origin", "settings", "counts"),
    [
        (None, {}, True),
        ("own", {}, True),
        ("https://evil.example", {"csrf_prevention": False}, True),
        ("https://evil.example", {"cors": CorsConfig(origins=("*",))}, False),
        (APP, {"public_urls": (f"{APP}/graphql",)}, True),
        (APP, {"cors": CorsConfig(origins=(APP,))}, False),
        (APP, {"cors": CorsConfig(origins=(APP,), credentials=True)}, True),
    ],
)
async def test_a_browsers_own_credentials_do_not_count_for_anothers_page(origin, settings, counts) -> None:
    """Cookies and passwords go with every WebSocket that any page opens; what the page itself says counts."""
    seen: list[dict[str, str]] = []

    async def somebody(token: str) -> Subject:
        return Subject(id=token, session_id="s")

    async def headers_seen(request: GraphQLRequest, _: Subject) -> GraphQLRequest:
        seen.append(dict(request.headers))
        return request

    config = RouterConfig(forward_headers=("cookie", "x-app"), **settings)
    sent = {"cookie": "session=1", "authorization": "Bearer ambient", "x-app": "1"}
    async with running(config, Credentials(authenticate=somebody)) as router:
        router.router.on_request = headers_seen
        if origin is not None:
            sent["origin"] = router.url.removesuffix("/graphql") if origin == "own" else origin
        for init, me in ((INIT, "ambient" if counts else None), (with_token("said"), "said")):
            async with connect(
                router.socket_url, subprotocols=["graphql-transport-ws"], additional_headers=sent
            ) as socket:
                await say(socket, init, ask("{ me }"))
                assert await heard(socket) == {"type": "connection_ack"}
                assert (await heard(socket))["payload"]["data"] == {"me": me}
    assert seen == [{"x-app": "1"} | ({"cookie": "session=1"} if counts else {})] * 2


@pytest.mark.parametrize(
    ("origin", "settings", "site"),
    [
        ("https://evil.example", {}, None),
        ("https://evil.example", {}, "cross-site"),
        ("http://127.0.0.1", {}, "same-site"),
        ("null", {}, None),
        ("", {}, None),
        (f"{APP}.evil.example", {"public_urls": (f"{APP}/graphql",)}, None),
        (f"{APP}.evil.example", {"cors": CorsConfig(origins=(APP,))}, None),
    ],
)
@pytest.mark.parametrize("protocol", ["graphql-transport-ws", "graphql-ws"])
async def test_a_page_that_may_not_call_opens_no_socket(origin, settings, site, protocol) -> None:
    """Over HTTP the browser keeps answers from such a page; over WebSocket it would hand them over."""
    headers = {"origin": origin} | ({"sec-fetch-site": site} if site else {})
    async with running(RouterConfig(**settings)) as router:
        with pytest.raises(InvalidStatus) as refused:
            await connect(router.socket_url, subprotocols=[protocol], additional_headers=headers)
        assert refused.value.response.status_code == 403
        (error,) = json.loads(refused.value.response.body)["errors"]
        assert error["extensions"]["code"] == "CSRF_PREVENTED"
        assert router.app.state.drain.streams == 0


async def test_a_page_of_the_routers_own_behind_a_proxy_that_changes_the_host_opens_its_socket() -> None:
    headers = {"origin": APP, "sec-fetch-site": "same-origin"}
    async with (
        running() as router,
        connect(
            router.socket_url, subprotocols=["graphql-transport-ws"], additional_headers=headers
        ) as socket,
    ):
        await say(socket, INIT, ask("{ hello }"))
        assert await heard(socket) == {"type": "connection_ack"}
        assert "data" in (await heard(socket))["payload"]


@pytest.mark.parametrize(
    "message",
    [
        '{"id": "1", "type": "ping", "type": "subscribe", "payload": {"query": "{ hello }"}}',
        '{"id": "1", "id": "2", "type": "subscribe", "payload": {"query": "{ hello }"}}',
        '{"id": "1", "type": "subscribe", "payload": {"query": "{ a }"}, "payload": {"query": "{ hello }"}}',
        '{"id": "1", "type": "subscribe", "payload": {"query": "{ a }", "query": "{ hello }"}}',
        r'{"id": "1", "type": "subscribe", "payload": {"qu\u0065ry": "{ a }", "query": "{ hello }"}}',
        '{"id": "1", "type": "subscribe", "payload": {"query": "{ a }", "variables": {}, "variables": {}}}',
    ],
    ids=range(6),
)
async def test_no_part_of_a_message_stands_twice(router: Running, message: str) -> None:
    """Who looks before the router may have judged the other one."""
    async with socket_to(router) as socket:
        await say(socket, message)
        assert await closed(socket) == 4400
        assert "twice" in socket.close_reason


@pytest.mark.parametrize(
    "payload",
    [
        '{"authorization": "Bearer good", "authorization": "Bearer bad"}',
        '{"authorization": "Bearer good", "Authorization": "Bearer bad"}',
    ],
    ids=["same", "case"],
)
async def test_a_client_says_once_who_it_is(router: Running, payload: str) -> None:
    async with socket_to(router, init=None) as socket:
        await say(socket, f'{{"type": "connection_init", "payload": {payload}}}')
        assert await closed(socket) == 4400


async def test_what_stands_twice_deeper_in_a_message_is_the_clients(router: Running) -> None:
    async with socket_to(router) as socket:
        await say(
            socket,
            '{"id": "1", "type": "subscribe", "payload": {"query": "{ hello }", '
            '"extensions": {"query": 1, "query": 2, "type": 1, "id": 2, "payload": 3}}}',
        )
        assert "data" in (await heard(socket))["payload"]


async def test_a_client_that_answers_no_ping_is_let_go() -> None:
    config = RouterConfig(streams=StreamLimits(heartbeat_ms=20, send_wait_ms_max=100))
    async with running(config) as router:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(router.url).port)
        writer.write(
            b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        said = await asyncio.wait_for(reader.read(), 10)  # until the router ends it
        assert said[0] == 0x89  # a ping
        writer.close()
        while router.app.state.drain.streams:
            await asyncio.sleep(0.005)


async def test_a_client_that_does_not_read_is_cut_off_and_counted_once() -> None:
    config = RouterConfig(streams=StreamLimits(send_wait_ms_max=100, lost_events_max=0))
    before = dropped_count.values.get((), 0)
    async with running(config) as router, socket_to(router) as socket:
        router.hall.long_tick = "x" * 500_000
        await say(socket, *(ask("subscription { longTicks }", id_) for id_ in ("1", "2")))
        await router.hall.started.wait()
        socket.transport.pause_reading()
        for _ in range(100):
            await router.hall.ticks.put(1)
        await asyncio.wait_for(router.hall.unsubscribed.wait(), 15)
        while router.app.state.drain.streams:
            await asyncio.sleep(0.005)
        assert dropped_count.values[()] == before + 1
        socket.transport.abort()


async def test_one_caller_may_not_take_all_connections() -> None:
    limits = StreamLimits(per_caller_max=1)
    config = RouterConfig(streams=limits, proxies=Proxies(trusted=("127.0.0.0/8",)))
    async with running(config) as router, socket_to(router), socket_to(router, init=None) as second:
        await say(second, INIT)
        assert await closed(second) == 1013
        async with connect(
            router.socket_url,
            subprotocols=["graphql-transport-ws"],
            additional_headers={"x-forwarded-for": "192.0.2.9"},
        ) as other:
            await say(other, INIT)
            assert await heard(other) == {"type": "connection_ack"}
