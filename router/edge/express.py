"""Express: the straight way of a known query, from its bytes to its answer's, without ASGI and a task.

Most requests are of a client that has asked the same before. Where nothing of such a request has to be waited
for but one fetch, or the answer to an equal query under way, it is begun where its bytes come in and ended
where the answer's bytes come in. Whatever is out of the ordinary, before or after, is left to the app, which
answers alike (`tests/edge/test_express.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from authz.identity.subject import ANONYMOUS, Subject
from router.driven import Driven
from router.edge.answer_lines import advice, answer_lines
from router.edge.answers import Answer, answer_of, answer_of_failure
from router.edge.csrf import check_preflight
from router.edge.door import NO_CLASS_NAME, anonymous_at
from router.edge.forwarding import Forwarding
from router.edge.heads import Head, Heads, WholeRequest
from router.edge.http import FIRST, GRAPHQL_ROUTE, TRACE_ID
from router.edge.negotiation import CONTENT_TYPES, Wire, accepted, is_json, media_type
from router.edge.parts import Parts
from router.edge.quick_http import BODY_BYTES_MAX, QuickCycle, QuickProtocol
from router.edge.requests import from_json
from router.edge.sharing import key_of
from router.errors import ClientError
from router.execution import GraphQLResponse, OneFetch
from router.flight import Flight
from router.operation.model import OperationKind
from router.pipeline import GraphQLRequest
from router.snapshot import Document, Snapshot
from router.telemetry import (
    TRACING,
    Waiting,
    operations_count,
    overhead_s,
    request_trace_id,
    request_waiting,
    requests_duration_s,
    trace_id_of,
)

TEXTS_MAX: Final = 1_024
"""Bodies without variables that are kept with what they ask; forgotten together where there are more."""
TEXT_BYTES_MAX: Final = 8_192
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
        self._reads_tokens = parts.credentials.authenticate is not None
        self._asked: dict[bytes, tuple[str, str | None]] = {}
        self.is_open = not (
            config.client_classes
            or parts.door.rate.counts
            or config.require_client_name
            or config.require_operation_name
            or config.compression
            or config.expose_query_plan
            or config.subgraphs.keeps_answers
            or config.subgraphs.returns_headers
            or config.proxies.trusted
            or config.persisted.safelist.value != "off"
        )
        """Whether the settings leave a straight way: each of these is the app's to look at."""

    def __call__(self, connection: QuickProtocol, whole: WholeRequest) -> bool:
        """Take a request; False where the app has to answer it."""
        known = whole.head.known
        if known is None:
            known = whole.head.known = self._read(whole.head)
        router = self._router
        if known is _UNKNOWN or not self.is_open or self._drain.in_flight >= self._in_flight_max:
            return False
        if (self._reads_tokens and whole.authorization) or TRACING.tracer or router.on_request:
            return False
        graph = router.snapshot
        request = self._request(whole, known)
        if request is None:
            return False
        whole.asked = request
        document = self._router.known(request, graph)
        if document is None or document.kind is not OperationKind.QUERY:
            return False
        address = self._door.addresses.of(connection.scope_of_client, known.forwarded)
        subject = ANONYMOUS if address is None else anonymous_at(address)
        key = key_of(request, subject, graph)
        own = self._shared.flights.begun(key) if self._shared.on else None
        asked = _Asked(connection, whole, known.wire, own, trace_id_of(None))
        if not document.lifted:
            self._remember(whole.body, request)
        if own is None and (flight := self._shared.flights.under_way(key)) is not None:
            following = _Following(self, asked)
            following.begin()
            flight.landing().add_done_callback(following.landed)
        else:
            self._run(asked, request, document, subject, graph)
        return True

    def _run(
        self, asked: _Asked, request: GraphQLRequest, document: Document, subject: Subject, graph: Snapshot
    ) -> None:
        """Begin the query: as one fetch, else as a coroutine, which becomes a task where it has to."""
        if document.ready and document.ready[0].only_fetch() is not None:
            fetching = _Fetching(self, asked)
            token = request_trace_id.set(asked.trace_id)
            begun = self._router.begin(request, document, subject, graph, fetching)
            request_trace_id.reset(token)
            if begun is not None:
                fetching.fetch = begun
                fetching.begin()
                return
        running = _Running(self, asked)
        running.begin()
        running.answer_by(self._router.driven_answer(request, document, subject, graph))

    def _read(self, head: Head) -> _KnownHead | object:
        """What the head says, where nothing of it is out of the ordinary."""
        headers = head.by_name
        try:
            accept = accepted(headers.get("accept"))
            if self._config.csrf_prevention:
                check_preflight("POST", headers, self._config.trusted_preflight_headers)
        except ClientError:
            return _UNKNOWN
        plain = (
            not accept.only_events
            and head.body_bytes <= self._config.http.body_bytes_max
            and is_json(media_type(headers.get("content-type", "")))
            and headers.get("content-encoding", "identity").strip().lower() == "identity"
            and "traceparent" not in headers
            and "cookie" not in headers
        )
        return _KnownHead(accept.single, self._forwarding.of(headers)) if plain else _UNKNOWN

    def _request(self, whole: WholeRequest, head: _KnownHead) -> GraphQLRequest | None:
        """What is asked; None where it is more than a text with its variables."""
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
        if isinstance(request, list) or request.document_id or request.extensions:
            return None
        return request

    def _remember(self, body: bytes, request: GraphQLRequest) -> None:
        """Keep what a body asks. Variables are not kept: they may be somebody's secret."""
        if not request.variables and len(body) <= TEXT_BYTES_MAX and body not in self._asked:
            if len(self._asked) >= TEXTS_MAX:
                self._asked.clear()
            self._asked[body] = (request.text, request.operation_name)

    def begun(self) -> None:
        """A request is under way here."""
        self._drain.in_flight += 1

    def ended(self) -> None:
        """A request is under way here no more."""
        self._drain.in_flight -= 1

    def landed(self, own: Flight[Answer], answer: Answer) -> None:
        """Tell those who asked the same."""
        self._shared.flights.landed(own, answer)

    def let_others(self, own: Flight[Answer]) -> None:
        """Those who asked the same find the answer by themselves."""
        self.failed(own, asyncio.CancelledError())

    def failed(self, own: Flight[Answer], failure: BaseException) -> None:
        """Tell those who asked the same that there is no answer."""
        self._shared.flights.failed(own, failure)


