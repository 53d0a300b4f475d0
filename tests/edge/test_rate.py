"""How often one caller may ask."""

from __future__ import annotations

import pytest

from authz.identity.subject import ANONYMOUS, Subject
from router.config import RateLimits, RouterConfig
from router.edge.rate import Rate, RateExceeded, caller_of
from tests.kit_edge.running import running


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_burst_is_let_through_and_leaks_at_the_rate() -> None:
    clock = Clock()
    rate = Rate(RateLimits(requests_per_minute_max=60, burst_requests_max=3), clock)
    for _ in range(3):
        rate.take("a")
    with pytest.raises(RateExceeded) as raised:
        rate.take("a")
    assert raised.value.retry_after_s == 1
    rate.take("b")
    clock.now_s = 1.0
    rate.take("a")
    with pytest.raises(RateExceeded):
        rate.take("a")
    clock.now_s = 100.0
    for _ in range(3):
        rate.take("a")


def test_refused_requests_do_not_prolong_the_wait() -> None:
    clock = Clock()
    rate = Rate(RateLimits(requests_per_minute_max=60, burst_requests_max=1), clock)
    rate.take("a")
    for _ in range(100):
        with pytest.raises(RateExceeded):
            rate.take("a")
    clock.now_s = 1.0
    rate.take("a")


def test_the_longest_unused_caller_is_forgotten() -> None:
    rate = Rate(RateLimits(requests_per_minute_max=1, burst_requests_max=1, callers_max=2), Clock())
    for caller in "abc":
        rate.take(caller)
    rate.take("a")
    with pytest.raises(RateExceeded):
        rate.take("c")


def test_a_person_counts_wherever_they_are_and_others_by_address() -> None:
    scope = {"client": ("10.0.0.1", 4711)}
    assert caller_of(Subject("anna"), scope) == "subject anna"
    assert caller_of(ANONYMOUS, scope) == "address 10.0.0.1"


async def test_too_many_requests_are_429_with_the_time_to_wait() -> None:
    config = RouterConfig(rate=RateLimits(requests_per_minute_max=1, burst_requests_max=2))
    async with running(config) as router:
        for expected in (200, 200, 429):
            status, body, response = await router.post({"query": "{ hello }"})
            assert status == expected
        assert body["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert int(response.headers["retry-after"]) in range(55, 61)
