"""Opening a subgraph's subscription by the protocol that its settings name, once for all who ask the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias

import orjson

from router.broadcast import Broadcasts, EventQueue
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest
from router.execution.transports import callbacks as callback_protocol
from router.execution.transports.callbacks import Callbacks
from router.execution.transports.event_bodies import MULTIPART_ACCEPT, SSE_ACCEPT, body_payloads
from router.execution.transports.http_wire import Endpoint
from router.execution.transports.lane import Lane
from router.execution.transports.measures import SERVICE, shared_streams_count
from router.execution.transports.websocket import LEGACY, MODERN, Dialect, websocket_payloads
from router.traffic import StreamProtocol, SubscriptionSource

Signed: TypeAlias = Callable[[SubgraphRequest, dict[str, str], bytes], Mapping[str, str]]
"""The headers with the proof of this call."""


class Streams:
    """Opens subscriptions. `callbacks` is there where subgraphs may call back."""

    def __init__(self, callbacks: Callbacks | None) -> None:
        self._callbacks = callbacks
        self._broadcasts: Broadcasts[bytes] = Broadcasts()

    def open(
        self, request: SubgraphRequest, lane: Lane, headers: dict[str, str], body: bytes, signed: Signed
    ) -> AsyncIterator[Any]:
        """The payloads of the events.  Errors: `SubgraphCallFailed`, from the iterator."""
        match lane.traffic.subscriptions.protocol:
            case StreamProtocol.WEBSOCKET:
                return _over_websocket(request, lane, headers, signed, MODERN)
            case StreamProtocol.WEBSOCKET_LEGACY:
                return _over_websocket(request, lane, headers, signed, LEGACY)
            case StreamProtocol.SSE:
                return _over_body(request, lane, {**headers, "accept": SSE_ACCEPT}, body, signed)
            case StreamProtocol.MULTIPART:
                return _over_body(request, lane, {**headers, "accept": MULTIPART_ACCEPT}, body, signed)
            case StreamProtocol.CALLBACK:
                return self._by_callback(request, lane, headers, body, signed)
            case StreamProtocol.EVENTS:
                raise SubgraphCallFailed(request.service, "has its events elsewhere")

    async def shared(
        self,
        key: Hashable,
        open_: Callable[[], AsyncIterator[Any]],
        service: str,
        source: SubscriptionSource,
    ) -> AsyncIterator[Any]:
        """The payloads of the stream that `open_` gives, or of an open one of this key that may be joined.

        INVARIANT: the key holds all that the subgraph gets to see, and with signed calls the subject.
        """
        # they wait as JSON: each reader may change what it is given
        queue: EventQueue[bytes] = EventQueue(events_max=source.queue_events_max)
        broadcast = self._broadcasts.joined(key, queue, open_, orjson.dumps, joining=source.joining)
        if broadcast.is_shared:
            shared_streams_count.add(1, {SERVICE: service})
        try:
            while isinstance(text := await queue.get(), bytes):
                yield orjson.loads(text)
        finally:
            await broadcast.leave(queue)

    async def close(self) -> None:
        """End what is shared; its readers end too."""
        await self._broadcasts.close()

    async def _by_callback(
        self, request: SubgraphRequest, lane: Lane, headers: dict[str, str], body: bytes, signed: Signed
    ) -> AsyncIterator[Any]:
        if self._callbacks is None:
            raise SubgraphCallFailed(request.service, "cannot call this router back")
        headers = {**headers, "accept": callback_protocol.ACCEPT}

        async def ask(extensions: Mapping[str, Any]) -> Any:
            text = orjson.dumps({**orjson.loads(body), "extensions": extensions})
            answer = await lane.call(lambda: signed(request, headers, text), text, request)
            if not 200 <= answer.status < 300:
                raise SubgraphCallFailed(
                    request.service, "did not take the subscription", http_answer_status=answer.status
                )
            try:
                return orjson.loads(answer.body) if answer.body else None
            except orjson.JSONDecodeError:
                return None

        heartbeat_ms = lane.traffic.subscriptions.heartbeat_ms
        payloads = self._callbacks.payloads(request.service, ask, heartbeat_ms=heartbeat_ms)
        async with aclosing(payloads) as events:  # type: ignore[type-var]
            async for payload in events:
                yield payload


def _over_websocket(
    request: SubgraphRequest, lane: Lane, headers: dict[str, str], signed: Signed, dialect: Dialect
) -> AsyncIterator[Any]:
    carried = {name: value for name, value in headers.items() if name != "content-type"}
    url = lane.stream_url
    return websocket_payloads(
        request,
        url,
        signed(request, carried, b""),
        open_timeout_s=lane.open_timeout_s(request.timeout_s),
        event_bytes_max=lane.traffic.subscriptions.event_bytes_max,
        dialect=dialect,
        unix_socket=lane.stream_socket,
        tls=lane.tls.http1_context() if url.startswith(("https:", "wss:")) else None,
    )


def _over_body(
    request: SubgraphRequest, lane: Lane, headers: dict[str, str], body: bytes, signed: Signed
) -> AsyncIterator[Any]:
    return body_payloads(
        request.service,
        Endpoint.of(lane.stream_url, socket=lane.stream_socket),
        signed(request, headers, body),
        body,
        open_timeout_s=lane.open_timeout_s(request.timeout_s),
        event_bytes_max=lane.traffic.subscriptions.event_bytes_max,
        tls_context=lane.tls.http1_context,
    )
