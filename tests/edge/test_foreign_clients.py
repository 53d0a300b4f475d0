"""The router as clients see it that we did not write: `gql` over HTTP and WebSocket."""

from __future__ import annotations

import io

import pytest
from gql import Client, FileVar, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport

from router.config import RouterConfig
from tests.kit_edge.running import Running, running

pytestmark = pytest.mark.timeout(20)


@pytest.fixture
async def router():
    async with running() as it:
        yield it


async def test_gql_reads_the_schema_validates_and_asks() -> None:
    async with (
        running(RouterConfig(introspection=True)) as router,
        Client(transport=AIOHTTPTransport(url=router.url), fetch_schema_from_transport=True) as session,
    ):
        request = gql("query($n: String) { hello(name: $n) }")
        request.variable_values = {"n": "gql"}
        assert await session.execute(request) == {"hello": "hello gql"}
        assert "nested" in session.client.schema.query_type.fields


async def test_gql_sees_errors_with_their_paths(router: Running) -> None:
    async with Client(transport=AIOHTTPTransport(url=router.url)) as session:
        with pytest.raises(TransportQueryError) as raised:
            await session.execute(gql("{ hello broken }"))
    assert raised.value.data == {"hello": "hello world", "broken": None}
    assert [error["path"] for error in raised.value.errors] == [["broken"]]


async def test_gql_uploads_a_file(router: Running) -> None:
    transport = AIOHTTPTransport(url=router.url, headers={"graphql-require-preflight": "1"})
    async with Client(transport=transport) as session:
        request = gql("mutation($file: Upload!) { upload(file: $file) }")
        file = FileVar(io.BytesIO(b"bytes"), filename="run.fit", content_type="application/vnd.ant.fit")
        request.variable_values = {"file": file}
        answer = await session.execute(request, upload_files=True)
    assert answer == {"upload": "run.fit application/vnd.ant.fit 5 bytes"}


@pytest.mark.parametrize("subprotocol", ["graphql-transport-ws", "graphql-ws"])
async def test_gql_subscribes_over_websocket_in_both_dialects(router: Running, subprotocol) -> None:
    transport = WebsocketsTransport(url=router.socket_url, subprotocols=[subprotocol])
    async with Client(transport=transport) as session:
        numbers = [event["count"] async for event in session.subscribe(gql("subscription { count(to: 4) }"))]
        assert numbers == [1, 2, 3, 4]
        assert await session.execute(gql("{ hello }")) == {"hello": "hello world"}
