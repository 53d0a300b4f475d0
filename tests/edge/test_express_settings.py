"""The straight way under settings that look at each request: it answers as the app, and stays open."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from authz.errors import InvalidToken
from authz.identity.subject import Subject
from router.admission import ClientClass, Proxies, Safelist
from router.config import HttpLimits, PersistedConfig, RateLimits, RouterConfig
from router.edge.credentials import Credentials
from router.telemetry import operations_count
from tests.kit_edge.straight import NAMED, QUERY, TRAFFIC, Client, http, serving, ways_taken

pytestmark = pytest.mark.timeout(60)

HASH = hashlib.sha256(QUERY["query"].encode()).hexdigest()
PERSISTED = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH}}}
LONG = orjson.dumps({"data": {"hello": "long " * 1_000}})
VERY_LONG = orjson.dumps({"data": {"hello": "very long " * 40_000}})
TRACED = b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
Question = tuple[Any, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked under which settings; `says` is the subgraph's script."""

    config: Callable[[], RouterConfig]
    asked: tuple[Question, ...]
    says: tuple[bytes, ...] = ()
    outcomes: tuple[str, ...] = ()
    """The error's code of each answer; empty where it went well."""
    straight_min: int = 1


def plainly(**settings: Any) -> Callable[[], RouterConfig]:
    return lambda: RouterConfig(subgraphs=TRAFFIC, **settings)


def token(name: bytes) -> tuple[bytes, ...]:
    return (b"authorization: Bearer " + name,)


RATE_BY_ADDRESS = plainly(
    rate=RateLimits(address_requests_per_minute_max=1, burst_requests_max=6),
    proxies=Proxies(trusted=("127.0.0.1/32",)),
)
RATE_AND_FAULTS = plainly(rate=RateLimits(requests_per_minute_max=1, burst_requests_max=7))
CLASSES = plainly(
    client_classes={
        "slow": ClientClass(client_ids=("slow",), requests_per_minute_max=1),
        "listed": ClientClass(client_ids=("listed",), safelist=Safelist.IDS_ONLY),
    },
    rate=RateLimits(burst_requests_max=2),
)
GZIP = (b"accept-encoding: gzip",)
CASES: dict[str, Case] = {
    "rate": Case(
        plainly(rate=RateLimits(requests_per_minute_max=1, burst_requests_max=6)),
        ((QUERY, ()),) * 4,
        outcomes=("", "", "RATE_LIMITED", "RATE_LIMITED"),
        straight_min=4,
    ),
    "a rate that faults of subgraphs are counted in once": Case(
        RATE_AND_FAULTS,
        ((QUERY, ()),) * 4,
        says=(http(b"oops"), http(b'{"data":{"hello":{"a":1}}}')),
        outcomes=("SUBREQUEST_MALFORMED_RESPONSE", "", "", "RATE_LIMITED"),
        straight_min=4,
    ),
    "a rate that what is left to the app is counted in once": Case(
        RATE_AND_FAULTS,
        (({"query": "{ nothing }"}, ()), ({"query": "{ hello }"}, ()), (QUERY, ()), (QUERY, ())),
        outcomes=("GRAPHQL_VALIDATION_FAILED", "", "", "RATE_LIMITED"),
        straight_min=2,
    ),
    "rates by address, behind a proxy": Case(
        RATE_BY_ADDRESS,
        ((QUERY, (b"x-forwarded-for: 192.0.2.1",)),) * 7 + ((QUERY, (b"x-forwarded-for: 192.0.2.2",)),),
        outcomes=("",) * 6 + ("RATE_LIMITED", ""),
        straight_min=8,
    ),
    "compression": Case(
        plainly(compression=True),
        (
            (QUERY, GZIP),
            (QUERY, GZIP),
            (QUERY, (b"accept-encoding: br;q=0.5, zstd",)),
            (QUERY, (b"accept-encoding: gzip", b"sec-fetch-site: cross-site", b"origin: https://a.example")),
            (QUERY, ()),
            (QUERY, (b"accept-encoding: identity;q=0, none",)),
            (QUERY, GZIP),
        ),
        says=(http(b'{"data":{"hello":"short"}}'), *[http(LONG)] * 4, http(VERY_LONG)),
        outcomes=("",) * 5 + ("NOT_ACCEPTABLE", ""),
        straight_min=6,
    ),
    "names": Case(
        plainly(require_operation_name=True, require_client_name=True),
        (
            ({"query": "query Q { hello }"}, (b"graphql-client-name: a",)),
            ({"query": "query Q { hello }"}, (b"graphql-client-name: a",)),
            (QUERY, (b"graphql-client-name: a",)),
            (QUERY, (b"graphql-client-name: a",)),
            (QUERY, ()),
        ),
        outcomes=("", "", "BAD_REQUEST", "BAD_REQUEST", "BAD_REQUEST"),
        straight_min=1,
    ),
    "tokens": Case(
        plainly(forward_headers=("authorization",)),
        (
            (QUERY, token(b"ann")),
            (QUERY, token(b"ann")),
            (QUERY, token(b"wrong")),
            (QUERY, (b"authorization: Basic abc",)),
            (QUERY, (b"authorization: DPoP ann",)),
            (QUERY, token(b"bound")),
            (QUERY, token(b"slowly")),
            (QUERY, token(b"ben")),
            (QUERY, ()),
        ),
        outcomes=("", "", "AUTH_ERROR", "AUTH_ERROR", "AUTH_ERROR", "AUTH_ERROR", "", "", ""),
        straight_min=6,
    ),
    "classes": Case(
        CLASSES,
        (
            (QUERY, token(b"slow")),
            (QUERY, token(b"slow")),
            (QUERY, token(b"slow")),
            (QUERY, token(b"ann")),
            (QUERY, token(b"listed")),
            ({"documentId": "known"}, token(b"listed")),
            ({"documentId": "other"}, token(b"listed")),
        ),
        outcomes=(
            *("", "", "RATE_LIMITED", "", "PERSISTED_QUERY_ID_REQUIRED", "", "PERSISTED_QUERY_NOT_IN_LIST"),
        ),
        straight_min=6,
    ),
    "persisted documents": Case(
        plainly(persisted=PersistedConfig(automatic=True)),
        (
            (PERSISTED, ()),
            ({**QUERY, **PERSISTED}, ()),
            (PERSISTED, ()),
            (PERSISTED, ()),
            ({**QUERY, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}}, ()),
            ({"documentId": "known"}, ()),
            ({"documentId": "other"}, ()),
            ({**QUERY, "extensions": {"client": "a"}}, ()),
        ),
        outcomes=(
            *("PERSISTED_QUERY_NOT_FOUND", "", "", "", "PERSISTED_QUERY_HASH_MISMATCH"),
            *("", "PERSISTED_QUERY_NOT_IN_LIST", ""),
        ),
        straight_min=8,
    ),
    "documents that are registered alone": Case(
        plainly(persisted=PersistedConfig(safelist=Safelist.KNOWN_TEXTS)),
        ((QUERY, ()), (NAMED, ()), ({"documentId": "known"}, ())),
        outcomes=("", "QUERY_NOT_IN_SAFELIST", ""),
        straight_min=3,
    ),
    "a caller's trace": Case(plainly(), ((QUERY, (TRACED,)), (NAMED, (TRACED,))), outcomes=("", "")),
}


