"""Headers that resolvers set: checked there, and the same for a router in the process and over HTTP."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
import strawberry
import uvicorn
from strawberry.types.info import Info

from authz.classes import DataClass
from authz.identity.subject import ANONYMOUS, Subject
from deploy.transports import signing
from router.config import read_config
from router.execution.answer_cache.freshness import collecting
from router.execution.returned import returning
from router.execution.transport import SubgraphRequest, SubgraphTransport
from router.execution.transports.http import HttpTransport
from router.execution.transports.in_process import InProcessTransport
from router.operation.model import OperationKind
from subgraphs.kit import AnswerHeaders, HeaderRefused, RequestContext, SameSite, Subgraph, classified, shapes
from subgraphs.kit.app import subgraph_app
from tests.kit_subgraphs.library import DeciderOffice

pytestmark = pytest.mark.timeout(30)
KEY = b"s" * 32
ANN = Subject("ann")
SHAPING = strawberry.argument(metadata=shapes())
MAY_1 = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)


@classified(DataClass.TRAINING)
@strawberry.federation.type(keys=["id"])
class Run:
    id: strawberry.ID
    name: str | None
    owner_id: strawberry.Private[str]

    @classmethod
    def resolve_reference(cls, id: str) -> Run:
        return cls(id=strawberry.ID(id), name="first", owner_id="ann")


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    @strawberry.field
    def sports(self, info: Info[RequestContext, None]) -> list[str]:
        info.context.answer_headers.keep(600, everyone=True)
        return ["run", "ride"]

    @strawberry.field
    def news(self, info: Info[RequestContext, None]) -> str:
        info.context.answer_headers.keep(60)
        return "none"

    @strawberry.field
    def run(self, info: Info[RequestContext, None]) -> Run | None:
        info.context.answer_headers.keep(600)
        return Run.resolve_reference("1")

    @strawberry.field
    def old(self, info: Info[RequestContext, None], to: Annotated[str, SHAPING] = "/new") -> str | None:
        info.context.answer_headers.deprecated(MAY_1, sunset=MAY_1 + dt.timedelta(days=30), see=to)
        return "still here"

    @strawberry.field
    def broken(self, info: Info[RequestContext, None]) -> str | None:
        info.context.answer_headers.keep(600)
        info.context.answer_headers.retry_after(2)
        raise RuntimeError


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation:
    @strawberry.mutation
    def make(self, info: Info[RequestContext, None]) -> str:
        headers = info.context.answer_headers
        headers.keep(600)
        headers.retry_after(3)
        headers.cookie("first", "a", max_age_s=60)
        headers.cookie("second", "b", same_site=SameSite.LAX)
        headers.cookie("first", "c")
        return "made"


@classified(DataClass.PUBLIC)
@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self, info: Info[RequestContext, None]) -> AsyncIterator[int]:
        info.context.answer_headers.cookie("late", "1")
        yield 1


@pytest.fixture
def subgraph() -> Subgraph[RequestContext]:
    return Subgraph(
        name="shop",
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Run],
        authorizer=DeciderOffice(),
        context=lambda subject, decisions: RequestContext(subject=subject, decisions=decisions),
    )


def rules(*named: str) -> Any:
    propagated = [{"propagate": {"named": one}} for one in named]
    all_ = {"response_headers": propagated, "subscriptions": {"protocol": "sse"}}
    return read_config({"subgraphs": {"all": all_}}).subgraphs


ALL = rules("cache-control", "set-cookie", "retry-after", "deprecation", "sunset", "link")


@asynccontextmanager
async def in_process(subgraph: Subgraph[Any], traffic: Any) -> AsyncIterator[SubgraphTransport]:
    yield InProcessTransport({"shop": subgraph}, traffic=traffic)


@asynccontextmanager
async def over_http(subgraph: Subgraph[Any], traffic: Any) -> AsyncIterator[SubgraphTransport]:
    listening = socket.create_server(("127.0.0.1", 0))
    app = subgraph_app(subgraph, keys=[KEY])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="websockets-sansio"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/graphql"
    transport = HttpTransport({"shop": url}, sign=signing(KEY), traffic=traffic)
    try:
        yield transport
    finally:
        await transport.close()
        server.should_exit = True
        await serving
        listening.close()


WAYS = pytest.mark.parametrize("way", [in_process, over_http])


def call(query: str, subject: Subject = ANN) -> SubgraphRequest:
    first, _, _ = query.partition(" ")
    kind = OperationKind.QUERY if query.startswith("{") else OperationKind(first)
    return SubgraphRequest("shop", kind, query, {}, subject, timeout_s=10)


async def told(transport: SubgraphTransport, query: str) -> tuple[list[str], str | None]:
    """The header lines for the client, and how long the answer is good: None for not at all."""
    with returning() as returned, collecting() as collected:
        await transport.fetch(call(query))
    return sorted(returned.lines().decode().splitlines()), collected.header(shared=True)


@WAYS
async def test_a_router_gets_what_resolvers_set_in_the_process_and_over_http(
    way: Callable[..., Any], subgraph: Subgraph[Any]
) -> None:
    async with way(subgraph, ALL) as transport:
        assert await told(transport, "mutation { make }") == (
            [
                "retry-after: 3",
                "set-cookie: first=c; Path=/; Secure; HttpOnly; SameSite=Strict",
                "set-cookie: second=b; Path=/; Secure; HttpOnly; SameSite=Lax",
            ],
            None,
        )
        lines, _ = await told(transport, "{ old }")
        assert lines == [
            "deprecation: @1777593600",
            'link: </new>; rel="deprecation"',
            "sunset: Sun, 31 May 2026 00:00:00 GMT",
        ]


@WAYS
async def test_without_a_rule_of_the_routers_no_client_gets_any(
    way: Callable[..., Any], subgraph: Subgraph[Any]
) -> None:
    async with way(subgraph, rules("retry-after")) as transport:
        assert (await told(transport, "mutation { make }"))[0] == ["retry-after: 3"]
    async with way(subgraph, rules()) as transport:
        assert (await told(transport, "mutation { make }"))[0] == []


@WAYS
@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("{ sports }", "max-age=600, public"),
        ("{ sports __typename }", "max-age=600, public"),
        ("{ sports news }", "max-age=60, private"),  # the shortest, and for nobody else
        ("{ run { id } }", "max-age=600, private"),  # its key is PUBLIC
        ("{ run { name } }", None),  # a decision about somebody
        ("{ sports ...on Query { run { ... { name } } } }", None),
        ("{ sports broken }", None),
        ("{ old }", None),
        ("mutation { make }", None),
    ],
)
async def test_what_took_a_decision_or_failed_is_nobodys_to_keep(
    way: Callable[..., Any], subgraph: Subgraph[Any], query: str, kept: str | None
) -> None:
    async with way(subgraph, ALL) as transport:
        assert (await told(transport, query))[1] == kept


@WAYS
async def test_a_fault_behind_a_header_is_masked_and_the_rest_is_answered(
    way: Callable[..., Any], subgraph: Subgraph[Any]
) -> None:
    query = r'{ sports old(to: "/a\r\nset-cookie: b=c") }'
    async with way(subgraph, ALL) as transport:
        with returning() as returned:
            answer = await transport.fetch(call(query))
    assert answer.data == {"sports": ["run", "ride"], "old": None}
    assert [(it["path"], it["message"]) for it in answer.errors] == [(["old"], "internal error")]
    assert b"set-cookie" not in returned.lines()
    assert b"link" not in returned.lines()


@WAYS
async def test_a_stream_has_no_head_left_and_says_its_events_all_the_same(
    way: Callable[..., Any], subgraph: Subgraph[Any]
) -> None:
    async with way(subgraph, ALL) as transport:
        with returning() as returned:
            events = [one.data async for one in transport.subscribe(call("subscription { ticks }"))]
    assert events == [{"ticks": 1}]
    assert returned.lines() == b""


async def test_callers_of_one_process_do_not_share_a_head(subgraph: Subgraph[Any]) -> None:
    answers = await asyncio.gather(
        *(
            subgraph.execute(query, {}, None, ANONYMOUS)
            for query in ("mutation { make }", "{ old }", "{ news }")
        )
    )
    names = [sorted(getattr(one, "headers", {})) for one in answers]
    assert names == [["retry-after", "set-cookie"], ["deprecation", "link", "sunset"], ["cache-control"]]
    assert not hasattr(await subgraph.execute("{ __typename }", {}, None, ANN), "headers")


@pytest.mark.parametrize(
    "set_",
    [
        lambda it: it.deprecated(MAY_1, see="https://a.example/\r\nx: y"),
        lambda it: it.deprecated(MAY_1, see="/a b"),
        lambda it: it.deprecated(MAY_1, see="//evil.example/"),
        lambda it: it.deprecated(MAY_1, see="http://a.example/"),
        lambda it: it.deprecated(MAY_1, see="javascript:alert(1)"),
        lambda it: it.deprecated(MAY_1, see="/ü"),
        lambda it: it.deprecated(MAY_1, see="/" + "a" * 2_048),
        lambda it: it.cookie("a b", "c"),
        lambda it: it.cookie("a", "b; Domain=evil.example"),
        lambda it: it.cookie("a", "b\n"),
        lambda it: it.cookie("a", 'b"'),
        lambda it: it.cookie("", "b"),
        lambda it: it.cookie("a", "b", path="/;Domain=x"),
        lambda it: it.cookie("a", "b", path=""),
        lambda it: it.cookie("a", "b", max_age_s=-1),
        lambda it: it.keep(-1),
        lambda it: it.keep(40_000_000),
        lambda it: it.retry_after(-1),
        lambda it: it.deprecated(dt.datetime(2026, 1, 1)),
        lambda it: it.deprecated(MAY_1, see="<x>"),
    ],
)
def test_what_is_no_value_of_its_header_is_refused_and_leaves_nothing(
    set_: Callable[[AnswerHeaders], None],
) -> None:
    headers = AnswerHeaders()
    headers.retry_after(1.2)
    with pytest.raises(HeaderRefused):
        set_(headers)
    assert headers.lines(may_be_kept=True) == {"retry-after": ["2"]}


def test_the_lines_of_one_answer_are_bounded() -> None:
    headers = AnswerHeaders()
    with pytest.raises(HeaderRefused, match="8192 bytes"):
        for number in range(100):
            headers.cookie(f"c{number}", "x" * 500)
    assert sum(len(one) for one in headers.lines(may_be_kept=False)["set-cookie"]) < 8_192


def test_the_longest_wait_and_the_latest_of_all_else_count() -> None:
    headers = AnswerHeaders()
    for seconds in (3, 9.5, 1):
        headers.retry_after(seconds)
    headers.deprecated(MAY_1, see="/first")
    headers.deprecated(MAY_1, see="https://b.example/second?a=b")
    assert headers.lines(may_be_kept=False) == {
        "retry-after": ["10"],
        "deprecation": ["@1777593600"],
        "link": ['<https://b.example/second?a=b>; rel="deprecation"'],
    }
