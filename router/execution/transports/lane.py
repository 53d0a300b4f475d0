"""The lane to one subgraph: its pool, breaker, retries and headers; every call to it goes through here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from authz.identity.seals import seal_of
from router.driven import in_task
from router.errors import SubgraphCallFailed
from router.execution.transport import SentData, SubgraphRequest
from router.execution.transports.bodies import Bodies
from router.execution.transports.breaker import Breaker, Outcome, State
from router.execution.transports.client_tls import ClientTls
from router.execution.transports.header_rules import HeaderRules
from router.execution.transports.http_client import HttpClient
from router.execution.transports.http_connection import Connection, Receiving
from router.execution.transports.http_wire import (
    AnswerTooLong,
    CallFailed,
    CallHeaders,
    ConnectFailed,
    ConnectionLost,
    Endpoint,
    HttpAnswer,
    NotHttp,
    Waiter,
)
from router.execution.transports.measures import (
    SERVICE,
    breaker_state,
    call_duration_s,
    refused_count,
    retries_count,
)
from router.execution.transports.raw import sent_data
from router.execution.transports.retries import RETRIED_STATUSES, Door, RetryBudget, pause_s
from router.operation.model import OperationKind
from router.traffic import Http2, SubgraphTraffic

if TYPE_CHECKING:
    from router.execution.transports.http2_client import Http2Client

JSON_TYPES: Final = frozenset({"application/graphql-response+json", "application/json"})
_STATE_NUMBERS: Final = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}
_CUT_SHORT_OF: Final = 0.5
"""A call that had less than this part of its subgraph's own time says nothing about the subgraph."""

Headers = Callable[[], Mapping[str, str]]
"""The headers of one try; a signature is good for one try only."""


class LaneCall(NamedTuple):
    """A call begun without waiting."""

    connection: Connection
    since_s: float


