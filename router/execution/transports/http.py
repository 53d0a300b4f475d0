"""The subgraph port over HTTP: POST for queries and mutations; streams and callbacks for subscriptions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import orjson

from router.codings import packed
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.execution.transports.answers import is_graphql_answer, read_answer
from router.execution.transports.callbacks import Callbacks
from router.execution.transports.event_feed import EventFeed, fed_answers
from router.execution.transports.header_rules import HOP_HEADERS
from router.execution.transports.http_wire import HttpAnswer
from router.execution.transports.lane import JSON_TYPES, Lane
from router.execution.transports.measures import SERVICE, shared_fetches_count
from router.execution.transports.multipart import multipart_of
from router.execution.transports.raw import whole_data
from router.execution.transports.return_rules import ReturnRules
from router.execution.transports.shared_streams import SharedStreams
from router.execution.transports.streams import Streams
from router.execution.transports.traced import TRACEPARENT_HEADER
from router.execution.transports.under_way import FetchesUnderWay
from router.operation.model import OperationKind
from router.operation.upload import uploads_in
from router.traffic import StreamProtocol, Traffic

Sign: TypeAlias = Callable[[SubgraphRequest, bytes], Mapping[str, str] | None]
"""Headers that prove the call to the subgraph, for the exact bytes that are sent; asked once a try."""

log = logging.getLogger("stadion.router.subgraphs")
ACCEPT: Final = "application/graphql-response+json, application/json"
ACCEPT_CODINGS: Final = "zstd, br, gzip, deflate"
COMPRESSED_BYTES_MIN: Final = 1_024
REQUEST_CODING: Final = "gzip"
"""The one coding that every server which reads compressed requests knows."""
JSON: Final = "application/json"
_JSON: Final = "application/json"
_NAMES_MAX: Final = 256
"""Header names that are known by what becomes of them."""
CERTIFICATES_S: Final = 1.0
"""Certificates' files are looked at this often."""


