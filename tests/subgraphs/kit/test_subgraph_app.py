"""A subgraph over HTTP: only the router gets in; JSON, multipart, event streams and WebSocket."""

import datetime as dt
import gzip
import hashlib
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from authz.identity.internal import HEADER_NAME, sign_call
from authz.identity.subject import ANONYMOUS, Subject
from subgraphs.kit.app import subgraph_app
from subgraphs.kit.calls import AppLimits
from tests.kit_subgraphs.library import ANN, BOB, BookRow, Library, open_library

KEY = b"s" * 32
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
async def client(library: Library) -> AsyncIterator[httpx2.AsyncClient]:
    app = subgraph_app(library.subgraph, keys=[KEY], now=lambda: NOW, limits=AppLimits(body_bytes_max=5_000))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://library") as client:
        yield client


def signed(body: bytes, subject: Subject = ANN, *, name: str = "library", key: bytes = KEY) -> dict[str, str]:
    digest = hashlib.sha256(body).hexdigest()
    return {HEADER_NAME: sign_call(subject, name, digest, key, NOW), "content-type": "application/json"}


def body_of(query: str, **variables: Any) -> bytes:
    return json.dumps({"query": query, "variables": variables}).encode()


async def test_a_signed_call_is_answered_for_its_subject(client: httpx2.AsyncClient) -> None:
    body = body_of("{mine {id}}")
    answer = await client.post("/graphql", content=body, headers=signed(body, BOB))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/graphql-response+json")
    assert answer.json() == {"data": {"mine": [{"id": "b5"}, {"id": "b6"}, {"id": "b7"}]}}


async def test_nobody_but_the_router_gets_in(client: httpx2.AsyncClient, library: Library) -> None:
    body = body_of("{books {id title}}")
    other = body_of("{books {id}}")
    refusals = [
        {"content-type": "application/json"},
        {"content-type": "application/json", HEADER_NAME: "nonsense"},
        signed(body, key=b"x" * 32),
        signed(body, name="training"),
        signed(other),
        {**signed(body), "authorization": "Bearer x", HEADER_NAME: ""},
    ]
    for headers in refusals:
        answer = await client.post("/graphql", content=body, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["errors"][0]["extensions"] == {"code": "INVALID_CALL"}
    assert library.office.batches == []


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZIP", "identity"])
async def test_a_compressed_call_is_answered_and_its_signature_is_over_what_was_sent(
    client: httpx2.AsyncClient, coding: str
) -> None:
    packing = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[coding.lower()]
    plain = body_of("{mine {id}} #" + "x" * 3_000)
    body = packing(plain)
    headers = {"content-encoding": coding}
    answer = await client.post("/graphql", content=body, headers={**signed(body, BOB), **headers})
    assert answer.json() == {"data": {"mine": [{"id": "b5"}, {"id": "b6"}, {"id": "b7"}]}}
    if coding != "identity":
        refused = await client.post("/graphql", content=body, headers={**signed(plain, BOB), **headers})
        assert refused.status_code == 403


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("gzip", gzip.compress(b" " * 10_000_000, mtime=0), 413),
        ("deflate", zlib.compress(b" " * 5_001), 413),
        ("gzip", b"{}", 400),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-2], 400),
        ("br", b"{}", 415),
    ],
    ids=["bomb", "over the limit", "no gzip", "cut off", "unknown coding"],
)
async def test_a_body_that_cannot_be_unpacked_is_refused(
    client: httpx2.AsyncClient, library: Library, coding: str, body: bytes, status: int
) -> None:
    headers = {**signed(body), "content-encoding": coding}
    assert (await client.post("/graphql", content=body, headers=headers)).status_code == status
    assert library.office.batches == []


async def test_a_long_answer_is_compressed_for_a_router_that_asks_for_it(client: httpx2.AsyncClient) -> None:
    body = body_of("{" + " ".join(f"m{n}: mine {{id title}}" for n in range(20)) + "}")
    told = []
    for takes in ("gzip", "br, gzip;q=0.5", "gzip;q=0", "identity", "br"):
        headers = {**signed(body, BOB), "accept-encoding": takes}
        answer = await client.post("/graphql", content=body, headers=headers)
        assert len(answer.json()["data"]) == 20
        told.append(answer.headers.get("content-encoding"))
    assert told == ["gzip", "gzip", None, None, None]


async def test_a_signature_is_good_for_one_call(client: httpx2.AsyncClient) -> None:
    body = body_of("{books {id}}")
    headers = signed(body)
    statuses = [(await client.post("/graphql", content=body, headers=headers)).status_code for _ in range(2)]
    assert statuses == [200, 403]


async def test_an_anonymous_caller_is_still_signed_for(client: httpx2.AsyncClient) -> None:
    body = body_of("{mine {id}}")
    answer = await client.post("/graphql", content=body, headers=signed(body, ANONYMOUS))
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"query": 1}', b'{"query": "{a}", "variables": []}'])
async def test_a_body_that_is_no_request_is_a_bad_request(client: httpx2.AsyncClient, body: bytes) -> None:
    answer = await client.post("/graphql", content=body, headers=signed(body))
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")


async def test_limits_and_media_types_have_their_status(client: httpx2.AsyncClient) -> None:
    long = body_of("{books {id}}" + " " * 6_000)
    assert (await client.post("/graphql", content=long, headers=signed(long))).status_code == 413
    body = body_of("{books {id}}")
    text = {**signed(body), "content-type": "text/plain"}
    assert (await client.post("/graphql", content=body, headers=text)).status_code == 415
    assert (await client.get("/graphql")).status_code == 405


