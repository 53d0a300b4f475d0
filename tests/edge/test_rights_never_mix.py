"""Two callers of different rights never share: not an answer, a fetch, a stream, nor what was kept.

Every attribute of a caller is tried, one that is added later as well: it then needs a second value here.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import orjson
import pytest
from aiohttp import web

from authz.classes import DataClass, Role
from authz.identity.subject import ANONYMOUS, RoleLimit, Subject
from datastores.cache.opening import open_cache
from router.edge.answers import Answer
from router.edge.sharing import SharedQueries, key_of
from router.execution.answer_cache.cached import AnswerCache, CachedTransport
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.http import HttpTransport
from router.operation.model import OperationKind
from router.pipeline import GraphQLRequest
from router.traffic import CachedAnswers, StreamProtocol, SubgraphTraffic, SubscriptionSource, Traffic
from schema.supergraph import read_supergraph
from tests.kit_edge.supergraphs import supergraph_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MIRA = Subject("mira", frozenset({Role.ATHLETE}), scopes=frozenset({"read"}), expires_at_utc=NOON)
CHANGES: dict[str, list[Any]] = {
    "id": ["tomas"],
    "roles": [frozenset(), frozenset({Role.TRAINER}), frozenset({Role.ATHLETE, Role.TRAINER})],
    "session_id": ["another"],
    "acr": [2],
    "amr": [frozenset({"pwd"}), frozenset({"pwd", "otp"})],
    "authenticated_at_utc": [NOON - timedelta(minutes=1)],
    "client_class": ["partner"],
    "organisations": [frozenset({"club"})],
    "key_thumbprint": ["k"],
    "client_id": ["partner"],
    "scopes": [frozenset(), frozenset({"write"}), frozenset({"read", "write"})],
    "region": ["eu"],
    "network_zone": ["clinic"],
    "device": ["attested"],
    "expires_at_utc": [NOON + timedelta(minutes=1)],
    "client_address": ["192.0.2.1"],
    "served_in": ["us"],
    "limits": [
        (RoleLimit(Role.ATHLETE),),
        (RoleLimit(Role.ATHLETE, frozenset({DataClass.TRAINING})),),
        (RoleLimit(Role.ATHLETE, frozenset({DataClass.TRAINING, DataClass.SOCIAL})),),
    ],
}
OF_A_SESSION = frozenset({"session_id", "expires_at_utc"})
"""What a new log-in changes without changing any right."""
CALLERS = [ANONYMOUS, MIRA] + [
    replace(MIRA, **{name: value}) for name, values in CHANGES.items() for value in values
]


def test_every_attribute_of_a_caller_is_tried() -> None:
    assert set(CHANGES) == {one.name for one in dataclasses.fields(Subject)}
    assert len(set(CALLERS)) == len(CALLERS)


def alike(callers: list[Subject]) -> list[Subject]:
    """Each once more, as an equal value of its own."""
    return [replace(one, scopes=frozenset(set(one.scopes))) for one in callers]


async def test_each_caller_gets_an_answer_of_their_own_run() -> None:
    graph, shared, gate = object(), SharedQueries(on=True), asyncio.Event()
    ran: list[Subject] = []

    def run_for(subject: Subject) -> Callable[[], Coroutine[None, None, Answer]]:
        async def run() -> Answer:
            ran.append(subject)
            await gate.wait()
            return Answer({"data": {"who": CALLERS.index(subject)}})

        return run

    everybody = CALLERS + alike(CALLERS)
    request = GraphQLRequest(text="{ a }")
    tasks = [
        asyncio.create_task(shared.answer(key_of(request, one, graph), run_for(one)))  # type: ignore[arg-type]
        for one in everybody
    ]
    while len(ran) < len(CALLERS):
        await asyncio.sleep(0)
    gate.set()
    answers = await asyncio.gather(*tasks)
    assert len(ran) == len(CALLERS)
    assert [one.body["data"]["who"] for one in answers] == [CALLERS.index(one) for one in everybody]


class Signed:
    """A subgraph that answers whoever the call was signed for, once all are asking."""

    def __init__(self) -> None:
        self.calls = 0
        self.wanted = len(CALLERS)
        self.all_here = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        if self.calls == self.wanted:
            self.all_here.set()
        await self.all_here.wait()
        body = orjson.dumps({"data": {"who": request.headers.get("x-who", "nobody")}})
        if "event-stream" not in request.headers["accept"]:
            return web.Response(body=body, content_type="application/json")
        text = b"event: next\ndata: " + body + b"\n\nevent: complete\ndata:\n\n"
        return web.Response(body=text, content_type="text/event-stream")


def proof(request: SubgraphRequest, _: bytes) -> dict[str, str]:
    return {"x-who": str(CALLERS.index(request.subject))}


@asynccontextmanager
async def transport_to(subgraph: Signed, *, signs: bool) -> AsyncIterator[HttpTransport]:
    app = web.Application()
    app.router.add_post("/graphql", subgraph.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/graphql"
    source = SubscriptionSource(protocol=StreamProtocol.SSE)
    traffic = Traffic(all=SubgraphTraffic(subscriptions=source))
    transport = HttpTransport({"only": url}, sign=proof if signs else None, traffic=traffic)
    try:
        yield transport
    finally:
        await transport.close()
        await runner.cleanup()


async def answer_of(transport: HttpTransport, subject: Subject, kind: OperationKind) -> SubgraphResponse:
    request = SubgraphRequest("only", kind, "{who}", {}, subject)
    if kind is OperationKind.QUERY:
        return await transport.fetch(request)
    (event,) = [one async for one in transport.subscribe(request)]
    return event


@pytest.mark.parametrize("kind", [OperationKind.QUERY, OperationKind.SUBSCRIPTION], ids=["fetch", "stream"])
@pytest.mark.parametrize("signs", [True, False], ids=["signed", "for all"])
async def test_a_subgraph_that_is_told_who_asks_is_asked_for_each(kind: OperationKind, signs: bool) -> None:
    """One that is not told sees equal calls: those are one."""
    subgraph, everybody = Signed(), CALLERS + alike(CALLERS)
    subgraph.wanted = len(CALLERS) if signs else 1
    async with transport_to(subgraph, signs=signs) as transport:
        async with asyncio.timeout(20):
            tasks = [asyncio.create_task(answer_of(transport, one, kind)) for one in everybody]
            answers = await asyncio.gather(*tasks)
    assert subgraph.calls == subgraph.wanted
    told = [one.data["who"] for one in answers if one.data is not None]
    assert told == [str(CALLERS.index(one)) if signs else "nobody" for one in everybody]


class Private:
    """A subgraph whose answers are good for their viewer alone."""

    def __init__(self) -> None:
        self.asked: list[Subject] = []

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        self.asked.append(request.subject)
        who = CALLERS.index(request.subject)
        entities = [{"name": f"for {who}"} for _ in request.variables.get("r", ())]
        data: dict[str, Any] = {"_entities": entities} if entities else {"who": who}
        return SubgraphResponse(data=data, cache_control="private, max-age=60")

    def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        raise NotImplementedError

    async def close(self) -> None: ...


ENTITIES = "query($r:[_Any!]!){_entities(representations:$r){...on User{name}}}"


@pytest.mark.parametrize("text", ["{who}", ENTITIES], ids=["root", "entities"])
async def test_what_was_kept_is_given_to_its_viewer_alone(text: str) -> None:
    store, subgraph = open_cache("memory://"), Private()
    await store.open()
    graph = read_supergraph(supergraph_of("type Query { who: Int }"))
    traffic = Traffic(all=SubgraphTraffic(cache=CachedAnswers(enabled=True)))
    transport = CachedTransport(subgraph, AnswerCache(store), graph, traffic)
    new_log_ins = [replace(MIRA, **{name: CHANGES[name][0]}) for name in OF_A_SESSION]
    for one in [*CALLERS, *alike(CALLERS)]:
        variables = {"r": [{"__typename": "User", "id": "1"}]} if text is ENTITIES else {}
        request = SubgraphRequest("only", OperationKind.QUERY, text, variables, one)
        answer = await transport.fetch(request)
        assert answer.data is not None
        told = str(answer.data["who"] if "who" in answer.data else answer.data["_entities"][0]["name"])
        viewer = MIRA if one in new_log_ins else one
        assert told.removeprefix("for ") == str(CALLERS.index(viewer))
    await store.close()
    assert subgraph.asked == [one for one in CALLERS if one not in new_log_ins]
    assert len(new_log_ins) == 2


def test_callers_that_differ_are_never_equal() -> None:
    assert not any(one == other for one, other in combinations(CALLERS, 2))
    assert all(
        one == other and hash(one) == hash(other) for one, other in zip(CALLERS, alike(CALLERS), strict=True)
    )
