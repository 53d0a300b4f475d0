"""What answers a request of the straight way: a fetch, a coroutine, or the answer to an equal request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from authz.identity.subject import Subject
from router.codings import packed
from router.driven import Driven
from router.edge.answer_lines import advice, answer_lines
from router.edge.answers import Answer, answer_of, answer_of_failure
from router.edge.compression import Compression
from router.edge.drain import Drain
from router.edge.heads import WholeRequest
from router.edge.http import FIRST, GRAPHQL_ROUTE, LET_IN, TRACE_ID
from router.edge.negotiation import CONTENT_TYPES, Wire
from router.edge.packed_streams import THREAD_BYTES_MIN
from router.edge.quick_http import QuickCycle, QuickProtocol
from router.edge.rate import RateExceeded
from router.errors import ClientError
from router.execution import GraphQLResponse, OneFetch
from router.flight import Flight, Flights
from router.telemetry import Waiting, overhead_s, request_waiting, requests_duration_s

_CODED: Final = b"content-encoding: %b\r\n"


@dataclass(slots=True)
class Asked:
    """A request that was taken. `own` is its flight, where it may be shared."""

    connection: QuickProtocol
    whole: WholeRequest
    wire: Wire
    trace_id: str
    subject: Subject
    own: Flight[Answer] | None = None
    note: Callable[[], None] | None = None
    """Counts the operation."""


class Home(NamedTuple):
    """What all requests on the straight way have in common."""

    drain: Drain
    flights: Flights[Answer]
    compression: Compression


class ExpressCycle(QuickCycle):
    """One request on the straight way."""

    __slots__ = ("_asked", "_began_s", "_home", "_is_over")

    def __init__(self, home: Home, asked: Asked) -> None:
        self._began_s = time.perf_counter()
        super().__init__(asked.connection, asked.whole.body)
        self._home = home
        self._asked = asked
        self._is_over = False

    def begin(self) -> None:
        """The request is under way."""
        self._home.drain.in_flight += 1
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
        self._home.drain.in_flight -= 1

    def let_others(self) -> None:
        """Those who asked the same find the answer by themselves."""
        if self._asked.own is not None:
            self._home.flights.failed(self._asked.own, asyncio.CancelledError())

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
            self._home.flights.landed(self._asked.own, answer)

    def answer(self, answer: Answer, *, waited_s: float, retry_after_s: int = 1) -> None:
        """Send the answer, and count it."""
        asked, compression = self._asked, self._home.compression
        status, text = answer.status_as(asked.wire), answer.text()
        lines = answer_lines(CONTENT_TYPES[asked.wire], asked.trace_id, "no-store")
        if status != 200:
            lines += advice(status, "POST", retry_after_s)
        self.end()
        coding = compression.coding(asked.whole.head.by_name, len(text)) if compression.is_on else ""
        if not coding:
            self._send(status, lines, text, waited_s)
        elif len(text) < THREAD_BYTES_MIN:
            self._send(status, lines + _CODED % coding.encode(), packed(text, coding), waited_s)
        else:
            self._later(self._packed(status, lines, text, coding, waited_s))

    def _send(self, status: int, lines: bytes, text: bytes, waited_s: float) -> None:
        lines += b"content-length: %d\r\n" % len(text)
        if not self.reply(status, lines, text):
            self._later(self._reply_later(status, lines, text))
        took_s = time.perf_counter() - self._began_s
        _durations(status)(took_s)
        _overhead(took_s - waited_s)
        if self._asked.note is not None:
            self._asked.note()

    def _later(self, sending: Coroutine[Any, Any, None]) -> None:
        task = self._protocol.loop.create_task(sending)
        self._protocol.tasks.add(task)
        task.add_done_callback(self._protocol.tasks.discard)

    async def _packed(self, status: int, lines: bytes, text: bytes, coding: str, waited_s: float) -> None:
        text = await self._home.compression.packed(text, coding)
        self._send(status, lines + _CODED % coding.encode(), text, waited_s)

    async def _reply_later(self, status: int, lines: bytes, text: bytes) -> None:
        await self._protocol.flow.drain()
        self.reply(status, lines, text)

    def refuse(self, failure: ClientError) -> None:
        """Answer with a refusal."""
        self.begin()
        retry_after_s = failure.retry_after_s if isinstance(failure, RateExceeded) else 1
        answer = answer_of_failure(failure, self._asked.trace_id)
        self.answer(answer, waited_s=0.0, retry_after_s=retry_after_s)

    def hand_over(self, **known: Any) -> None:
        """Have the app answer after all."""
        self.end()
        known[LET_IN] = self._asked.subject
        self._protocol.serve(self._asked.whole, **known)


class Following(ExpressCycle):
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


class Fetching(ExpressCycle):
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


class Running(ExpressCycle):
    """A query that a coroutine answers."""

    __slots__ = ("_driven", "_waiting")

    def answer_by(self, answering: Coroutine[Any, Any, GraphQLResponse]) -> None:
        """Answer, whatever happens; in the context of now."""
        self._waiting = Waiting()
        context = copy_context()
        context.run(request_waiting.set, self._waiting)
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
            self._home.flights.failed(self._asked.own, failure)

    def leave(self) -> None:
        """The client is gone: nobody waits for the answer."""
        self._driven.cancel()


@lru_cache(maxsize=64)
def _durations(status: int) -> Callable[[float], None]:
    return requests_duration_s.series({"route": GRAPHQL_ROUTE, "method": "POST", "status": str(status)})


_overhead = overhead_s.series({})