def credentials() -> Credentials:
    """Tokens are names. `slowly` has to be looked up; `bound` is bound to a key."""

    def known(name: str) -> Subject | None:
        if name == "wrong":
            raise InvalidToken
        if name == "slowly":
            return None
        expires = datetime.now(UTC) + timedelta(hours=1)
        thumbprint = "t" if name == "bound" else None
        return Subject(id=name, client_id=name, expires_at_utc=expires, key_thumbprint=thumbprint)

    async def authenticate(name: str) -> Subject:
        return known(name) or Subject(id=name, expires_at_utc=datetime.now(UTC) + timedelta(hours=1))

    return Credentials(authenticate=authenticate, authenticate_now=known)


@pytest.mark.parametrize("name", CASES)
async def test_settings_that_look_at_each_request_leave_the_straight_way_open_and_alike(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, taken = CASES[name], ways_taken(monkeypatch)
    answers, calls, counted = [], [], []
    needs_tokens = any(b"authorization" in line for _, lines in case.asked for line in lines)
    for straight in (True, False):
        async with serving(
            monkeypatch,
            straight=straight,
            config=case.config(),
            credentials=credentials() if needs_tokens else None,
            registered={"known": QUERY["query"]},
        ) as (router, subgraph):
            client = await Client.of(router)
            name_line = (b"graphql-client-name: a",) if "names" in name else ()
            for _ in range(0 if name in {"names", "classes"} else 4):
                await client.ask(QUERY, *name_line)
            taken.clear()
            subgraph.asked.clear()
            subgraph.script[:] = case.says
            before = dict(operations_count.values)
            answers.append([await client.ask(request, *lines) for request, lines in case.asked])
            calls.append([_call(one) for one in subgraph.asked])
            counted.append(
                {key: value - before.get(key, 0) for key, value in operations_count.values.items()}
            )
            assert len(taken) >= case.straight_min if straight else not taken, taken
            assert router.app.state.drain.in_flight == 0
    assert answers[0] == answers[1]
    assert calls[0] == calls[1]
    assert counted[0] == counted[1]
    assert [_code(body) for _, _, body in answers[0]] == list(case.outcomes)


def _code(body: dict[str, Any]) -> str:
    errors = body.get("errors")
    return errors[0]["extensions"]["code"] if errors else ""


def _call(asked: bytes) -> tuple[bytes, bytes, bytes]:
    """What a subgraph was told: body, token, and the trace where it is a caller's own."""
    head, _, body = asked.partition(b"\r\n\r\n")
    token_line = head.partition(b"authorization: ")[2].partition(b"\r")[0]
    return body, token_line, b"a" * 32 if b"a" * 32 in head else b""


async def test_the_caller_s_own_trace_id_is_the_answer_s(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = ways_taken(monkeypatch)
    async with serving(monkeypatch, straight=True) as (router, subgraph):
        client = await Client.of(router)
        await client.warm(QUERY)
        client.send(QUERY, TRACED)
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"stadion-trace-id: " + b"a" * 32 in head
        assert b"traceparent: 00-" + b"a" * 32 in subgraph.asked[-1]
    assert taken[-1] == "Fetching"


async def test_a_request_past_the_limit_counts_in_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    config = RouterConfig(
        subgraphs=TRAFFIC,
        http=HttpLimits(in_flight_max=1),
        rate=RateLimits(requests_per_minute_max=1, burst_requests_max=6),
    )
    async with serving(monkeypatch, straight=True, config=config) as (router, subgraph):
        first, second = [await Client.of(router) for _ in range(2)]
        await first.warm(QUERY)
        subgraph.asked.clear()
        subgraph.gate.clear()
        first.send(QUERY)
        while not subgraph.asked:
            await second.ask(b"{")
        for _ in range(3):
            assert (await second.ask(QUERY))[0].startswith("HTTP/1.1 503")
        subgraph.gate.set()
        await first.answer()
        assert (await second.ask(QUERY))[0] == "HTTP/1.1 200 OK"