class Lane:
    """Everything that is kept for one subgraph at one URL.

    Errors of construction: ValueError for an unusable URL; OSError, ssl.SSLError for unusable certificates.
    """

    def __init__(
        self, service: str, url: str, traffic: SubgraphTraffic, receiving: Receiving, *, timeout_s: float
    ) -> None:
        self.service = service
        self._receiving = receiving
        self.traffic = traffic
        self.url = url
        self.rules = HeaderRules(traffic.headers) if traffic.headers else None
        # what a subgraph tells one caller in a header is no other's to get
        self.shares_fetches = traffic.shared_fetches and not traffic.returns_personal
        self._endpoint = Endpoint.of(url, socket=traffic.socket)
        own_s = traffic.timeout_ms_max / 1_000
        self.timeout_s = own_s or timeout_s
        negotiated = traffic.http2 is Http2.NEGOTIATED and self._endpoint.tls
        self.tls = ClientTls(traffic.tls, protocols=("h2", "http/1.1") if negotiated else ())
        self._client = self._client_of(traffic, http2=negotiated or traffic.http2 is Http2.CLEARTEXT)
        self._breaker = Breaker(traffic.breaker, on_change=self._tell_state)
        self._budget = RetryBudget(traffic.retry)
        self._door = Door(traffic.retry)
        self._secret = traffic.sealing.secret.encode()
        self.seals = bool(self._secret)
        """Whether each try carries a seal of its own."""
        self.is_plain = self.rules is None and not traffic.accept_compressed
        """Whether calls carry what those to other plain lanes do."""
        self.bodies = Bodies()
        self._attributes: Mapping[str, str] = {SERVICE: service}
        self._took = call_duration_s.series(self._attributes)

    def _client_of(self, traffic: SubgraphTraffic, *, http2: bool) -> HttpClient | Http2Client:
        plain = HttpClient(
            connections_per_host_max=traffic.connections_max,
            connect_timeout_s=traffic.connect_timeout_ms_max / 1_000,
            keep_alive_s=traffic.keep_alive_ms / 1_000,
            answer_bytes_max=traffic.answer_bytes_max,
            tls_context=self.tls.context,
            receiving=self._receiving,
        )
        if not http2:
            return plain
        from router.execution.transports.http2_client import Http2Client  # those who need it pay for it

        return Http2Client(
            plain,
            connect_timeout_s=traffic.connect_timeout_ms_max / 1_000,
            keep_alive_s=traffic.keep_alive_ms / 1_000,
            answer_bytes_max=traffic.answer_bytes_max,
            tls_context=self.tls.context,
        )

    def sealed(self, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """The headers with the seal of one try, where the subgraph wants one."""
        if not self._secret:
            return headers
        seal = seal_of(self.service, body, self._secret, now_s=time.time())
        return {**headers, self.traffic.sealing.header.lower(): seal}

    def begin(
        self, headers: CallHeaders | Headers, body: bytes, waiter: Waiter, timeout_s: float | None
    ) -> LaneCall | None:
        """A call on an open connection to a subgraph that is well; None where that cannot be had at once.

        `waiter` is told its outcome. After an answer that is taken `went_well` ends it, else `call` with it.
        """
        client = self._client
        if self._breaker.state is not State.CLOSED or not isinstance(client, HttpClient):
            return None
        since_s = time.monotonic()
        own_s = self.timeout_s if timeout_s is None else min(self.timeout_s, timeout_s)
        given = headers if isinstance(headers, CallHeaders) else headers()
        connection = client.begin(self._endpoint, given, body, waiter, timeout_s=own_s)
        return None if connection is None else LaneCall(connection, since_s)

    def went_well(self, call: LaneCall) -> None:
        """The answer of a call that was begun here is taken."""
        call.connection.give_back()
        self._budget.earn()
        self._door.is_open()
        self._breaker.record(Outcome.WELL)
        self._took(time.monotonic() - call.since_s)

    def sent_data(self, answer: HttpAnswer) -> SentData | None:
        """The answer's data as it came, where it is long and has nothing but data; else None."""
        return sent_data(answer, self._receiving.known, trusted=self.traffic.trusted_answers)

    async def call(self, headers: CallHeaders | Headers, body: bytes, request: SubgraphRequest) -> HttpAnswer:
        """One call, a query's retries included; anything but a query is sent once.

        Errors: `SubgraphCallFailed`.
        """
        is_query, timeout_s = request.kind is OperationKind.QUERY, request.timeout_s
        if not self._breaker.lets_through():
            refused_count.add(1, self._attributes)
            raise SubgraphCallFailed(
                self.service, "is left alone for a moment after failures", code="SUBREQUEST_CIRCUIT_OPEN"
            )
        began = time.monotonic()
        own_s = self.timeout_s if timeout_s is None else min(self.timeout_s, timeout_s)
        outcome = Outcome.UNKNOWN
        self._budget.earn()
        try:
            try:
                if request.first is None:
                    given = headers if isinstance(headers, CallHeaders) else headers()
                    answer = await self._client.post(self._endpoint, given, body, timeout_s=own_s)
                elif isinstance(request.first, Exception):
                    raise request.first
                else:
                    answer = request.first
            except (ConnectFailed, ConnectionLost) as failure:
                if not is_query:
                    raise
                answer = await self._again(headers, body, failure, until_s=began + own_s)
            else:
                self._door.is_open()
                if is_query and answer.status in RETRIED_STATUSES:
                    answer = await self._again(headers, body, answer, until_s=began + own_s)
            outcome = Outcome.WELL if answer.status == 200 else _outcome(answer)
        except (TimeoutError, ConnectFailed, ConnectionLost, AnswerTooLong, NotHttp) as error:
            cut = isinstance(error, TimeoutError) and own_s < self.timeout_s * _CUT_SHORT_OF
            outcome = Outcome.UNKNOWN if cut else Outcome.FAILED
            raise self._failure(error) from None
        finally:
            self._breaker.record(outcome)
            self._took(time.monotonic() - began)
        return answer

    async def _again(
        self, headers: CallHeaders | Headers, body: bytes, last: HttpAnswer | CallFailed, *, until_s: float
    ) -> HttpAnswer:
        """What further tries bring after the first one's outcome; the last outcome where none is left."""
        await in_task()
        tries = 1
        while True:
            if isinstance(last, ConnectFailed):
                # nothing was sent: this is waiting for the subgraph, and no retry of a call that it had
                if not (last.refused and await self._door.wait(until_s=until_s)):
                    raise last
            elif await self._pauses(last, tries, until_s):
                tries += 1
            elif isinstance(last, CallFailed):
                raise last
            else:
                return last
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            try:
                given = headers if isinstance(headers, CallHeaders) else headers()
                last = await self._client.post(self._endpoint, given, body, timeout_s=left_s)
            except (ConnectFailed, ConnectionLost) as failure:
                last = failure
                continue
            self._door.is_open()
            if last.status not in RETRIED_STATUSES:
                return last

    async def _pauses(self, last: HttpAnswer | CallFailed, tries: int, until_s: float) -> bool:
        """Wait before another try, where one is left, in time and within the budget."""
        reason, retry_after = "lost", ""
        if isinstance(last, HttpAnswer):
            reason, retry_after = str(last.status), last.retry_after
        policy = self.traffic.retry
        pause = pause_s(policy, tries, retry_after)
        if tries >= policy.attempts_max or time.monotonic() + pause >= until_s or not self._budget.take():
            return False
        retries_count.add(1, {SERVICE: self.service, "reason": reason})
        await asyncio.sleep(pause)
        return True

    @property
    def stream_url(self) -> str:
        """Where subscriptions go."""
        return self.traffic.subscriptions.url or self.url

    @property
    def stream_socket(self) -> str:
        """The Unix socket that subscriptions go over; empty for none."""
        return "" if self.traffic.subscriptions.url else self.traffic.socket

    def open_timeout_s(self, timeout_s: float | None) -> float:
        """Seconds for a stream to be opened, of `timeout_s` for the whole."""
        connect_s = self.traffic.connect_timeout_ms_max / 1_000
        return connect_s if timeout_s is None else min(connect_s, timeout_s)

    def renew_certificates(self) -> bool:
        """Take certificates whose files have changed; calls under way end on their connections."""
        if not self.tls.renewed():
            return False
        self._client.renew()
        return True

    def close(self) -> None:
        """End every connection; calls under way fail as lost."""
        self._client.close()

    def retire(self) -> None:
        """Keep no connection: nobody calls any more, calls under way end in peace."""
        self._client.renew()

    def _failure(self, error: Exception) -> SubgraphCallFailed:
        match error:
            case TimeoutError():
                reason = "timed out"
            case ConnectFailed():
                reason = "could not be reached"
            case ConnectionLost():
                reason = "the connection was lost"
            case AnswerTooLong():
                reason = f"answered more than {self.traffic.answer_bytes_max} bytes"
            case _:
                reason = "did not speak HTTP"
        return SubgraphCallFailed(self.service, reason)

    def _tell_state(self, state: State) -> None:
        breaker_state.set(_STATE_NUMBERS[state], self._attributes)


def _outcome(answer: HttpAnswer) -> Outcome:
    """A GraphQL answer under status 500 is a subgraph at work; a gateway's 502 to 504 is none."""
    failed = answer.status in RETRIED_STATUSES or (
        answer.status >= 500 and answer.media_type not in JSON_TYPES
    )
    return Outcome.FAILED if failed else Outcome.WELL
