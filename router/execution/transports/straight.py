"""A straight call: one query to a subgraph that is well, on an open connection, with no task that waits.

It takes the way of any call as long as all goes well at once. Whatever else happens is its outcome, from
which the lane goes on (`SubgraphRequest.first`).
"""

from __future__ import annotations

import asyncio

from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphResponse
from router.execution.transports.http_answers import read_http_answer
from router.execution.transports.http_wire import HttpAnswer
from router.execution.transports.lane import Lane, LaneCall
from router.execution.transports.raw import LONG_BYTES_MIN
from router.execution.transports.under_way import FetchesUnderWay
from router.flight import Flight


class StraightCall:
    """A call under way; who began it is told its outcome, and then calls one of these once."""

    __slots__ = ("_begun", "_call", "_lane", "_under_way", "_whole")

    def __init__(
        self,
        lane: Lane,
        call: LaneCall,
        under_way: FetchesUnderWay[HttpAnswer],
        begun: Flight[HttpAnswer] | None,
        *,
        whole: bool,
    ) -> None:
        self._lane = lane
        self._call = call
        self._under_way = under_way
        self._begun = begun
        self._whole = whole

    def read(self, outcome: HttpAnswer | Exception) -> SubgraphResponse | None:
        """The answer where it is nothing but data; None where the outcome is for the lane to judge."""
        if isinstance(outcome, Exception) or outcome.status != 200:
            self._hand_over()
            return None
        if len(outcome.body) >= LONG_BYTES_MIN:  # not to be read in the turn in which it came
            self._call.connection.settle()
            self._land(outcome)
            return None
        sent = self._lane.sent_data(outcome) if self._whole else None
        try:
            response = (
                SubgraphResponse(data=None, sent=sent, cache_control=outcome.cache_control)
                if sent is not None
                else read_http_answer(self._lane.service, outcome)
            )
        except SubgraphCallFailed:
            self._hand_over()
            return None
        if response.errors or (response.data is None and sent is None):
            self._hand_over()
            return None
        self._lane.went_well(self._call)
        self._land(outcome)
        return response

    def drop(self) -> None:
        """Nobody wants the answer any more; it is not waited for."""
        self._call.connection.discard()
        self._let_others()

    def _hand_over(self) -> None:
        self._call.connection.settle()
        self._let_others()

    def _land(self, outcome: HttpAnswer) -> None:
        if self._begun is not None:
            self._under_way.landed(self._begun, outcome)

    def _let_others(self) -> None:
        if self._begun is not None:
            self._under_way.failed(self._begun, asyncio.CancelledError())
