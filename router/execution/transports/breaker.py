"""The circuit breaker of one subgraph: after too many failures it is left alone for a moment, then tried."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum, StrEnum

from router.traffic import BreakerPolicy

SLICES = 10
"""Parts of the window; the oldest part's calls stop to count together."""


class State(StrEnum):
    """Closed: calls go through. Open: none does. Half-open: a few show whether the subgraph is well."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Outcome(IntEnum):
    """How a call ended. UNKNOWN: cancelled, or cut short by its own request's deadline."""

    WELL = 0
    FAILED = 1
    UNKNOWN = 2


class Breaker:
    """Asked before each call (`lets_through`), told after each one that was let through (`record`)."""

    __slots__ = (
        "_calls", "_counts", "_failures", "_now_s", "_on_change", "_open_until_s", "_place", "_policy",
        "_slice", "_slice_ends_s", "_slice_s", "_trials_begun", "_trials_well", "state",
    )  # fmt: skip

    def __init__(
        self,
        policy: BreakerPolicy,
        *,
        on_change: Callable[[State], None] = lambda _: None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._on_change = on_change
        self._now_s = now_s
        self.state = State.CLOSED
        self._open_until_s = 0.0
        self._trials_begun = self._trials_well = 0
        self._counts = policy.failures_percent_max > 0
        self._slice_s = max(policy.window_ms, 1) / 1_000 / SLICES
        self._slice = self._place = 0
        self._slice_ends_s = 0.0
        self._calls = [0] * SLICES
        self._failures = [0] * SLICES

    def lets_through(self) -> bool:
        """Whether a call may be made now; if so, its end has to be told."""
        if self.state is State.CLOSED:
            return True
        if self.state is State.OPEN:
            if self._now_s() < self._open_until_s:
                return False
            self._change(State.HALF_OPEN)
            self._trials_begun = self._trials_well = 0
        if self._trials_begun >= self._policy.trial_calls:
            return False
        self._trials_begun += 1
        return True

    def record(self, outcome: Outcome) -> None:
        """A call that was let through has ended."""
        if self.state is State.CLOSED:
            if outcome is not Outcome.UNKNOWN and self._counts:
                self._count(outcome)
        elif self.state is State.HALF_OPEN:
            self._record_trial(outcome)

    def _record_trial(self, outcome: Outcome) -> None:
        if outcome is Outcome.FAILED:
            self._open()
        elif outcome is Outcome.UNKNOWN:
            self._trials_begun -= 1
        else:
            self._trials_well += 1
            if self._trials_well >= self._policy.trial_calls:
                self._forget()
                self._change(State.CLOSED)

    def _count(self, outcome: Outcome) -> None:
        now_s = self._now_s()
        if now_s >= self._slice_ends_s:
            self._move_to(int(now_s / self._slice_s))
        self._calls[self._place] += 1
        if outcome is Outcome.FAILED:
            self._failures[self._place] += 1
            calls = sum(self._calls)
            limit = self._policy.failures_percent_max * calls
            if calls >= self._policy.calls_min and sum(self._failures) * 100 > limit:
                self._open()

    def _move_to(self, now: int) -> None:
        for passed in range(max(self._slice + 1, now - SLICES + 1), now + 1):
            self._calls[passed % SLICES] = self._failures[passed % SLICES] = 0
        self._slice, self._place = now, now % SLICES
        self._slice_ends_s = (now + 1) * self._slice_s

    def _open(self) -> None:
        self._open_until_s = self._now_s() + self._policy.open_ms / 1_000
        self._forget()
        self._change(State.OPEN)

    def _forget(self) -> None:
        self._calls = [0] * SLICES
        self._failures = [0] * SLICES

    def _change(self, state: State) -> None:
        self.state = state
        self._on_change(state)