class _Asked(NamedTuple):
    """A request that was taken. `own` is its flight, where it may be shared."""

    connection: QuickProtocol
    whole: WholeRequest
    wire: Wire
    own: Flight[Answer] | None
    trace_id: str


class _Express(QuickCycle):
    """One request on the straight way."""

    __slots__ = ("_asked", "_began_s", "_express", "_is_over")

    def __init__(self, express: Express, asked: _Asked) -> None:
        self._began_s = time.perf_counter()
        super().__init__(asked.connection, asked.whole.body)
        self._express = express
        self._asked = asked
        self._is_over = False

    def begin(self) -> None:
        """The request is under way."""
        self._express.begun()
        self._protocol.begin_express(self)

    def set(self) -> None:
        """uvicorn: something has changed; only that the client is gone can be of interest."""
        if self.disconnected and not self._is_over:
            self.end()
            self.leave()
            self.let_others()

    def leave(self) -> None:
        """The client is gone: nobody waits for the answer."""

    def end(self) -> None:
        """Nothing is under way any more."""
        self._is_over = True
        self._express.ended()

    def let_others(self) -> None:
        """Those who asked the same find the answer by themselves."""
        if self._asked.own is not None:
            self._express.let_others(self._asked.own)

    def answer_of(self, response: GraphQLResponse, *, waited_s: float) -> None:
        """Send the response, to those who asked the same as well."""
        answer = answer_of(response)
        try:
            answer.text()
        except Exception as failure:
            self.let_others()
            answer = answer_of_failure(failure, self._asked.trace_id)
        else:
            self._land(answer)
        self.answer(answer, waited_s=waited_s)

    def _land(self, answer: Answer) -> None:
        """Tell those who asked the same, if it may be shared."""
        if self._asked.own is not None:
            self._express.landed(self._asked.own, answer)

    def answer(self, answer: Answer, *, waited_s: float) -> None:
        """Send the answer, and count it."""
        asked = self._asked
        status, text = answer.status_as(asked.wire), answer.text()
        lines = answer_lines(CONTENT_TYPES[asked.wire], asked.trace_id, "no-store")
        if status != 200:
            lines += advice(status, "POST", 1)
        lines += b"content-length: %d\r\n" % len(text)
        self.end()
        if not self.reply(status, lines, text):
            task = self._protocol.loop.create_task(self._reply_later(status, lines, text))
            self._protocol.tasks.add(task)
            task.add_done_callback(self._protocol.tasks.discard)
        took_s = time.perf_counter() - self._began_s
        _durations(status)(took_s)
        _overhead(took_s - waited_s)
        _counted()

    async def _reply_later(self, status: int, lines: bytes, text: bytes) -> None:
        await self._protocol.flow.drain()
        self.reply(status, lines, text)

    def hand_over(self, **known: Any) -> None:
        """Have the app answer after all."""
        self.end()
        self._protocol.serve(self._asked.whole, **known)


