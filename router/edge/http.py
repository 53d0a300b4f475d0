"""`/graphql` over HTTP: one request in, one answer, one batch of answers or one stream out.

Written against ASGI directly: this is every request's way, and a framework's request object costs more
than our own work. Source: GraphQL over HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import lru_cache

from starlette.types import Receive, Scope, Send

from authz.identity.subject import Subject
from router.edge.answer_lines import BEARER, advice, answer_lines, headers_of, headers_of_lines
from router.edge.answers import Answer, answer_of, answer_of_failure, returned_lines
from router.edge.compression import Compression
from router.edge.csrf import check_preflight
from router.edge.disconnect import Departure, Departures
from router.edge.explorer import explorer_page
from router.edge.forwarding import Forwarding
from router.edge.framing import Stream, as_events, framed, framing_of, framing_of_increments
from router.edge.incremental import increments, standing
from router.edge.inflate import check_coding, inflated
from router.edge.negotiation import (
    CONTENT_TYPES,
    Accepted,
    IncrementalWire,
    Wire,
    accepted,
    is_json,
    media_type,
)
from router.edge.parts import Parts
from router.edge.plan_header import with_plan_wanted
from router.edge.possession import ProofRefused
from router.edge.quick_http import ABORT, ASKED, LEFT, REPLY, WHOLE_BODY, WHOLE_HEADERS, Reply
from router.edge.rate import RateExceeded, caller_of
from router.edge.requests import ClientGone, body, from_json, from_url
from router.edge.sharing import key_of
from router.edge.uploads import from_form, uploads_of
from router.errors import ClientError
from router.execution.answer_cache.freshness import collecting
from router.execution.returned import returning
from router.operation.model import OperationKind
from router.pipeline import GraphQLRequest
from router.snapshot import Document, Snapshot
from router.telemetry import (
    Waiting,
    dropped_count,
    overhead_s,
    request_answered,
    request_span,
    request_trace_id,
    request_waiting,
    requests_duration_s,
    trace_id_of,
)

FIRST = "stadion.first"
"""Where an ASGI scope has the outcome of the query's only fetch, if that was begun before."""
TRACE_ID = "stadion.trace_id"
"""Where an ASGI scope has the request's trace id, if subgraphs were told of it already."""
LET_IN = "stadion.let_in"
"""Where an ASGI scope has the Subject who asks, if that one was let in and counted already."""
GRAPHQL_ROUTE = "/graphql"
KNOWN_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


@dataclass(slots=True)
class Exchange:
    """One HTTP request with the means to answer it."""

    scope: Scope
    receive: Receive
    send: Send
    headers: Mapping[str, str]
    trace_id: str
    status: str = "499"
    """Of the answer; the client was gone where there was none."""
    is_stream: bool = False
    """Whether the answer is one in parts, or a subscription's."""
    has_form: bool = False
    """Whether files may have come with the request."""

    @property
    def method(self) -> str:
        """The request's method, upper case."""
        return str(self.scope["method"])


def method_of(scope: Scope) -> str:
    """The method as it is counted: one that is not HTTP's own is not told apart."""
    method = str(scope["method"])
    return method if method in KNOWN_METHODS else "_OTHER"


