"""Express: the straight way of a known query, from its bytes to its answer's, without ASGI and a task.

Most requests are of a client that has asked the same before. Where nothing of such a request has to be waited
for but one fetch, or the answer to an equal query under way, it is begun where its bytes come in and ended
where the answer's bytes come in. Whatever is out of the ordinary, before or after, is left to the app, which
answers alike (`tests/edge/test_express.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from authz.identity.subject import ANONYMOUS, Subject
from router.config import Safelist
from router.edge.compression import Compression
from router.edge.csrf import check_preflight
from router.edge.express_ways import Asked, ExpressCycle, Fetching, Following, Home, Running
from router.edge.forwarding import Forwarding
from router.edge.heads import Head, Heads, WholeRequest
from router.edge.http import LET_IN, TRACE_ID
from router.edge.negotiation import Wire, accepted, is_json, media_type
from router.edge.parts import Parts
from router.edge.quick_http import BODY_BYTES_MAX, QuickProtocol
from router.edge.requests import from_json
from router.edge.sharing import key_of
from router.errors import ClientError
from router.operation.model import OperationKind
from router.pipeline import GraphQLRequest
from router.snapshot import Document, Snapshot
from router.telemetry import (
    TRACING,
    request_trace_id,
    trace_id_of,
)

TEXTS_MAX: Final = 1_024
"""Bodies without variables that are kept with what they ask; forgotten together where there are more."""
TEXT_BYTES_MAX: Final = 8_192
TRACEPARENT: Final = "traceparent"
_UNKNOWN: Final = object()


@dataclass(frozen=True, slots=True)
class _KnownHead:
    """What a head says to the router."""

    wire: Wire
    forwarded: dict[str, str]


class Express:
    """The straight way of one app."""

    def __init__(self, parts: Parts) -> None:
        self.heads = Heads(body_bytes_max=BODY_BYTES_MAX)
        self._router = parts.router
        self._config = config = parts.config
        self._drain = parts.drain
        self._door = parts.door
        self._shared = parts.shared
        self._in_flight_max = config.http.in_flight_max
        self._forwarding = Forwarding(config)
        self._forwards_tokens = self._forwarding.takes("authorization")
        self._persisted = parts.persisted
        self._home = Home(parts.drain, parts.shared.flights, Compression(config))
        self._asked: dict[bytes, tuple[str, str | None]] = {}
        classes = config.client_classes.values()
        safelists = {config.persisted.safelist, *(one.safelist for one in classes)}
        self._lists = safelists != {Safelist.OFF}
        self.is_open = not (
            config.expose_query_plan
            or config.subgraphs.keeps_answers
            or config.subgraphs.returns_headers
            or Safelist.LOG_UNKNOWN in safelists  # told of once
        )
        """Whether the settings leave a straight way: each of these is the app's to look at."""

    def __call__(self, connection: QuickProtocol, whole: WholeRequest) -> bool:
        """Take a request; False where the app has to answer it."""
        head = whole.head.known
        if head is None:
            head = whole.head.known = self._read(whole.head)
        if head is _UNKNOWN or not self.is_open or self._drain.in_flight >= self._in_flight_max:
            return False
        if TRACING.tracer or self._router.on_request:
            return False
        request = self._request(whole, head)
        if request is None:
            return False
        by_name, door = whole.head.by_name, self._door
        trace_id = trace_id_of(by_name.get(TRACEPARENT))
        try:
            subject = door.known_caller(whole.authorization, connection.scope_of_client, by_name)
            if subject is None or not door.counts_now(subject):
                return False
            whole.asked = request
            if self._lists or request.document_id or request.extensions:
                request = self._persisted.resolved(request, door.safelist(subject), client=subject.client_id)
        except ClientError as refusal:
            asked = Asked(connection, whole, head.wire, trace_id, ANONYMOUS)
            ExpressCycle(self._home, asked).refuse(refusal)
            return True
        self._answer(Asked(connection, whole, head.wire, trace_id, subject), request)
        return True

    def _answer(self, asked: Asked, request: GraphQLRequest) -> None:
        """Begin the answer for a caller who was let in, or have the app begin it."""
        graph, subject, whole = self._router.snapshot, asked.subject, asked.whole
        document = self._router.known(request, graph)
        is_query = document is not None and document.kind is OperationKind.QUERY
        if document is None or not is_query or self._lacks_name(request, document):
            asked.connection.serve(whole, **{LET_IN: subject, TRACE_ID: asked.trace_id})
            return
        if not document.lifted:
            self._remember(whole.body, whole.asked)
        key, flights = key_of(request, subject, graph), self._shared.flights
        own = asked.own = flights.begun(key) if self._shared.on else None
        asked.note = self._door.noting(subject, document.kind)
        if own is None and (flight := flights.under_way(key)) is not None:
            following = Following(self._home, asked)
            following.begin()
            flight.landing().add_done_callback(following.landed)
        else:
            self._run(asked, request, document, subject, graph)

    def _lacks_name(self, request: GraphQLRequest, document: Document) -> bool:
        """Whether the operation has no name and has to have one."""
        required = self._config.require_operation_name
        return required and not (request.operation_name or document.normal.name)

    def _run(
        self, asked: Asked, request: GraphQLRequest, document: Document, subject: Subject, graph: Snapshot
    ) -> None:
        """Begin the query: as one fetch, else as a coroutine, which becomes a task where it has to."""
        token = request_trace_id.set(asked.trace_id)  # subgraphs are told of it
        try:
            if document.ready and document.ready[0].only_fetch() is not None:
                fetching = Fetching(self._home, asked)
                begun = self._router.begin(request, document, subject, graph, fetching)
                if begun is not None:
                    fetching.fetch = begun
                    fetching.begin()
                    return
            running = Running(self._home, asked)
            running.begin()
            running.answer_by(self._router.driven_answer(request, document, subject, graph))
        finally:
            request_trace_id.reset(token)

    def _read(self, head: Head) -> _KnownHead | object:
        """What the head says, where nothing of it is out of the ordinary."""
        headers = head.by_name
        try:
            accept = accepted(headers.get("accept"))
            self._door.check_client(headers)
            if self._home.compression.is_on:
                self._home.compression.check(headers)
            if self._config.csrf_prevention:
                check_preflight("POST", headers, self._config.trusted_preflight_headers)
        except ClientError:
            return _UNKNOWN
        plain = (
            not accept.only_events
            and head.body_bytes <= self._config.http.body_bytes_max
            and is_json(media_type(headers.get("content-type", "")))
            and headers.get("content-encoding", "identity").strip().lower() == "identity"
            and "cookie" not in headers
        )
        return _KnownHead(accept.single, self._forwarding.of(headers)) if plain else _UNKNOWN

    def _request(self, whole: WholeRequest, head: _KnownHead) -> GraphQLRequest | None:
        """What is asked; None where it is not one operation."""
        forwarded = head.forwarded
        if self._forwards_tokens and whole.authorization is not None:
            forwarded = {**forwarded, "authorization": whole.authorization}
        asked = self._asked.get(whole.body)
        if asked is not None:
            return GraphQLRequest(text=asked[0], operation_name=asked[1], headers=forwarded)
        try:
            request = from_json(whole.body, self._config.http, forwarded)
        except ClientError:
            return None
        return None if isinstance(request, list) else request

    def _remember(self, body: bytes, request: GraphQLRequest) -> None:
        """Keep what a body asks. Variables are not kept: they may be somebody's secret."""
        if request.variables or request.document_id or request.extensions:
            return
        if len(body) <= TEXT_BYTES_MAX and body not in self._asked:
            if len(self._asked) >= TEXTS_MAX:
                self._asked.clear()
            self._asked[body] = (request.text, request.operation_name)
