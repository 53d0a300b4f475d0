"""Calls through a subgraph's lane: retries and their budget, breakers, deadlines, certificates, headers."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from authz.identity.seals import SeenSeals, verify_seal
from authz.identity.subject import ANONYMOUS, Subject
from router.codings import packed
from router.config import ConfigError, read_config
from router.errors import SubgraphCallFailed
from router.execution.transport import SubgraphRequest
from router.execution.transports.breaker import Breaker, Outcome, State
from router.execution.transports.http import HttpTransport
from router.execution.transports.retries import KEPT_S, RetryBudget, pause_s
from router.header_settings import HeaderRule, Inserted, Propagated, Removed
from router.operation.model import OperationKind
from router.traffic import (
    BreakerPolicy,
    RetryPolicy,
    SubgraphTraffic,
    TlsFiles,
    Traffic,
)
from tests.kit_edge.certificates import Authority

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ANSWER = {"data": {"hello": "there"}}
QUICK = RetryPolicy(pause_ms_base=1, pause_ms_max=2)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@asynccontextmanager
async def served(handler: Handler, *, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/graphql", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}/graphql"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def transport_to(
    url: str, *, always: tuple[str, ...] = (), **settings: Any
) -> AsyncIterator[HttpTransport]:
    settings.setdefault("retry", QUICK)
    transport = HttpTransport({"a": url}, traffic=Traffic(all=SubgraphTraffic(**settings)), always=always)
    try:
        yield transport
    finally:
        await transport.close()


def call(query: str = "{hello}", **more: Any) -> SubgraphRequest:
    arguments: dict[str, Any] = {
        "service": "a",
        "kind": OperationKind.QUERY,
        "variables": {},
        "subject": ANONYMOUS,
    }
    return SubgraphRequest(query=query, **{**arguments, **more})


def statuses(*found: int, **headers: str) -> tuple[list[int], Handler]:
    """A subgraph that answers these statuses in turn, then well; what it was asked, counted."""
    left, asked = list(found), []

    async def answer(request: web.Request) -> web.StreamResponse:
        status = left.pop(0) if left else 200
        asked.append(status)
        if status != 200:
            return web.Response(status=status, text="no", headers=headers)
        return web.json_response(ANSWER)

    return asked, answer


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_query_is_sent_again_after_a_gateways_error(status: int) -> None:
    asked, answer = statuses(status, status)
    async with served(answer) as url, transport_to(url) as transport:
        assert (await transport.fetch(call())).data == ANSWER["data"]
    assert asked == [status, status, 200]


@pytest.mark.parametrize(("kind", "status"), [(OperationKind.MUTATION, 503), (OperationKind.QUERY, 500)])
async def test_mutations_and_other_errors_are_not_sent_again(kind: OperationKind, status: int) -> None:
    asked, answer = statuses(status)
    async with served(answer) as url, transport_to(url) as transport:
        with pytest.raises(SubgraphCallFailed, match=f"answered HTTP {status}"):
            await transport.fetch(call(kind=kind))
    assert asked == [status]


async def test_no_more_tries_than_allowed() -> None:
    asked, answer = statuses(503, 503, 503, 503, 503)
    async with served(answer) as url, transport_to(url) as transport:
        with pytest.raises(SubgraphCallFailed, match="answered HTTP 503"):
            await transport.fetch(call())
    assert len(asked) == QUICK.attempts_max


async def test_a_retry_after_beyond_the_calls_time_is_not_waited_for() -> None:
    asked, answer = statuses(503, **{"retry-after": "3600"})
    async with served(answer) as url, transport_to(url) as transport:
        with pytest.raises(SubgraphCallFailed, match="answered HTTP 503"):
            await transport.fetch(call(timeout_s=5))
    assert asked == [503]


async def test_each_try_is_signed_by_itself_and_gets_what_is_left_of_the_time() -> None:
    signatures: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        signatures.append(request.headers["x-signature"])
        if len(signatures) == 1:
            return web.Response(status=503)
        await asyncio.Event().wait()
        return web.Response()

    async with served(answer) as url:
        numbers = iter(range(10))
        transport = HttpTransport(
            {"a": url},
            sign=lambda *_: {"x-signature": str(next(numbers))},
            traffic=Traffic(all=SubgraphTraffic(retry=QUICK)),
        )
        began = asyncio.get_running_loop().time()
        with pytest.raises(SubgraphCallFailed, match="timed out"):
            await transport.fetch(call(timeout_s=0.3))
        assert asyncio.get_running_loop().time() - began < 5
        await transport.close()
    assert signatures == ["0", "1"]


async def test_a_subgraphs_own_time_is_shorter_than_the_requests() -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    async with served(never) as url, transport_to(url, timeout_ms_max=30) as transport:
        with pytest.raises(SubgraphCallFailed, match="timed out"):
            await transport.fetch(call(timeout_s=60))


def test_the_budget_is_earned_by_calls_and_time_and_spent_by_retries() -> None:
    clock = Clock()
    policy = RetryPolicy(budget_percent=50, budget_per_second=1)
    budget = RetryBudget(policy, now_s=clock)
    assert [budget.take() for _ in range(KEPT_S + 1)] == [True] * KEPT_S + [False]
    for _ in range(4):
        budget.earn()
    assert [budget.take() for _ in range(3)] == [True, True, False]
    clock.now_s += 3
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    clock.now_s += 1_000_000
    most = KEPT_S + 50 * KEPT_S
    assert sum(budget.take() for _ in range(most + 5)) == most


def test_pauses_double_are_drawn_and_bounded() -> None:
    policy = RetryPolicy(pause_ms_base=10, pause_ms_max=40)
    for tries, longest in ((1, 0.01), (2, 0.02), (3, 0.04), (9, 0.04)):
        drawn = [pause_s(policy, tries) for _ in range(200)]
        assert 0 <= min(drawn) <= max(drawn) <= longest
        assert max(drawn) > longest / 2
    assert pause_s(policy, 1, "2") == 2
    assert pause_s(policy, 1, "Wed, 21 Oct 2026 07:28:00 GMT") <= 0.01


async def test_queries_wait_together_for_a_subgraph_that_restarts() -> None:
    _, answer = statuses()
    async with served(answer) as url:
        port = int(url.split(":")[2].split("/")[0])
    patient = RetryPolicy(unreachable_wait_ms_max=20_000)
    async with transport_to(url, retry=patient, shared_fetches=False) as transport:
        waiting = [asyncio.create_task(transport.fetch(call())) for _ in range(40)]
        await asyncio.sleep(0.05)
        assert not any(one.done() for one in waiting)
        with pytest.raises(SubgraphCallFailed, match="could not be reached"):
            await transport.fetch(call(kind=OperationKind.MUTATION))
        async with served(answer, port=port):
            answers = await asyncio.gather(*waiting)
    assert [one.data for one in answers] == [ANSWER["data"]] * 40


async def test_a_subgraph_that_stays_away_is_waited_for_once() -> None:
    _, answer = statuses()
    async with served(answer) as url:
        pass
    patient = RetryPolicy(unreachable_wait_ms_max=60)
    async with transport_to(url, retry=patient) as transport:
        loop = asyncio.get_running_loop()
        for wait_s in (0.06, 0):
            began = loop.time()
            with pytest.raises(SubgraphCallFailed, match="could not be reached"):
                await transport.fetch(call())
            assert loop.time() - began >= wait_s


def test_a_breaker_opens_on_failures_and_closes_after_good_trials() -> None:
    clock, states = Clock(), []
    policy = BreakerPolicy(failures_percent_max=50, calls_min=4, window_ms=1_000, open_ms=500, trial_calls=2)
    breaker = Breaker(policy, on_change=states.append, now_s=clock)
    for outcome in (Outcome.WELL, Outcome.FAILED, Outcome.UNKNOWN, Outcome.FAILED):
        assert breaker.lets_through()
        breaker.record(outcome)
    assert breaker.state is State.CLOSED  # three calls that count, fewer than are judged
    breaker.record(Outcome.FAILED)
    assert breaker.state is State.OPEN
    assert not breaker.lets_through()
    clock.now_s += 0.5
    assert [breaker.lets_through() for _ in range(3)] == [True, True, False]
    breaker.record(Outcome.UNKNOWN)  # this trial told nothing: another may be made
    assert breaker.lets_through()
    breaker.record(Outcome.WELL)
    breaker.record(Outcome.FAILED)
    assert breaker.state is State.OPEN
    clock.now_s += 0.5
    assert [breaker.lets_through() for _ in range(2)] == [True, True]
    breaker.record(Outcome.WELL)
    breaker.record(Outcome.WELL)
    assert states == [State.OPEN, State.HALF_OPEN, State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_failures_of_long_ago_do_not_count() -> None:
    clock = Clock()
    breaker = Breaker(BreakerPolicy(calls_min=4, window_ms=1_000), now_s=clock)
    for _ in range(20):
        breaker.record(Outcome.FAILED)
        clock.now_s += 0.5
    assert breaker.state is State.CLOSED
    off = Breaker(BreakerPolicy(failures_percent_max=0, calls_min=1), now_s=clock)
    for _ in range(20):
        off.record(Outcome.FAILED)
    assert off.state is State.CLOSED


async def test_a_failing_subgraph_is_left_alone_and_then_tried() -> None:
    asked, answer = statuses(500, 500, 500)
    breaker = BreakerPolicy(calls_min=3, open_ms=50, trial_calls=1)
    clock = Clock()
    async with served(answer) as url, transport_to(url, breaker=breaker) as transport:
        transport._lanes["a"]._breaker._now_s = clock
        for _ in range(3):
            with pytest.raises(SubgraphCallFailed, match="answered HTTP 500"):
                await transport.fetch(call())
        with pytest.raises(SubgraphCallFailed) as failed:
            await transport.fetch(call())
        assert failed.value.code == "SUBREQUEST_CIRCUIT_OPEN"
        assert len(asked) == 3
        clock.now_s += 0.06
        assert (await transport.fetch(call())).data == ANSWER["data"]
    assert len(asked) == 4


async def test_equal_fetches_under_way_are_made_once_and_answered_apart() -> None:
    gate, asked = asyncio.Event(), []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(await request.text())
        await gate.wait()
        return web.json_response(ANSWER)

    async with served(answer) as url, transport_to(url, always=("x-tenant",)) as transport:
        alike = [asyncio.create_task(transport.fetch(call())) for _ in range(5)]
        other = [
            asyncio.create_task(transport.fetch(call(headers={"x-tenant": "b"}))),
            asyncio.create_task(transport.fetch(call(variables={"a": 1}))),
        ]
        while len(asked) < 3:
            await asyncio.sleep(0)
        alike[0].cancel()  # its client left: another one of them asks
        while len(asked) < 4:
            await asyncio.sleep(0)
        mutation = asyncio.create_task(transport.fetch(call("mutation{hello}", kind=OperationKind.MUTATION)))
        while len(asked) < 5:
            await asyncio.sleep(0)
        after = asyncio.create_task(transport.fetch(call()))
        while len(asked) < 6:  # it began after the mutation, and may not see what was before
            await asyncio.sleep(0)
        gate.set()
        answers = await asyncio.gather(*alike[1:], *other, mutation, after)
    assert len(asked) == 6
    answers[0].data["hello"] = "changed by its reader"
    assert [one.data for one in answers[1:]] == [ANSWER["data"]] * (len(answers) - 1)


async def test_with_signed_calls_nobody_shares_anothers_fetch() -> None:
    gate, asked = asyncio.Event(), []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers["x-who"])
        await gate.wait()
        return web.json_response({"data": {"hello": request.headers["x-who"]}})

    async with served(answer) as url:
        transport = HttpTransport({"a": url}, sign=lambda request, _: {"x-who": request.subject.id or ""})
        people = ["mira", "tomas", "mira"]
        calls = [asyncio.create_task(transport.fetch(call(subject=Subject(one)))) for one in people]
        while len(asked) < 2:
            await asyncio.sleep(0)
        gate.set()
        answers = await asyncio.gather(*calls)
        await transport.close()
    assert [one.data for one in answers] == [{"hello": one} for one in people]
    assert sorted(asked) == ["mira", "tomas"]


RULES = (
    HeaderRule(propagate=Propagated(matching="x-app-.*")),
    HeaderRule(propagate=Propagated(named="X-Old", rename="x-new", default="none")),
    HeaderRule(insert=Inserted(name="X-From", value="router")),
    HeaderRule(remove=Removed(matching=".*-secret")),
)


async def test_header_rules_are_followed_in_their_order_and_for_their_subgraph_alone() -> None:
    seen: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append({name.lower(): value for name, value in request.headers.items()})
        return web.json_response(ANSWER)

    client = {"x-app-id": "7", "x-app-secret": "s", "x-tenant": "blue", "host": "evil", "x-hook": "h"}
    async with served(answer) as url:
        traffic = Traffic(by_name={"a": SubgraphTraffic(headers=RULES)})
        transport = HttpTransport({"a": url, "b": url}, traffic=traffic, always=("x-tenant",))
        await transport.fetch(call(headers=client))
        await transport.fetch(call(headers={**client, "x-old": "o"}))
        await transport.fetch(call(headers=client, service="b"))
        await transport.close()
    mine = {
        "x-app-id": "7",
        "x-app-secret": None,
        "x-tenant": "blue",
        "x-new": "none",
        "x-from": "router",
        "x-hook": "h",
    }
    told = [{name: one.get(name) for name in mine} for one in seen]
    assert told[:2] == [mine, {**mine, "x-new": "o"}]
    others = {"x-tenant": "blue", "x-hook": "h"}
    assert told[2] == {name: others.get(name) for name in mine}
    assert {one["host"] for one in seen} == {url.split("/")[2]}


async def test_bodies_go_compressed_where_it_is_asked_for() -> None:
    seen: list[tuple[str | None, str | None, bytes]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        raw = await request.read()  # aiohttp has taken the encoding off
        seen.append((request.headers.get("content-encoding"), request.headers.get("accept-encoding"), raw))
        answered = web.Response(
            body=gzip.compress(json.dumps(ANSWER).encode()), content_type="application/json"
        )
        answered.headers["content-encoding"] = "gzip"
        return answered

    signed: list[bytes] = []
    settings = SubgraphTraffic(compress_requests=True, accept_compressed=True)
    long = call(variables={"name": "x" * 5_000})
    async with served(answer) as url:
        transport = HttpTransport(
            {"a": url}, traffic=Traffic(all=settings), sign=lambda _, body: signed.append(body)
        )
        assert (await transport.fetch(long)).data == ANSWER["data"]
        assert (await transport.fetch(call())).data == ANSWER["data"]
        await transport.close()
    takes = "zstd, br, gzip, deflate"
    assert [one[:2] for one in seen] == [("gzip", takes), (None, takes)]
    assert seen[0][2] == gzip.decompress(signed[0])  # what is signed is what is sent


async def test_calls_to_a_subgraph_with_a_secret_carry_a_fresh_seal_on_each_try() -> None:
    seals: list[tuple[str, bytes]] = []
    unsealed: list[str | None] = []

    async def sealed(request: web.Request) -> web.StreamResponse:
        seals.append((request.headers["x-proof"], await request.read()))
        return web.Response(status=503) if len(seals) == 1 else web.json_response(ANSWER)

    async def plain(request: web.Request) -> web.StreamResponse:
        unsealed.append(request.headers.get("x-proof") or request.headers.get("stadion-seal"))
        return web.json_response(ANSWER)

    traffic = read_config(
        {
            "subgraphs": {
                "by_name": {"a": {"sealing": {"secret": "${env.SEAL}", "header": "X-Proof"}}},
                "all": {"retry": {"pause_ms_base": 0}},
            }
        },
        {"SEAL": "s" * 32},
    ).subgraphs
    seen = SeenSeals()
    async with served(sealed) as a, served(plain) as b:
        transport = HttpTransport({"a": a, "b": b}, traffic=traffic, sign=lambda *_: {"x-own": "1"})
        forged = call(headers={"x-proof": "t=1,n=forgedforgedforge,v1=00"})
        for request in (forged, replace(call(), service="b")):
            assert (await transport.fetch(request)).data == ANSWER["data"]
        await transport.close()
    assert len(seals) == 2
    for seal, body in seals:
        verify_seal(seal, "a", body, [b"s" * 32], now_s=time.time(), seen=seen)
    assert unsealed == [None]


def test_a_secret_that_could_be_guessed_is_refused_and_never_shown() -> None:
    with pytest.raises(ConfigError, match="32 bytes or more") as raised:
        read_config({"subgraphs": {"all": {"sealing": {"secret": "hunter2"}}}})
    assert "hunter2" not in str(raised.value)
    held = read_config({"subgraphs": {"all": {"sealing": {"secret": "s" * 32}}}})
    assert "s" * 32 not in repr(held)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_answers_come_in_any_coding_that_is_asked_for(coding: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = packed(json.dumps(ANSWER).encode(), coding)
        headers = {"content-encoding": coding}
        return web.Response(body=body, content_type="application/json", headers=headers)

    async with served(answer) as url:
        transport = HttpTransport({"a": url}, traffic=Traffic(all=SubgraphTraffic(accept_compressed=True)))
        assert (await transport.fetch(call())).data == ANSWER["data"]
        await transport.close()


async def test_mutual_tls_and_certificates_that_change_under_load(tmp_path: Path) -> None:
    servers, clients, strangers = (Authority(tmp_path, name) for name in ("servers", "clients", "strangers"))
    certificate, key = clients.certificate("router")
    peers: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peercert")["serialNumber"])
        return web.json_response(ANSWER)

    tls = servers.server_context("subgraph", client_authority=clients)
    files = TlsFiles(ca_file=str(servers.ca_file), certificate_file=str(certificate), key_file=str(key))
    async with (
        served(answer, tls=tls) as url,
        transport_to(url, tls=files, shared_fetches=False) as transport,
    ):
        following = asyncio.create_task(transport.follow_certificates(every_s=0.001))
        stop = asyncio.Event()

        async def ask() -> int:
            count = 0
            while not stop.is_set():
                assert (await transport.fetch(call())).data == ANSWER["data"]
                count += 1
            return count

        load = [asyncio.create_task(ask()) for _ in range(5)]
        for number in range(3):
            while len(set(peers)) < number + 1:
                await asyncio.sleep(0)
            clients.certificate("router")
        certificate.write_text("nonsense")  # it cannot be used: the one before stays in force
        count = len(peers)
        while len(peers) < count + 20:
            await asyncio.sleep(0)
        stop.set()
        assert min(await asyncio.gather(*load)) > 0
        following.cancel()
    assert len(set(peers)) >= 3
    for wrong in (TlsFiles(), TlsFiles(ca_file=str(strangers.ca_file))):
        async with served(answer, tls=tls) as url, transport_to(url, tls=wrong) as transport:
            with pytest.raises(SubgraphCallFailed, match="could not be reached"):
                await transport.fetch(call())


async def test_without_a_certificate_that_is_asked_for_no_call_is_answered(tmp_path: Path) -> None:
    servers, clients = Authority(tmp_path, "servers"), Authority(tmp_path, "clients")
    _, answer = statuses()
    tls = servers.server_context("subgraph", client_authority=clients)
    files = TlsFiles(ca_file=str(servers.ca_file))
    async with served(answer, tls=tls) as url, transport_to(url, tls=files) as transport:
        with pytest.raises(SubgraphCallFailed):
            await transport.fetch(call())


async def test_a_new_address_takes_later_calls_and_loses_none_under_way() -> None:
    gate, asked = asyncio.Event(), []

    async def slow(_: web.Request) -> web.StreamResponse:
        asked.append(1)
        await gate.wait()
        return web.json_response({"data": {"hello": "old"}})

    _, answer = statuses()
    async with served(slow) as old, served(answer) as new, transport_to(old) as transport:
        under_way = asyncio.create_task(transport.fetch(call()))
        while not asked:
            await asyncio.sleep(0)
        transport.readdress({"a": new})
        assert (await transport.fetch(call("{hello again: hello}"))).data == ANSWER["data"]
        gate.set()
        assert (await under_way).data == {"hello": "old"}
