"""The router's HTTP transport against a subgraph on a real socket: each call signed and answered."""

import asyncio
import io
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from authz.identity.subject import Subject
from deploy.transports import signing
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest
from router.execution.transports.http import HttpTransport
from router.operation.model import OperationKind
from router.operation.upload import Upload
from router.traffic import StreamProtocol, SubgraphTraffic, SubscriptionSource, Traffic
from subgraphs.kit.app import subgraph_app
from tests.kit_subgraphs.library import ANN, BOB, BookRow, Library

KEY = b"s" * 32
SUBSCRIPTION = "subscription {bookAdded {id title}}"


@asynccontextmanager
async def served(library: Library) -> AsyncIterator[str]:
    """The library's URL while it is served."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = subgraph_app(library.subgraph, keys=[KEY])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="websockets-sansio"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/graphql"
    finally:
        server.should_exit = True
        await serving
        listening.close()


def request_of(
    query: str, subject: Subject, kind: OperationKind = OperationKind.QUERY, **variables: Any
) -> SubgraphRequest:
    return SubgraphRequest("library", kind, query, variables, subject, timeout_s=5)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
async def test_queries_and_uploads_reach_the_subgraph_for_their_subject(
    library: Library, packed: bool
) -> None:
    traffic = Traffic(all=SubgraphTraffic(compress_requests=packed, accept_compressed=packed))
    async with served(library) as url:
        transport = HttpTransport({"library": url}, sign=signing(KEY), traffic=traffic)
        long = "{" + " ".join(f"m{n}: mine {{id title}}" for n in range(60)) + "}"
        assert len((await transport.fetch(request_of(long, BOB))).data or {}) == 60
        answer = await transport.fetch(request_of("{mine {id title}}", BOB))
        assert answer.data == {"mine": [{"id": f"b{n}", "title": f"Title {n}"} for n in (5, 6, 7)]}
        file = Upload(io.BytesIO(b"0123456789"), filename="run.fit", content_type="image/png", size=10)
        taken = await transport.fetch(
            request_of("mutation($f: Upload!) {take(file: $f)}", ANN, OperationKind.MUTATION, f=file)
        )
        assert taken.data == {"take": "run.fit image/png 10"}
        await transport.close()


@pytest.mark.parametrize("protocol", [StreamProtocol.WEBSOCKET, StreamProtocol.SSE])
async def test_subscriptions_reach_it_by_either_protocol_and_end_with_their_reader(
    library: Library, protocol: StreamProtocol
) -> None:
    async with served(library) as url:
        source = SubscriptionSource(protocol=protocol)
        traffic = Traffic(all=SubgraphTraffic(subscriptions=source))
        transport = HttpTransport({"library": url}, sign=signing(KEY), traffic=traffic)
        stream = transport.subscribe(request_of(SUBSCRIPTION, BOB, OperationKind.SUBSCRIPTION))
        await library.added.put(BookRow("n1", "bob", "Mine"))
        first = await anext(stream)
        await library.added.put(BookRow("n2", "ann", "Hers"))
        second = await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        await transport.close()
    assert first.data == {"bookAdded": {"id": "n1", "title": "Mine"}}
    assert second.data == {"bookAdded": {"id": "n2", "title": None}}
    assert [error["extensions"]["code"] for error in second.errors] == ["FORBIDDEN_FIELD"]


async def test_a_router_with_another_key_gets_nothing(library: Library) -> None:
    async with served(library) as url:
        transport = HttpTransport({"library": url}, sign=signing(b"x" * 32))
        try:
            answer = await transport.fetch(request_of("{books {id}}", ANN))
        except SubgraphCallFailed:
            pass
        else:
            assert answer.data is None
        with pytest.raises(SubgraphCallFailed):
            await anext(transport.subscribe(request_of(SUBSCRIPTION, ANN, OperationKind.SUBSCRIPTION)))
        await transport.close()
    assert library.office.batches == []