class GraphQLEndpoint:
    """The ASGI app behind `/graphql` for HTTP. One an app."""

    def __init__(self, parts: Parts) -> None:
        self._router = parts.router
        self._config = parts.config
        self._compression = Compression(parts.config)
        self._forwarding = Forwarding(parts.config)
        self._collects = parts.config.subgraphs.keeps_answers or parts.config.subgraphs.returns_headers
        self._drain = parts.drain
        self._door = parts.door
        self._shared = parts.shared
        self._persisted = parts.persisted
        self._watch = parts.watch
        self._feeds = parts.feeds
        self._departures = Departures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever happens, the client gets a GraphQL response."""
        began, waiting = time.perf_counter(), Waiting()
        request_waiting.set(waiting)
        headers = scope.get(WHOLE_HEADERS) or headers_of(scope)
        with request_span(headers.get("traceparent"), method_of(scope)):
            trace_id = scope.get(TRACE_ID) or trace_id_of(headers.get("traceparent"))
            exchange = Exchange(scope, receive, send, headers, trace_id)
            request_trace_id.set(exchange.trace_id)
            try:
                await self._answered_or_refused(exchange)
            finally:
                request_answered(exchange.status)
                took_s = time.perf_counter() - began
                _durations_of(method_of(scope), exchange.status)(took_s)
                if not exchange.is_stream:
                    _overhead(took_s - waiting.total_s)

    async def _answered_or_refused(self, exchange: Exchange) -> None:
        accept = Accepted((Wire.JSON,))
        try:
            accept = accepted(exchange.headers.get("accept"))
            if self._compression.is_on:
                self._compression.check(exchange.headers)
            if self._wants_explorer(exchange, accept):
                exchange.status = "200"
                await explorer_page()(exchange.scope, exchange.receive, exchange.send)
                return
            await self._serve(exchange, accept)
        except ClientGone:
            return
        except Exception as failure:
            retry_after_s = failure.retry_after_s if isinstance(failure, RateExceeded) else 1
            challenge = failure.challenge if isinstance(failure, ProofRefused) else BEARER
            answer = answer_of_failure(failure, exchange.trace_id)
            await self._send(exchange, answer, accept, retry_after_s=retry_after_s, challenge=challenge)

    def _wants_explorer(self, exchange: Exchange, accept: Accepted) -> bool:
        return (
            self._config.explorer
            and accept.html_first
            and exchange.method == "GET"
            and not any(name in exchange.scope["query_string"] for name in (b"query=", b"documentId="))
        )

    async def _serve(self, exchange: Exchange, accept: Accepted) -> None:
        with self._drain.request():
            if self._config.csrf_prevention:
                check_preflight(exchange.method, exchange.headers, self._config.trusted_preflight_headers)
            headers = exchange.headers
            subject = exchange.scope.get(LET_IN) or await self._door.let_in(exchange.scope, headers)
            requests = await self._requests(exchange)
            if isinstance(requests, list):
                await self._door.count(subject, operations=len(requests) - 1)
            try:
                with self._departures.of(exchange.receive) as departure:
                    outcome = await self._outcome(requests, exchange, accept, subject, departure)
            finally:
                if exchange.has_form:
                    for upload in uploads_of(requests):
                        upload.close()
            if not isinstance(outcome, Stream):
                await self._send(exchange, outcome, accept)
                return
        with self._drain.stream(caller_of(subject)):
            await self._send_stream(exchange, outcome)

    async def _requests(self, exchange: Exchange) -> GraphQLRequest | list[GraphQLRequest]:
        headers = exchange.headers
        asked: GraphQLRequest | None = exchange.scope.pop(ASKED, None)
        if asked is not None:
            # taken out: the connection keeps the scope until its next request, and this may be megabytes
            asked.first = exchange.scope.pop(FIRST, None)
            return asked
        forwarded = self._forwarding.of(headers)
        if exchange.method == "GET":
            return from_url(exchange.scope["query_string"], self._config.http, forwarded)
        if exchange.method != "POST":
            raise ClientError("use POST, or GET for queries", code="METHOD_NOT_ALLOWED")
        media = media_type(headers.get("content-type", ""))
        coding = headers.get("content-encoding", "identity").strip().lower()
        check_coding(coding)
        if media is not None and media.name == "multipart/form-data":
            if coding != "identity":
                raise ClientError("send forms without content encoding", code="UNSUPPORTED_MEDIA_TYPE")
            exchange.has_form = True
            with request_waiting.get():
                return await from_form(exchange.scope, exchange.receive, self._config.http, forwarded)
        if not is_json(media):
            raise ClientError("send the content type `application/json`", code="UNSUPPORTED_MEDIA_TYPE")
        text = exchange.scope.get(WHOLE_BODY)
        if text is None or len(text) > self._config.http.body_bytes_max:
            with request_waiting.get():
                text = await body(
                    exchange.receive, self._config.http, announced=headers.get("content-length")
                )
        text = inflated(text, coding, bytes_max=self._config.http.body_bytes_max)
        return from_json(text, self._config.http, forwarded)

    async def _outcome(
        self,
        requests: GraphQLRequest | list[GraphQLRequest],
        exchange: Exchange,
        accept: Accepted,
        subject: Subject,
        departure: Departure,
    ) -> Answer | list[Answer] | Stream:
        if isinstance(requests, GraphQLRequest):
            try:
                return await self._run(requests, exchange, accept, subject, departure)
            except Exception as failure:
                if not accept.only_events:
                    raise
                return as_events(answer_of_failure(failure, exchange.trace_id))
        single = Accepted((accept.single,))
        runs = (self._run(one, exchange, single, subject, departure) for one in requests)
        outcomes = await asyncio.gather(*runs, return_exceptions=True)
        return [
            one if isinstance(one, Answer) else answer_of_failure(_failure(one), exchange.trace_id)
            for one in outcomes
        ]

    async def _run(
        self,
        request: GraphQLRequest,
        exchange: Exchange,
        accept: Accepted,
        subject: Subject,
        departure: Departure,
    ) -> Answer | Stream:
        if self._router.on_request is not None:
            request = await self._router.on_request(request, subject)
        request = self._persisted.resolved(request, self._door.safelist(subject), client=subject.client_id)
        request = with_plan_wanted(request, exchange.headers, self._config)
        graph = self._router.snapshot
        document = await self._router.read(request, graph)
        self._door.check_operation(request, document.normal.name)
        self._door.note(subject, document.kind, document.normal.name)
        if document.kind is OperationKind.SUBSCRIPTION:
            if accept.stream is None:
                raise ClientError(
                    f"a subscription streams; accept `{Wire.EVENTS}` or `{Wire.PARTS}`", code="NOT_ACCEPTABLE"
                )
            source = await self._router.events(request, document, subject, graph)
            return Stream(self._feeds.reading(source, request, subject, graph), framing_of(accept.stream))
        if document.kind is OperationKind.MUTATION:
            if exchange.method == "GET":
                raise ClientError("mutations are not allowed over GET; use POST", code="METHOD_NOT_ALLOWED")
            departure.ignore()
            with self._shared.mutation():
                answer = await self._answered(
                    request, document, subject, graph, exchange=exchange, wire=accept.incremental
                )
            answer = replace(answer, secret=True)
        elif document.defers and accept.incremental is not None:
            answer = await self._answered(
                request, document, subject, graph, exchange=exchange, wire=accept.incremental
            )
        else:
            answer = await self._shared.answer(
                key_of(request, subject, graph), lambda: self._answer(request, document, subject, graph)
            )
        return as_events(answer) if accept.only_events and isinstance(answer, Answer) else answer

    async def _answered(
        self,
        request: GraphQLRequest,
        document: Document,
        subject: Subject,
        graph: Snapshot,
        *,
        exchange: Exchange,
        wire: IncrementalWire | None,
    ) -> Answer | Stream:
        """In parts where something is deferred and the client takes parts; whole otherwise."""
        if wire is None or not document.defers:
            return await self._answer(request, document, subject, graph)
        parts = standing(
            await self._router.parts(request, document, subject, graph, wire.format_), subject, self._watch
        )
        with returning() as returned:  # what comes after the first part finds the head sent
            first = await anext(parts)
        if first.incremental is None:
            return Answer(first.body(), returned=returned)
        return Stream(increments(first, parts, exchange.trace_id), framing_of_increments(wire), returned)

    async def _answer(
        self, request: GraphQLRequest, document: Document, subject: Subject, graph: Snapshot
    ) -> Answer:
        if not self._collects:
            return answer_of(await self._router.answer(request, document, subject, graph))
        with collecting() as collected, returning() as returned:
            response = await self._router.answer(request, document, subject, graph)
        known = document.kind is OperationKind.QUERY and not response.errors
        # what a caller sees depends on that caller's rights
        shared = subject.id is None and not returned.is_personal
        kept = collected.header(shared=shared) if known else None
        return answer_of(response, cache_control=kept, returned=returned)

    async def _send(
        self,
        exchange: Exchange,
        outcome: Answer | list[Answer],
        accept: Accepted,
        *,
        retry_after_s: int = 1,
        challenge: bytes = BEARER,
    ) -> None:
        wire = accept.single
        if isinstance(outcome, Answer):
            status, text, kept = outcome.status_as(wire), outcome.text(), outcome.cache_control
        else:
            status, text, kept = 200, b"[" + b",".join(one.text() for one in outcome) + b"]", None
        exchange.status = str(status)
        lines = answer_lines(CONTENT_TYPES[wire], exchange.trace_id, kept or "no-store")
        if status != 200:
            lines += advice(status, exchange.method, retry_after_s, challenge)
        if self._compression.is_on and (coding := self._coding(exchange, outcome, text)):
            text = await self._compression.packed(text, coding)
            lines += b"content-encoding: %b\r\n" % coding.encode()
        if self._collects:
            lines += returned_lines(outcome)
        lines += b"content-length: %d\r\n" % len(text)
        reply: Reply | None = exchange.scope.get(REPLY)
        if reply is None or not reply(status, lines, text):
            await exchange.send(
                {"type": "http.response.start", "status": status, "headers": headers_of_lines(lines)}
            )
            await exchange.send({"type": "http.response.body", "body": text})

    def _coding(self, exchange: Exchange, outcome: Answer | list[Answer], text: bytes) -> str:
        if any(one.secret for one in (outcome if isinstance(outcome, list) else [outcome])):
            return ""
        return self._compression.coding(exchange.headers, len(text))

    async def _send_stream(self, exchange: Exchange, stream: Stream) -> None:
        lines = answer_lines(stream.framing.content_type, exchange.trace_id, "no-store")
        if stream.returned is not None:
            lines += stream.returned.lines()
        heartbeat_s = self._config.streams.heartbeat_ms / 1_000
        framed_answers = framed(stream.answers, stream.framing, heartbeat_s=heartbeat_s)
        if self._compression.is_on and not stream.secret:
            coding, framed_answers = self._compression.of_stream(exchange.headers, framed_answers)
            lines += coding
        headers = headers_of_lines(lines + b"x-accel-buffering: no\r\n")
        exchange.status, exchange.is_stream = "200", True
        with Departure(exchange.receive, at_once=True, tell=exchange.scope.get(LEFT)):
            await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
            async with (
                aclosing(stream.answers),  # type: ignore[type-var]
                aclosing(framed_answers) as frames,  # type: ignore[type-var]
            ):
                async for frame in frames:
                    await self._read_in_time(exchange, frame)
            await exchange.send({"type": "http.response.body", "body": b""})

    async def _read_in_time(self, exchange: Exchange, frame: bytes) -> None:
        """Send one frame. A client that does not read is cut off: what waits for it is not kept for ever."""
        try:
            async with asyncio.timeout(self._config.streams.send_wait_ms_max / 1_000):
                await exchange.send({"type": "http.response.body", "body": frame, "more_body": True})
        except TimeoutError:
            dropped_count.add(1)
            if (abort := exchange.scope.get(ABORT)) is not None:
                abort()
            raise ClientGone from None


@lru_cache(maxsize=64)
def _durations_of(method: str, status: str) -> Callable[[float], None]:
    return requests_duration_s.series({"route": GRAPHQL_ROUTE, "method": method, "status": status})


_overhead = overhead_s.series({})


def _failure(outcome: Answer | Stream | BaseException) -> BaseException:
    if isinstance(outcome, BaseException):
        return outcome
    return ClientError("a batch cannot hold a subscription", code="BATCH_PROCESSING_FAILED")