async def test_a_file_arrives_where_the_map_says(client: httpx2.AsyncClient) -> None:
    form = {
        "operations": json.dumps(
            {"query": "mutation($f: Upload!) {take(file: $f)}", "variables": {"f": None}}
        ),
        "map": json.dumps({"0": ["variables.f"]}),
    }
    request = client.build_request(
        "POST", "/graphql", data=form, files={"0": ("run.fit", b"0123456789", "application/octet-stream")}
    )
    body = b"".join([chunk async for chunk in request.stream])  # type: ignore[union-attr]
    headers = {**signed(body), "content-type": request.headers["content-type"]}
    answer = await client.post("/graphql", content=body, headers=headers)
    assert answer.json() == {"data": {"take": "run.fit application/octet-stream 10"}}


@pytest.mark.parametrize(
    "places",
    [
        '{"0": ["variables.nope.f"]}',
        '{"0": ["query"]}',
        '{"9": ["variables.f"]}',
        "[]",
        '{"0": ["variables.g"]}',
    ],
)
async def test_a_map_that_leads_nowhere_is_a_bad_request(client: httpx2.AsyncClient, places: str) -> None:
    operations = {"query": "mutation($f: Upload!) {take(file: $f)}", "variables": {"f": None, "g": 1}}
    request = client.build_request(
        "POST",
        "/graphql",
        data={"operations": json.dumps(operations), "map": places},
        files={"0": ("a", b"1", "text/plain")},
    )
    body = b"".join([chunk async for chunk in request.stream])  # type: ignore[union-attr]
    headers = {**signed(body), "content-type": request.headers["content-type"]}
    answer = await client.post("/graphql", content=body, headers=headers)
    assert answer.status_code == 400


async def test_events_come_as_server_sent_events(client: httpx2.AsyncClient, library: Library) -> None:
    body = body_of("{books {id}}")
    headers = {**signed(body), "accept": "text/event-stream"}
    answer = await client.post("/graphql", content=body, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith('event: next\ndata: {"data":{"books":[{"id":"b0"}')
    assert answer.text.endswith("event: complete\ndata:\n\n")


async def test_health_tells_live_and_ready() -> None:
    async def away() -> None:
        raise ConnectionError

    app = subgraph_app(open_library().subgraph, keys=[KEY], ready=away)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://library") as client:
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 503


# WebSocket. The test client runs the application on a loop of its own, so each test opens its library there.


class Socket:
    """A graphql-transport-ws client of a library that adds one book as soon as somebody subscribes."""

    def __init__(self) -> None:
        self.library: Library | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.library is None:
            self.library = open_library()
            self.app = subgraph_app(self.library.subgraph, keys=[KEY], now=lambda: NOW)
            await self.library.added.put(BookRow("n1", "ann", "New"))
        await self.app(scope, receive, send)


def empty_signature(subject: Subject = ANN) -> dict[str, str]:
    return {HEADER_NAME: sign_call(subject, "library", hashlib.sha256(b"").hexdigest(), KEY, NOW)}


PROTOCOLS = ["graphql-transport-ws"]


def test_a_subscription_runs_over_a_signed_websocket() -> None:
    client = TestClient(Socket())
    with client.websocket_connect("/graphql", PROTOCOLS, headers=empty_signature()) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json() == {"type": "connection_ack"}
        socket.send_json({"type": "ping"})
        assert socket.receive_json() == {"type": "pong"}
        query = {"query": "subscription {bookAdded {id title}}"}
        socket.send_json({"id": "1", "type": "subscribe", "payload": query})
        assert socket.receive_json() == {
            "id": "1",
            "type": "next",
            "payload": {"data": {"bookAdded": {"id": "n1", "title": "New"}}},
        }
        socket.send_json({"id": "1", "type": "complete"})
        socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": "{sorry}"}})
        assert socket.receive_json()["payload"]["data"] == {"sorry": None}
        assert socket.receive_json() == {"id": "1", "type": "complete"}


def test_an_unsigned_websocket_is_refused_before_the_handshake() -> None:
    client = TestClient(Socket())
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/graphql", PROTOCOLS):
        pass


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"id": "1", "type": "subscribe", "payload": {"query": "{sorry}"}}], 4401),
        ([{"type": "connection_init"}, {"type": "connection_init"}], 4429),
        ([{"type": "connection_init"}, {"type": "nonsense"}], 4400),
        ([{"type": "connection_init"}, {"id": "1", "type": "subscribe", "payload": {}}], 4400),
        (
            [
                {"type": "connection_init"},
                {"id": "1", "type": "subscribe", "payload": {"query": "subscription {bookAdded {id}}"}},
                {"id": "1", "type": "subscribe", "payload": {"query": "subscription {bookAdded {id}}"}},
            ],
            4409,
        ),
    ],
)
def test_a_broken_protocol_closes_the_socket_with_its_code(messages: list[dict[str, Any]], code: int) -> None:
    client = TestClient(Socket())
    with client.websocket_connect("/graphql", PROTOCOLS, headers=empty_signature()) as socket:
        for message in messages:
            socket.send_json(message)
        with pytest.raises(WebSocketDisconnect) as closed:
            while True:
                socket.receive_json()
    assert closed.value.code == code


def test_ids_of_anonymous_sockets_see_nothing_protected() -> None:
    client = TestClient(Socket())
    with client.websocket_connect("/graphql", PROTOCOLS, headers=empty_signature(ANONYMOUS)) as socket:
        socket.send_json({"type": "connection_init"})
        socket.receive_json()
        query = {"query": "subscription {bookAdded {title}}"}
        socket.send_json({"id": "1", "type": "subscribe", "payload": query})
        payload = socket.receive_json()["payload"]
    assert payload["data"] == {"bookAdded": {"title": None}}
    assert [error["path"] for error in payload["errors"]] == [["bookAdded", "title"]]
