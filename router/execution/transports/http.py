"""The subgraph port over HTTP: POST for queries and mutations; WebSocket or SSE for subscriptions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

import aiohttp
import orjson

from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.answers import is_graphql_answer, read_answer
from router.execution.transports.http_client import (
    AnswerTooLong,
    ConnectFailed,
    ConnectionLost,
    Endpoint,
    HttpAnswer,
    HttpClient,
    NotHttp,
)
from router.execution.transports.multipart import multipart_of
from router.execution.transports.raw import whole_data
from router.execution.transports.sse import sse_payloads
from router.execution.transports.websocket import websocket_payloads
from router.operation.model import OperationKind
from router.operation.upload import uploads_in

Sign: TypeAlias = Callable[[SubgraphRequest, bytes], Mapping[str, str] | None]
"""Headers that prove the call to the subgraph, for the exact bytes that are sent; asked once a call."""

ACCEPT: Final = "application/graphql-response+json, application/json"
_GRAPHQL_JSON: Final = "application/graphql-response+json"
_JSON_TYPES: Final = frozenset({_GRAPHQL_JSON, "application/json"})
_HOP_HEADERS: Final = frozenset(
    {"host", "connection", "content-length", "content-type", "transfer-encoding", "accept", "upgrade"}
)


class StreamProtocol(StrEnum):
    """How subscriptions reach a subgraph."""

    WEBSOCKET = "graphql-transport-ws"
    SSE = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTransportLimits:
    """What one connection pool and one answer may take."""

    answer_bytes_max: int = 64 * 1024 * 1024
    connections_per_host_max: int = 200
    connect_timeout_s: float = 5.0
    keep_alive_s: float = 30.0
    event_bytes_max: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SubgraphAddress:
    """One subgraph. `stream_url` is where subscriptions go, the same as `url` when not given."""

    url: str
    stream_url: str | None = None
    stream_protocol: StreamProtocol = StreamProtocol.WEBSOCKET
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpTransport:
    """Calls subgraphs by URL over a shared pool of kept-alive connections. Made anywhere, used in one loop.

    `subgraphs` are by name, as addresses or plain URLs. Header precedence, lowest first: forwarded ones,
    the subgraph's static ones, `sign`'s, the transport's own.
    """

    def __init__(
        self,
        subgraphs: Mapping[str, str | SubgraphAddress],
        *,
        sign: Sign | None = None,
        limits: HttpTransportLimits | None = None,
    ) -> None:
        self._addresses: dict[str, SubgraphAddress] = {}
        self.readdress(subgraphs)
        self._sign = sign
        self._limits = limits or HttpTransportLimits()
        self._session: aiohttp.ClientSession | None = None
        self._endpoints: dict[str, Endpoint] = {}
        self._client = HttpClient(
            connections_per_host_max=self._limits.connections_per_host_max,
            connect_timeout_s=self._limits.connect_timeout_s,
            keep_alive_s=self._limits.keep_alive_s,
            answer_bytes_max=self._limits.answer_bytes_max,
        )

    def readdress(self, subgraphs: Mapping[str, str | SubgraphAddress]) -> None:
        """Add and replace addresses from the next call on; what is under way stays where it is."""
        self._addresses |= {
            name: SubgraphAddress(url=it) if isinstance(it, str) else it for name, it in subgraphs.items()
        }

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """As the port says. A query is sent once more where a kept connection turned out to be closed."""
        address = self._address(request.service)
        attempts = 2 if request.kind is OperationKind.QUERY else 1
        while True:
            attempts -= 1
            body, content_type = await _body(request)
            headers = self._headers(request, address, body, ACCEPT)
            headers["content-type"] = content_type
            try:
                answer = await self._post(request, headers, body)
            except ConnectionLost:
                if attempts:
                    continue
                raise SubgraphCallFailed(request.service, "the connection was lost") from None
            if request.whole and (data := whole_data(answer)) is not None:
                return SubgraphResponse(data=None, json=data)
            return _read(request.service, answer)

    async def _post(self, request: SubgraphRequest, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        service = request.service
        try:
            endpoint = self._endpoint(service)
            return await self._client.post(endpoint, headers, body, timeout_s=request.timeout_s)
        except TimeoutError:
            raise SubgraphCallFailed(service, "timed out") from None
        except ConnectFailed:
            raise SubgraphCallFailed(service, "could not be reached") from None
        except AnswerTooLong:
            limit = self._limits.answer_bytes_max
            raise SubgraphCallFailed(service, f"answered more than {limit} bytes") from None
        except NotHttp:
            raise SubgraphCallFailed(service, "did not speak HTTP") from None

    def _endpoint(self, service: str) -> Endpoint:
        url = self._address(service).url
        endpoint = self._endpoints.get(url)
        if endpoint is None:
            try:
                endpoint = self._endpoints[url] = Endpoint.of(url)
            except ValueError:
                raise SubgraphCallFailed(service, "has no usable address") from None
        return endpoint

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """As the port says. `timeout_s` bounds opening the stream, not the stream."""
        address = self._address(request.service)
        payloads = (
            self._over_sse(request, address)
            if address.stream_protocol is StreamProtocol.SSE
            else self._over_websocket(request, address)
        )
        async with aclosing(payloads) as stream:  # type: ignore[type-var]
            async for payload in stream:
                yield read_answer(request.service, payload)

    def _over_websocket(self, request: SubgraphRequest, address: SubgraphAddress) -> AsyncIterator[Any]:
        headers = self._headers(request, address, b"", None)
        return websocket_payloads(
            request,
            address.stream_url or address.url,
            headers,
            open_timeout_s=self._limits.connect_timeout_s,
            event_bytes_max=self._limits.event_bytes_max,
        )

    async def _over_sse(self, request: SubgraphRequest, address: SubgraphAddress) -> AsyncIterator[Any]:
        body, content_type = await _body(request)
        headers = self._headers(request, address, body, StreamProtocol.SSE)
        headers["content-type"] = content_type
        stream = sse_payloads(
            self._open_session(),
            request,
            address.stream_url or address.url,
            body,
            headers,
            open_timeout_s=self._limits.connect_timeout_s,
            event_bytes_max=self._limits.event_bytes_max,
        )
        async with aclosing(stream) as payloads:  # type: ignore[type-var]
            async for payload in payloads:
                yield payload

    async def close(self) -> None:
        """As the port says; a later call would open a new pool."""
        self._client.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _address(self, service: str) -> SubgraphAddress:
        address = self._addresses.get(service)
        if address is None:
            raise SubgraphCallFailed(service, "has no address")
        return address

    def _headers(
        self, request: SubgraphRequest, address: SubgraphAddress, body: bytes, accept: str | None
    ) -> dict[str, str]:
        headers = {
            name.lower(): value
            for name, value in (*request.headers.items(), *address.headers.items())
            if name.lower() not in _HOP_HEADERS
        }
        if self._sign is not None:
            headers.update(self._sign(request, body) or {})
        if accept is not None:
            headers["accept"] = accept
        return headers

    def _open_session(self) -> aiohttp.ClientSession:
        """For event streams alone. The session belongs to the loop of the first call."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0,
                limit_per_host=self._limits.connections_per_host_max,
                keepalive_timeout=self._limits.keep_alive_s,
                loop=asyncio.get_running_loop(),
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), raise_for_status=False
            )
        return self._session


