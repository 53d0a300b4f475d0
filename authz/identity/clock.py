"""The clock that identities are judged by: injected, so that tests say what time it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now_utc() -> datetime:
    """The wall clock, in UTC; the default where no clock is injected."""
    return datetime.now(UTC)
