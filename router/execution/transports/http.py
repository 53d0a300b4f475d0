"""The subgraph port over HTTP: POST for queries and mutations; streams and callbacks for subscriptions."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Final, TypeAlias

import orjson

from router.codings import packed
from router.driven import in_task
from router.errors import SubgraphCallFailed
from router.execution.transport import Handed, SubgraphRequest, SubgraphResponse
from router.execution.transports.answers import read_answer
from router.execution.transports.bodies import payload_of
from router.execution.transports.callbacks import Callbacks
from router.execution.transports.event_feed import EventFeed, fed_answers
from router.execution.transports.http_answers import read_http_answer
from router.execution.transports.http_connection import Receiving
from router.execution.transports.http_wire import CallHeaders, HttpAnswer, Waiter
from router.execution.transports.lane import Headers, Lane
from router.execution.transports.measures import SERVICE, shared_fetches_count
from router.execution.transports.multipart import multipart_of
from router.execution.transports.raw import LONG_BYTES_MIN
from router.execution.transports.return_rules import ReturnRules
from router.execution.transports.straight import StraightCall
from router.execution.transports.streams import Streams
from router.execution.transports.under_way import FetchesUnderWay
from router.flight import Flight
from router.header_settings import OF_ONE_CALL
from router.operation.model import OperationKind
from router.operation.upload import uploads_in
from router.traffic import StreamProtocol, Traffic
from router.turns import Turns

Sign: TypeAlias = Callable[[SubgraphRequest, bytes], Mapping[str, str] | None]
"""Headers that prove the call to the subgraph, for the exact bytes that are sent; asked once a try."""

log = logging.getLogger("stadion.router.subgraphs")
ACCEPT: Final = "application/graphql-response+json, application/json"
ACCEPT_CODINGS: Final = "zstd, br, gzip, deflate"
COMPRESSED_BYTES_MIN: Final = 1_024
REQUEST_CODING: Final = "gzip"
"""The one coding that every server which reads compressed requests knows."""
JSON: Final = "application/json"
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
        self._receiving = Receiving()
        self._turns = Turns()
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
                self._lanes[name] = Lane(name, url, traffic, self._receiving, timeout_s=self._timeout_s)
            except ValueError:
                self._lanes.pop(name, None)
            if known is not None:
                known.retire()

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        """As the port says. Equal queries under way are made once, retries and breakers are the lane's."""
        lane = self._lane(request.service)
        try:
            body, content_type = lane.bodies.of(request), JSON
        except TypeError:
            body, content_type = await _form(request)
        headers = self._call_headers(request, lane, content_type)
        if lane.traffic.compress_requests and len(body) >= COMPRESSED_BYTES_MIN and content_type == JSON:
            body = packed(body, REQUEST_CODING)
            headers = CallHeaders(headers)
            headers["content-encoding"] = REQUEST_CODING
        if request.kind is not OperationKind.QUERY:
            answer = await self._mutated(lane, request, headers, body)
        elif lane.shares_fetches:
            answer = await self._shared(lane, request, headers, body)
        else:
            answer = await lane.call(self._proven(lane, request, headers, body), body, request)
        if request.whole and len(answer.body) >= LONG_BYTES_MIN:
            await self._turns.turn()
        if request.whole and (sent := lane.sent_data(answer)) is not None:
            response = SubgraphResponse(data=None, sent=sent, cache_control=answer.cache_control)
        else:
            response = read_http_answer(request.service, answer)
        if self._returns is not None:
            self._returns.tell(request.service, answer.headers)
        return response

    def begin(self, request: SubgraphRequest, waiter: Waiter) -> StraightCall | None:
        """A query without files, begun without waiting; None where it has to be waited for, or is shared.

        `waiter` is told the answer or the failure, as they came.
        """
        lane = self._lanes.get(request.service)
        if lane is None or lane.traffic.compress_requests or self._returns is not None:
            return None
        body, begun = lane.bodies.of(request), None
        headers = self._call_headers(request, lane, JSON)
        if lane.shares_fetches:
            key, until_s = self._shared_by(lane, request, headers, body)
            begun = self._under_way.begun(key, until_s=until_s)
            if begun is None:
                return None
        call = lane.begin(self._proven(lane, request, headers, body), body, waiter, request.timeout_s)
        if call is None:
            if begun is not None:
                self._under_way.failed(begun, asyncio.CancelledError())
            return None
        return StraightCall(lane, call, self._under_way, begun, whole=request.whole)

    async def _shared(
        self, lane: Lane, request: SubgraphRequest, headers: CallHeaders, body: bytes
    ) -> HttpAnswer:
        key, until_s = self._shared_by(lane, request, headers, body)
        own = self._under_way.begun(key, until_s=until_s)
        if own is None:
            await in_task()
            try:
                tell = partial(shared_fetches_count.add, 1, {SERVICE: request.service})
                joined = await self._under_way.joined(key, until_s=until_s, shared=tell)
            except TimeoutError:
                raise SubgraphCallFailed(request.service, "timed out") from None
            if not isinstance(joined, Flight):
                return joined
            own = joined
        try:
            answer = await lane.call(self._proven(lane, request, headers, body), body, request)
        except BaseException as failure:
            self._under_way.failed(own, failure)
            raise
        self._under_way.landed(own, answer)
        return answer

    def _shared_by(
        self, lane: Lane, request: SubgraphRequest, headers: CallHeaders, body: bytes
    ) -> tuple[Hashable, float]:
        """All that may change the answer, and until when it is waited for."""
        timeout_s = lane.timeout_s if request.timeout_s is None else request.timeout_s
        subject = None if self._sign is None else request.subject
        return (request.service, body, headers.telling, subject), time.monotonic() + timeout_s

    async def _mutated(
        self, lane: Lane, request: SubgraphRequest, headers: CallHeaders, body: bytes
    ) -> HttpAnswer:
        self._under_way.mutated()
        try:
            return await lane.call(self._proven(lane, request, headers, body), body, request)
        finally:
            self._under_way.mutated()

    async def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        """As the port says. `timeout_s` bounds opening the stream, not the stream."""
        lane = self._lane(request.service)
        if lane.traffic.subscriptions.protocol is StreamProtocol.EVENTS:
            async with aclosing(self._fed(request, lane)) as answers:  # type: ignore[type-var]
                async for answer in answers:
                    yield answer
            return
        try:
            body, content_type = orjson.dumps(payload_of(request)), JSON
        except TypeError:
            body, content_type = await _form(request)
        headers = self._headers(request, lane)

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
        key = (request.service, body, CallHeaders(headers).telling, subject)
        return self._streams.shared(key, open_, request.service, source)

    async def follow_certificates(self, *, every_s: float = CERTIFICATES_S) -> None:
        """Take changed certificates as long as the router runs; no call under way is lost by that."""
        while True:
            await asyncio.sleep(every_s)
            for lane in tuple(self._lanes.values()):
                if lane.renew_certificates():
                    log.info("the certificates for subgraph `%s` were taken anew", lane.service)

    async def close(self) -> None:
        """As the port says; a later call would open a new pool."""
        await self._streams.close()
        self._receiving.known.forget()
        for lane in self._lanes.values():
            lane.close()

    def _lane(self, service: str) -> Lane:
        lane = self._lanes.get(service)
        if lane is None:
            raise SubgraphCallFailed(service, "has no address")
        return lane

    def _call_headers(self, request: SubgraphRequest, lane: Lane, content_type: str) -> CallHeaders:
        """What a query or mutation carries, all but its signature; made once for all calls of a request
        whose lanes add nothing of their own."""
        handed = request.headers
        is_plain = lane.is_plain and content_type == JSON and handed.__class__ is Handed
        if is_plain and (known := handed.carried) is not None:  # type: ignore[attr-defined]
            return known  # type: ignore[no-any-return]
        headers = self._headers(request, lane)
        headers["accept"] = ACCEPT
        headers["content-type"] = content_type
        if lane.traffic.accept_compressed:
            headers["accept-encoding"] = ACCEPT_CODINGS
        if is_plain:
            handed.carried = headers  # type: ignore[attr-defined]
        return headers

    def _headers(self, request: SubgraphRequest, lane: Lane) -> CallHeaders:
        """What goes on of the client's headers, by setting and by rules."""
        client = request.headers
        headers = self._forwarded.without_rules(client) if client else CallHeaders()
        if lane.rules is not None:
            lane.rules.apply(client, headers)
        return headers

    def _proven(
        self, lane: Lane, request: SubgraphRequest, headers: CallHeaders, body: bytes
    ) -> CallHeaders | Headers:
        """The headers, or what makes them anew for each try where a try has to be proven."""
        if self._sign is None and not lane.seals:
            return headers
        return lambda: self._signed(request, headers, body)

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

    def without_rules(self, client: Mapping[str, str]) -> CallHeaders:
        """Those, by their lower-case names."""
        known = self._known
        headers = CallHeaders()
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
        if lower in OF_ONE_CALL or self._is_for_rules_alone(lower):
            lower = ""
        if len(self._known) < _NAMES_MAX:
            self._known[name] = lower
        return lower

    def _is_for_rules_alone(self, name: str) -> bool:
        if name in self._always or not (self._names or self._patterns):
            return False
        return name in self._names or any(one.fullmatch(name) for one in self._patterns)


async def _form(request: SubgraphRequest) -> tuple[bytes, str]:
    """A request with files, which are what JSON has no word for."""
    uploads = list(uploads_in(request.variables))
    if not uploads:
        raise TypeError(f"the variables of a call to `{request.service}` are no JSON")
    return await multipart_of(payload_of(request), uploads)