async def _body(request: SubgraphRequest) -> tuple[bytes, str]:
    payload = payload_of(request)
    try:
        return orjson.dumps(payload), "application/json"
    except TypeError:
        # files are what JSON has no word for: they are looked for only then
        uploads = list(uploads_in(request.variables))
        if not uploads:
            raise
        return await multipart_of(payload, uploads)


def payload_of(request: SubgraphRequest) -> dict[str, Any]:
    """The GraphQL request map: no empty members, because some servers refuse them."""
    payload: dict[str, Any] = {"query": request.query}
    if request.variables:
        payload["variables"] = request.variables
    if request.operation_name is not None:
        payload["operationName"] = request.operation_name
    return payload


def _read(service: str, answered: HttpAnswer) -> SubgraphResponse:
    """An error status comes first in the answer's errors; a GraphQL body is used all the same.

    Errors: `SubgraphCallFailed`. Source: `federation.md` (g) 5.
    """
    status = answered.status
    succeeded = 200 <= status < 300
    if answered.media_type not in _JSON_TYPES:
        why = "answered a content type that is not GraphQL's" if succeeded else f"answered HTTP {status}"
        raise SubgraphCallFailed(service, why, http_answer_status=status)
    try:
        decoded = orjson.loads(answered.body)
    except orjson.JSONDecodeError:
        code = "SUBREQUEST_MALFORMED_RESPONSE" if succeeded else None
        raise SubgraphCallFailed(
            service, "answered what is not JSON", code=code, http_answer_status=status
        ) from None
    if succeeded:
        return read_answer(service, decoded, http_answer_status=status)
    failure = SubgraphCallFailed(service, f"answered HTTP {status}", http_answer_status=status)
    if not is_graphql_answer(decoded):
        raise failure
    answer = read_answer(service, decoded, http_answer_status=status)
    return SubgraphResponse(
        data=answer.data,
        errors=(failure.to_graphql(), *answer.errors),
        extensions=answer.extensions,
        has_data=answer.has_data,
    )
