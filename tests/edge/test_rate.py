"""How often one caller, and one address, may ask."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from authz.identity.subject import ANONYMOUS, Subject
from router.admission import ClientClass
from router.config import HttpLimits, RateLimits, RouterConfig
from router.edge.addresses import network_of
from router.edge.credentials import Credentials
from router.edge.rate import AGAIN_S, Buckets, Rate, RateExceeded, caller_of
from tests.kit_edge.running import running

SUBJECT = Subject("anna", client_address="192.0.2.1")


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_burst_is_let_through_and_leaks_at_the_rate() -> None:
    clock = Clock()
    buckets = Buckets(callers_max=10, clock=clock)

    def wait_s(caller: str) -> float:
        return buckets.wait_s(caller, per_minute=60, burst=3)

    assert [wait_s("a") for _ in range(4)] == [0, 0, 0, 1]
    assert wait_s("b") == 0
    clock.now_s = 1.0
    assert [wait_s("a") for _ in range(2)] == [0, 1]
    clock.now_s = 100.0
    assert [wait_s("a") for _ in range(4)] == [0, 0, 0, 1]


def test_refused_requests_do_not_prolong_the_wait() -> None:
    clock = Clock()
    buckets = Buckets(callers_max=10, clock=clock)
    assert [buckets.wait_s("a", per_minute=60, burst=1) for _ in range(100)] == [0, *[1] * 99]
    clock.now_s = 1.0
    assert buckets.wait_s("a", per_minute=60, burst=1) == 0


def test_the_longest_unused_caller_is_forgotten() -> None:
    buckets = Buckets(callers_max=2, clock=Clock())
    assert [buckets.wait_s(one, per_minute=1, burst=1) for one in "abcac"] == [0, 0, 0, 0, 60]


def test_a_person_counts_wherever_they_are_and_others_by_address() -> None:
    assert caller_of(SUBJECT) == "subject anna"
    assert caller_of(Subject(None, client_address="10.0.0.1")) == "address 10.0.0.1"
    assert caller_of(ANONYMOUS) == "address unknown"
    # one IPv6 customer has a whole /64 to ask from
    assert network_of("2001:db8:1:2:aaaa::1") == network_of("2001:db8:1:2::ffff") == "2001:db8:1:2::/64"


async def test_an_address_has_a_rate_of_its_own_whoever_asks_from_there() -> None:
    limits = RateLimits(requests_per_minute_max=60, address_requests_per_minute_max=60, burst_requests_max=2)
    rate = Rate(limits, Clock())
    for person in ("a", "b"):
        await rate.take(Subject(person, client_address="192.0.2.1"))
    with pytest.raises(RateExceeded) as raised:
        await rate.take(Subject("c", client_address="192.0.2.1"))
    assert raised.value.retry_after_s == 1
    await rate.take(Subject("c", client_address="192.0.2.2"))


async def test_a_class_may_have_a_rate_where_others_have_none() -> None:
    rate = Rate(RateLimits(burst_requests_max=1), Clock())
    for _ in range(3):
        await rate.take(SUBJECT)
    await rate.take(SUBJECT, per_minute=6)
    with pytest.raises(RateExceeded) as raised:
        await rate.take(SUBJECT, per_minute=6)
    assert raised.value.retry_after_s == 10


class Away:
    """A store of rates that fails until it is told not to."""

    def __init__(self) -> None:
        self.asked, self.failing = 0, True

    async def wait_s(self, caller: str, *, per_minute: int, burst: int) -> float:
        self.asked += 1
        if self.failing:
            raise ConnectionError("redis://:hunter2@10.0.0.1")
        return 7.0


async def test_while_the_shared_store_is_away_each_router_counts_by_itself(caplog) -> None:
    clock, away = Clock(), Away()
    rate = Rate(RateLimits(requests_per_minute_max=60, burst_requests_max=2), clock, shared=away)
    await rate.take(SUBJECT)
    await rate.take(SUBJECT)
    with pytest.raises(RateExceeded):
        await rate.take(SUBJECT)
    assert away.asked == 1
    assert "this router alone" in caplog.text
    assert "hunter2" not in caplog.text
    away.failing = False
    clock.now_s = AGAIN_S
    with pytest.raises(RateExceeded) as raised:
        await rate.take(SUBJECT)
    assert raised.value.retry_after_s == 7


async def test_too_many_requests_are_429_with_the_time_to_wait() -> None:
    config = RouterConfig(rate=RateLimits(requests_per_minute_max=1, burst_requests_max=2))
    async with running(config) as router:
        for expected in (200, 200, 429):
            status, body, response = await router.post({"query": "{ hello }"})
            assert status == expected
        assert body["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert int(response.headers["retry-after"]) in range(55, 61)


async def test_each_operation_of_a_batch_counts() -> None:
    config = RouterConfig(
        rate=RateLimits(requests_per_minute_max=1, burst_requests_max=3),
        http=HttpLimits(batch_operations_max=5),
    )
    async with running(config) as router:
        assert (await router.post([{"query": "{ hello }"}] * 4))[0] == 429
        assert (await router.post({"query": "{ hello }"}))[0] == 429


async def test_clients_of_a_class_have_its_rate() -> None:
    async def authenticate(token: str) -> Subject:
        return Subject(token, client_id=token)

    config = RouterConfig(
        rate=RateLimits(burst_requests_max=1),
        client_classes={"partner": ClientClass(client_ids=("acme",), requests_per_minute_max=1)},
    )
    async with running(config, credentials=Credentials(authenticate=authenticate)) as router:
        statuses = [(await router.post({"query": "{ me }"}, authorization="Bearer web"))[0] for _ in range(3)]
        assert statuses == [200, 200, 200]
        statuses = [
            (await router.post({"query": "{ me }"}, authorization="Bearer acme"))[0] for _ in range(2)
        ]
        assert statuses == [200, 429]


async def test_routers_count_together_in_redis(redis_url: str) -> None:
    from deploy.shared_rates import RedisRates

    limits = RateLimits(requests_per_minute_max=60, burst_requests_max=3)
    stores = [RedisRates(redis_url) for _ in range(2)]
    here, there = (Rate(limits, shared=it) for it in stores)
    subject = Subject(f"anna-{uuid.uuid4()}")
    await asyncio.gather(here.take(subject), there.take(subject), here.take(subject))
    with pytest.raises(RateExceeded) as raised:
        await there.take(subject)
    assert 1 <= raised.value.retry_after_s <= 3
    await there.take(Subject(f"ben-{uuid.uuid4()}"))
    for it in stores:
        await it.close()
