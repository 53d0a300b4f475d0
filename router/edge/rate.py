"""Rate: how often one person, and one address, may ask. A leaking bucket for each.

Buckets are in this process's memory, or in a store that several routers count in together.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

from authz.identity.subject import Subject
from router.config import RateLimits
from router.edge.addresses import network_of
from router.errors import ClientError

log = logging.getLogger("stadion.router.rate")
AGAIN_S = 5.0
"""A store that has failed is asked again after this many seconds; meanwhile each router counts by itself."""


class RateExceeded(ClientError):
    """The caller has to wait `retry_after_s` seconds."""

    code = "RATE_LIMITED"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many requests; retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s


class SharedRates(Protocol):
    """Counts for several routers together."""

    async def wait_s(self, caller: str, *, per_minute: int, burst: int) -> float:
        """Seconds to wait; 0 counts the request and lets it in. Raises what its store raises."""
        ...


class Buckets:
    """Buckets by caller; those longest unused are forgotten first. `clock` is in seconds."""

    def __init__(self, *, callers_max: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._callers_max = max(callers_max, 1)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, caller: str, *, per_minute: int, burst: int) -> float:
        """Seconds to wait; 0 counts the request and lets it in. A refused request fills nothing."""
        leak_per_s, now = per_minute / 60, self._clock()
        filled, at = self._buckets.pop(caller, (0.0, now))
        filled = max(filled - (now - at) * leak_per_s, 0.0)
        refused = filled + 1 > burst
        self._buckets[caller] = (filled if refused else filled + 1, now)
        if len(self._buckets) > self._callers_max:
            self._buckets.popitem(last=False)
        return (filled + 1 - burst) / leak_per_s if refused else 0.0


class Rate:
    """The rates of one app. `clock` is in seconds."""

    def __init__(
        self,
        limits: RateLimits,
        clock: Callable[[], float] = time.monotonic,
        *,
        shared: SharedRates | None = None,
    ) -> None:
        self._limits = limits
        self._burst = max(limits.burst_requests_max, 1)
        self._buckets = Buckets(callers_max=limits.callers_max, clock=clock)
        self._shared = shared
        self._clock = clock
        self._failed_until_s = -math.inf

    @property
    def counts(self) -> bool:
        """Whether there is a rate for those who have none of their own."""
        limits = self._limits
        return bool(limits.requests_per_minute_max or limits.address_requests_per_minute_max)

    async def take(self, subject: Subject, *, per_minute: int = 0) -> None:
        """Count one request; `per_minute` is the caller's own rate where it is not the general one.

        Errors: RateExceeded.
        """
        limits = self._limits
        per_minute = per_minute or limits.requests_per_minute_max
        if not per_minute and not limits.address_requests_per_minute_max:
            return
        for caller, rate in self._counted(subject, per_minute):
            wait_s = await self._wait_s(caller, rate)
            if wait_s > 0:
                raise RateExceeded(math.ceil(wait_s))

    def take_now(self, subject: Subject, *, per_minute: int = 0) -> bool:
        """As `take`, where no store has to be asked; False elsewhere, with nothing counted.

        Errors: RateExceeded.
        """
        limits = self._limits
        per_minute = per_minute or limits.requests_per_minute_max
        if not per_minute and not limits.address_requests_per_minute_max:
            return True
        if self._shared is not None:
            return False
        for caller, rate in self._counted(subject, per_minute):
            wait_s = self._buckets.wait_s(caller, per_minute=rate, burst=self._burst)
            if wait_s > 0:
                raise RateExceeded(math.ceil(wait_s))
        return True

    def _counted(self, subject: Subject, per_minute: int) -> Iterator[tuple[str, int]]:
        if self._limits.address_requests_per_minute_max:
            yield f"from {address_of(subject)}", self._limits.address_requests_per_minute_max
        if per_minute:
            yield caller_of(subject), per_minute

    async def _wait_s(self, caller: str, per_minute: int) -> float:
        if self._shared is not None and self._clock() >= self._failed_until_s:
            try:
                return await self._shared.wait_s(caller, per_minute=per_minute, burst=self._burst)
            except Exception as failure:
                self._failed_until_s = self._clock() + AGAIN_S
                log.warning("rates are counted by this router alone: %s", type(failure).__name__)
        return self._buckets.wait_s(caller, per_minute=per_minute, burst=self._burst)


def caller_of(subject: Subject) -> str:
    """Whose requests count together: a person's, or those from one address."""
    return f"subject {subject.id}" if subject.id is not None else f"address {address_of(subject)}"


def address_of(subject: Subject) -> str:
    """The address as rates count it."""
    return network_of(subject.client_address) if subject.client_address else "unknown"
