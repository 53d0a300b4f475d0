"""`@defer` on the wire: both forms over multipart, over SSE and over a socket; whole for everyone else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import connect

from authz.identity.subject import Subject
from router.edge.credentials import Credentials
from router.edge.incremental import increments
from router.edge.negotiation import Wire, accepted
from router.errors import PlanInvariantBroken
from router.execution import GraphQLResponse, IncrementalFormat
from tests.kit_edge.running import Running, running

pytestmark = pytest.mark.timeout(20)
OF_2022 = "multipart/mixed;deferSpec=20220824, application/json"
CURRENT = "multipart/mixed;incrementalSpec=v0.2, application/json"
SLOW = {"query": '{ hello ... @defer(label: "later") { slow } }'}
DENIED = {"query": "{ hello ... @defer { me secret broken } }"}


@pytest.fixture
async def router():
    async with running() as it:
        yield it


def parts(text: str) -> list[Any]:
    """The JSON of every part; the closing delimiter must be there."""
    preamble, *found, last = text.split("\r\n---")
    assert (preamble, last) == ("", "--\r\n")
    return [json.loads(part.split("\r\n\r\n", 1)[1]) for part in found]


async def answered(router: Running, request: object, accept: str) -> tuple[str, str]:
    """Content type and text of an answer."""
    async with router.http.post(router.url, json=request, headers={"accept": accept}) as it:
        assert it.status == 200
        return it.headers["content-type"], await it.text()


async def test_the_first_part_is_whole_before_the_second_is_there(router: Running) -> None:
    async with router.http.post(router.url, json=SLOW, headers={"accept": OF_2022}) as it:
        assert it.headers["content-type"] == 'multipart/mixed; boundary="-"; deferSpec=20220824'
        await it.content.readuntil(b"\r\n---\r\n")
        first = await it.content.readuntil(b"\r\n---")
        assert b'{"data":{"hello":"hello world"},"hasNext":true}' in first
        await router.hall.started.wait()
        router.hall.gate.set()
        second = (await it.content.read()).decode()
    body, end = second.split("\r\n\r\n", 1)[1].split("\r\n---")
    assert json.loads(body) == {
        "incremental": [{"data": {"slow": "at last"}, "path": [], "label": "later"}],
        "hasNext": False,
    }
    assert end == "--\r\n"


@pytest.mark.parametrize("named", ["incrementalSpec=v0.2", "incrementalDeliverySpec=3283f8a", ""])
async def test_the_current_form_is_there_by_each_of_its_names(router: Running, named: str) -> None:
    router.hall.gate.set()
    kind, text = await answered(router, SLOW, f"multipart/mixed;{named}, application/json")
    assert kind == 'multipart/mixed; boundary="-"' + (f"; {named}" if named else "")
    assert parts(text) == [
        {
            "data": {"hello": "hello world"},
            "pending": [{"id": "0", "path": [], "label": "later"}],
            "hasNext": True,
        },
        {
            "incremental": [{"id": "0", "data": {"slow": "at last"}}],
            "completed": [{"id": "0"}],
            "hasNext": False,
        },
    ]


async def test_an_event_stream_has_one_event_a_part(router: Running) -> None:
    router.hall.gate.set()
    _, text = await answered(router, SLOW, "text/event-stream, application/json")
    blocks = [one.split("\n") for one in text.split("\n\n") if one and not one.startswith(":")]
    assert [lines[0] for lines in blocks] == ["event: next", "event: next", "event: complete"]
    bodies = [json.loads(lines[1].removeprefix("data: ")) for lines in blocks[:2]]
    assert [one["hasNext"] for one in bodies] == [True, False]
    assert bodies[1]["incremental"] == [{"id": "0", "data": {"slow": "at last"}}]


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/graphql-response+json",
        "*/*",
        'multipart/mixed;subscriptionSpec="1.0", application/json',
        "multipart/mixed;deferSpec=20990101, application/json",
    ],
)
async def test_a_client_that_takes_no_parts_gets_the_whole(router: Running, accept: str) -> None:
    router.hall.gate.set()
    kind, text = await answered(router, SLOW, accept)
    assert "json" in kind
    assert json.loads(text) == {"data": {"hello": "hello world", "slow": "at last"}}


async def test_nothing_deferred_is_one_plain_answer_though_parts_are_taken(router: Running) -> None:
    for query in ("{ hello }", "{ hello ... @defer(if: false) { me } }", "{ hello ... { me } }"):
        kind, text = await answered(router, {"query": query}, OF_2022)
        assert kind.startswith("application/json")
        assert json.loads(text)["data"]["hello"] == "hello world"


@pytest.mark.parametrize("accept", [OF_2022, CURRENT])
async def test_what_fails_or_is_denied_later_is_told_in_its_part(router: Running, accept: str) -> None:
    first, second = parts((await answered(router, DENIED, accept))[1])
    assert first["data"] == {"hello": "hello world"}
    assert "errors" not in first
    [part] = second["incremental"]
    assert part["data"] == {"me": None, "secret": None, "broken": None}
    assert [error["path"] for error in part["errors"]] == [["broken"], ["secret"]]
    assert part["errors"][1]["extensions"]["code"] == "UNAUTHORIZED_FIELD_OR_TYPE"


async def test_texts_that_differ_in_label_or_condition_alone_keep_their_own(router: Running) -> None:
    for label in ("one", "two", "three", "four"):
        query = f'{{ hello ... @defer(label: "{label}") {{ me }} }}'
        first, _ = parts((await answered(router, {"query": query}, CURRENT))[1])
        assert first["pending"] == [{"id": "0", "path": [], "label": label}]
    for wanted in ("true", "false") * 3:
        query = f"{{ hello ... @defer(if: {wanted}) {{ me }} }}"
        kind, _ = await answered(router, {"query": query}, CURRENT)
        assert kind.startswith("multipart" if wanted == "true" else "application/json")


async def test_a_refusal_before_the_first_part_is_an_ordinary_answer(router: Running) -> None:
    async with router.http.post(
        router.url, json={"query": "{ no ... @defer { hello } }"}, headers={"accept": OF_2022}
    ) as it:
        assert it.headers["content-type"].startswith("application/json")
        body = await it.json()
    assert [one["extensions"]["code"] for one in body["errors"]] == ["GRAPHQL_VALIDATION_FAILED"]


async def test_a_client_that_leaves_stops_the_later_fetches(router: Running) -> None:
    async with router.http.post(router.url, json=SLOW, headers={"accept": OF_2022}):
        await router.hall.started.wait()
    await router.hall.cancelled.wait()


async def test_root_fields_of_mutations_are_never_put_off(router: Running) -> None:
    query = "mutation { bump ... @defer { again: bump } }"
    _, text = await answered(router, {"query": query}, CURRENT)
    assert [one["extensions"]["code"] for one in json.loads(text)["errors"]] == ["GRAPHQL_VALIDATION_FAILED"]
    assert router.hall.bumps == 0


@pytest.mark.parametrize(("init", "has_pending"), [({}, True), ({"deferSpec": "20220824"}, False)])
async def test_a_socket_gets_one_next_a_part(
    router: Running, init: dict[str, str], has_pending: bool
) -> None:
    async with connect(router.socket_url, subprotocols=["graphql-transport-ws"]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": init}))
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": SLOW}))
        heard = [json.loads(await socket.recv()) for _ in range(2)]
        assert [one["type"] for one in heard] == ["connection_ack", "next"]
        assert heard[1]["payload"]["data"] == {"hello": "hello world"}
        assert ("pending" in heard[1]["payload"]) is has_pending
        router.hall.gate.set()
        heard = [json.loads(await socket.recv()) for _ in range(2)]
    assert [one["type"] for one in heard] == ["next", "complete"]
    assert heard[0]["payload"]["incremental"][0]["data"] == {"slow": "at last"}


async def test_a_socket_operation_that_is_completed_early_stops_its_fetches(router: Running) -> None:
    async with connect(router.socket_url, subprotocols=["graphql-transport-ws"]) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": SLOW}))
        await router.hall.started.wait()
        await socket.send(json.dumps({"type": "complete", "id": "1"}))
        await router.hall.cancelled.wait()


async def test_a_right_that_ends_between_the_parts_ends_the_answer() -> None:
    standing: list[bool] = [True]

    async def authenticate(_: str) -> Subject:
        return Subject("mira")

    credentials = Credentials(authenticate=authenticate, is_active=lambda _: standing[0])
    async with (
        running(credentials=credentials) as router,
        router.http.post(
            router.url, json=SLOW, headers={"accept": CURRENT, "authorization": "Bearer t"}
        ) as it,
    ):
        await router.hall.started.wait()
        standing[0] = False
        router.hall.gate.set()
        _, last = parts(await it.text())
    [completed] = last["completed"]
    assert completed["errors"][0]["extensions"]["code"] == "SUBSCRIPTION_EXPIRED"
    assert "incremental" not in last
    assert last["hasNext"] is False


@pytest.mark.parametrize("pending", [[{"id": "0", "path": []}], None])
async def test_a_fault_between_the_parts_is_masked_and_ends_them(pending: list[object] | None) -> None:
    async def rest() -> AsyncIterator[GraphQLResponse]:
        raise PlanInvariantBroken("inside")
        yield

    members = {"hasNext": True} if pending is None else {"pending": pending, "hasNext": True}
    first = GraphQLResponse({"hello": "x"}, incremental=members)
    _, last = [orjson.loads(one.text()) async for one in increments(first, rest(), "f" * 32)]
    errors = last["errors"] if pending is None else last["completed"][0]["errors"]
    assert errors == [
        {"message": "internal error", "extensions": {"code": "INTERNAL_SERVER_ERROR", "traceId": "f" * 32}}
    ]
    assert last["hasNext"] is False


def test_the_most_wanted_form_that_is_known_is_taken() -> None:
    wanted = accepted("multipart/mixed;deferSpec=9;q=1, multipart/mixed;deferSpec=20220824;q=0.5, */*;q=0.1")
    assert wanted.incremental is not None
    assert wanted.incremental.wire is Wire.PARTS
    assert wanted.incremental.format_ is IncrementalFormat.MULTIPART_2022