class _Following(_Express):
    """A query that an equal one under way answers."""

    __slots__ = ()

    def landed(self, landing: asyncio.Future[Answer]) -> None:
        """The other one has ended."""
        if self._is_over:
            return
        if landing.cancelled():
            self.hand_over()  # that one's client left; this one's did not
            return
        failure = landing.exception()
        answer = landing.result() if failure is None else answer_of_failure(failure, self._asked.trace_id)
        self.answer(answer, waited_s=time.perf_counter() - self._began_s)


class _Fetching(_Express):
    """A query with one fetch under way, whose outcome is told here."""

    __slots__ = ("fetch",)

    fetch: OneFetch

    def done(self) -> bool:
        """Whether the outcome was told, or is not wanted any more."""
        return self._is_over

    def set_result(self, outcome: Any) -> None:
        """The fetch has this outcome."""
        waited_s = time.perf_counter() - self._began_s
        try:
            response = self.fetch.answer(outcome)
        except Exception as failure:
            self.let_others()
            self.answer(answer_of_failure(failure, self._asked.trace_id), waited_s=waited_s)
            return
        if response is None:
            self.let_others()
            self.hand_over(**{FIRST: outcome, TRACE_ID: self._asked.trace_id})
            return
        self.answer_of(response, waited_s=waited_s)

    set_exception = set_result

    def leave(self) -> None:
        """The client is gone: nobody waits for the fetch."""
        self.fetch.drop()


class _Running(_Express):
    """A query that a coroutine answers."""

    __slots__ = ("_driven", "_waiting")

    def answer_by(self, answering: Coroutine[Any, Any, GraphQLResponse]) -> None:
        """Answer, whatever happens."""
        self._waiting = Waiting()
        context = copy_context()
        context.run(request_waiting.set, self._waiting)
        context.run(request_trace_id.set, self._asked.trace_id)
        self._driven = Driven(answering, context, self._ended)
        self._protocol.tasks.add(cast(Any, self._driven))  # so that a server with no time left can cancel it
        self._driven.go_on()

    def _ended(self, response: GraphQLResponse, failure: BaseException | None) -> None:
        self._protocol.tasks.discard(cast(Any, self._driven))
        if self._is_over:
            return  # the client is gone
        if failure is None:
            self.answer_of(response, waited_s=self._waiting.total_s)
        elif isinstance(failure, asyncio.CancelledError):  # the server has no time left
            self.end()
            self.let_others()
            self._protocol.transport.close()
        else:
            self.fail_others(failure)
            answer = answer_of_failure(failure, self._asked.trace_id)
            self.answer(answer, waited_s=self._waiting.total_s)

    def fail_others(self, failure: BaseException) -> None:
        """Those who asked the same are told the same."""
        if self._asked.own is not None:
            self._express.failed(self._asked.own, failure)

    def leave(self) -> None:
        """The client is gone: nobody waits for the answer."""
        self._driven.cancel()


@lru_cache(maxsize=64)
def _durations(status: int) -> Callable[[float], None]:
    return requests_duration_s.series({"route": GRAPHQL_ROUTE, "method": "POST", "status": str(status)})


_counted = operations_count.series({"kind": OperationKind.QUERY.value, "client": NO_CLASS_NAME})
_overhead = overhead_s.series({})