class HttpTransport:
    """Calls subgraphs by URL, each through a lane of its own. Made anywhere, used in one loop.

    `subgraphs` are URLs by name; no other URL is ever called, and no redirect followed. `always` are the
    client's headers that go on without a rule; without header rules all that a request holds do. `feed` is
    where subscriptions by events come from.
    Header precedence, lowest first: forwarded ones, the subgraph's rules, `sign`'s, the transport's own.
    Errors: ValueError, OSError, ssl.SSLError for settings that cannot be used.
    """

    def __init__(
        self,
        subgraphs: Mapping[str, str],
        *,
        sign: Sign | None = None,
        traffic: Traffic | None = None,
        always: Iterable[str] = (),
        timeout_s: float = 30.0,
        feed: EventFeed | None = None,
    ) -> None:
        self._feed = feed
        self._traffic = traffic or Traffic()
        self._returns = ReturnRules(self._traffic) if self._traffic.returns_headers else None
        self._sign = sign
        self._timeout_s = timeout_s
        self._forwarded = _Forwarded(self._traffic, frozenset(always))
        self._under_way: FetchesUnderWay[HttpAnswer] = FetchesUnderWay()
        self.callbacks = (
            Callbacks(
                self._traffic.callback_url, queue_events_max=self._traffic.all.subscriptions.queue_events_max
            )
            if self._traffic.callback_url
            else None
        )
        self._streams = Streams(self.callbacks)
        self._shared_streams = SharedStreams()
        self._lanes: dict[str, Lane] = {}
        self.readdress(subgraphs)

    def readdress(self, subgraphs: Mapping[str, str]) -> None:
        """Add and replace addresses from the next call on; what is under way stays where it is."""
        for name, url in subgraphs.items():
            traffic = self._traffic.of(name)
            url = traffic.url or url
            known = self._lanes.get(name)
            if known is not None and known.url == url:
                continue
            try:
                self._lanes[name] = Lane(name, url, traffic, timeout_s=self._timeout_s)
            except ValueError:
                self._lanes.pop(name, None)
            if known is not None:
                known.retire()

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """As the port says. Equal queries under way are made once, retries and breakers are the lane's."""
        lane = self._lane(request.service)
        try:
            body, content_type = orjson.dumps(payload_of(request)), _JSON
        except TypeError:
            body, content_type = await _form(request)
        headers = self._headers(request, lane, ACCEPT)
        headers["content-type"] = content_type
        if lane.traffic.compress_requests and len(body) >= COMPRESSED_BYTES_MIN and content_type == JSON:
            body, headers["content-encoding"] = packed(body, REQUEST_CODING), REQUEST_CODING
        if lane.traffic.accept_compressed:
            headers["accept-encoding"] = ACCEPT_CODINGS
        if request.kind is not OperationKind.QUERY:
            answer = await self._mutated(lane, request, headers, body)
        elif lane.shares_fetches:
            answer = await self._shared(lane, request, headers, body)
        else:
            answer = await self._called(lane, request, headers, body)
        if request.whole and (data := whole_data(answer)) is not None:
            response = SubgraphResponse(data=None, json=data, cache_control=answer.cache_control)
        else:
            response = _read(request.service, answer)
        if self._returns is not None:
            self._returns.tell(request.service, answer.headers)
        return response

    async def _shared(
        self, lane: Lane, request: SubgraphRequest, headers: dict[str, str], body: bytes
    ) -> HttpAnswer:
        subject = None if self._sign is None else request.subject
        key = (request.service, body, _telling(headers), subject)
        timeout_s = lane.timeout_s if request.timeout_s is None else request.timeout_s
        try:
            return await self._under_way.answer(
                key,
                lambda: lane.call(
                    lambda: self._signed(request, headers, body),
                    body,
                    is_query=True,
                    timeout_s=request.timeout_s,
                ),
                timeout_s=timeout_s,
                shared=lambda: shared_fetches_count.add(1, {SERVICE: request.service}),
            )
        except TimeoutError:
            raise SubgraphCallFailed(request.service, "timed out") from None

    async def _mutated(
        self, lane: Lane, request: SubgraphRequest, headers: dict[str, str], body: bytes
    ) -> HttpAnswer:
        self._under_way.mutated()
        try:
            return await self._called(lane, request, headers, body)
        finally:
            self._under_way.mutated()

    async def _called(
        self, lane: Lane, request: SubgraphRequest, headers: dict[str, str], body: bytes
    ) -> HttpAnswer:
        return await lane.call(
            lambda: self._signed(request, headers, body),
            body,
            is_query=request.kind is OperationKind.QUERY,
            timeout_s=request.timeout_s,
        )

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """As the port says. `timeout_s` bounds opening the stream, not the stream."""
        lane = self._lane(request.service)
        if lane.traffic.subscriptions.protocol is StreamProtocol.EVENTS:
            async with aclosing(self._fed(request, lane)) as answers:  # type: ignore[type-var]
                async for answer in answers:
                    yield answer
            return
        try:
            body, content_type = orjson.dumps(payload_of(request)), _JSON
        except TypeError:
            body, content_type = await _form(request)
        headers = self._headers(request, lane, None)

        def open_() -> AsyncIterator[Any]:
            return self._streams.open(
                request, lane, {**headers, "content-type": content_type}, body, self._signed
            )

        async with aclosing(self._events(request, lane, headers, body, open_)) as events:  # type: ignore[type-var]
            async for payload in events:
                yield read_answer(request.service, payload)

    def _fed(self, request: SubgraphRequest, lane: Lane) -> AsyncIterator[SubgraphResponse]:
        if self._feed is None:
            raise SubgraphCallFailed(request.service, "the router has no event bus")
        return fed_answers(request, lane.traffic.subscriptions, self._feed, self.fetch)

    def _events(
        self,
        request: SubgraphRequest,
        lane: Lane,
        headers: Mapping[str, str],
        body: bytes,
        open_: Callable[[], AsyncIterator[Any]],
    ) -> AsyncIterator[Any]:
        source = lane.traffic.subscriptions
        if not source.shared:
            return open_()
        subject = None if self._sign is None else request.subject
        key = (request.service, body, _telling(headers), subject)
        return self._shared_streams.read(
            key,
            open_,
            queue_events_max=source.queue_events_max,
            joining=source.joining,
            shared=lambda: self._streams.count_shared(request.service),
        )

    async def follow_certificates(self, *, every_s: float = CERTIFICATES_S) -> None:
        """Take changed certificates as long as the router runs; no call under way is lost by that."""
        while True:
            await asyncio.sleep(every_s)
            for lane in tuple(self._lanes.values()):
                if lane.renew_certificates():
                    log.info("the certificates for subgraph `%s` were taken anew", lane.service)

    async def close(self) -> None:
        """As the port says; a later call would open a new pool."""
        await self._shared_streams.close()
        for lane in self._lanes.values():
            lane.close()

    def _lane(self, service: str) -> Lane:
        lane = self._lanes.get(service)
        if lane is None:
            raise SubgraphCallFailed(service, "has no address")
        return lane

    def _headers(self, request: SubgraphRequest, lane: Lane, accept: str | None) -> dict[str, str]:
        """What a call carries, all but its signature."""
        client = request.headers
        headers = self._forwarded.without_rules(client) if client else {}
        if lane.rules is not None:
            lane.rules.apply(client, headers)
        if accept is not None:
            headers["accept"] = accept
        return headers

    def _signed(self, request: SubgraphRequest, headers: dict[str, str], body: bytes) -> Mapping[str, str]:
        if self._sign is not None:
            headers = {**headers, **(self._sign(request, body) or {})}
        return self._lane(request.service).sealed(headers, body)


class _Forwarded:
    """Which of a request's headers go on where no rule speaks of them: all but those that some
    subgraph's rule asked the edge for."""

    __slots__ = ("_always", "_known", "_names", "_patterns")

    def __init__(self, traffic: Traffic, always: frozenset[str]) -> None:
        self._always = always
        self._names, self._patterns = traffic.client_headers()
        self._known: dict[str, str] = {}

    def without_rules(self, client: Mapping[str, str]) -> dict[str, str]:
        """Those, by their lower-case names."""
        known = self._known
        headers: dict[str, str] = {}
        for name, value in client.items():
            lower = known.get(name)
            if lower is None:
                lower = self._told(name)
            if lower:
                headers[lower] = value
        return headers

    def _told(self, name: str) -> str:
        """The name in lower case, empty where the header stays here; kept, for there are few of them."""
        lower = name.lower()
        if lower in HOP_HEADERS or self._is_for_rules_alone(lower):
            lower = ""
        if len(self._known) < _NAMES_MAX:
            self._known[name] = lower
        return lower

    def _is_for_rules_alone(self, name: str) -> bool:
        if name in self._always or not (self._names or self._patterns):
            return False
        return name in self._names or any(one.fullmatch(name) for one in self._patterns)


def _telling(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The headers that an answer may depend on: whose trace a call belongs to changes none."""
    return tuple([it for it in headers.items() if it[0] != TRACEPARENT_HEADER])


async def _form(request: SubgraphRequest) -> tuple[bytes, str]:
    """A request with files, which are what JSON has no word for."""
    uploads = list(uploads_in(request.variables))
    if not uploads:
        raise TypeError(f"the variables of a call to `{request.service}` are no JSON")
    return await multipart_of(payload_of(request), uploads)


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
    if answered.media_type not in JSON_TYPES:
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
        return read_answer(service, decoded, http_answer_status=status, cache_control=answered.cache_control)
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
