"""Rate: how often one caller may ask. A leaking bucket for each, in this process's memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import Scope

from authz.identity.subject import Subject
from router.config import RateLimits
from router.errors import ClientError


class RateExceeded(ClientError):
    """The caller has to wait `retry_after_s` seconds."""

    code = "RATE_LIMITED"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many requests; retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Rate:
    """Buckets by caller; those longest unused are forgotten first. `clock` is in seconds."""

    def __init__(self, limits: RateLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._leak_per_s = limits.requests_per_minute_max / 60
        self._burst = max(limits.burst_requests_max, 1)
        self._callers_max = max(limits.callers_max, 1)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one request. Errors: RateExceeded; a refused request fills nothing."""
        if not self._leak_per_s:
            return
        now = self._clock()
        filled, at = self._buckets.pop(caller, (0.0, now))
        filled = max(filled - (now - at) * self._leak_per_s, 0.0)
        refused = filled + 1 > self._burst
        self._buckets[caller] = (filled if refused else filled + 1, now)
        if len(self._buckets) > self._callers_max:
            self._buckets.popitem(last=False)
        if refused:
            raise RateExceeded(math.ceil((filled + 1 - self._burst) / self._leak_per_s))


def caller_of(subject: Subject, scope: Scope) -> str:
    """Whose requests count together: a person's, or those from one address."""
    if subject.id is not None:
        return f"subject {subject.id}"
    client = scope.get("client")
    return f"address {client[0]}" if client else "address unknown"
